"""`Control`: what a driver calls, and the life of each job from its submission to its completion.

One method completes jobs (`Control.finish_all`), one stops them (`Control.stop`), and one abandons those that do not
end (`Control._kill_timed_out`). The methods that take many jobs exist because a call for each job costs as much as what
it does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Final

import trio

from runtime.backend.contract.courier import Courier
from runtime.backend.contract.deadlines import Deadlines
from runtime.backend.contract.driver import Driver
from runtime.backend.contract.live import DONE, LAUNCHED, LAUNCHING, WAITING, Ledger, LiveJob, StopCause
from runtime.backend.contract.slow_jobs import SlowJobs
from runtime.backend.contract.tasks import Tasks
from runtime.errors import StatusMoveError
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

JobEnd = tuple[LiveJob, JobStatus, JobStatusInfo | None, JobUsage | None]
"""A job, its final status, the reason unless it passed, and its usage if that is known."""


class Control:
    """Records what happens to the jobs of an open backend, and sends their events.

    A driver is given one. Nothing here blocks; all of it is called in the event loop.

    Args:
        tasks: the nursery of the backend.
        ledger: its live jobs.
        courier: delivers its events.
        run_token: see `run_token`.
    """

    def __init__(self, tasks: Tasks, ledger: Ledger, courier: Courier, run_token: str) -> None:
        self.run_token: Final = run_token
        """The mark of this run's jobs in a batch system."""
        self.deadlines: Final = Deadlines()
        """Deadlines of live jobs: a driver may add its own, and move all of them."""
        self.busy_because: str = ""
        """The reason of the latest refusal, if it is known."""
        self._driver: Driver
        self._tasks = tasks
        self._ledger = ledger
        self._courier = courier
        # The loop's clock, asked directly: `trio.current_time` costs twice as much.
        self._now: Callable[[], float] = trio.lowlevel.current_clock().current_time
        self._slow: SlowJobs

    def attach(self, driver: Driver) -> None:
        """Let `driver` make the kills from now on. Called once, before the block begins."""
        self._driver = driver
        self._slow = SlowJobs(self.deadlines, self._courier, driver.has_ended, self._now)

    @property
    def name(self) -> str:
        """The name of the backend."""
        return self._tasks.name

    def live_jobs(self) -> Iterator[LiveJob]:
        """Return an iterator of the jobs that are live now; jobs may end while it is read."""
        return iter(self._ledger)

    @property
    def live(self) -> int:
        """How many jobs are live."""
        return len(self._ledger)

    def when_jobs_end(self, function: Callable[[Sequence[LiveJob]], object]) -> None:
        """Call `function` from now on with the jobs that are no longer live, whenever there are some.

        It must not block, and must not end a job. There is one such function at most.
        """
        self._ledger.on_removed = function

    # ------------------------------------------------------------------ the launch of a job

    def begin(self, job: LiveJob) -> bool:
        """Record that the launch of `job` begins. False: the job was killed already, and must not be launched."""
        if job.stage is not WAITING:
            return False
        job.stage = LAUNCHING
        return True

    def begin_all(self, jobs: Sequence[LiveJob]) -> list[LiveJob]:
        """Call `begin` for each of `jobs`; return those that are to be launched."""
        begun = [job for job in jobs if job.stage is WAITING]
        for job in begun:
            job.stage = LAUNCHING
        return begun

    def started(self, job: LiveJob, note: str | None = None) -> bool:
        """Record that `job` was launched, and runs. If it was killed during its launch, `Driver.kill` is called now.

        Args:
            job: a job whose launch has begun.
            note: where it runs, for a progress event; `None` for no event.

        Returns:
            False if the job was abandoned as lost during its launch: then the driver must end what runs of it.
        """
        if job.stage is not LAUNCHING:
            return False
        job.stage = LAUNCHED
        self._run(job, note)
        self._kill_if_stopped(job)
        return True

    def started_all(self, jobs: Iterable[LiveJob]) -> None:
        """Call `started` for each of `jobs`. Those that were abandoned during their launch are not LAUNCHED then."""
        now, limits = self._now(), self._driver.limits
        for job in jobs:
            # The usual case inline, which is cheaper than a call of `started` for each job.
            is_usual = job.stage is LAUNCHING and job.status is QUEUED and job.stop is None
            if is_usual and limits(job.spec)[0] is None and getattr(job.spec, "slow", None) is None:
                job.stage, job.status = LAUNCHED, RUNNING
                job.started, job.queued = now, None
            else:
                self.started(job)

    def queued(self, job: LiveJob) -> bool:
        """Record that `job` was launched, and waits in a queue. Otherwise like `started`."""
        if job.stage is not LAUNCHING:
            return False
        job.stage = LAUNCHED
        self._wait(job)
        self._kill_if_stopped(job)
        return True

    def wait_anew(self, job: LiveJob) -> None:
        """Record that a QUEUED job waits for something else from now on: its `queue_timeout` begins again."""
        if job.stage is not DONE and job.status is QUEUED:
            self._wait(job)

    def progress(self, job: LiveJob, status: JobStatus, note: str | None = None) -> None:
        """Post a progress event: `job` is QUEUED or RUNNING now, or still waits for the reason in `note`."""
        if job.stage is DONE:
            return
        if status is RUNNING and job.status is not status:
            self._run(job, note or "")
            return
        if status is not job.status:
            job.status = check_move(job.status, status)
            self._wait(job)
        self._courier.post_progress(JobProgressEvent(job.id, job.attempt, status, self._now(), note))

    def refuse(self, job: LiveJob, why: str = "") -> None:
        """Refuse `job`, nothing of which runs, because the backend is busy; `why` is optional."""
        if job.stage is DONE:
            return
        self.busy_because = why or self.busy_because
        if job.stop is not None:  # a kill waits for its completion, and a refused job has none
            self.finish_stopped(job)
            return
        self._ledger.remove(job, accepted=False)

    # ------------------------------------------------------------------ the end of a job

    def finish(
        self, job: LiveJob, status: JobStatus, reason: JobStatusInfo | None = None, usage: JobUsage | None = None
    ) -> bool:
        """Queue the completion of `job`. Only the first one counts: returns false if there was one before.

        Raises:
            StatusMoveError: if `status` is not a final status.
        """
        return self.finish_all([(job, status, reason, usage)]) == 1

    def finish_all(self, ends: Iterable[JobEnd], *, ran: bool = False) -> int:
        """Queue the completions of jobs that have ended; return how many were the first of their job.

        Args:
            ends: the jobs, and how each has ended.
            ran: whether jobs whose launch has not returned began to run, now.

        Raises:
            StatusMoveError: if a status is not a final status. Those before it are queued.
        """
        now = self._now()
        done: list[LiveJob] = []
        events: list[JobCompletionEvent] = []
        try:
            for job, status, reason, usage in ends:
                if job.stage is DONE:  # it was abandoned, or killed, and its end was reported after that
                    self._ledger.late += 1
                    continue
                if status not in TERMINAL:
                    move = f"from {job.status.name} to {status.name}"
                    raise StatusMoveError(f"a job cannot go {move} when it ends; expected a final status")
                if ran and job.stage is LAUNCHING:
                    job.started = now
                job.status = status
                job.stage = DONE
                events.append(make_completion(job, reason, now, usage))
                done.append(job)
                if reason is not None and reason.kind is FailureKind.LOST:
                    self._ledger.lost.append(job.id)
        finally:  # whatever the iterable raises, the jobs that were taken from it are DONE, and need their completion
            self._courier.post(*events)
            self._ledger.remove(*done)
        return len(events)

    def fail(
        self,
        job: LiveJob,
        kind: FailureKind,
        message: str,
        *,
        context: Sequence[str] | None = None,
        usage: JobUsage | None = None,
    ) -> bool:
        """Queue the completion of `job` with a reason of this kind, and the status that goes with it."""
        return self.finish(job, kind.status, JobStatusInfo(message, context=context, kind=kind), usage)

    def finish_stopped(self, job: LiveJob, usage: JobUsage | None = None, reason: JobStatusInfo | None = None) -> bool:
        """Queue the completion of `job`, which has ended because it was stopped.

        Args:
            job: the job.
            usage: its usage, if that is known.
            reason: the reason of the stop with details added; `None` for the reason as it is.

        Raises:
            RuntimeError: if the job was not stopped.
        """
        if job.stop is None:
            raise RuntimeError(f"{job!r} was not stopped; expected a job that was killed or has exceeded a limit")
        kind = job.stop.reason.kind
        return self.finish(job, KILLED if kind is None else kind.status, reason or job.stop.reason, usage)

    def stop(self, jobs: Iterable[LiveJob], kind: FailureKind, message: str, *, force: bool = False) -> list[LiveJob]:
        """Begin to end `jobs`; return those that are still live.

        Args:
            jobs: the jobs. Those that have ended, and those that are being stopped already, keep their reason.
            kind: the kind of the reason.
            message: the text of the reason.
            force: whether the gentle steps are skipped, also for jobs that are being stopped already.
        """
        now = self._now()
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
                    job.stop.reason = reason
                live.append(job)
                continue
            job.stop = StopCause(reason, now)
            # Nothing of these jobs runs, and nothing else would complete them.
            if job.stage is WAITING or (job.stage is LAUNCHING and self._was_taken_back(job)):
                self.finish_stopped(job)
                continue
            if job.stage is LAUNCHED:
                to_kill.append(job)
            if (limit := self._driver.kill_deadline) is not None:  # also during its launch, which may hang
                self.deadlines.add(now + limit, job, self._kill_timed_out)
            live.append(job)
        self._request(self._driver.kill, to_kill)
        if force:
            for job in live:
                if job.stop is not None:
                    job.stop.forced = True
            self._request(self._driver.force, [job for job in live if job.stage is LAUNCHED])
        return [job for job in live if job.stage is not DONE]

    # ------------------------------------------------------------------ the backend

    def start_task(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run ``function(*args)`` in the backend's nursery, protected from Ctrl-C; an exception breaks the backend."""
        self._tasks.start(function, *args)

    def break_backend(self, error: BaseException) -> None:
        """End the block with `error`, and kill all jobs. Only the first error counts."""
        self._tasks.fail(error)

    # ------------------------------------------------------------------ inside

    def _run(self, job: LiveJob, note: str | None) -> None:
        """Record that `job` runs from now on, and start its `timeout`. Posts an event only if there is a `note`."""
        if job.stage is DONE or job.status is RUNNING:
            return
        job.status = check_move(job.status, RUNNING)
        job.started, job.queued = self._now(), None
        if note is not None:
            self._courier.post_progress(JobProgressEvent(job.id, job.attempt, RUNNING, job.started, note))
        timeout = self._driver.limits(job.spec)[0]
        if timeout is not None:
            self.deadlines.add(job.started + timeout, job, self._timed_out)
        if getattr(job.spec, "slow", None) is not None:
            self._slow.watch(job)

    def _wait(self, job: LiveJob) -> None:
        """Record that `job` waits in a queue from now on, and start its `queue_timeout`."""
        job.started, job.queued = None, self._now()
        queue_timeout = self._driver.limits(job.spec)[1]
        if queue_timeout is not None:
            self.deadlines.add(job.queued + queue_timeout, job, self._queue_timed_out)

    def _kill_if_stopped(self, job: LiveJob) -> None:
        # `stop` could not kill a job whose launch had not returned: there was nothing to send a signal to.
        if job.stop is not None:
            self._request(self._driver.kill, [job])
            if job.stop.forced:
                self._request(self._driver.force, [job])

    def _was_taken_back(self, job: LiveJob) -> bool:
        try:
            return self._driver.take_back(job)
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - kept, and raised by the block
            self._tasks.fail(exc)
            return False

    def _request(self, method: Callable[[Sequence[LiveJob]], None], jobs: Sequence[LiveJob]) -> None:
        """Call ``method(jobs)`` of the driver. An exception breaks the backend, and does not reach the caller."""
        if jobs:
            try:
                method(jobs)
            except (Exception, SystemExit) as exc:  # noqa: BLE001 - kept, and raised by the block
                self._tasks.fail(exc)

    def _timed_out(self, job: LiveJob) -> None:
        timeout = self._driver.limits(job.spec)[0]
        if timeout is None or job.started is None or self._now() < job.started + timeout:
            return  # it went back to the queue, and its new start has a deadline of its own
        if not self._driver.has_ended(job):
            self.stop([job], FailureKind.TIMEOUT, f"ran for longer than its timeout of {timeout:g} s")

    def _queue_timed_out(self, job: LiveJob) -> None:
        timeout = self._driver.limits(job.spec)[1]
        if timeout is None or job.queued is None or self._now() < job.queued + timeout:
            return  # it runs; or it ran, and its new wait has a deadline of its own
        message = f"waited {self._driver.describe_wait(job)} for longer than its queue_timeout of {timeout:g} s"
        self.stop([job], FailureKind.QUEUE_TIMEOUT, message)

    def _kill_timed_out(self, job: LiveJob) -> None:
        why = "" if job.stop is None else f" ({job.stop.reason.message})"
        limit = self._driver.kill_deadline or 0.0
        self.fail(job, FailureKind.LOST, f"did not end within {limit:g} s of being asked to{why}")


_LIMITS: Final = (FailureKind.TIMEOUT, FailureKind.IDLE, FailureKind.QUEUE_TIMEOUT)
