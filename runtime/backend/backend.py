"""`RuntimeBackend`: the contract that every backend keeps.

A caller opens a backend around a block, submits jobs, and receives exactly one completion event for each accepted job.
This module holds what callers use: the block and the submissions. `runtime.backend.base` holds the methods that a
backend defines and calls, and the life of a job.

How a block ends
----------------
Two tasks must outlive the caller's cancellation: the watchers, which observe and kill the jobs, and the courier, which
delivers their events. Each runs in a shielded scope that only `open` ends, in this order: kill, wait for the jobs to
end, stop the watchers, let the receiver take the queued events, stop the courier, close the channel. Nothing is raised
inside the nursery that holds them, so no exception leaves the block in a group that the caller did not make.
"""

from __future__ import annotations

import logging
import math
import operator
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, Self

import attrs
import trio

from runtime.backend.base import BackendBase, BackendState
from runtime.backend.courier import Courier
from runtime.backend.deadlines import Deadlines
from runtime.backend.event_loop import check_in_loop
from runtime.backend.interrupts import is_interrupt, protected_block, wait_through_interrupts
from runtime.backend.live import DONE, LAUNCHING, WAITING, LiveJob, make_live
from runtime.backend.reserved_names import check_names
from runtime.errors import BackendBrokenError, BackendClosedError
from runtime.job import EventBatch, FailureKind, JobHandle, JobPaths
from runtime.job.drafts import make_handles
from runtime.job.numbers import brief, is_number

logger: Final = logging.getLogger("runtime.backend")

DRAIN_TIMEOUT: Final = 1.0
"""Seconds without progress by the receiver after which a cancelled block drops its remaining events. Arbitrary: ten
times longer keeps a person who pressed Ctrl-C waiting, ten times shorter loses events to a loop that is merely busy."""

TEARDOWN_DEADLINE: Final = 30.0
"""Seconds that `_teardown` may take before it is cancelled and the backend counts as broken. Arbitrary: ten times
longer looks like a hang, ten times shorter breaks a backend whose batch system answers slowly."""


@attrs.frozen
class BackendStatistics:
    """A snapshot of a backend's counters."""

    name: str
    state: BackendState
    live: int
    """Jobs whose completion is not yet queued."""
    submitted: int
    """Jobs submitted, refused ones included."""
    refused: int
    """Jobs refused because the backend was busy, and jobs cancelled before their launch began."""
    completed: int
    """Completions queued."""
    undelivered: int
    """Completions queued that the receiver has not taken."""
    late: int
    """Completions reported for a job that had already completed; they were dropped."""


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
        msg = f"{what} is {brief(value)}; expected None for the default, 0 for no limit, or {kind} above 0"
        raise ValueError(msg)
    return value or None


def later(limit: float | None, other: float | None) -> float | None:
    """Return the later of two limits; `None`, for no limit, is later than any."""
    return None if limit is None or other is None else max(limit, other)


def _check_attempts(attempts: Mapping[str, int]) -> None:
    if not isinstance(attempts, Mapping):
        msg = f"attempts is {attempts!r}; expected a mapping from ids of jobs to numbers of attempts"
        raise ValueError(msg)
    for job_id, attempt in attempts.items():
        if not isinstance(attempt, int) or isinstance(attempt, bool) or attempt < 1:
            msg = f"attempt {attempt!r} of job {job_id!r} is not valid; expected a whole number from 1"
            raise ValueError(msg)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_amount(value: object) -> bool:
    return is_number(value) and value >= 0


