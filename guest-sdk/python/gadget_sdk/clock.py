"""The time. It stands still during one call of the gadget."""

from __future__ import annotations

from . import host


def boot() -> int:
    """Nanoseconds of CLOCK_BOOTTIME: the clock of the records' timestamps."""
    return host.boot()


def wall() -> int:
    """Nanoseconds since 1970-01-01 UTC. May jump."""
    return host.wall()
