"""`RuntimeBackend`: what a caller holds.

A caller opens a backend around a block, submits jobs, and receives exactly one completion event for each accepted job.
What a backend does is in its driver; see `runtime.backend.contract.driver`.
"""

from __future__ import annotations

import abc
import math
import secrets
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from typing import Any, ClassVar, Final, Self, TypedDict

import attrs
import trio

from runtime.backend.contract.control import Control
from runtime.backend.contract.driver import Driver
from runtime.backend.contract.interrupts import protected_block
from runtime.backend.contract.open_backend import BackendState, OpenBackend, not_open
from runtime.errors import BackendClosedError
from runtime.job import EventBatch, JobHandle, JobPaths
from runtime.job.numbers import brief, is_number
from runtime.job.protocol import Specification

DRAIN_TIMEOUT: Final = 1.0
"""Seconds without progress by the receiver after which a cancelled block drops its remaining events. Arbitrary: ten
times longer keeps a person who pressed Ctrl-C waiting, ten times shorter loses events to a loop that is merely busy."""


@attrs.frozen
class BackendStatistics:
    """A snapshot of a backend's counters, since it was opened last."""

    name: str
    state: BackendState
    live: int = 0
    """Jobs whose completion is not yet queued."""
    submitted: int = 0
    """Jobs submitted, refused ones included."""
    refused: int = 0
    """Jobs refused because the backend was busy, and jobs cancelled before their launch began."""
    completed: int = 0
    """Completions queued."""
    undelivered: int = 0
    """Completions queued that the receiver has not taken."""
    late: int = 0
    """Completions reported for a job that had already completed; they were dropped."""


class CommonOptions(TypedDict, total=False):
    """The keyword arguments that mean the same for every backend; see `RuntimeBackend`."""

    name: str | None
    drain_timeout: float


class BackendOptions(CommonOptions, total=False):
    """Those, and the limit, for backends whose limit has no default of its own."""

    max_parallelism: int | None


