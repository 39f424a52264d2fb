"""Columns: from the values of many rows to Arrow's buffers.

Rows keep their values in plain lists, one a column; a whole column is packed at once when rows are handed over, so
that the cost of a cell is that of an append. Every node has validity bits (lowest first, 1 = valid; empty: no
nulls), then values or offsets and what they point into.
"""

from __future__ import annotations

import struct
from array import array
from itertools import accumulate, chain
from typing import Any, Iterable, Sequence, Union

Text = Union[str, bytes, bytearray, memoryview]
"""What a text column takes: text, or bytes that may be anything."""

Bytes = Union[bytes, bytearray, memoryview]
"""What a bytes column takes."""


class ValueOf(Exception):
    """A value that its column does not take."""


def validity(values: Sequence[Any]) -> bytes:
    """A bit a value, set unless it is ``None``."""
    word = "".join(["0" if value is None else "1" for value in reversed(values)])
    return int(word or "0", 2).to_bytes((len(values) + 7) // 8, "little")


class Numbers:
    """Integers or floats of one size; ``code`` is that of the module ``struct``."""

    __slots__ = ("name", "_code", "_pack", "_float")

    def __init__(self, name: str, code: str) -> None:
        self.name = name
        self._code = "<%d" + code
        self._pack = struct.Struct("<" + code).pack
        self._float = code in "fd"

    def buffers(self, values: list[Any]) -> list[bytes]:
        """Validity and values."""
        valid = b""
        if None in values:
            valid = validity(values)
            values = [0 if value is None else value for value in values]
        try:
            return [valid, struct.pack(self._code % len(values), *values)]
        except (struct.error, OverflowError):
            raise self._wrong(values) from None

    def _wrong(self, values: list[Any]) -> ValueOf:
        for value in values:
            try:
                self._pack(value)
            except (struct.error, OverflowError):
                return ValueOf(f"{value!r} is no {self.name}")
        return ValueOf(f"not all values are {self.name}")


class Bools:
    """Truth values, a byte each."""

    __slots__ = ()

    def buffers(self, values: list[Any]) -> list[bytes]:
        """Validity and values."""
        valid = validity(values) if None in values else b""
        return [valid, bytes(map(bool, values))]


class Texts:
    """Text or bytes."""

    __slots__ = ()

    def buffers(self, values: list[Any]) -> list[bytes]:
        """Validity, offsets and data."""
        valid = b""
        if None in values:
            valid = validity(values)
            values = [b"" if value is None else value for value in values]
        data = [value if value.__class__ is bytes else encoded(value) for value in values]
        return [valid, offsets(data), b"".join(data)]


class Lists:
    """Any number of values of one type each."""

    __slots__ = ("_item",)

    def __init__(self, item: Column) -> None:
        self._item = item

    def buffers(self, values: list[Any]) -> list[bytes]:
        """Validity, offsets, and the buffers of the items."""
        valid = b""
        if None in values:
            valid = validity(values)
            values = [() if value is None else value for value in values]
        return [valid, offsets(values), *self._item.buffers(list(chain.from_iterable(values)))]


class Structs:
    """Several values of a type each; here a value is a tuple."""

    __slots__ = ("_fields",)

    def __init__(self, *fields: Column) -> None:
        self._fields = fields

    def buffers(self, values: list[Any]) -> list[bytes]:
        """Validity, and the buffers of each field."""
        all_: list[bytes] = [b""]
        if None in values:
            all_[0] = validity(values)
            nulls = (None,) * len(self._fields)
            values = [nulls if value is None else value for value in values]
        for at, field in enumerate(self._fields):
            all_ += field.buffers([value[at] for value in values])
        return all_


Column = Union[Numbers, Bools, Texts, Lists, Structs]


def offsets(values: Iterable[Any]) -> bytes:
    """Where each of the values begins, and where the last one ends."""
    ends = array("i", accumulate(map(len, values), initial=0))
    return ends.tobytes()


def encoded(value: Any) -> bytes:
    """The bytes of a text."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise ValueOf(f"{value!r} is neither str nor bytes")
