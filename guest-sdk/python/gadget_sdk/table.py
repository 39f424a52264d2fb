"""Rows on their way to the host."""

from __future__ import annotations

from typing import Any, NoReturn, Optional

from . import host, log
from .column import Column, ValueOf

MOST_ROWS = 32 * 1024
"""Rows kept before they are handed over in the midst of a call."""


class Table:
    """A table: rows are handed to the host when a call of the gadget ends."""

    __slots__ = ("_index", "_name", "_columns", "_values", "_wants", "_asked", "_rows", "_origin", "_span")

    def __init__(self, index: int, name: str, columns: list[tuple[int, str, Column]]) -> None:
        self._index = index
        self._name = name
        self._columns = columns
        self._values: list[list[Any]] = [[] for _ in columns]
        """A list a column that the gadget computes."""
        self._wants = [False for _ in columns]
        """Whether somebody needs it, asked once a call."""
        self._asked = False
        self._rows = 0
        self._origin: list[int] = []
        """Per row the offset of its record; empty for a table whose rows come from no record."""
        self._span: Optional[bytes] = None

    def _begin(self, span: Optional[bytes]) -> None:
        """A call of the gadget begins: what is wanted may have changed."""
        self._asked = False
        self._span = span

    def _ask(self) -> None:
        self._asked = True
        if self._columns:
            wanted = set(host.wanted(self._index))
            self._wants[:] = [index in wanted for index, _, _ in self._columns]

    def _stale(self) -> NoReturn:
        raise ValueError(f"a row of `{self._name}` is made from a record of an earlier call")

    def end_frame(self) -> None:
        """Ends the current frame, of a table whose mode has frames: what was added since the last one is one whole
        picture. The end of the call ends it too."""
        self._flush()
        host.end_frame(self._index)

    def _flush(self) -> None:
        """Hands the rows over."""
        rows = self._rows
        if rows == 0:
            return
        columns = []
        for (index, name, column), values, wants in zip(self._columns, self._values, self._wants):
            if wants:
                try:
                    columns.append((index, column.buffers(values)))
                except ValueOf as error:
                    raise TypeError(f"column `{name}` of table `{self._name}`: {error}") from None
        refused = host.emit(self._index, rows, self._origin, columns)
        if refused is not None:
            log.error(f"{rows} rows of table {self._index} are lost: {refused}")
        self._rows = 0
        self._origin.clear()
        for values in self._values:
            values.clear()
