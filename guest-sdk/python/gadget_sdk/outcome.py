"""What became of a record."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Outcome(enum.Enum):
    """What the host counts a record as: every record has exactly one outcome."""

    ACCEPTED = "accepted"
    """It became rows, or changed what the gadget keeps."""
    DROPPED = "dropped"
    """It is well-formed and was left out on purpose: a filter, a sample."""
    MALFORMED = "malformed"
    """It could not be read: too short, or with values that make no sense."""


ACCEPTED = Outcome.ACCEPTED
DROPPED = Outcome.DROPPED
MALFORMED = Outcome.MALFORMED


class Verdict(NamedTuple):
    """What became of the records of a span."""

    accepted: int = 0
    """Records that were used."""
    dropped: int = 0
    """Records left out on purpose."""
    malformed: int = 0
    """Records that could not be read."""
