"""`RuntimeBackend`: the contract that every backend keeps, and all of it that can be written once.

What a caller gets: `open` a backend around a block, `submit_many` jobs, and receive exactly one completion event for
each job that was accepted. What an author writes is told in `runtime.backend.base`, where the jobs live; here is
the block that they live in.

How a block ends
----------------
Two things must outlive the caller's cancellation: whoever watches and kills the jobs, and the courier that carries
their events. Each runs in a shielded scope that only `open` ends, in the order: kill, wait for the ends, stop the
watchers, let the receiver take what is queued, stop the courier, close the channel. Nothing is raised inside the
nursery that holds them, so what leaves the block is never wrapped in a group that the caller did not make.
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
from runtime.backend.interrupts import is_interrupt, outlast, protected_block
from runtime.backend.live import DONE, LAUNCHING, WAITING, LiveJob, make_live
from runtime.backend.reserved_names import check_names
from runtime.errors import BackendBrokenError, BackendClosedError
from runtime.job import EventBatch, FailureKind, JobHandle
from runtime.job.drafts import make_handles
from runtime.job.numbers import brief, is_number

logger: Final = logging.getLogger("runtime.backends")

DRAIN_TIMEOUT: Final = 1.0
"""Seconds since the receiver last took something, after which a cancelled block gives its events up. Arbitrary."""

TEARDOWN_DEADLINE: Final = 30.0
"""Seconds that `_teardown` may take before it is cancelled, and the backend called broken. Arbitrary."""


@attrs.frozen
class BackendStatistics:
    """A snapshot of a backend's counters."""

    name: str
    state: BackendState
    live: int
    """Jobs whose completion is not yet queued."""
    submitted: int
    """Jobs handed over, refused ones included."""
    refused: int
    """Jobs refused because the backend was busy, or called off before their launch."""
    completed: int
    """Completions queued."""
    undelivered: int
    """Completions queued that the receiver has not taken."""
    late: int
    """Ends that were reported for a job that had already completed; they were dropped."""


def check_limit(what: str, value: float | None, default: float | None, *, whole: bool = True) -> float | None:
    """Return the limit that `value` stands for: `None` takes `default`, 0 lifts the limit (and gives `None`).

    Raises:
        ValueError: if `value` is no number, negative, infinite or, with `whole`, a fraction.
    """
    if value is None:
        value = default
    if value is None:
        return None
    if not _is_amount(value) or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        msg = f"{what} is {brief(value)}; wanted: None for the default, 0 for no limit, or {kind} above 0"
        raise ValueError(msg)
    return value or None


def _check_attempts(attempts: Mapping[str, int]) -> None:
    if not isinstance(attempts, Mapping):
        msg = f"attempts is {attempts!r}; expected: a mapping from ids of jobs to numbers of attempts"
        raise ValueError(msg)
    for job_id, attempt in attempts.items():
        if not isinstance(attempt, int) or isinstance(attempt, bool) or attempt < 1:
            msg = f"attempt {attempt!r} of job {job_id!r} is none; expected: a whole number from 1"
            raise ValueError(msg)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_amount(value: object) -> bool:
    return is_number(value) and value >= 0


