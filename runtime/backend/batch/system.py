"""`System`: the interface between the batch core and the commands of one batch system.

All answers, also of a system that is down, are values. An exception from a system is a bug of ours, and breaks the
backend.

For another batch system, write a class with the members of `System`, and a backend that makes one::

    class MineBackend(BatchBackend):
        name = "mine"

        def __init__(self, run_dir=None, *, queue=None, **options: Unpack[BatchOptions]) -> None:
            super().__init__(MineSystem(queue), run_dir, **options)

The system must provide three things; all else is the core's:

- *Arrays with names.* `submit` returns whether an array was accepted, and `query` lists elements by the name of their
  array, with its id, their index and their state. A system whose indices begin at 1 adds and subtracts one.
- *Answers that are never guessed.* If a command was killed or its output cannot be understood, that is `Doubtful` or
  `Unanswered`; a line of a listing that cannot be parsed is counted in `QueueListing.unparsed`; a state that is not in
  the system's table is `Phase.UNKNOWN`. What is wrong here makes jobs run twice, or lost.
- *A prologue* for the wrapper, which tells an element its index and how often it was started again: see `wrapper`.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Protocol

import attrs

from runtime.job import FailureKind, JobSpec


class Phase(enum.IntEnum):
    """How far an element of an array has got, according to the queue. The larger, the more alive."""

    ENDED = 0
    """Nothing of it runs, or will run."""
    UNKNOWN = 1
    """Its state is one that we do not know; it is waited for."""
    ENDING = 2
    """It has ended, and the system is still cleaning up after it."""
    PENDING = 3
    """It has not begun, or waits to be started again."""
    RUNNING = 4
    """It has its nodes."""


@attrs.frozen
class State:
    """What one of the system's names of a state means."""

    phase: Phase
    kind: FailureKind | None = None
    """Why the system ended it; `None` if it ended by itself or has not ended."""
    may_be_memory: bool = False
    """Whether the system may have killed it for its memory, and has no other name for that. It counts for a job that
    has a ceiling and has left no record."""
    doubt: float = 0.0
    """Seconds, besides the visibility timeout, for which an end without a record must be listed: until then it may turn
    out to be none."""
    lingers: bool = False
    """Whether the queue keeps an element that has ended until it is cancelled all the same."""


@attrs.frozen
class QueueRow:
    """What the queue, or accounting, says of one element; or of all those of an array without a row of their own."""

    name: str
    """The name of the array."""
    array: str
    """The id of the array."""
    index: int | None
    """Which element; `None` for all that have no row of their own."""
    state: State
    word: str
    """The system's own name of the state, for messages."""
    note: str | None = None
    """Why it waits, or where it runs, as the system puts it."""
    restarts: int = 0
    """How often the system has started it again."""
    code: int | None = None
    """The exit code of the wrapper; `None` until it has exited."""


@attrs.frozen
class QueueListing:
    """A listing of the queue, or of accounting."""

    rows: Sequence[QueueRow]
    unparsed: int = 0
    """Lines that could not be parsed. Above 0, an element without a row is not known to be absent."""


@attrs.frozen
class Limits:
    """The system's version and limits."""

    version: str
    max_array: int
    """The largest number of elements in one array."""
    accounting: bool
    """Whether `System.account` works."""


@attrs.frozen
class Array:
    """An array to submit."""

    name: str
    """Of ``[A-Za-z0-9_-]`` only; unique among all arrays of all users."""
    size: int
    """Its indices are 0 to `size` - 1."""
    request: Hashable
    """What `System.request` returned for each of its jobs."""
    script: str
    """The path of the wrapper."""
    arguments: Sequence[str]
    """The wrapper's arguments."""
    excluded: Sequence[str] = ()
    """Nodes that it must not run on, as jobs fail there: see `bad_nodes`."""


@attrs.frozen
class Accepted:
    """The array is in the queue."""

    array: str
    """The system's id of it."""


@attrs.frozen
class QueueFull:
    """The queue is too full for an array of this size; a smaller one may fit. Nothing was submitted."""

    why: str


@attrs.frozen
class Refused:
    """The queue will never take this array: the jobs ask for the impossible. Nothing was submitted."""

    why: str


@attrs.frozen
class Unanswered:
    """The system did not answer, and certainly did nothing. A retry may help."""

    why: str


@attrs.frozen
class Doubtful:
    """The system may have accepted the array, or may still do so: look it up by its name."""

    why: str
    busy: bool = False
    """Whether a full queue is the reason, if the array turns out not to be accepted."""


SubmitAnswer = Accepted | QueueFull | Refused | Unanswered | Doubtful

Targets = Mapping[str, Sequence[int]]
"""From the id of an array to indices of its elements."""


class System(Protocol):
    """One batch system. Each call returns within a time limit of the system's own, and may be cancelled."""

    name: str
    """Its name in messages."""
    prologue: str
    """Lines of POSIX shell that begin the wrapper: see `wrapper`."""
    passes_environment: bool
    """Whether an element has the environment of the command that submitted it. If not, its file sets the variables."""

    def start(self) -> Mapping[str, str]:
        """Begin a block, and return the environment that jobs inherit. May be called again when that block has ended.

        Raises:
            BackendBrokenError, ValueError: if the system cannot be used.
        """
        ...

    def element_id(self, array: str, index: int) -> str:
        """Return what people call an element of an array."""
        ...

    def request(self, spec: JobSpec) -> Hashable:
        """Return a job's request; jobs with equal requests may share an array.

        Raises:
            ValueError: if the system cannot give the job what it asks for; the job is not launched.
        """
        ...

    async def probe(self) -> Limits | Unanswered:
        """Return the system's limits."""
        ...

    async def submit(self, array: Array) -> SubmitAnswer:
        """Submit an array."""
        ...

    async def query(self, names: Collection[str] | None) -> QueueListing | Unanswered:
        """List, with one command, all elements of the arrays with these names, or of all arrays of the user.

        Elements that have ended are included while the queue remembers them. In a listing without unparsed lines, an
        element without a row is not in the queue.
        """
        ...

    async def cancel(self, targets: Targets, signal: int | None) -> Unanswered | None:
        """Cancel elements; or, with a signal, send it to all their processes. `None` if the request was accepted."""
        ...

    async def exclude(self, arrays: Mapping[str, Hashable], nodes: Sequence[str]) -> Unanswered | None:
        """Let no element that still waits run on these nodes. `None` if the request was accepted, or if there is none.

        Args:
            arrays: from the id of an array to the request of its jobs.
            nodes: all nodes that are excluded in this run, besides those that a request excludes.
        """
        ...

    async def account(self, arrays: Collection[str]) -> QueueListing | Unanswered:
        """List elements of the arrays with these ids that have left the queue."""
        ...
