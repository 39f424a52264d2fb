"""The host's functions: those of the contract in WebAssembly, a stand-in (``testing``) anywhere else.

A gadget's world holds only what its manifest grants, so that a function that is called without a grant is not there.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, NoReturn, Optional, Sequence

from .errors import HostError

IN_GUEST = importlib.util.find_spec("wit_world") is not None
"""Whether this is the component, or its build."""


def _interface(name: str) -> Any:
    if not IN_GUEST:
        return importlib.import_module("gadget_sdk.testing").host
    try:
        return importlib.import_module("wit_world.imports." + name)
    except ImportError:
        return _NotGranted(name)


class _NotGranted:
    """An interface that the manifest does not grant."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, function: str) -> NoReturn:
        raise RuntimeError(f"the manifest does not grant `{self._name}`")


_tables = _interface("tables")
_log = _interface("log")
_params = _interface("params")
_clock = _interface("clock")
_maps = _interface("maps")
_timers = _interface("timers")
_containers = _interface("containers")
_types = _interface("types")

Err: Any = importlib.import_module("componentize_py_types").Err if IN_GUEST else _types.Err
"""What a function of the host raises, and an export that has an error to tell."""

_LEVELS = [_log.Level.ERROR, _log.Level.WARN, _log.Level.INFO, _log.Level.DEBUG]


def verdict(accepted: int, dropped: int, malformed: int) -> Any:
    """The contract's record ``verdict``."""
    return _types.Verdict(accepted, dropped, malformed)


def emit(table: int, rows: int, origin: Sequence[int], columns: list[tuple[int, list[bytes]]]) -> Optional[str]:
    """Hands rows over; the host's reason if it did not take them."""
    make = _types.Column
    try:
        _tables.emit(table, rows, origin, [make(index, buffers) for index, buffers in columns])
    except Err as error:
        return str(error.value)
    return None


def end_frame(table: int) -> None:
    """Ends the current frame of a table."""
    _tables.end_frame(table)


def wanted(table: int) -> Sequence[int]:
    """The columns of a table that somebody needs now, ascending."""
    columns: Sequence[int] = _tables.wanted(table)
    return columns


def log(level: int, text: str) -> None:
    """Writes a message: 0 is an error, 1 a warning, 2 an information, 3 for the author."""
    _log.write(_LEVELS[level], text)


def param(index: int) -> str:
    """The canonical text of a parameter."""
    text: str = _params.get(index)
    return text


def boot() -> int:
    """Nanoseconds of CLOCK_BOOTTIME."""
    now: int = _clock.boot()
    return now


def wall() -> int:
    """Nanoseconds since 1970-01-01 UTC."""
    now: int = _clock.wall()
    return now


def map_lookup(grant: int, key: bytes) -> Optional[bytes]:
    """The value of a key."""
    try:
        value: Optional[bytes] = _maps.lookup(grant, key)
        return value
    except Err as error:
        raise HostError(str(error.value)) from None


def map_update(grant: int, key: bytes, value: bytes) -> None:
    """Sets the value of a key."""
    try:
        _maps.update(grant, key, value)
    except Err as error:
        raise HostError(str(error.value)) from None


def map_delete(grant: int, key: bytes) -> bool:
    """Removes a key; false: it was not there."""
    try:
        there: bool = _maps.delete(grant, key)
        return there
    except Err as error:
        raise HostError(str(error.value)) from None


def map_read_all(grant: int) -> bytes:
    """Every entry, framed like the records of a span."""
    try:
        span: bytes = _maps.read_all(grant)
        return span
    except Err as error:
        raise HostError(str(error.value)) from None


def timer_every(period_ns: int) -> int:
    """Sets a timer that is due again and again."""
    try:
        timer: int = _timers.every(period_ns)
        return timer
    except Err as error:
        raise HostError(str(error.value)) from None


def timer_once(delay_ns: int) -> int:
    """Sets a timer that is due once."""
    try:
        timer: int = _timers.once(delay_ns)
        return timer
    except Err as error:
        raise HostError(str(error.value)) from None


def timer_cancel(timer: int) -> None:
    """Ends a timer."""
    _timers.cancel(timer)


def owners_of_records(offsets: Sequence[int]) -> Sequence[int]:
    """The owners of records of the span that is being processed."""
    owners: Sequence[int] = _containers.of_records(offsets)
    return owners


def owners_by_cgroup(cgroups: Sequence[int]) -> Sequence[int]:
    """The owners of cgroups."""
    owners: Sequence[int] = _containers.by_cgroup(cgroups)
    return owners


def owner_by_mount_namespace(namespace: int, at: int) -> int:
    """The owner of a mount namespace at a time."""
    owner: int = _containers.by_mount_namespace(namespace, at)
    return owner


def owner_by_id(id: str) -> int:
    """The container with an id."""
    owner: int = _containers.by_id(id)
    return owner


def owner_fields(owners: Sequence[int], name: str) -> Sequence[Optional[str]]:
    """A field of owners."""
    try:
        texts: Sequence[Optional[str]] = _containers.field(owners, name)
        return texts
    except Err as error:
        raise HostError(str(error.value)) from None
