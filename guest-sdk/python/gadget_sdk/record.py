"""Records, read where they lie: any alignment, little endian, offsets from the eBPF object's BTF."""

from __future__ import annotations

import struct
from typing import ClassVar, Optional, TypeVar

V = TypeVar("V", bound="View")


class View:
    """A struct somewhere in some bytes. Its properties read the bytes when they are asked for."""

    __slots__ = ("_span", "_at")

    _SIZE: ClassVar[int] = 0

    def __init__(self, span: bytes, at: int) -> None:
        self._span = span
        self._at = at

    @classmethod
    def view_of(cls: type[V], value: bytes) -> Optional[V]:
        """The struct at the beginning of ``value``, such as a map's value; none when that is too short."""
        return cls(value, 0) if len(value) >= cls._SIZE else None

    def __repr__(self) -> str:
        fields = []
        for kind in type(self).__mro__:
            for name, value in vars(kind).items():
                if isinstance(value, property) and not name.startswith("record_"):
                    fields.append(f"{name}={getattr(self, name)!r}")
        return f"{type(self).__name__}({', '.join(fields)})"


class Record:
    """A record of a span. Valid during the call that it was handed to; what is read from it is the reader's own."""

    __slots__ = ("_span", "_at", "_end", "_origin")

    _FIXED: ClassVar[int] = 0

    def __init__(self, span: bytes, at: int, end: int, origin: int) -> None:
        self._span = span
        self._at = at
        self._end = end
        self._origin = origin

    @property
    def record_origin(self) -> int:
        """Where the record lies in its span: what the rows that come from it refer to."""
        return self._origin

    @property
    def record_tail(self) -> bytes:
        """What stands behind the struct's fixed part."""
        return self._span[self._at + self._FIXED : self._end]

    __repr__ = View.__repr__


def text(span: bytes, start: int, end: int) -> bytes:
    """The bytes of a ``char`` array before its first NUL."""
    nul = span.find(b"\0", start, end)
    return span[start:end] if nul < 0 else span[start:nul]


def split(array: bytes) -> list[bytes]:
    """The texts of an array that holds several, each ended by a NUL, such as a command's arguments. What follows the
    last NUL is one more unless it is empty."""
    if not array:
        return []
    texts = array.split(b"\0")
    if not texts[-1]:
        texts.pop()
    return texts


def bits(span: bytes, at: int, size: int, shift: int, count: int) -> int:
    """``count`` bits, behind the first ``shift`` of the ``size`` bytes from ``at``, as an unsigned number."""
    return int.from_bytes(span[at : at + size], "little") >> shift & ((1 << count) - 1)


def signed_bits(span: bytes, at: int, size: int, shift: int, count: int) -> int:
    """As ``bits``, as a signed number."""
    value = bits(span, at, size, shift, count)
    return value - (1 << count) if value >> (count - 1) else value


def numbers(array: bytes, code: str) -> tuple[int, ...]:
    """The whole numbers of an array of any length; ``code`` is that of the module ``struct``."""
    size = struct.calcsize("<" + code)
    count = len(array) // size
    return struct.unpack_from(f"<{count}{code}", array)


def elements(start: int, end: int, size: int) -> range:
    """Where the elements of an array lie; an incomplete one at the end is left out."""
    return range(start, start + (end - start) // size * size, size)