class RuntimeBackend(abc.ABC):
    """A place where jobs run. Constructing one does no I/O and starts nothing. It can be opened any number of times.

    Its fields are its options, which schedulers read; all state of a block belongs to what `open` makes.

    Args:
        name: its name in reports and job specifications; `None` for the class's `name`.
        max_parallelism: how many jobs may be live at once; `None` for the class's default, 0 for no limit.
        drain_timeout: seconds without progress by the receiver after which a cancelled block stops delivering.

    Raises:
        ValueError: for an argument that is not valid.
    """

    name: str = "backend"
    supports_interactive: bool = False
    """Whether an interactive job can run here."""
    watches_logs: ClassVar[bool] = False
    """Whether it watches the logs of its jobs while they run, for `timeout_from` and `idle_timeout` of
    `JobSpec`. A job that has one of them fails where it does not."""
    limits_memory: ClassVar[bool] = False
    """Whether it ends a job that uses more memory than its `JobSpec.memory`. A job that has one fails where it does
    not."""
    max_output_dirs: int | None = None
    """How many old output directories of a job are kept; `None` where the backend keeps none."""
    default_parallelism: ClassVar[int | None] = None
    max_batch: int | None = 1_000
    """The most jobs that the scheduler passes to one `submit_many`. A small batch launches soon, so a kill stays quick.
    `None` means all jobs that are ready, for a backend that makes arrays of them."""
    jobs_outlive_runtime: ClassVar[bool] = False
    """Whether its jobs go on after the death of the runtime, as in a batch system. Then a run with a journal submits a
    job only when the intent to do so is on disk; otherwise it is enough that it is written."""
    keeps_attempts: ClassVar[bool] = False
    """Whether it renames what an attempt at a job left before it begins the next one, as `runtime.job.attempts` says.
    If not, it is not known where the files of an earlier attempt are."""
    max_submissions: int | None = 1
    """How many calls of `submit_many` the scheduler has in progress at once; one that takes over a second no longer
    counts. Jobs that become ready meanwhile go together in the next call. `None` for any number."""
    resources: Collection[str] = ()
    """Names of resources that the backend itself requests, such as a batch system's memory. The scheduler counts them
    only if it was given a limit for them, too."""

    def __init__(
        self, *, name: str | None = None, max_parallelism: int | None = None, drain_timeout: float = DRAIN_TIMEOUT
    ) -> None:
        if name is not None:
            if not isinstance(name, str) or not name:
                raise ValueError(f"{type(self).__name__}: name is {name!r}; expected text that is not empty")
            self.name = name
        self.max_parallelism = self.default_parallelism if max_parallelism is None else max_parallelism
        if drain_timeout != math.inf and not _is_amount(drain_timeout):
            msg = f"{type(self).__name__}: drain_timeout is {brief(drain_timeout)}; expected seconds, from 0"
            raise ValueError(msg)
        # Names with two underscores, because a subclass that has its own `_opened` must not replace ours by accident.
        self.__drain_timeout = drain_timeout
        self.__opened: OpenBackend | None = None
        """What was made by the last `open`, also when that block has ended."""

    @abc.abstractmethod
    def make_driver(self, control: Control) -> Driver:
        """Return a new driver, for a block that begins. Must not block.

        Args:
            control: what the driver calls.
        """

    def paths_of(self, job: Any) -> JobPaths | None:
        """Return where the files of a job are, or would be; `None` if the backend does not tell.

        A driver of a backend that tells also assigns this to `LiveJob.paths` when it launches a job, for its
        completion.

        Args:
            job: a specification.
        """
        return None

    @property
    def max_parallelism(self) -> int | None:
        """How many jobs may be live at once; `None` for no limit. May be assigned; `None` or 0 removes the limit.

        Raises:
            ValueError: when a value is assigned that is not a limit.
        """
        return self.__max_parallelism

    @max_parallelism.setter
    def max_parallelism(self, limit: int | None) -> None:
        checked = check_limit(f"{type(self).__name__}: max_parallelism", limit, None)
        self.__max_parallelism = None if checked is None else int(checked)

    @property
    def drain_timeout(self) -> float:
        """Seconds without progress by the receiver after which a cancelled block stops delivering."""
        return self.__drain_timeout

    @property
    def state(self) -> BackendState:
        """Whether it is open."""
        return BackendState.NEW if self.__opened is None else self.__opened.state

    @property
    def run_token(self) -> str:
        """The mark of this run's jobs in a batch system; empty before the first `open`."""
        return "" if self.__opened is None else self.__opened.control.run_token

    @property
    def busy_because(self) -> str:
        """The reason of the latest refusal; empty if it is not known."""
        return "" if self.__opened is None else self.__opened.control.busy_because

    def __repr__(self) -> str:
        live = 0 if self.__opened is None else len(self.__opened.ledger)
        return f"<{type(self).__name__} {self.name!r} {self.state.value}, {live} live>"

    @protected_block
    async def open(
        self, completions: trio.MemorySendChannel[EventBatch], run_token: str | None = None
    ) -> AsyncIterator[Self]:
        """Open the backend for a block. When the block has ended, the backend can be opened again.

        Args:
            completions: receives the events, in batches that are never empty; a buffer of any size works. The backend
                sends on a clone, and closes that clone last; the caller closes the original. The receiving end must be
                read by a task that outlives the block, or by the body of the block.
            run_token: marks the jobs of this run in a batch system; `None` for a random token.

        Leaving the block normally waits until every job has completed and every event was taken. If nothing reads the
        channel, it waits until it is cancelled. If an exception or a cancellation leaves the block, every job is
        killed, in bounded time, and delivery stops after `drain_timeout` seconds without progress by the receiver;
        `undelivered` counts the remaining completions.

        Raises:
            TypeError: if `completions` is not the sending end of a memory channel.
            BackendClosedError: if the backend is open already.
            trio.BrokenResourceError: at the end, if the receiver was closed.
            Exception: at the end, the error of a backend that broke; else the exception of the block, with notes.
        """
        if not isinstance(completions, trio.MemorySendChannel):
            raise TypeError(f"completions is {completions!r}; expected the sending end of a trio.open_memory_channel")
        if self.state not in (BackendState.NEW, BackendState.CLOSED):
            msg = f"{self!r} is open already; wait for the end of that block, or make another backend"
            raise BackendClosedError(msg)
        tickets = 0 if self.__opened is None else self.__opened.submissions.tickets
        with completions.clone() as channel:
            self.__opened = OpenBackend(self, channel, run_token or secrets.token_hex(8), tickets)
            async with self.__opened.block():
                yield self

    async def submit_many(
        self, jobs: Iterable[Specification], *, attempts: Mapping[str, int] | None = None
    ) -> dict[str, JobHandle]:
        """Submit `jobs`, and return a handle for each that was accepted.

        Args:
            jobs: specifications, each with an `id`.
            attempts: job id to the number of the attempt, from 1; an id that is absent means attempt 1.

        Returns:
            Job id to handle. Exactly one completion comes for each of these jobs, and may already be queued. A job that
            is absent was refused because the backend is busy: it does not run, no event comes, and it can be submitted
            again later. A job that cannot be launched is accepted, and completes at once with the reason.

        Raises:
            DuplicateJobError: if an id is given twice or is live; no job of the call was launched.
            ValueError: if `attempts` is not valid; no job of the call was launched.
            BackendClosedError: if the backend is not open; no job of the call was launched.
            trio.Cancelled: at once; accepted jobs are killed in the background, and complete before the block ends.
        """
        specs = list(jobs)
        if self.__opened is None:
            raise BackendClosedError(not_open(self))
        return await self.__opened.submit_many(specs, attempts)

    async def submit(self, job: Specification, *, attempt: int = 1) -> JobHandle | None:
        """Submit one job; return its handle, or `None` if it was refused. Otherwise like `submit_many`."""
        return (await self.submit_many([job], attempts={job.id: attempt})).get(job.id)

    async def kill_many(
        self, targets: Iterable[JobHandle | str], *, by: str = "the caller", force: bool = False
    ) -> None:
        """Kill jobs, all at the same time; return when each has completed.

        Args:
            targets: handles or ids. Handles that are stale, and ids that are done or unknown, are ignored.
            by: what asked for the kill, such as the name of a signal; it appears in the reason of the completion.
            force: skip the gentle steps of a stop, such as SIGTERM; also for jobs that are in one of them already.

        A job that had already ended by itself keeps its true status. A job that does not end within the kill deadline
        completes as *lost*. Cancelling this call stops the waiting, not the kill.

        Raises:
            TypeError: for a handle of another backend, or a value that is neither a handle nor an id; nothing was
                killed.
            BackendClosedError: if the backend was never opened.
        """
        if isinstance(targets, str):
            raise TypeError(f"{targets!r} is one id; expected several handles or ids, or kill() for one")
        if self.__opened is None:
            raise BackendClosedError(f"{self!r} is not open; use it inside `async with backend.open(channel)`")
        await self.__opened.kill_many(list(targets), by, force=force)

    async def kill(self, target: JobHandle | str, *, by: str = "the caller", force: bool = False) -> None:
        """Kill one job; return when it has completed. Otherwise like `kill_many`."""
        await self.kill_many([target], by=by, force=force)

    def close(self, *, by: str = "the caller", force: bool = False) -> None:
        """Accept no more jobs, and kill all live ones. Does not wait; the end of the block does.

        May be called from any task, at any time. Does nothing before `open` and after the end of the block.

        Raises:
            RuntimeError: if it was called from another thread; it then changes nothing.
        """
        if self.__opened is not None:
            self.__opened.close(by, force=force)

    async def drain(self) -> None:
        """Wait until no job is live; events may still be queued. Cancelling this call stops only the waiting."""
        if self.__opened is None:
            await trio.lowlevel.checkpoint()
        else:
            await self.__opened.ledger.wait_idle()

    @property
    def undelivered(self) -> int:
        """How many completions the receiver has not taken; final once the block has ended."""
        return 0 if self.__opened is None else self.__opened.courier.undelivered

    def statistics(self) -> BackendStatistics:
        """Return a snapshot of the counters."""
        if self.__opened is None:
            return BackendStatistics(self.name, BackendState.NEW)
        ledger = self.__opened.ledger
        return BackendStatistics(
            self.name,
            self.state,
            len(ledger),
            ledger.submitted,
            ledger.refused,
            ledger.completed,
            self.undelivered,
            ledger.late,
        )


def check_limit(what: str, value: float | None, default: float | None, *, whole: bool = True) -> float | None:
    """Return a limit, or `None` for no limit. A `value` of `None` means `default`; 0 means no limit.

    Raises:
        ValueError: if `value` is not a number, is negative or infinite or, with `whole`, is a fraction.
    """
    if value is None:
        value = default
    if value is None:
        return None
    if not _is_amount(value) or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"{what} is {brief(value)}; expected None for the default, 0 for no limit, or {kind} above 0")
    return value or None


def later(limit: float | None, other: float | None) -> float | None:
    """Return the later of two limits; `None`, for no limit, is later than any."""
    return None if limit is None or other is None else max(limit, other)


def _is_amount(value: object) -> bool:
    return is_number(value) and value >= 0
