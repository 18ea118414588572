"""`ArrayIndex`: which element of which array is which job, and what an answer of the queue says of each. Pure.

A row counts only if it has the name of an array of ours: an id alone may be a stranger's, as ids start again when a
controller loses its state. A job that stands in two arrays, because one was submitted when we took it for refused, is
as alive as the more alive of the two.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

import attrs

from runtime.backend.batch.system import Phase, Row


@attrs.define(eq=False)
class ArrayEntry:
    """One array that was submitted, or may have been."""

    tokens: Sequence[str]
    """Of its jobs, by index."""
    ids: set[str] = attrs.field(factory=set)
    """What the system calls it; more than one if it was submitted twice."""
    doubtful_until: float = -math.inf
    """Until when it may turn up although the queue did not have it when we asked, in seconds."""


@attrs.define(eq=False)
class Observation:
    """What an answer says of one job."""

    row: Row
    """Of its most alive element."""
    alive: list[tuple[str, int]] = attrs.field(factory=list)
    """The elements of it that an end could be asked of: array's id, and index."""

    def add(self, row: Row, index: int) -> None:
        """See another row of it."""
        if row.state.phase > self.row.state.phase:
            self.row = row
        self.note(row, index)

    def note(self, row: Row, index: int) -> None:
        """Remember where it is, if it is alive."""
        if row.state.phase not in (Phase.ENDED, Phase.ENDING):
            self.alive.append((row.array, index))


class ArrayIndex:
    """The arrays that matter still."""

    def __init__(self) -> None:
        self._entries: dict[str, ArrayEntry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, name: str, tokens: Sequence[str]) -> ArrayEntry:
        """Enter an array, before it is submitted; or return the one of this name, which has the same jobs."""
        return self._entries.setdefault(name, ArrayEntry(tokens))

    def names(self) -> list[str]:
        """Return the names of all arrays."""
        return list(self._entries)

    def keep(self, tokens: Collection[str], now: float) -> None:
        """Forget the arrays that have none of these jobs, and are in no doubt."""
        self._entries = {
            name: entry
            for name, entry in self._entries.items()
            if entry.doubtful_until > now or any(token in tokens for token in entry.tokens)
        }

    def find(self, token: str) -> tuple[str, str, int]:
        """Return where a job stands: the name of its array, the id of that, as far as it is known, and its index.

        Raises:
            LookupError: if it stands nowhere.
        """
        for name, entry in self._entries.items():
            if token in entry.tokens:
                return name, min(entry.ids, default=""), entry.tokens.index(token)
        raise LookupError(token)

    def drop(self, name: str) -> None:
        """Forget an array that was not submitted."""
        self._entries.pop(name, None)

    def read(self, rows: Iterable[Row]) -> dict[str, Observation]:
        """Return what an answer says, by token. Rows of strangers, and of no element, are passed over."""
        seen: dict[str, Observation] = {}
        singly: set[tuple[str, int]] = set()
        rest: list[tuple[Row, ArrayEntry]] = []
        for row in rows:
            entry = self._entries.get(row.name)
            if entry is None:
                continue
            entry.ids.add(row.array)
            if row.index is None:
                rest.append((row, entry))
            elif row.index < len(entry.tokens):
                singly.add((row.array, row.index))
                self._see(seen, entry.tokens[row.index], row, row.index)
        for row, entry in rest:
            for index, token in enumerate(entry.tokens):
                if (row.array, index) not in singly:
                    self._see(seen, token, row, index)
        return seen

    @staticmethod
    def _see(seen: dict[str, Observation], token: str, row: Row, index: int) -> None:
        observation = seen.get(token)
        if observation is None:
            seen[token] = observation = Observation(row)
            observation.note(row, index)
        else:
            observation.add(row, index)