class RuntimeBackend(BackendBase):
    """A place where jobs run. Constructing one does no I/O and starts nothing; `open` gives it life, once.

    Args:
        name: what reports and job specifications call it; `None` for the class's `name`.
        max_parallelism: how many jobs may be live at once; `None` for the class's default, 0 for no limit.
        drain_timeout: seconds since the receiver last took something after which a cancelled block gives up delivering.

    Raises:
        ValueError: for an argument that cannot be what it is.
    """

    supports_interactive: bool = False
    """Whether an interactive job can run here."""
    max_output_dirs: int | None = None
    """How many old output directories of a job are kept; `None` where the backend keeps none."""
    default_parallelism: ClassVar[int | None] = None
    max_batch: int | None = 1_000
    """How many jobs the scheduler hands over in one `submit_many` at most, so that what is on its way stays small and a
    kill quick; `None` for all that are ready, for who makes arrays of them."""
    max_submissions: int | None = 1
    """How many `submit_many` the scheduler has in progress at once, of those that take less than a second; what is
    ready meanwhile goes together in the next. `None` for any number."""
    resources: Collection[str] = ()
    """Names of resources that the backend itself asks for, such as a batch system's memory: the scheduler counts them
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
                msg = f"{type(self).__name__}: name is {name!r}; wanted: text that is not empty"
                raise ValueError(msg)
            self.name = name
        self.max_parallelism = self.default_parallelism if max_parallelism is None else max_parallelism
        if drain_timeout != math.inf and not _is_amount(drain_timeout):
            msg = f"{type(self).__name__}: drain_timeout is {brief(drain_timeout)}; wanted: seconds, from 0"
            raise ValueError(msg)
        self._drain_timeout = drain_timeout
        self._submitted = 0
        self._undelivered = 0
        self._token: trio.lowlevel.TrioToken | None = None
        """That of the event loop in which the block is."""
        self._alone: LiveJob | None = None
        """The interactive job that was last let in."""
        self.run_token = ""
        """What marks the work of this run, while the block lives."""

    def __init_subclass__(cls, *, overrides: Collection[str] = (), **options: Any) -> None:
        """Check the names of a subclass.

        Args:
            overrides: private names of the contract that it replaces on purpose; what becomes of it then is its own
                matter, from one version to the next.
            options: for other classes.

        Raises:
            TypeError: if it defines another one of them.
        """
        super().__init_subclass__(**options)
        check_names(cls, (RuntimeBackend, BackendBase), overrides)

    @property
    def max_parallelism(self) -> int | None:
        """How many jobs may be live at once; `None` for no limit. May be assigned; `None` or 0 lifts the limit.

        Raises:
            ValueError: for a limit that is none, when it is assigned.
        """
        return self._max_parallelism

    @max_parallelism.setter
    def max_parallelism(self, limit: int | None) -> None:
        checked = check_limit(f"{type(self).__name__}: max_parallelism", limit, None)
        self._max_parallelism = None if checked is None else int(checked)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self._state.value}, {len(self._ledger)} live>"

    # ------------------------------------------------------------------ what a caller calls

    @protected_block
    async def open(
        self, completions: trio.MemorySendChannel[EventBatch], run_token: str | None = None
    ) -> AsyncIterator[Self]:
        """Give the backend life for a block. Once.

        Args:
            completions: where the events go, in batches that are never empty; a buffer of any size works. The backend
                sends on a clone, and closes that last; whoever made the channel closes the original. Must be read by a
                task that outlives the block, or by the body itself.
            run_token: what marks the work of this run for a batch system; `None` for a random one.

        Leaving the block normally waits for the jobs that still run, and until every event was taken; if nobody reads,
        it waits, and a cancel ends the wait. With an exception or a cancel in flight everything is killed, which is
        bounded, and events wait at most `drain_timeout` since the receiver last took one; `undelivered` counts the
        rest.

        Raises:
            TypeError: if `completions` is no sending end of a memory channel.
            BackendClosedError: if it was opened before.
            trio.BrokenResourceError: at the end, if the receiver went away.
            Exception: at the end, the error of a backend that broke; else whatever the block raised, with notes.
        """
        if not isinstance(completions, trio.MemorySendChannel):
            msg = f"completions is {completions!r}; wanted: the sending end of a trio.open_memory_channel"
            raise TypeError(msg)
        if self._state is not BackendState.NEW:
            msg = f"{self!r} was opened before; a backend lives once: make a new one"
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
                try:  # from the first task on, whatever a Ctrl-C ends: it comes out of any await, through a shield, too
                    with trio.CancelScope(shield=True):  # as short as a task's first step
                        await started.wait()
                    if self._state is BackendState.OPENING:  # and nobody has closed it meanwhile
                        self._state = BackendState.OPEN
                    with self._body:
                        yield self
                        await trio.lowlevel.checkpoint()
                        while len(self._ledger) or self._courier.undelivered:
                            await self._ledger.wait_idle()
                            await self._courier.wait_delivered()
                except BaseException as exc:  # noqa: BLE001 - raised again below, when all has ended; even a Cancelled
                    failure = exc
                # A task of its own, so that no Ctrl-C is raised in it: this one may be the main task. It is the last
                # one to end, so leaving the nursery waits for nothing; a Ctrl-C there would come out in a group.
                root.start_soon(self._run_end, failure, watchers, courier, ended)
                failure = await self._wait_ended(ended, failure)
            self._undelivered = self._courier.undelivered
            self._state = BackendState.CLOSED
        self._raise_what_is_due(failure)

    async def submit_many(
        self, jobs: Iterable[Any], *, attempts: Mapping[str, int] | None = None
    ) -> dict[str, JobHandle]:
        """Hand `jobs` over.

        Args:
            jobs: specifications, each with an `id`.
            attempts: job id to the number of the attempt, from 1; 1 where it says nothing.

        Returns:
            A handle for each job that was accepted: exactly one completion comes for it, perhaps already queued. A job
            that is absent was refused because the backend is busy: nothing of it runs, no event comes, try again later.
            A job that cannot be launched is accepted, and completes at once with the reason.

        Raises:
            DuplicateJobError: if an id stands twice or is live; nothing of the call was launched.
            ValueError: if `attempts` has what is no number of an attempt; nothing of the call was launched.
            BackendClosedError: if the backend is not open; nothing of the call was launched.
            trio.Cancelled: at once; what was accepted is killed in the background, and completes before the block ends.
        """
        return await self._submit_many(list(jobs), attempts)

    @trio.lowlevel.enable_ki_protection
    async def _submit_many(self, jobs: Sequence[Any], attempts: Mapping[str, int] | None) -> dict[str, JobHandle]:
        await trio.lowlevel.checkpoint_if_cancelled()  # before anything is launched; also when the backend broke
        self._check_open()
        if attempts is not None:
            _check_attempts(attempts)
        batch = make_live(jobs, self._now(), attempts=attempts, ticket=self._submitted + 1)
        live = len(self._ledger)
        self._ledger.admit(batch)  # all of them, so that a duplicate among the refused ones is found as well
        free = math.inf if self.max_parallelism is None else self.max_parallelism - live
        alone = self._is_occupied() or any(map(_interactive, batch))
        entering = batch if len(batch) <= free and not alone else self._fitting(batch, free, live)
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
        self._start_task(self._run_launch, entering, launched)
        try:
            await launched.wait()
        except BaseException:  # cancelled, or a Ctrl-C in the main task
            self._call_off(entering)
            raise
        del batch  # see `make_handles`
        return make_handles(entering, self)

    async def submit(self, job: Any, *, attempt: int = 1) -> JobHandle | None:
        """Hand one job over: `submit_many` for one, cancelling and errors included. `None` means refused."""
        return (await self.submit_many([job], attempts={job.id: attempt})).get(job.id)

    async def kill_many(
        self, targets: Iterable[JobHandle | str], *, by: str = "the caller", force: bool = False
    ) -> None:
        """End jobs, each on its own, all at the same time; return when each has completed.

        Args:
            targets: handles or ids. What is done, stale or unknown is passed over.
            by: who asks for it, for the reason of the completion: a signal's name, say.
            force: leave out every gentle step; jobs that are being killed gently are forced as well.

        A job that had ended by itself keeps its true status. A job that does not end by a deadline completes as *lost*.
        Cancelling this call stops the waiting, not the kill.

        Raises:
            TypeError: for a handle of another backend, or what is neither a handle nor an id; nothing was killed.
            BackendClosedError: if the backend was never opened.
        """
        if isinstance(targets, str):
            msg = f"{targets!r} is one id; wanted: several handles or ids, or kill() for one"
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
        """End one job: `kill_many` for one, cancelling and errors included."""
        await self.kill_many([target], by=by, force=force)

    @trio.lowlevel.enable_ki_protection
    def close(self, *, by: str = "the caller", force: bool = False) -> None:
        """Take no more jobs, and kill all there are; the end of the block waits for that.

        From any task, at any time; before `open` and after the end of the block it does nothing.

        Raises:
            RuntimeError: from another thread; nothing has changed then.
        """
        if self._state in _ALIVE:
            check_in_loop(self._token, f"close() of {self!r}")
            self._state = BackendState.CLOSING
            self._stop(self._ledger, FailureKind.CANCELLED, f"killed by {by}", force=force)

    async def drain(self) -> None:
        """Wait until nothing is live; events may still be on their way. Cancelling this stops the waiting alone."""
        await self._ledger.wait_idle()

    @property
    def undelivered(self) -> int:
        """How many completions the receiver never took; final once the block has ended."""
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
            msg = f"{self!r} takes no jobs; use it inside `async with backend.open(channel)`, before it is closed"
            raise BackendClosedError(msg) from self._broken

    def _is_occupied(self) -> bool:
        """Whether an interactive job has the backend to itself."""
        return self._alone is not None and self._alone.stage is not DONE

    def _fitting(self, batch: Sequence[LiveJob], free: float, live: int) -> list[LiveJob]:
        """Return the jobs that may enter now: as many as are free, and an interactive one only by itself."""
        if self._is_occupied():
            return []
        entering = list(batch[: max(0, int(min(free, len(batch))))])
        interactive = next((job for job in entering if job.interactive), None)
        if interactive is None:
            return entering
        if live:
            return [job for job in entering if not job.interactive]
        self._alone = interactive
        return [interactive]

    def _target(self, target: JobHandle | str) -> LiveJob | None:
        if isinstance(target, str):
            return self._ledger.get(target)
        if not isinstance(target, JobHandle):
            msg = f"{target!r} is neither a handle nor an id"
            raise TypeError(msg)
        if target.backend is not self:
            msg = f"{target!r} is a handle of {target.backend!r}, not of {self!r}"
            raise TypeError(msg)
        job = self._ledger.get(target.job_id)
        stale = job is None or job.attempt != target.attempt or job.ticket != target.ticket
        return None if stale else job

    def _call_off(self, jobs: Sequence[LiveJob]) -> None:
        """The caller of a submit has gone: forget what was not begun, kill the rest."""
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
                    if job.stage is WAITING:
                        self._refuse(job)
        except BaseException as exc:
            if _is_cancelled(exc):
                raise
            self._break(exc)
            for job in jobs:  # nobody is left who could tell of those whose launch had begun
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
            if (said := self._no_memory(exc, "cannot be opened")) is not None:
                raise said from exc
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
        """Wait until the end of the block is over; return what is to leave it.

        Of Ctrl-C, the second one leaves out what is left of the gentle steps, and the third one waits for no job.
        """
        earlier = 1 if failure is not None and is_interrupt(failure) else 0

        def hurry(count: int) -> None:
            if earlier + count == 2:  # noqa: PLR2004 - see above
                self._stop(self._ledger, FailureKind.CANCELLED, _INTERRUPTED, force=True)
            elif earlier + count > 2:  # noqa: PLR2004 - see above
                self._ending.cancel()

        interrupt = await outlast(ended, hurry)
        return interrupt if interrupt is not None and (failure is None or _is_cancelled(failure)) else failure

    @trio.lowlevel.enable_ki_protection
    async def _run_end(
        self, failure: BaseException | None, watchers: _ShieldedTask, courier: _ShieldedTask, ended: trio.Event
    ) -> None:
        try:
            with trio.CancelScope(shield=True):
                await self._guard(self._end, failure, watchers)
                await watchers.stop()  # whatever happened: no shielded task may be left behind
                await courier.stop()
        finally:
            ended.set()

    async def _end(self, failure: BaseException | None, watchers: _ShieldedTask) -> None:
        """Kill what is live, and see it complete and its events taken. Bounded, because every kill is."""
        self._state = BackendState.CLOSING
        why = "was cancelled" if failure is None or _is_cancelled(failure) else f"ended with {failure!r}"
        self._stop(self._ledger, FailureKind.CANCELLED, f"killed because its run {why}")
        with self._ending:  # it has a deadline as soon as the backend is broken
            await self._ledger.wait_idle()
        self._abandon(_INTERRUPTED if self._broken is None else self._why_broken())
        await watchers.stop()
        await self._guard(self._run_teardown)
        if failure is not None or self._broken is not None:
            await self._courier.wait_delivered(self._drain_timeout)

    def _abandon(self, why: str) -> None:
        """Complete what is still live: nobody is left who could see it end."""
        for job in self._ledger:
            self._fail(job, FailureKind.BACKEND_ERROR, f"{why}; whether it ended is not known")

    def _raise_what_is_due(self, failure: BaseException | None) -> None:
        """Raise what was in flight, or else what broke the backend.

        A receiver that goes away together with its run is no news. The error of a broken backend goes before a mere
        `Cancelled`, and becomes a note on any other exception.
        """
        broken = self._broken
        notes = self._notes()
        if isinstance(broken, trio.BrokenResourceError) and self._courier.receiver_gone:
            if failure is None:
                notes.append(f"backend {self.name!r}: the receiver of the completions has gone")
        elif broken is not None and failure is not None:
            if _is_cancelled(failure):
                failure = None
            else:
                notes.append(self._why_broken())
        error = failure if failure is not None else broken
        for line in notes:
            if error is not None:
                error.add_note(line)
            if error is None or _is_cancelled(error):  # which nobody gets to see
                logger.warning("%s", line)
        if error is not None:
            raise error

    def _notes(self) -> list[str]:
        """Return what should be known of whatever the block leaves behind: a line each."""
        notes = []
        if self._undelivered:
            notes.append(f"backend {self.name!r}: nobody took {self._undelivered} of the completions")
        if self._lost:
            some = ", ".join(self._lost[:10]) + (" and others" if len(self._lost) > 10 else "")  # noqa: PLR2004 - enough
            notes.append(f"backend {self.name!r}: {len(self._lost)} jobs were lost and may be alive: {some}")
        return notes


class _ShieldedTask:
    """A task of a block that no cancellation stops but its own `stop`."""

    def __init__(self) -> None:
        self._scope = trio.CancelScope(shield=True)
        self._done = trio.Event()

    @trio.lowlevel.enable_ki_protection
    async def run(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run ``function(*args)``. Once."""
        try:
            with self._scope:
                await function(*args)
        finally:
            self._done.set()

    async def stop(self) -> None:
        """Cancel it, and wait until it has ended."""
        self._scope.cancel()
        await self._done.wait()


def _is_cancelled(error: BaseException) -> bool:
    """Whether `error` is a cancellation and nothing else; in a group too, as a nursery makes one."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)[1] is None
    return isinstance(error, trio.Cancelled)


_INTERRUPTED: Final = "the end of its run was interrupted"

_interactive: Final = operator.attrgetter("interactive")
_ALIVE: Final = (BackendState.OPENING, BackendState.OPEN, BackendState.CLOSING)