class RuntimeBackend(BackendBase):
    """A place where jobs run. Constructing one does no I/O and starts nothing. It can be opened once.

    Args:
        name: its name in reports and job specifications; `None` for the class's `name`.
        max_parallelism: how many jobs may be live at once; `None` for the class's default, 0 for no limit.
        drain_timeout: seconds without progress by the receiver after which a cancelled block stops delivering.

    Raises:
        ValueError: for an argument that is not valid.
    """

    supports_interactive: bool = False
    """Whether an interactive job can run here."""
    max_output_dirs: int | None = None
    """How many old output directories of a job are kept; `None` where the backend keeps none."""
    default_parallelism: ClassVar[int | None] = None
    max_batch: int | None = 1_000
    """The most jobs that the scheduler passes to one `submit_many`. A small batch launches soon, so a kill stays quick.
    `None` means all jobs that are ready, for a backend that makes arrays of them."""
    max_submissions: int | None = 1
    """How many calls of `submit_many` the scheduler has in progress at once; one that takes over a second no longer
    counts. Jobs that become ready meanwhile go together in the next call. `None` for any number."""
    resources: Collection[str] = ()
    """Names of resources that the backend itself requests, such as a batch system's memory. The scheduler counts them
    only if it was given a limit for them, too."""

    def __init__(
        self,
        *,
        name: str | None = None,
        max_parallelism: int | None = None,
        drain_timeout: float = DRAIN_TIMEOUT,
    ) -> None:
        super().__init__()
        if name is not None:
            if not _is_name(name):
                msg = f"{type(self).__name__}: name is {name!r}; expected text that is not empty"
                raise ValueError(msg)
            self.name = name
        self.max_parallelism = self.default_parallelism if max_parallelism is None else max_parallelism
        if drain_timeout != math.inf and not _is_amount(drain_timeout):
            msg = f"{type(self).__name__}: drain_timeout is {brief(drain_timeout)}; expected seconds, from 0"
            raise ValueError(msg)
        self._drain_timeout = drain_timeout
        self._submitted = 0
        self._undelivered = 0
        self._token: trio.lowlevel.TrioToken | None = None
        """The token of the event loop that runs the block."""
        self._interactive_job: LiveJob | None = None
        """The interactive job that was accepted last. While it is live, no other job is accepted."""
        self.run_token = ""
        """The mark of this run's jobs in a batch system, while the block is open."""

    def __init_subclass__(cls, *, overrides: Collection[str] = (), **options: Any) -> None:
        """Check that a subclass hides no private name of the contract.

        Args:
            overrides: private names of the contract that the subclass replaces on purpose. Private names may change
                from one version to the next.
            options: for other base classes.

        Raises:
            TypeError: if the subclass defines another private name of the contract.
        """
        super().__init_subclass__(**options)
        check_names(cls, (RuntimeBackend, BackendBase), overrides)

    @property
    def max_parallelism(self) -> int | None:
        """How many jobs may be live at once; `None` for no limit. May be assigned; `None` or 0 removes the limit.

        Raises:
            ValueError: when a value is assigned that is not a limit.
        """
        return self._max_parallelism

    @max_parallelism.setter
    def max_parallelism(self, limit: int | None) -> None:
        checked = check_limit(f"{type(self).__name__}: max_parallelism", limit, None)
        self._max_parallelism = None if checked is None else int(checked)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self._state.value}, {len(self._ledger)} live>"

    # ------------------------------------------------------------------ for callers

    def paths_of(self, job: Any) -> JobPaths | None:
        """Return where the files of a job are, or would be; `None` if the backend does not tell.

        A backend that tells also assigns this to `LiveJob.paths` when it launches a job, for its completion.

        Args:
            job: a specification.
        """
        return None

    @protected_block
    async def open(
        self, completions: trio.MemorySendChannel[EventBatch], run_token: str | None = None
    ) -> AsyncIterator[Self]:
        """Open the backend for a block. A backend can be opened once.

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
            BackendClosedError: if the backend was opened before.
            trio.BrokenResourceError: at the end, if the receiver was closed.
            Exception: at the end, the error of a backend that broke; else the exception of the block, with notes.
        """
        if not isinstance(completions, trio.MemorySendChannel):
            msg = f"completions is {completions!r}; expected the sending end of a trio.open_memory_channel"
            raise TypeError(msg)
        if self._state is not BackendState.NEW:
            msg = f"{self!r} was opened before; a backend can be opened once: make a new one"
            raise BackendClosedError(msg)
        failure: BaseException | None = None
        with completions.clone() as channel:
            self._state = BackendState.OPENING
            self.run_token = run_token or secrets.token_hex(8)
            self._token = trio.lowlevel.current_trio_token()
            self._now = trio.lowlevel.current_clock().current_time
            self._courier = Courier(channel)
            self._deadlines = Deadlines()
            self._body = trio.CancelScope()
            await self._set_up()
            async with trio.open_nursery() as root:
                courier, watchers = _ShieldedTask(), _ShieldedTask()
                started, ended = trio.Event(), trio.Event()
                root.start_soon(courier.run, self._guard, self._courier.run)
                root.start_soon(watchers.run, self._run_watchers, started)
                # The `try` begins before the first await after a task was started: a Ctrl-C is raised out of any await
                # of the main task, even in a shielded scope, and must not leave those tasks running.
                try:
                    with trio.CancelScope(shield=True):  # ends with the first step of the watchers' task
                        await started.wait()
                    if self._state is BackendState.OPENING:  # `close` may have been called meanwhile
                        self._state = BackendState.OPEN
                    with self._body:
                        yield self
                        await trio.lowlevel.checkpoint()
                        # A loop, because other tasks may submit jobs while this one waits for the receiver.
                        while len(self._ledger) or self._courier.undelivered:
                            await self._ledger.wait_idle()
                            await self._courier.wait_delivered()
                except BaseException as exc:  # noqa: BLE001 - raised below, when all tasks have ended; even a Cancelled
                    failure = exc
                # `_run_end` is a task of its own, so that no Ctrl-C is raised in it: this task may be the main task. It
                # is the last task to end, so leaving the nursery waits for nothing; a Ctrl-C raised there would leave
                # the block in a group.
                root.start_soon(self._run_end, failure, watchers, courier, ended)
                failure = await self._wait_ended(ended, failure)
            self._undelivered = self._courier.undelivered
            self._state = BackendState.CLOSED
        self._raise_failure(failure)

    async def submit_many(
        self, jobs: Iterable[Any], *, attempts: Mapping[str, int] | None = None
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
        return await self._submit_many(list(jobs), attempts)

    @trio.lowlevel.enable_ki_protection
    async def _submit_many(self, jobs: Sequence[Any], attempts: Mapping[str, int] | None) -> dict[str, JobHandle]:
        # Before anything is launched, and before the state is checked: when the backend broke, the body of the block is
        # cancelled, and gets `Cancelled` rather than `BackendClosedError`.
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_open()
        if attempts is not None:
            _check_attempts(attempts)
        batch = make_live(jobs, self._now(), attempts=attempts, ticket=self._submitted + 1)
        live = len(self._ledger)
        self._ledger.admit(batch)  # the whole batch, so that a duplicate among refused jobs is found as well
        free = math.inf if self.max_parallelism is None else self.max_parallelism - live
        exclusive = self._is_occupied() or any(map(_interactive, batch))
        entering = batch if len(batch) <= free and not exclusive else self._fitting(batch, free, live)
        self._submitted += len(batch)
        if len(entering) < len(batch):
            staying = {id(job) for job in entering}
            for job in batch:
                if id(job) not in staying:
                    self._refuse(job)
        if not entering:
            await trio.lowlevel.checkpoint()
            return {}
        launched = trio.Event()
        # In the backend's nursery, not here: a cancelled caller must not stop a launch halfway, which could leave a
        # process that no ledger knows.
        self._start_task(self._run_launch, entering, launched)
        try:
            await launched.wait()
        except BaseException:  # cancelled, or a Ctrl-C in the main task
            self._cancel_submission(entering)
            raise
        del batch  # see `make_handles`
        return make_handles(entering, self)

    async def submit(self, job: Any, *, attempt: int = 1) -> JobHandle | None:
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
            msg = f"{targets!r} is one id; expected several handles or ids, or kill() for one"
            raise TypeError(msg)
        if self._state is BackendState.NEW:
            msg = f"{self!r} is not open; use it inside `async with backend.open(channel)`"
            raise BackendClosedError(msg)
        await self._kill_many(list(targets), by, force=force)

    @trio.lowlevel.enable_ki_protection
    async def _kill_many(self, targets: Sequence[JobHandle | str], by: str, *, force: bool) -> None:
        found = [job for job in map(self._target, targets) if job is not None]
        live = self._stop(found, FailureKind.CANCELLED, f"killed by {by}", force=force)
        await trio.lowlevel.checkpoint()
        for job in live:
            await job.wait_ended()

    async def kill(self, target: JobHandle | str, *, by: str = "the caller", force: bool = False) -> None:
        """Kill one job; return when it has completed. Otherwise like `kill_many`."""
        await self.kill_many([target], by=by, force=force)

    @trio.lowlevel.enable_ki_protection
    def close(self, *, by: str = "the caller", force: bool = False) -> None:
        """Accept no more jobs, and kill all live ones. Does not wait; the end of the block does.

        May be called from any task, at any time. Does nothing before `open` and after the end of the block.

        Raises:
            RuntimeError: if it was called from another thread; it then changes nothing.
        """
        if self._state in _ALIVE:
            check_in_loop(self._token, f"close() of {self!r}")
            self._state = BackendState.CLOSING
            self._stop(self._ledger, FailureKind.CANCELLED, f"killed by {by}", force=force)

    async def drain(self) -> None:
        """Wait until no job is live; events may still be queued. Cancelling this call stops only the waiting."""
        await self._ledger.wait_idle()

    @property
    def undelivered(self) -> int:
        """How many completions the receiver has not taken; final once the block has ended."""
        return self._courier.undelivered if self._state in _ALIVE else self._undelivered

    def statistics(self) -> BackendStatistics:
        """Return a snapshot of the counters."""
        return BackendStatistics(
            self.name,
            self._state,
            len(self._ledger),
            self._submitted,
            self._refused,
            self._completed,
            self.undelivered,
            self._late,
        )

    # ------------------------------------------------------------------ inside

    def _check_open(self) -> None:
        if self._broken is not None or self._state is not BackendState.OPEN:
            msg = f"{self!r} accepts no jobs; use it inside `async with backend.open(channel)`, before it is closed"
            raise BackendClosedError(msg) from self._broken

    def _is_occupied(self) -> bool:
        """Whether an interactive job has the backend to itself."""
        return self._interactive_job is not None and self._interactive_job.stage is not DONE

    def _fitting(self, batch: Sequence[LiveJob], free: float, live: int) -> list[LiveJob]:
        """Return the jobs that are accepted now: at most `free` of them, and an interactive one only by itself."""
        if self._is_occupied():
            return []
        entering = list(batch[: max(0, int(min(free, len(batch))))])
        interactive = next((job for job in entering if job.interactive), None)
        if interactive is None:
            return entering
        if live:
            return [job for job in entering if not job.interactive]
        self._interactive_job = interactive
        return [interactive]

    def _target(self, target: JobHandle | str) -> LiveJob | None:
        if isinstance(target, str):
            return self._ledger.get(target)
        if not isinstance(target, JobHandle):
            msg = f"the job to kill is {target!r}; expected a handle or an id"
            raise TypeError(msg)
        if target.backend is not self:
            msg = f"{target!r} is a handle of {target.backend!r}; expected one of {self!r}"
            raise TypeError(msg)
        job = self._ledger.get(target.job_id)
        # An id may be submitted again, even with the same attempt: only the ticket tells the two submissions apart.
        stale = job is None or job.attempt != target.attempt or job.ticket != target.ticket
        return None if stale else job

    def _cancel_submission(self, jobs: Sequence[LiveJob]) -> None:
        """Refuse the jobs of a cancelled submission whose launch has not begun, and kill the others."""
        for job in jobs:
            if job.stage is WAITING:
                self._refused += 1
                self._ledger.remove(job, accepted=False)
        self._stop(jobs, FailureKind.CANCELLED, "killed because its submission was cancelled")

    async def _run_launch(self, jobs: Sequence[LiveJob], launched: trio.Event) -> None:
        try:
            if not self.supports_interactive:
                self._fail_interactive(jobs)
            waiting = [job for job in jobs if job.stage is WAITING]
            if waiting:
                await self._launch(waiting)
                for job in waiting:
                    if job.stage is WAITING:  # `_launch` did not begin it
                        self._refuse(job)
        except BaseException as exc:
            if _is_cancelled(exc):
                raise
            self._break(exc)
            for job in jobs:  # nothing else would complete the jobs whose launch had begun
                if job.stage is LAUNCHING:
                    self._fail(job, FailureKind.BACKEND_ERROR, f"its launch broke backend {self.name!r}: {exc!r}")
            raise
        finally:
            launched.set()

    def _fail_interactive(self, jobs: Iterable[LiveJob]) -> None:
        for job in jobs:
            if job.interactive and self._begin(job):
                self._fail(job, FailureKind.LAUNCH_ERROR, f"backend {self.name!r} cannot run an interactive job")

    async def _set_up(self) -> None:
        try:
            await self._setup()
        except BaseException as exc:
            self._state = BackendState.CLOSED
            if (shortage := self._no_memory(exc, "cannot be opened")) is not None:
                raise shortage from exc
            raise

    async def _run_watchers(self, started: trio.Event) -> None:
        async with trio.open_nursery() as self._nursery:
            self._start_task(self._deadlines.run)
            self._start_task(self._serve)
            started.set()
            await trio.sleep_forever()

    async def _run_teardown(self) -> None:
        with trio.move_on_after(TEARDOWN_DEADLINE) as scope:
            await self._teardown()
        if scope.cancelled_caught:
            msg = f"backend {self.name!r}: its teardown did not end within {TEARDOWN_DEADLINE:g} s"
            raise BackendBrokenError(msg)

    async def _wait_ended(self, ended: trio.Event, failure: BaseException | None) -> BaseException | None:
        """Wait until `_run_end` has ended; return the exception that is to leave the block.

        The second Ctrl-C skips the gentle steps of all kills; the third one stops waiting for jobs.
        """
        earlier = 1 if failure is not None and is_interrupt(failure) else 0

        def hurry(count: int) -> None:
            if earlier + count == 2:  # noqa: PLR2004 - see above
                self._stop(self._ledger, FailureKind.CANCELLED, _INTERRUPTED, force=True)
            elif earlier + count > 2:  # noqa: PLR2004 - see above
                self._ending.cancel()

        interrupt = await wait_through_interrupts(ended, hurry)
        # Any other exception of the block is worth more than a Ctrl-C that came while the block ended.
        return interrupt if interrupt is not None and (failure is None or _is_cancelled(failure)) else failure

    @trio.lowlevel.enable_ki_protection
    async def _run_end(
        self, failure: BaseException | None, watchers: _ShieldedTask, courier: _ShieldedTask, ended: trio.Event
    ) -> None:
        try:
            with trio.CancelScope(shield=True):
                await self._guard(self._end, failure, watchers)
                await watchers.stop()  # whatever `_end` raised: a shielded task left running would hang the nursery
                await courier.stop()
        finally:
            ended.set()

    async def _end(self, failure: BaseException | None, watchers: _ShieldedTask) -> None:
        """Kill the live jobs; wait for their completions, and for the receiver. Bounded, because every kill is."""
        self._state = BackendState.CLOSING
        why = "was cancelled" if failure is None or _is_cancelled(failure) else f"ended with {failure!r}"
        self._stop(self._ledger, FailureKind.CANCELLED, f"killed because its run {why}")
        with self._ending:  # `_break` gives it a deadline
            await self._ledger.wait_idle()
        self._abandon_all(_INTERRUPTED if self._broken is None else self._why_broken())
        await watchers.stop()
        await self._guard(self._run_teardown)
        # If the block ended normally, its body has already waited for the receiver, without a limit.
        if failure is not None or self._broken is not None:
            await self._courier.wait_delivered(self._drain_timeout)

    def _abandon_all(self, why: str) -> None:
        """Complete every job that is still live, as nothing watches it any longer."""
        for job in self._ledger:
            self._fail(job, FailureKind.BACKEND_ERROR, f"{why}; whether it ended is not known")

    def _raise_failure(self, failure: BaseException | None) -> None:
        """Raise the exception of the block or, if there is none, the error that broke the backend.

        The error of a broken backend replaces a `Cancelled`, and becomes a note on any other exception. A closed
        receiver is not reported if the block raised: its reader most likely ended for the same reason.
        """
        broken = self._broken
        notes = self._notes()
        if isinstance(broken, trio.BrokenResourceError) and self._courier.receiver_gone:
            if failure is None:
                notes.append(f"backend {self.name!r}: the receiver of the completions was closed")
        elif broken is not None and failure is not None:
            if _is_cancelled(failure):
                failure = None
            else:
                notes.append(self._why_broken())
        error = failure if failure is not None else broken
        for line in notes:
            if error is not None:
                error.add_note(line)
            if error is None or _is_cancelled(error):  # trio discards a `Cancelled`, and its notes with it
                logger.warning("%s", line)
        if error is not None:
            raise error

    def _notes(self) -> list[str]:
        """Return a line about undelivered completions, and a line about lost jobs, if there are any."""
        notes = []
        if self._undelivered:
            notes.append(f"backend {self.name!r}: the receiver did not take {self._undelivered} of the completions")
        if self._lost:
            some = ", ".join(self._lost[:10]) + (" and others" if len(self._lost) > 10 else "")  # noqa: PLR2004 - enough
            notes.append(f"backend {self.name!r}: {len(self._lost)} jobs were lost and may be alive: {some}")
        return notes


class _ShieldedTask:
    """A task of a block that only `stop` cancels."""

    def __init__(self) -> None:
        self._scope = trio.CancelScope(shield=True)
        self._done = trio.Event()

    @trio.lowlevel.enable_ki_protection
    async def run(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run ``function(*args)``. May be called once."""
        try:
            with self._scope:
                await function(*args)
        finally:
            self._done.set()

    async def stop(self) -> None:
        """Cancel the task, and wait until it has ended."""
        self._scope.cancel()
        await self._done.wait()


def _is_cancelled(error: BaseException) -> bool:
    """Whether `error` is a `Cancelled`, or a group of nothing else, as a nursery makes of several."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)[1] is None
    return isinstance(error, trio.Cancelled)


_INTERRUPTED: Final = "the end of its run was interrupted"

_interactive: Final = operator.attrgetter("interactive")
_ALIVE: Final = (BackendState.OPENING, BackendState.OPEN, BackendState.CLOSING)
