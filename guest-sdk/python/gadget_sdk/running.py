"""A gadget that runs: what the component's exports call, and what tests use in their place."""

from __future__ import annotations

from typing import Any, Generic, Iterable, Optional, TypeVar

from . import log
from .containers import Owner
from .outcome import Verdict
from .span import walk
from .timers import Timer

G = TypeVar("G")


class Running(Generic[G]):
    """A gadget and its tables. ``generated`` is the package ``gadget``."""

    def __init__(self, generated: Any, kind: type[G]) -> None:
        """Reads the parameters and starts the gadget."""
        self.gadget: G = kind(generated.Params.read())  # type: ignore[call-arg]
        self._tables = generated.Tables()
        self._all = [getattr(self._tables, name) for name in generated.Tables.__slots__]
        self._sources = [(view, getattr(self.gadget, method)) for view, method in generated.SOURCES]

    def process(self, source: int, span: bytes) -> Verdict:
        """Hands it a span of records of a source."""
        self._begin(span)
        if source >= len(self._sources):
            log.error(f"{len(span)} bytes of source {source}, which the manifest does not have")
            return Verdict()
        view, handle = self._sources[source]
        verdict = walk(span, view, handle, self._tables)
        self._flush()
        return verdict

    def tick(self, timer: int, due: int) -> None:
        """Hands it a timer that is due."""
        self._begin(None)
        self.gadget.tick(Timer(timer), due, self._tables)  # type: ignore[attr-defined]
        self._flush()

    def added(self, owners: Iterable[int]) -> None:
        """Tells it of containers that are there now."""
        self._begin(None)
        self.gadget.added([Owner(number) for number in owners], self._tables)  # type: ignore[attr-defined]
        self._flush()

    def removed(self, owners: Iterable[int]) -> None:
        """Tells it of containers that are gone."""
        self._begin(None)
        self.gadget.removed([Owner(number) for number in owners], self._tables)  # type: ignore[attr-defined]
        self._flush()

    def stop(self) -> None:
        """Ends it."""
        self._begin(None)
        self.gadget.stop(self._tables)  # type: ignore[attr-defined]
        self._flush()

    def _begin(self, span: Optional[bytes]) -> None:
        for table in self._all:
            table._begin(span)

    def _flush(self) -> None:
        for table in self._all:
            table._flush()
