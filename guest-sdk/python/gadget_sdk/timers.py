"""Timers, which call the gadget's ``tick``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Union

from . import host

Duration = Union[float, timedelta]
"""Seconds, or a timedelta."""


@dataclass(frozen=True)
class Timer:
    """A timer that was set."""

    number: int
    """What the host knows it by."""

    def cancel(self) -> None:
        """Stops it. A timer that is already over is no error."""
        host.timer_cancel(self.number)


def every(period: Duration) -> Timer:
    """Calls ``tick`` every ``period`` from now on. Raises ``HostError`` when the period is too short, or there are too
    many timers."""
    return Timer(host.timer_every(_nanoseconds(period)))


def once(delay: Duration) -> Timer:
    """Calls ``tick`` once, after ``delay``. Raises ``HostError`` when there are too many timers."""
    return Timer(host.timer_once(_nanoseconds(delay)))


def _nanoseconds(duration: Duration) -> int:
    if isinstance(duration, timedelta):
        whole = (duration.days * 86_400 + duration.seconds) * 1_000_000 + duration.microseconds
        nanoseconds = whole * 1000
    elif duration == float("inf"):
        nanoseconds = 1 << 64
    else:
        nanoseconds = round(duration * 1e9)
    if nanoseconds < 0:
        raise ValueError(f"{duration} is no duration: it is negative")
    return min(nanoseconds, (1 << 64) - 1)
