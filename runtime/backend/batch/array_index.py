"""`ArrayIndex`: which element of which array is which job, and what a listing of the queue says of each. Pure.

A row counts only if it has the name of one of our arrays. An id alone does not identify an array: ids start again when
a controller loses its state. A job can be in two arrays, if one was accepted after all; it then has the more alive of
the two states.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

import attrs

from runtime.backend.batch.system import Phase, QueueRow


@attrs.define(eq=False)
class ArrayEntry:
    """One array that was submitted, or may have been."""

    tokens: Sequence[str]
    """Of its jobs, by index."""
    ids: set[str] = attrs.field(factory=set)
    """The system's ids of it; more than one if it was submitted twice."""
    doubtful_until: float = -math.inf
    """The time until which it may still appear in the queue, in seconds. `-math.inf` if its submission is certain."""


@attrs.define(eq=False)
class Observation:
    """What a listing says of one job."""

    row: QueueRow
    """The row of its most alive element."""
    alive: list[tuple[str, int]] = attrs.field(factory=list)
    """Its elements that can be cancelled: id of the array, and index."""

    def add(self, row: QueueRow, index: int) -> None:
        """Add a row of the job, whose element has this index."""
        if row.state.phase > self.row.state.phase:
            self.row = row
        # An element that is ENDING needs no cancel: the system is already cleaning up after it.
        if row.state.lingers or row.state.phase not in (Phase.ENDED, Phase.ENDING):
            self.alive.append((row.array, index))


class ArrayIndex:
    """The arrays that have live jobs, or whose submission is in doubt."""

    def __init__(self) -> None:
        self._entries: dict[str, ArrayEntry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, name: str, tokens: Sequence[str]) -> ArrayEntry:
        """Add an array before it is submitted, and return its entry; if the name is known, return that entry.

        A name is a function of the jobs, so an entry of the same name has the same jobs.
        """
        return self._entries.setdefault(name, ArrayEntry(tokens))

    def names(self) -> list[str]:
        """Return the names of all arrays."""
        return list(self._entries)

    def keep(self, tokens: Collection[str], now: float) -> None:
        """Remove the arrays that have none of these jobs and are not in doubt."""
        self._entries = {
            name: entry
            for name, entry in self._entries.items()
            if entry.doubtful_until > now or any(token in tokens for token in entry.tokens)
        }

    def id_of(self, name: str) -> str:
        """Return the system's id of an array; ``""`` if it is not known."""
        entry = self._entries.get(name)
        return "" if entry is None else min(entry.ids, default="")

    def read(self, rows: Iterable[QueueRow]) -> dict[str, Observation]:
        """Return what a listing says, by token. Rows of other users' arrays, or with an unknown index, are ignored."""
        seen: dict[str, Observation] = {}
        singly: set[tuple[str, int]] = set()
        rest: list[tuple[QueueRow, ArrayEntry]] = []
        for row in rows:
            entry = self._entries.get(row.name)
            if entry is None:
                continue
            entry.ids.add(row.array)  # this is also how a doubtful submission becomes certain
            if row.index is None:
                rest.append((row, entry))  # for the elements that have no row of their own: read after all others
            elif row.index < len(entry.tokens):
                singly.add((row.array, row.index))
                seen.setdefault(entry.tokens[row.index], Observation(row)).add(row, row.index)
        for row, entry in rest:
            for index, token in enumerate(entry.tokens):
                if (row.array, index) not in singly:
                    seen.setdefault(token, Observation(row)).add(row, index)
        return seen
