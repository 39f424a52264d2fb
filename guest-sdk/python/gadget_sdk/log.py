"""Messages to the host's log. What ``print`` writes is one at the level of an information."""

from __future__ import annotations

import io

from . import host


def error(message: object) -> None:
    """Logs that something failed; the user should act."""
    host.log(0, str(message))


def warn(message: object) -> None:
    """Logs that something is not as it should be; the gadget goes on."""
    host.log(1, str(message))


def info(message: object) -> None:
    """Logs something worth knowing."""
    host.log(2, str(message))


def debug(message: object) -> None:
    """Logs something for the gadget's author; shown only when asked for."""
    host.log(3, str(message))


class Stream(io.TextIOBase):
    """A stream whose lines are messages."""

    def __init__(self, level: int) -> None:
        self._level = level
        self._line = ""

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str, /) -> int:
        """Logs the lines that are complete."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            host.log(self._level, line)
        return len(text)
