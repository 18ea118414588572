"""`BackendBase`: the methods that a backend defines and calls, and the life of a job from submission to completion.

A backend defines how to launch, how to kill and how to watch jobs::

    class MyBackend(RuntimeBackend):
        async def _launch(self, jobs):             # runs in the backend's nursery, never in the caller's task
            for job in jobs:
                if self._begin(job):               # false: the job was killed before its launch began
                    ...                            # start it; then call one of
                    self._launched(job)            #   it runs (running=False: it waits in a queue)
                    self._ran(job, status)         #   it ran and has ended
                    self._refuse(job)              #   the backend is busy: nothing of the job runs
                    self._fail(job, kind, text)    #   it cannot be launched

        def _kill(self, jobs): ...                 # begin to kill them; does not block; the completion follows

When a job ends, the backend calls `_complete` (or `_complete_stopped`) from a task in ``self._nursery``, which
`_start_task` starts. One method completes jobs (`_end_all`), one stops them (`_stop`), and one abandons those that do
not end (`_kill_timed_out`).
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
"""Seconds that the kills of a broken backend may take before their jobs are abandoned. Arbitrary: ten times longer
looks like a hang, ten times shorter abandons processes that SIGKILL would still have ended."""


End = tuple[LiveJob, JobStatus, JobStatusInfo | None, JobUsage | None]
"""A job, its final status, the reason unless it passed, and its usage if that is known."""


class BackendState(enum.Enum):
    """The states of a backend, in the order in which it passes through them."""

    NEW = "new"
    OPENING = "opening"
    """`_setup` runs; no jobs are accepted yet."""
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class BackendBase(abc.ABC):
    """The jobs of a backend, and the methods that a backend defines and calls. See `RuntimeBackend`."""

    name: str = "backend"
    busy_because: str = ""
    """The reason of the latest refusal, if it is known."""
    kill_deadline: float | None = 30.0
    """Seconds from the request of a kill until the job is abandoned as lost; `None` if kills have another bound."""

    def __init__(self) -> None:
        self._state = BackendState.NEW
        self._broken: BaseException | None = None
        self._ledger = Ledger()
        self._refused = self._completed = self._late = 0
        self._lost: list[str] = []
        # These exist while the block is open; nothing may use them before or after.
        self._courier: Courier
        self._deadlines: Deadlines
        self._nursery: trio.Nursery
        self._body: trio.CancelScope
        self._now: Callable[[], float]  # the loop's clock, asked directly: `trio.current_time` costs twice as much
        self._ending = trio.CancelScope()

    # ------------------------------------------------------------------ a backend defines these

    @abc.abstractmethod
    async def _launch(self, jobs: Sequence[LiveJob]) -> None:
        """Launch `jobs`: see the module's docstring. Jobs that it does not begin are refused.

        It runs in the backend's nursery, so a cancelled caller does not interrupt it; `_begin` returns false instead.
        An exception is a bug, and breaks the backend.
        """

    @abc.abstractmethod
    def _kill(self, jobs: Sequence[LiveJob]) -> None:
        """Begin to kill `jobs`, all at the same time; does not block. Called once for each job that was launched."""

    def _force(self, jobs: Sequence[LiveJob]) -> None:
        """Skip what is left of the gentle steps of the kills of `jobs`. By default does nothing: there are none."""

    def _take_back(self, job: LiveJob) -> bool:
        """Withdraw the launch of `job`; return whether nothing of it runs, or will run.

        Called once for a job that is killed between `_begin` and `_launched`. For backends that queue launches. By
        default a launch that has begun goes on, and `_kill` follows it.
        """
        return False

    async def _setup(self) -> None:
        """Acquire what the backend needs, before the block begins. `open` raises what it raises."""

    async def _serve(self) -> None:
        """Run in the background, shielded, until the block ends. May return early; an exception breaks the backend."""

    async def _teardown(self) -> None:
        """Release what `_setup` acquired. No job is live. Runs shielded, for at most `TEARDOWN_DEADLINE` seconds.

        An exception breaks the backend.
        """

    def _limits(self, spec: Any) -> tuple[float | None, float | None]:
        """Return the `timeout` and the `queue_timeout` of a specification, in seconds; `None` for no limit."""
        return getattr(spec, "timeout", None), getattr(spec, "queue_timeout", None)

    # ------------------------------------------------------------------ a backend calls these

    def _begin(self, job: LiveJob) -> bool:
        """Record that the launch of `job` begins. False: the job was killed already, and must not be launched."""
        if job.stage is not WAITING:
            return False
        job.stage = LAUNCHING
        return True

    def _begin_all(self, jobs: Sequence[LiveJob]) -> list[LiveJob]:
        """Call `_begin` for each of `jobs`; return those that are to be launched."""
        begun = [job for job in jobs if job.stage is WAITING]
        for job in begun:
            job.stage = LAUNCHING
        return begun

    def _launched(self, job: LiveJob, *, running: bool = True, note: str | None = None) -> bool:
        """Record that `job` was launched. If it was killed during its launch, `_kill` is called now.

        Returns:
            False if the job was abandoned as lost during its launch: then the backend must end what runs of it.
        """
        if job.stage is not LAUNCHING:
            return False
        job.stage = LAUNCHED
        if running:
            self._running(job, note=note)
        else:
            self._queued(job)
        # `_stop` could not kill a job whose launch had not returned: there was nothing to send a signal to.
        if job.stop is not None:
            self._request(self._kill, [job])
            if job.forced:
                self._request(self._force, [job])
        return True

    def _launched_all(self, jobs: Iterable[LiveJob]) -> None:
        """Call `_launched` for each of `jobs`. Those that were abandoned during their launch are not LAUNCHED then."""
        now, limits = self._now(), self._limits
        for job in jobs:
            # The usual case inline, which is cheaper than a call of `_launched` for each job.
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
        """Record that `job` ran and ended within its launch: `_launched` and `_complete` in one call."""
        return self._ran_all([(job, status, reason, usage)]) == 1

    def _ran_all(self, ends: Iterable[End]) -> int:
        """Call `_ran` for each of `ends`; return how many of these completions were the first of their job."""
        return self._end_all(ends, ran=True)

    def _running(self, job: LiveJob, *, note: str | None = None) -> None:
        """Record that `job` runs from now on, and start its `timeout`. Posts an event only if there is a `note`."""
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
        """Record that `job` waits in a queue from now on, and start its `queue_timeout`."""
        job.started, job.queued = None, trio.current_time()
        queue_timeout = self._limits(job.spec)[1]
        if queue_timeout is not None:
            self._deadlines.add(job.queued + queue_timeout, job, self._queue_timed_out)

    def _progress(self, job: LiveJob, status: JobStatus, note: str | None = None) -> None:
        """Post a progress event: `job` is QUEUED or RUNNING now, or still waits for the reason in `note`."""
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
        """Refuse `job`, nothing of which runs, because the backend is busy; `why` is optional."""
        if job.stage is DONE:
            return
        self.busy_because = why or self.busy_because
        if job.stop is not None:  # a kill waits for its completion, and a refused job has none
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
        """Queue the completion of `job`. Only the first one counts: returns false if there was one before."""
        return self._end_all([(job, status, reason, usage)]) == 1

    def _end_all(self, ends: Iterable[End], *, ran: bool = False) -> int:
        """Queue the completions of jobs that have ended; return how many were the first of their job.

        With `ran`, jobs whose launch has not returned began to run now as well.
        """
        now = self._now()
        done: list[LiveJob] = []
        events: list[JobCompletionEvent] = []
        try:
            for job, status, reason, usage in ends:
                if job.stage is DONE:  # it was abandoned, or killed, and its end was reported after that
                    self._late += 1
                    continue
                if status not in TERMINAL:
                    move = f"from {job.status.name} to {status.name}"
                    msg = f"a job cannot go {move} when it ends; expected a final status"
                    raise StatusMoveError(msg)
                if ran and job.stage is LAUNCHING:
                    job.started = now
                job.status = status
                job.stage = DONE
                events.append(make_completion(job, reason, now, usage))
                done.append(job)
                if reason is not None and reason.kind is FailureKind.LOST:
                    self._lost.append(job.id)
        finally:  # whatever the iterable raises, the jobs that were taken from it are DONE, and need their completion
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
        """Queue the completion of `job`, which has ended because it was stopped.

        Args:
            job: the job.
            usage: its usage, if that is known.
            reason: the reason of the stop with details added; `None` for the reason as it is.
        """
        if job.stop is None:
            msg = f"{job!r} was not stopped; expected a job that was killed or has exceeded a limit"
            raise RuntimeError(msg)
        kind = job.stop.reason.kind
        return self._complete(job, KILLED if kind is None else kind.status, reason or job.stop.reason, usage)

    def _stop(self, jobs: Iterable[LiveJob], kind: FailureKind, message: str, *, force: bool = False) -> list[LiveJob]:
        """Begin to end `jobs` for the reason given; return those that are still live."""
        now = trio.current_time()
        reason = JobStatusInfo(message, kind=kind)
        to_kill: list[LiveJob] = []
        live: list[LiveJob] = []
        for job in jobs:
            if job.stage is DONE:
                continue
            if job.stop is not None:
                # The first request is the cause. Of two at the same time, a kill precedes a time limit: the order of
                # two tasks that wake at one time is random, and the result must not depend on it.
                if kind is FailureKind.CANCELLED and job.stop.reason.kind in _LIMITS and job.stop.at == now:
                    job.stop = StopCause(reason, now)
                live.append(job)
                continue
            job.stop = StopCause(reason, now)
            # Nothing of these jobs runs, and nothing else would complete them.
            if job.stage is WAITING or (job.stage is LAUNCHING and self._taken_back(job)):
                self._complete_stopped(job)
                continue
            if job.stage is LAUNCHED:
                to_kill.append(job)
            if self.kill_deadline is not None:  # also during its launch, which may hang
                self._deadlines.add(now + self.kill_deadline, job, self._kill_timed_out)
            live.append(job)
        self._request(self._kill, to_kill)
        if force:
            for job in live:
                job.forced = True
            self._request(self._force, [job for job in live if job.stage is LAUNCHED])
        return [job for job in live if job.stage is not DONE]

    def _start_task(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run ``function(*args)`` in the backend's nursery; an exception breaks the backend."""
        self._nursery.start_soon(self._guard, function, *args, name=function)

    def _break(self, error: BaseException) -> None:
        """End the block with `error`, and kill all jobs. Only the first error counts."""
        if self._broken is not None:
            return
        self._broken = self._no_memory(error) or error
        self._body.cancel()
        # A broken backend may never report an end, so the wait for ends needs a limit.
        self._ending.deadline = trio.current_time() + BROKEN_DEADLINE
        # Now, and not when the body has ended: the body may be in a shielded scope, which the cancel does not reach.
        self._stop(self._ledger, FailureKind.BACKEND_ERROR, self._why_broken())

    def _no_memory(self, error: BaseException, what: str = "broke") -> BackendBrokenError | None:
        """Return the error to raise if `error` is out of memory and nothing else, which is not a bug; else `None`."""
        if not is_out_of_memory(error):
            return None
        broken = BackendBrokenError(f"backend {self.name!r} {what}: {NO_MEMORY}")
        broken.__cause__ = error
        return broken

    def _why_broken(self) -> str:
        broken = self._broken
        return str(broken) if isinstance(broken, BackendBrokenError) else f"backend {self.name!r} broke: {broken!r}"

    def _taken_back(self, job: LiveJob) -> bool:
        try:
            return self._take_back(job)
        except Exception as exc:  # noqa: BLE001 - as for `_request`
            self._break(exc)
            return False

    def _request(self, method: Callable[[Sequence[LiveJob]], None], jobs: Sequence[LiveJob]) -> None:
        """Call ``method(jobs)``, which is `_kill` or `_force`. An exception breaks the backend, not the caller."""
        if jobs:
            try:
                method(jobs)
            except Exception as exc:  # noqa: BLE001 - kept, and raised by the block
                self._break(exc)

    # ------------------------------------------------------------------ inside

    def _timed_out(self, job: LiveJob) -> None:
        timeout = self._limits(job.spec)[0]
        if timeout is None or job.started is None or trio.current_time() < job.started + timeout:
            return  # it went back to the queue, and its new start has a deadline of its own
        self._stop([job], FailureKind.TIMEOUT, f"ran for longer than its timeout of {timeout:g} s")

    def _queue_timed_out(self, job: LiveJob) -> None:
        timeout = self._limits(job.spec)[1]
        if timeout is None or job.queued is None or trio.current_time() < job.queued + timeout:
            return  # it runs; or it ran, and its new wait has a deadline of its own
        message = f"waited in the queue for longer than its queue_timeout of {timeout:g} s"
        self._stop([job], FailureKind.QUEUE_TIMEOUT, message)

    def _kill_timed_out(self, job: LiveJob) -> None:
        why = "" if job.stop is None else f" ({job.stop.reason.message})"
        self._fail(job, FailureKind.LOST, f"did not end within {self.kill_deadline:g} s of being asked to{why}")

    @trio.lowlevel.enable_ki_protection
    async def _guard(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run ``function(*args)``; an exception breaks the backend instead of cancelling the nursery."""
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
