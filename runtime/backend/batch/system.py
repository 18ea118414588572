"""What a batch system is asked, and what it may answer: the seam between the batch core and one system's commands.

Answers are values. An exception from a system is a bug of ours, and breaks the backend.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any, Protocol

import attrs

from runtime.job import FailureKind


class Phase(enum.IntEnum):
    """How far an element of an array has come, as its queue tells it. The larger, the more alive."""

    ENDED = 0
    """It will not run any more, and nothing of it does."""
    UNKNOWN = 1
    """The queue says a word that we do not know: waited for."""
    ENDING = 2
    """It has ended, and its machine is still being cleaned up."""
    PENDING = 3
    RUNNING = 4


@attrs.frozen
class State:
    """What a word of the queue means."""

    phase: Phase
    kind: FailureKind | None = None
    """Of an end that was the system's doing: what that is called."""


@attrs.frozen
class Row:
    """What the queue, or accounting, says of one element; or of all of an array of which it says nothing singly."""

    name: str
    """The name of the array."""
    array: str
    """The id of the array."""
    index: int | None
    """Which element; `None` for the rest of the array."""
    state: State
    word: str
    """The state in the system's own word."""
    note: str | None = None
    """Why it waits, or where it runs, in the system's own words."""
    restarts: int = 0
    """How often the system has started it again."""
    code: int | None = None
    """The exit code of the wrapper, once that has exited."""


@attrs.frozen
class Listing:
    """An answer of the queue, or of accounting."""

    rows: Sequence[Row]
    unparsed: int = 0
    """Lines that were not understood: what has no row may stand in one of these, and is not known to be absent."""


@attrs.frozen
class Limits:
    """What the system says of itself."""

    version: str
    max_array: int
    """Elements in one array, at most."""
    accounting: bool
    """Whether `System.account` can be asked."""


@attrs.frozen
class Array:
    """A submission."""

    name: str
    """Of ``[A-Za-z0-9_-]`` only; nothing else ever has this name."""
    size: int
    """Its indices are 0 to `size` - 1."""
    request: Hashable
    """What `System.request` returned for each of its jobs."""
    script: str
    """The path of the wrapper."""
    arguments: Sequence[str]
    """What the wrapper is called with."""


@attrs.frozen
class Accepted:
    """The array is in the queue."""

    array: str
    """Its id."""


@attrs.frozen
class Busy:
    """The queue takes no array of this size now, perhaps a smaller one; nothing was submitted."""

    why: str


@attrs.frozen
class Refused:
    """The queue will never take it: it is the fault of the jobs. Nothing was submitted."""

    why: str


@attrs.frozen
class Unanswered:
    """The system did not answer. What was asked for certainly did not happen; try later."""

    why: str


@attrs.frozen
class Doubtful:
    """The system may have accepted the array, or may yet: it is to be looked up by its name."""

    why: str
    busy: bool = False
    """Whether, if it was not accepted, that was because the queue was full."""


SubmitAnswer = Accepted | Busy | Refused | Unanswered | Doubtful

Targets = Mapping[str, Sequence[int]]
"""From an array's id to the indices of its elements."""


class System(Protocol):
    """One batch system. Each call is bounded in time by the system itself."""

    name: str
    """What messages call it."""
    prologue: str
    """Lines of POSIX shell for the wrapper: see `wrapper`."""

    def request(self, spec: Any) -> Hashable:
        """Return what a job asks the system for: equal for jobs that may share an array.

        Raises:
            ValueError: if it asks for what cannot be asked for; that job cannot be launched.
        """
        ...

    async def probe(self) -> Limits | Unanswered:
        """Ask for the system's limits."""
        ...

    async def submit(self, array: Array) -> SubmitAnswer:
        """Submit an array."""
        ...

    async def query(self, names: Collection[str] | None) -> Listing | Unanswered:
        """Ask, once, for all elements of the arrays with these names, or of all that are ours; ended ones included.

        What is not in an answer without unparsed lines is not in the queue.
        """
        ...

    async def cancel(self, targets: Targets, signal: int | None) -> Unanswered | None:
        """Ask for the end of elements; or, with a signal, have that sent to all of their processes."""
        ...

    async def account(self, arrays: Collection[str]) -> Listing | Unanswered:
        """Ask for elements of arrays, by id, that are no longer in the queue."""
        ...
