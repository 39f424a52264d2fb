"""Spans: records framed as the kernel's ring buffer frames them (``kernel/bpf/ringbuf.c``).

Each record has a header of 8 bytes, u32 length with two flag bits and u32 that guests ignore, then the payload,
padded to 8 bytes. A span is walked to the first byte that is not a whole record, so that any bytes are safe.
"""

from __future__ import annotations

import struct
from typing import Callable, Iterator, TypeVar

from .outcome import ACCEPTED, DROPPED, MALFORMED, Outcome, Verdict
from .record import Record

_length = struct.Struct("<I").unpack_from

_BUSY = 1 << 31
_DISCARD = 1 << 30
_LENGTH = _DISCARD - 1

R = TypeVar("R", bound=Record)
T = TypeVar("T")


def walk(span: bytes, view: type[R], handle: Callable[[R, T], Outcome], tables: T) -> Verdict:
    """Hands every record of ``span`` that is as long as its struct to ``handle``, and counts the outcomes."""
    accepted = dropped = malformed = 0
    fixed = view._FIXED
    size = len(span)
    at = 0
    while at + 8 <= size:
        word = _length(span, at)[0]
        start = at + 8
        end = start + (word & _LENGTH)
        if word >= _BUSY or end > size:
            break
        if not word & _DISCARD:
            if end - start < fixed:
                malformed += 1
            else:
                outcome = handle(view(span, start, end, at), tables)
                if outcome is ACCEPTED:
                    accepted += 1
                elif outcome is DROPPED:
                    dropped += 1
                elif outcome is MALFORMED:
                    malformed += 1
                else:
                    name = getattr(handle, "__name__", "the gadget")
                    raise TypeError(f"{name} returned {outcome!r}, which is no Outcome: ACCEPTED, DROPPED or MALFORMED")
        at = (end + 7) & -8
    return Verdict(accepted, dropped, malformed)


def entries(span: bytes, key_size: int) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a map as the host hands them over: the key padded to 8 bytes, then the value."""
    value_at = (key_size + 7) & -8
    size = len(span)
    at = 0
    while at + 8 <= size:
        word = _length(span, at)[0]
        start = at + 8
        end = start + (word & _LENGTH)
        if word >= _BUSY or end > size:
            return
        if not word & _DISCARD and end - start >= value_at:
            yield span[start : start + key_size], span[start + value_at : end]
        at = (end + 7) & -8
