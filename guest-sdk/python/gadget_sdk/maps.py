"""The gadget's own eBPF maps, as far as the manifest grants them. Every method raises ``HostError`` with the host's
reason when it is refused."""

from __future__ import annotations

import struct
from typing import Any, Generic, Optional, TypeVar

from . import host
from .span import entries

K = TypeVar("K")
V = TypeVar("V")


class Number:
    """A key or value that is a number; ``code`` is that of the module ``struct``."""

    __slots__ = ("_struct",)

    def __init__(self, code: str) -> None:
        self._struct = struct.Struct("<" + code)

    def encode(self, value: Any) -> bytes:
        """Its bytes."""
        return self._struct.pack(value)

    def decode(self, value: bytes) -> Any:
        """The number."""
        return self._struct.unpack_from(value)[0]


class Raw:
    """A key or value of so many bytes."""

    __slots__ = ("_size",)

    def __init__(self, size: int) -> None:
        self._size = size

    def encode(self, value: Any) -> bytes:
        """The same bytes."""
        if len(value) != self._size:
            raise ValueError(f"{len(value)} bytes where the map has {self._size}")
        return bytes(value)

    def decode(self, value: bytes) -> Any:
        """The same bytes."""
        return value


class Unsized:
    """The values of all CPUs, padded to 8 bytes each."""

    __slots__ = ()

    def encode(self, value: Any) -> bytes:
        """The same bytes."""
        return bytes(value)

    def decode(self, value: bytes) -> Any:
        """The same bytes."""
        return value


class PerCpu:
    """A number for each CPU."""

    __slots__ = ("_struct",)

    def __init__(self, code: str) -> None:
        self._struct = struct.Struct("<" + code)

    def encode(self, value: Any) -> bytes:
        """Each padded to 8 bytes."""
        return b"".join(self._struct.pack(one).ljust(8, b"\0") for one in value)

    def decode(self, value: bytes) -> Any:
        """The numbers, in the order of the CPUs."""
        return [self._struct.unpack_from(value, at)[0] for at in range(0, len(value) - 7, 8)]


class Map(Generic[K, V]):
    """A map; what may be done with it comes from the classes below."""

    __slots__ = ("_grant", "_key", "_value", "_key_size")

    def __init__(self, grant: int, key: Any, value: Any, key_size: int) -> None:
        self._grant = grant
        self._key = key
        self._value = value
        self._key_size = key_size


class Lookup(Map[K, V]):
    """Granted: ``lookup``."""

    __slots__ = ()

    def lookup(self, key: K) -> Optional[V]:
        """The value of ``key``, or ``None`` when there is none."""
        value = host.map_lookup(self._grant, self._key.encode(key))
        return None if value is None else self._value.decode(value)


class Update(Map[K, V]):
    """Granted: ``update``."""

    __slots__ = ()

    def update(self, key: K, value: V) -> None:
        """Sets the value of ``key``."""
        host.map_update(self._grant, self._key.encode(key), self._value.encode(value))


class Delete(Map[K, V]):
    """Granted: ``delete``."""

    __slots__ = ()

    def delete(self, key: K) -> bool:
        """Removes ``key``; false when there was none."""
        return host.map_delete(self._grant, self._key.encode(key))


class ReadAll(Map[K, V]):
    """Granted: ``read-all``."""

    __slots__ = ()

    def read_all(self) -> list[tuple[K, V]]:
        """All keys and values."""
        key, value = self._key.decode, self._value.decode
        return [(key(k), value(v)) for k, v in entries(host.map_read_all(self._grant), self._key_size)]
