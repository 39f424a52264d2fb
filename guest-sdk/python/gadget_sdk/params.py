"""Parameters: what the user set, or the manifest's defaults, as the host's canonical text."""

from __future__ import annotations

from datetime import timedelta

from . import host


def text(index: int) -> str:
    """The value of a parameter of type ``text``."""
    return host.param(index)


def boolean(index: int) -> bool:
    """The value of a parameter of type ``bool``."""
    return host.param(index) == "true"


def integer(index: int) -> int:
    """The value of a parameter of type ``i64`` or ``u64``."""
    return int(host.param(index) or 0)


def number(index: int) -> float:
    """The value of a parameter of type ``f64``."""
    return float(host.param(index) or 0)


def duration(index: int) -> timedelta:
    """The value of a parameter of type ``duration``, to the microsecond."""
    return timedelta(microseconds=int(host.param(index) or 0) // 1000)
