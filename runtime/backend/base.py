"""`BackendBase`: what a backend's author writes and calls, and the life of each job from its submission to its end.

What an author writes: how to launch, how to kill, how to watch::

    class MyBackend(RuntimeBackend):
        async def _launch(self, jobs):             # runs in the backend's nursery, never in the caller's task
            for job in jobs:
                if self._begin(job):               # false: somebody called it off
                    ...                            # start it; then one of
                    self._launched(job)            #   it is under way (running=False: only queued so far)
                    self._ran(job, status)         #   it is over already
                    self._refuse(job)              #   busy: nothing of it runs
                    self._fail(job, kind, text)    #   it cannot be launched

        def _kill(self, jobs): ...                 # ask for their end; does not block; the completion follows

and, whenever a job ends, calls `_complete` (or `_complete_stopped`), from a task in ``self._nursery``, which `_serve`
may fill. There is one place that completes a job (`_complete`), one that asks for its end (`_stop`), and one that gives
it up (`_give_up`).
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

import trio

from runtime.backend.courier import Courier
from runtime.backend.deadlines import Deadlines
from runtime.backend.live import DONE, LAUNCHED, LAUNCHING, WAITING, Ledger, LiveJob, StopCause
from runtime.errors import NO_MEMORY, BackendBrokenError, StatusMoveError, is_out_of_memory
from runtime.job import (
    FailureKind,
    JobCompletionEvent,
    JobProgressEvent,
    JobStatus,
    JobStatusInfo,
    JobUsage,
    check_move,
)
from runtime.job.drafts import make_completion
from runtime.job.status import KILLED, QUEUED, RUNNING, TERMINAL

BROKEN_DEADLINE: Final = 30.0
"""Seconds that a broken backend's kills may take before their jobs are given up. Arbitrary."""


End = tuple[LiveJob, JobStatus, JobStatusInfo | None, JobUsage | None]
"""Of a job: how it ended, why if it did not pass, and what it used if that is known."""


class BackendState(enum.Enum):
    """The life of a backend; it goes one way."""

    NEW = "new"
    OPENING = "opening"
    """It acquires what it needs; takes no jobs yet."""
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class BackendBase(abc.ABC):
    """The jobs of a backend, and all that its author needs to know of the contract. See `RuntimeBackend`."""

    name: str = "backend"
    busy_because: str = ""
    """Why a job was refused last, where that is known."""
    kill_deadline: float | None = 30.0
    """Seconds after a kill was asked for at which a job is given up as lost; `None` if `_kill` bounds itself."""

    def __init__(self) -> None:
        self._state = BackendState.NEW
        self._broken: BaseException | None = None
        self._ledger = Ledger()
        self._refused = self._completed = self._late = 0
        self._lost: list[str] = []
        # These live as long as the block; before and after it nothing may need them.
        self._courier: Courier
        self._deadlines: Deadlines
        self._nursery: trio.Nursery
        self._body: trio.CancelScope
        self._now: Callable[[], float]  # the loop's clock, asked directly: `trio.current_time` costs twice as much
        self._ending = trio.CancelScope()

    # ------------------------------------------------------------------ what an author writes

    @abc.abstractmethod
    async def _launch(self, jobs: Sequence[LiveJob]) -> None:
        """Launch `jobs`. See the module's docstring; jobs that it does not begin are refused.

        It runs in the backend's nursery: the caller's cancellation does not reach it, `_begin` tells of it. What it
        raises is a bug, and breaks the backend.
        """

    @abc.abstractmethod
    def _kill(self, jobs: Sequence[LiveJob]) -> None:
        """Ask for the end of `jobs`, all at the same time. Each was launched, and is asked for once."""

    def _force(self, jobs: Sequence[LiveJob]) -> None:
        """Make the kill of `jobs`, which was asked for before, as quick as can be. By default it is that already."""

    def _take_back(self, job: LiveJob) -> bool:
        """Say whether nothing of `job`, whose end was asked for between `_begin` and `_launched`, runs or ever will.

        Asked once, where launches wait in a queue of the backend's own. By default a launch that began is seen through.
        """
        return False

    async def _setup(self) -> None:
        """Acquire what the backend needs, before the block begins; what it raises is raised by `open`."""

    async def _serve(self) -> None:
        """Run in the background, shielded, until the block ends. It may return early; raising breaks the backend."""

    async def _teardown(self) -> None:
        """Release what `_setup` acquired; no job is live. Runs shielded, for at most `TEARDOWN_DEADLINE` seconds.

        What it raises breaks the backend.
        """

    def _limits(self, spec: Any) -> tuple[float | None, float | None]:
        """Return the `timeout` and the `queue_timeout` of a specification, in seconds."""
        return getattr(spec, "timeout", None), getattr(spec, "queue_timeout", None)

    # ------------------------------------------------------------------ what an author calls

    def _begin(self, job: LiveJob) -> bool:
        """Say that the launch of `job` begins now; false if it was called off, and must not."""
        if job.stage is not WAITING:
            return False
        job.stage = LAUNCHING
        return True

    def _begin_all(self, jobs: Sequence[LiveJob]) -> list[LiveJob]:
        """Say that the launch of `jobs` begins now: `_begin` for each. Returns those that were not called off."""
        begun = [job for job in jobs if job.stage is WAITING]
        for job in begun:
            job.stage = LAUNCHING
        return begun

    def _launched(self, job: LiveJob, *, running: bool = True, note: str | None = None) -> bool:
        """Say that `job` is under way. If somebody asked for its end meanwhile, `_kill` is called now.

        Returns:
            False if the job was given up as lost before its launch returned: then the author ends what runs of it.
        """
        if job.stage is not LAUNCHING:
            return False
        job.stage = LAUNCHED
        if running:
            self._running(job, note=note)
        else:
            self._queued(job)
        if job.stop is not None:
            self._ask(self._kill, [job])
            if job.forced:
                self._ask(self._force, [job])
        return True

    def _launched_all(self, jobs: Iterable[LiveJob]) -> None:
        """Say that many jobs run: `_launched` for each. Who was given up as lost meanwhile is not LAUNCHED after it."""
        now, limits = self._now(), self._limits
        for job in jobs:
            if job.stage is LAUNCHING and job.status is QUEUED and job.stop is None and limits(job.spec)[0] is None:
                job.stage, job.status = LAUNCHED, RUNNING
                job.started, job.queued = now, None
            else:
                self._launched(job)

    def _ran(
        self,
        job: LiveJob,
        status: JobStatus,
        reason: JobStatusInfo | None = None,
        usage: JobUsage | None = None,
    ) -> bool:
        """Say that `job` ran and has ended, all of it within its launch: `_launched` and `_complete` in one."""
        return self._ran_all([(job, status, reason, usage)]) == 1

    def _ran_all(self, ends: Iterable[End]) -> int:
        """Say of many jobs that each ran and has ended: `_ran` for each. Returns how many of these ends counted."""
        return self._end_all(ends, ran=True)

    def _running(self, job: LiveJob, *, note: str | None = None) -> None:
        """Say that `job` runs from now on: its `timeout` counts. No event, if its handle can still say so."""
        if job.stage is DONE or job.status is RUNNING:
            return
        job.status = check_move(job.status, RUNNING)
        job.started, job.queued = self._now(), None
        if note is not None:
            self._courier.post_progress(JobProgressEvent(job.id, job.attempt, RUNNING, job.started, note))
        timeout = self._limits(job.spec)[0]
        if timeout is not None:
            self._deadlines.add(job.started + timeout, job, self._timed_out)

    def _queued(self, job: LiveJob) -> None:
        """Say that `job` waits in a queue from now on: its `queue_timeout` counts."""
        job.started, job.queued = None, trio.current_time()
        queue_timeout = self._limits(job.spec)[1]
        if queue_timeout is not None:
            self._deadlines.add(job.queued + queue_timeout, job, self._queue_timed_out)

    def _progress(self, job: LiveJob, status: JobStatus, note: str | None = None) -> None:
        """Tell the listener that `job` is now QUEUED or RUNNING, or why it still waits."""
        if job.stage is DONE:
            return
        if status is RUNNING and job.status is not status:
            self._running(job, note=note or "")
            return
        if status is not job.status:
            job.status = check_move(job.status, status)
            self._queued(job)
        self._courier.post_progress(JobProgressEvent(job.id, job.attempt, status, trio.current_time(), note))

    def _refuse(self, job: LiveJob, why: str = "") -> None:
        """Say that the backend is too busy for `job`, and perhaps why; nothing of it runs."""
        if job.stage is DONE:
            return
        self.busy_because = why or self.busy_because
        if job.stop is not None:
            self._complete_stopped(job)
            return
        self._refused += 1
        self._ledger.remove(job, accepted=False)

    def _complete(
        self,
        job: LiveJob,
        status: JobStatus,
        reason: JobStatusInfo | None = None,
        usage: JobUsage | None = None,
    ) -> bool:
        """Queue the completion of `job`. Only the first one counts: false if there was one before."""
        return self._end_all([(job, status, reason, usage)]) == 1

    def _end_all(self, ends: Iterable[End], *, ran: bool = False) -> int:
        """Queue the completions of jobs that have ended now; return how many of them were the first for their job.

        With `ran`, those that were being launched began to run now, too.
        """
        now = self._now()
        done: list[LiveJob] = []
        events: list[JobCompletionEvent] = []
        try:
            for job, status, reason, usage in ends:
                if job.stage is DONE:
                    self._late += 1
                    continue
                if status not in TERMINAL:
                    msg = (
                        f"a job cannot go from {job.status.name} to {status.name} when it ends, only to what is an end"
                    )
                    raise StatusMoveError(msg)
                if ran and job.stage is LAUNCHING:
                    job.started = now
                job.status = status
                job.stage = DONE
                events.append(make_completion(job, reason, now, usage))
                done.append(job)
                if reason is not None and reason.kind is FailureKind.LOST:
                    self._lost.append(job.id)
        finally:
            self._courier.post(*events)
            self._completed += len(events)
            self._ledger.remove(*done)
        return len(events)

    def _fail(
        self,
        job: LiveJob,
        kind: FailureKind,
        message: str,
        *,
        context: Sequence[str] | None = None,
        usage: JobUsage | None = None,
    ) -> bool:
        """Queue the completion of `job` with a reason of this kind, and the status that goes with it."""
        return self._complete(job, kind.status, JobStatusInfo(message, context=context, kind=kind), usage)

    def _complete_stopped(
        self, job: LiveJob, usage: JobUsage | None = None, reason: JobStatusInfo | None = None
    ) -> bool:
        """Queue the completion of `job`, which has ended because somebody asked for that.

        Args:
            job: the job.
            usage: what it used, if that is known.
            reason: that of the stop, with more in it; `None` for that.
        """
        if job.stop is None:
            msg = f"{job!r} was not asked to stop"
            raise RuntimeError(msg)
        kind = job.stop.reason.kind
        return self._complete(job, KILLED if kind is None else kind.status, reason or job.stop.reason, usage)

    def _stop(self, jobs: Iterable[LiveJob], kind: FailureKind, message: str, *, force: bool = False) -> list[LiveJob]:
        """Ask for the end of `jobs`; return those that are still live."""
        now = trio.current_time()
        reason = JobStatusInfo(message, kind=kind)
        to_kill: list[LiveJob] = []
        live: list[LiveJob] = []
        for job in jobs:
            if job.stage is DONE:
                continue
            if job.stop is not None:
                # What asked first is the cause; of two in one instant, a kill goes before a timeout.
                if kind is FailureKind.CANCELLED and job.stop.reason.kind in _LIMITS and job.stop.at == now:
                    job.stop = StopCause(reason, now)
                live.append(job)
                continue
            job.stop = StopCause(reason, now)
            if job.stage is WAITING or (job.stage is LAUNCHING and self._taken_back(job)):
                self._complete_stopped(job)
                continue
            if job.stage is LAUNCHED:
                to_kill.append(job)
            if self.kill_deadline is not None:
                self._deadlines.add(now + self.kill_deadline, job, self._give_up)
            live.append(job)
        self._ask(self._kill, to_kill)
        if force:
            for job in live:
                job.forced = True
            self._ask(self._force, [job for job in live if job.stage is LAUNCHED])
        return [job for job in live if job.stage is not DONE]

    def _start_task(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run ``function(*args)`` in the backend's nursery; what it raises breaks the backend."""
        self._nursery.start_soon(self._guard, function, *args, name=function)

    def _break(self, error: BaseException) -> None:
        """End the block with `error`: kill all, complete all. The first error counts."""
        if self._broken is not None:
            return
        self._broken = self._no_memory(error) or error
        self._body.cancel()
        self._ending.deadline = trio.current_time() + BROKEN_DEADLINE
        # Now, and not when the body has ended: it may be in a shield of its own.
        self._stop(self._ledger, FailureKind.BACKEND_ERROR, self._why_broken())

    def _no_memory(self, error: BaseException, what: str = "broke") -> BackendBrokenError | None:
        """Return what is said of `error` if it is want of memory and nothing else: no bug, wherever it showed."""
        if not is_out_of_memory(error):
            return None
        said = BackendBrokenError(f"backend {self.name!r} {what}: {NO_MEMORY}")
        said.__cause__ = error
        return said

    def _why_broken(self) -> str:
        broken = self._broken
        return str(broken) if isinstance(broken, BackendBrokenError) else f"backend {self.name!r} broke: {broken!r}"

    def _taken_back(self, job: LiveJob) -> bool:
        try:
            return self._take_back(job)
        except Exception as exc:  # noqa: BLE001 - as for `_ask`
            self._break(exc)
            return False

    def _ask(self, what: Callable[[Sequence[LiveJob]], None], jobs: Sequence[LiveJob]) -> None:
        """Call the author's ``what(jobs)``. It is nobody's fault but the backend's if that raises."""
        if jobs:
            try:
                what(jobs)
            except Exception as exc:  # noqa: BLE001 - kept, and raised by the block
                self._break(exc)

    # ------------------------------------------------------------------ inside

    def _timed_out(self, job: LiveJob) -> None:
        timeout = self._limits(job.spec)[0]
        if timeout is None or job.started is None or trio.current_time() < job.started + timeout:
            return  # it went back to the queue meanwhile, and its new start has a limit of its own
        self._stop([job], FailureKind.TIMEOUT, f"ran for longer than its timeout of {timeout:g} s")

    def _queue_timed_out(self, job: LiveJob) -> None:
        timeout = self._limits(job.spec)[1]
        if timeout is None or job.queued is None or trio.current_time() < job.queued + timeout:
            return  # it runs; or it did, and its new wait has a limit of its own
        message = f"waited in the queue for longer than its queue_timeout of {timeout:g} s"
        self._stop([job], FailureKind.QUEUE_TIMEOUT, message)

    def _give_up(self, job: LiveJob) -> None:
        why = "" if job.stop is None else f" ({job.stop.reason.message})"
        self._fail(job, FailureKind.LOST, f"did not end within {self.kill_deadline:g} s of being asked to{why}")

    @trio.lowlevel.enable_ki_protection
    async def _guard(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run ``function(*args)``; an error of it breaks the backend instead of the nursery."""
        try:
            await function(*args)
        except trio.Cancelled:
            raise
        except BaseExceptionGroup as group:
            cancelled, errors = group.split(trio.Cancelled)
            if errors is not None:
                self._break(errors)
            if cancelled is not None:
                raise cancelled  # noqa: B904 - it is a part of what was caught
        except BaseException as exc:  # noqa: BLE001 - kept, and raised by the block
            self._break(exc)


_LIMITS: Final = (FailureKind.TIMEOUT, FailureKind.QUEUE_TIMEOUT)
