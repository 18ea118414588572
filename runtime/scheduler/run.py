"""`Scheduler` and `run_jobs`: run a graph of jobs on one or more backends.

One loop around a pure `plan`: a fact goes in, and the actions that the plan decides go out (`Scheduler._loop`)::

    runners, backends, providers ──► facts ──► Plan ──► actions ──► runners

Each backend has a runner (`runner`), a task that carries out its actions. Callers of `add`, `kill`, `stop` and the like
tell the plan directly, so that an error is raised to them, and wake the loop.
"""

from __future__ import annotations

import contextlib
import functools
import math
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, Generic, cast

import trio

from runtime.backend.contract.backend import RuntimeBackend
from runtime.backend.contract.event_loop import check_in_loop
from runtime.backend.contract.interrupts import call_hook, is_interrupt, wait_through_interrupts
from runtime.job import JobCompletionEvent, JobResult, JobStatus
from runtime.job.protocol import Job, JobT
from runtime.scheduler.actions import Action, Submit
from runtime.scheduler.arguments import backends_by_name, check_arguments, checked_attempts, limit_of
from runtime.scheduler.collector import collector_paused
from runtime.scheduler.dispatcher import BackendLimits
from runtime.scheduler.endings import KnownFailure
from runtime.scheduler.facts import (
    Fact,
    JobsAdded,
    JobsKept,
    KillRequested,
    LimitRequested,
    PauseRequested,
    Request,
    RunEnded,
    StopRequested,
)
from runtime.scheduler.plan import BUSY_TIMEOUT, Plan
from runtime.scheduler.priorities import Ordered, Priority
from runtime.scheduler.providers import ResourceProvider, follow_limits
from runtime.scheduler.requests import record_request
from runtime.scheduler.resources import MissingPolicy, ResourcePool
from runtime.scheduler.runner import BackendRunner
from runtime.scheduler.statistics import SchedulerStatistics
from runtime.scheduler.statuses import StatusChange
from runtime.scheduler.stream import StatusStream

if TYPE_CHECKING:  # a program without a journal does not load it
    from runtime.journal.recorder import Recorder

_CANCELLED: Final = "the end of the run, which was cancelled"
"""What kills the jobs of a cancelled run, for their reasons."""

Limit = int | None | ResourceProvider
"""The limit of a resource: an amount, `None` for unlimited, or a provider that is asked for it."""


class Scheduler(Generic[JobT]):
    """Runs jobs in the order that their dependencies, priorities, slots and resources allow. Each instance runs once.

    It reads only what `Job` has, so jobs may be of other classes than `JobSpec`. What it decides, and the state of each
    job, is its plan's; its own fields are private, and connect the plan with the tasks of the run.

    Args:
        jobs: what to run. More can be added during the run.
        backends: name to backend, or one backend; not opened yet. Each is opened when the first job for it is ready.
        default_backend: the name of the backend for jobs that name none; `None` for the first.
        max_parallelism: how many jobs may be in flight at once on all backends; `None` or 0 for no limit.
        resources: name to limit: an amount, `None` for unlimited, or a `ResourceProvider`, which may change it.
        on_missing_resource: what to do about a job that needs a resource without a limit.
        priority: maps a job and the number of its dependents to something that can be ordered and hashed; larger goes
            first. `None` for weight, then longer timeout, then more dependents.
        max_failures: the run stops after so many jobs with a failure of the design of their own, not counting those
            that are `known`; `None` or 0 for never. Failures of the infrastructure do not count.
        busy_timeout: seconds, from the first refusal, after which a job that its busy backend still refuses is killed,
            with the reason *busy*. The backend is asked again after 0.05 s, then after twice as long each time, at most
            10 s, and at once when one of its jobs ends.
        journal: records the run in a journal, which is open while the run runs: ``Recorder(writer, run_dir)``. If that
            fails, the run goes on.
        run_token: marks the work of this run, so that a later process can find it again; `None` for a random one.
        first_attempts: id to the number of the first attempt at a job, from 1, for a run that continues another one; an
            id that is absent means 1. A job of a batch system that is to be adopted keeps its number; any other attempt
            gets a new one.
        known: tells which failures of the design are known: it is called in the event loop with the job and the reason,
            once for each job that ends with such a failure, and returns a name for it, or `None`. The name is in the
            results (`JobStatusInfo.known`), also in those of the jobs that need that one. `None` for no known failures.

    Raises:
        GraphError: for a duplicate, an unknown dependency or backend, or a cycle; the message shows the cycle's path.
        ResourceError: for a resource without a limit, or a request above a limit that never changes.
        ValueError: for an argument that is not as described.
    """

    def __init__(
        self,
        jobs: Iterable[JobT],
        backends: Mapping[str, RuntimeBackend] | RuntimeBackend,
        *,
        default_backend: str | None = None,
        max_parallelism: int | None = None,
        resources: Mapping[str, Limit] | None = None,
        on_missing_resource: MissingPolicy = "error",
        priority: Priority | None = None,
        max_failures: int | None = None,
        busy_timeout: float = BUSY_TIMEOUT,
        journal: Recorder | None = None,
        run_token: str | None = None,
        first_attempts: Mapping[str, int] | None = None,
        known: KnownFailure | None = None,
    ) -> None:
        backends = backends_by_name(backends)
        check_arguments(run_token=run_token, priority=priority, known=known, busy_timeout=busy_timeout)
        default = next(iter(backends)) if default_backend is None else default_backend
        if default not in backends:
            msg = f"default_backend is {default!r}; expected a backend of this run: {', '.join(sorted(backends))}"
            raise ValueError(msg)
        self._providers: dict[str, ResourceProvider] = {}
        static: dict[str, int | None] = {}
        for name, limit in (resources or {}).items():
            if isinstance(limit, int | None) or not hasattr(limit, "capacity"):
                static[name] = cast("int | None", limit)  # if it is something else, `ResourcePool` says so
            else:
                self._providers[name] = limit
        self._backends = backends
        self._plan = Plan(
            {
                name: BackendLimits(
                    backend.max_parallelism, backend.max_batch, backend.resources, backend.keeps_attempts
                )
                for name, backend in backends.items()
            },
            default,
            max_parallelism=limit_of("max_parallelism", max_parallelism),
            resources=ResourcePool(static, dynamic=self._providers, missing=on_missing_resource),
            priority=None if priority is None else functools.partial(self._ask_priority, priority),
            max_failures=limit_of("max_failures", max_failures),
            busy_timeout=busy_timeout,
            first_attempts=checked_attempts(first_attempts or {}),
            known=known,
        )
        self._actions: dict[str, trio.MemorySendChannel[Action]] = {}
        """To the runner of each backend."""
        self._waiting = trio.CancelScope()
        """The loop waits in it for the next fact. It is cancelled when the plan was told something directly; its
        deadline is when the plan is to be asked although no fact has come."""
        self._providing = trio.CancelScope()
        """The resource providers are asked in it."""
        self._streams: list[StatusStream[JobT]] = []
        self._state = "new"
        self._token: trio.lowlevel.TrioToken | None = None
        """Of the event loop in which it runs."""
        self._halted = trio.Event()
        """Set when all tasks of the run have ended, or when there is an `_interrupt`."""
        self._interrupt: KeyboardInterrupt | None = None
        """A Ctrl-C that came during a call of a hook of the user's, and is still to be raised."""
        self.run_token: str = run_token or secrets.token_hex(8)
        """Marks the work of this run, so that a backend can find it again, for example in a batch system's queue."""
        self._recorder = journal
        self._requests: list[tuple[float, Request]] = []
        """What callers have asked for, and when, that is not in the journal yet."""
        self._kept: list[JobCompletionEvent] = []
        """The results that `keep` was given."""
        self.epoch: float = time.time()
        """The wall time, in seconds since 1970, at which `trio.current_time()` was 0; exact once the run has begun."""
        self._take(jobs)

    def __repr__(self) -> str:
        now = self._plan.statistics()
        return f"<Scheduler {self._state}, {now.unfinished} of {now.total} jobs unfinished>"

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> list[JobResult[JobT]]:
        """Run all jobs, including those that are added during the run; return their results in the order given.

        A job's failure is a result, never an exception; so is the failure of a backend.

        Raises:
            RuntimeError: if it ran before.
            trio.Cancelled: after all jobs were killed and their completions were received, which takes bounded time;
                then `results` is complete.
            KeyboardInterrupt: likewise, if Ctrl-C is pressed and this is awaited by the main task; never in a group. A
                second Ctrl-C meanwhile skips the soft stop and SIGTERM.
        """
        if self._state != "new":
            raise RuntimeError(f"{self!r} was run before; expected a new one for each run")
        self._state = "running"
        self._token = trio.lowlevel.current_trio_token()
        self.epoch = time.time() - trio.current_time()
        if self._recorder is not None:
            self._plan.statuses.completions = []
            self._recorder.begin(self.run_token, self.epoch)
            self._recorder.add(self._plan.jobs())
            self._recorder.keep(self._kept)
        try:
            await trio.lowlevel.checkpoint()  # inside: from here on every job gets a result, whatever happens
            await self._run_all()
        except BaseExceptionGroup as group:
            if is_interrupt(group):
                raise KeyboardInterrupt from group
            raise
        finally:
            self._state = "ended"
            now = trio.current_time()
            self._plan.apply(RunEnded(f"killed by {_CANCELLED}"), now)
            self._publish()
            if self._recorder is not None:
                self._record(self._recorder, (), now)
                self._recorder.end(now, self._plan.stopped_by)
            for stream in list(self._streams):
                stream.close()
        return self.results()

    def add(self, jobs: Iterable[JobT]) -> None:
        """Add jobs, before the run or during it; they may depend on any job of the run.

        Raises:
            GraphError: as for the constructor; none of the jobs was taken.
            ResourceError: as for the constructor; none of the jobs was taken.
            RuntimeError: if the run has ended; during a run, from another thread. None of the jobs was taken.
        """
        check_in_loop(self._token, "Scheduler.add()")
        if self._state not in ("new", "running"):
            raise RuntimeError(f"{self!r} takes no more jobs")
        self._take(jobs)

    def keep(self, completions: Iterable[JobCompletionEvent], *, earlier: Iterable[JobCompletionEvent] = ()) -> None:
        """Take completions of an earlier process, or of another run, as the results of their jobs, which are not run.

        Args:
            completions: of jobs of this run that passed, each once, with times on the clock of this process.
            earlier: of attempts that did not pass, at jobs that the earlier process was to try again, and that are run:
                they count as attempts of this run, so a job has the retries that were left, and may be flaky. Of each
                job in their order, all before its first attempt of this run (`first_attempts`), with times as above,
                and the paths that their files have when the next attempt has begun.

        Raises:
            GraphError: for an unknown job; none was taken.
            ValueError: for a job that did not pass, or is given twice; for an earlier attempt that passed, or is not
                before the first one of this run. None was taken.
            RuntimeError: if the run has begun.
        """
        if self._state != "new":
            raise RuntimeError(f"{self!r} has begun; expected the results that are kept before that")
        events, attempts = list(completions), list(earlier)
        ids = [event.job_id for event in events]
        if len({*ids, *(event.job_id for event in self._kept)}) < len(ids) + len(self._kept):
            raise ValueError("a completion is given twice; expected one for each job that is kept")
        for event in events:
            if event.status is not JobStatus.PASSED:
                raise ValueError(f"the completion of job {event.job_id!r} is {event.status.name}; expected PASSED")
        for event in attempts:
            if event.status is JobStatus.PASSED:
                raise ValueError(f"attempt {event.attempt} at job {event.job_id!r} passed; expected one that did not")
        self._tell(JobsKept(events, attempts))
        self._kept += events

    def kill(self, ids: Iterable[str], *, by: str = "the caller", force: bool = False) -> None:
        """Kill jobs, ignoring those that have ended.

        Jobs that depend on them end without running, unless their `run_if` allows it.

        Raises:
            GraphError: if an id is unknown; then nothing is killed.
            RuntimeError: during a run, from another thread; then nothing is killed.
        """
        check_in_loop(self._token, "Scheduler.kill()")
        self._take_request(KillRequested(list(ids), by, force))

    @trio.lowlevel.enable_ki_protection
    def stop(self, *, by: str = "the caller", force: bool = False, drain: bool = False) -> None:
        """Start no more jobs, whatever their `run_if` is; `run` returns when the jobs in flight have completed.

        It can be called again to stop harder.

        Args:
            by: who asks for it, for the reasons of the jobs.
            force: kill jobs in flight without soft stop and SIGTERM.
            drain: let jobs in flight end by themselves.

        Raises:
            RuntimeError: during a run, from another thread; then nothing is stopped.
        """
        if self._state != "ended":
            check_in_loop(self._token, "Scheduler.stop()")
            self._take_request(StopRequested(by, force, drain))

    @trio.lowlevel.enable_ki_protection
    def pause_launching(self, *, by: str = "the caller") -> None:
        """Launch no more jobs until `resume_launching`. Jobs in flight run on, and a kill or a stop has its effect.

        Args:
            by: who asks for it: `paused_by`.

        Raises:
            RuntimeError: during a run, from another thread; then nothing has changed.
        """
        check_in_loop(self._token, "Scheduler.pause_launching()")
        self._take_request(PauseRequested(by))

    @trio.lowlevel.enable_ki_protection
    def resume_launching(self, *, by: str = "the caller") -> None:
        """Launch jobs again after `pause_launching`; without that, nothing happens.

        Args:
            by: who asks for it, for the journal.

        Raises:
            RuntimeError: during a run, from another thread; then nothing has changed.
        """
        check_in_loop(self._token, "Scheduler.resume_launching()")
        self._take_request(PauseRequested(by, paused=False))

    @property
    def paused_by(self) -> str | None:
        """Who paused launching; `None` while it goes on."""
        return self._plan.paused_by

    def set_limit(self, resource: str, limit: int | None, *, by: str = "the caller") -> None:
        """Set the limit of a resource of the run. It counts to the end, whatever a provider tells from now on.

        Jobs that hold more keep it. Jobs that need more than the limit wait: it may be set again.

        Args:
            resource: its name: of one that was given a limit, or that a job needs.
            limit: an amount; `None` for unlimited.
            by: who asks for it, for the journal.

        Raises:
            ResourceError: if there is no such resource, or it is no limit; then nothing has changed.
            RuntimeError: during a run, from another thread; then nothing has changed.
        """
        check_in_loop(self._token, "Scheduler.set_limit()")
        self._take_request(LimitRequested(resource, limit, by))

    @trio.lowlevel.enable_ki_protection
    def results(self) -> list[JobResult[JobT]]:
        """Return the results of the jobs that have ended, in the order given; after `run`, of all jobs."""
        with collector_paused():
            return cast("list[JobResult[JobT]]", self._plan.results())  # a plan takes any job, and gives back the same

    def statistics(self) -> SchedulerStatistics:
        """Return a snapshot of the run."""
        return self._plan.statistics()

    def subscribe(self, buffer: float = 1024) -> StatusStream[JobT]:
        """Return a stream of the status changes from now on, which drops changes rather than delay the run.

        Args:
            buffer: how many changes it holds; when it is full the oldest is dropped. `math.inf` for all.
        """
        stream = StatusStream(buffer, self._unsubscribe)
        if self._state == "ended":
            stream.close()
        else:
            self._streams.append(stream)
            if self._plan.statuses.changes is None:
                self._plan.statuses.changes = []
        return stream

    # ------------------------------------------------------------------ inside

    def _take(self, jobs: Iterable[JobT]) -> None:
        # The list is made here, where Ctrl-C is not held back: an iterator is the user's code, and may take long.
        added = list(jobs)
        self._tell(JobsAdded(added))
        if self._recorder is not None and self._state == "running":
            self._recorder.add(added)

    @trio.lowlevel.enable_ki_protection
    def _tell(self, fact: Fact) -> None:
        """Tell the plan a fact of the caller, and wake the loop. Raises what `Plan.apply` does."""
        self._plan.apply(fact, 0.0 if self._state == "new" else trio.current_time())
        self._waiting.cancel()

    @trio.lowlevel.enable_ki_protection
    def _take_request(self, request: Request) -> None:
        """Tell the plan what a caller asks for; record it, if that raised no error."""
        self._tell(request)
        if self._recorder is not None and self._state != "ended":
            self._requests.append((0.0 if self._state == "new" else trio.current_time(), request))

    def _ask_priority(self, priority: Priority, job: Job, dependents: int) -> Ordered:
        """Call the priority function for the plan.

        A Ctrl-C in it is raised later: it must not leave the plan in the middle of a decision.
        """
        try:
            return call_hook(priority, job, dependents)
        except KeyboardInterrupt as exc:
            self._interrupt = exc  # `_run_all` raises it
            self._halted.set()
            raise RuntimeError("it was interrupted") from exc

    async def _run_all(self) -> None:
        """Run until all jobs have ended. However it ends, the backends have ended."""
        ended = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run_tasks, ended)
            try:
                await self._halted.wait()
                if self._interrupt is not None:
                    raise self._interrupt
            except BaseException:
                # The backends kill all jobs, which takes bounded time. The plan must start no others, and know why.
                self._tell(StopRequested(_CANCELLED))
                nursery.cancel_scope.cancel()
                # A second Ctrl-C meanwhile forces the kills.
                interrupt = await wait_through_interrupts(ended, lambda _: self._force("a second Ctrl-C"))
                if interrupt is not None:
                    raise interrupt  # noqa: B904 - the first is its context, or a cancellation
                raise

    @trio.lowlevel.enable_ki_protection
    async def _run_tasks(self, ended: trio.Event) -> None:
        """Run the runners of the backends, and the loop, which ends after them."""
        # Without a limit, so that nobody who tells a fact waits. The loop takes each at once.
        send, receive = trio.open_memory_channel[Fact](math.inf)
        try:
            with receive:
                async with trio.open_nursery() as nursery:
                    with send:
                        for name, backend in self._backends.items():
                            self._actions[name], actions = trio.open_memory_channel[Action](math.inf)
                            runner = BackendRunner(name, backend, actions, send.clone(), self._recorder)
                            nursery.start_soon(runner.run, self.run_token)
                        nursery.start_soon(self._follow_limits, send.clone())
                    # Shielded, because the completions of a cancelled run count as well. The shield has no deadline of
                    # its own: the channel ends with the backends' blocks, whose ends are bounded.
                    with trio.CancelScope(shield=True):
                        await self._loop(receive)
        finally:
            ended.set()
            self._halted.set()

    async def _loop(self, facts: trio.MemoryReceiveChannel[Fact]) -> None:
        """Act as the plan decides, after each fact, until all who tell facts have ended."""
        while True:
            with trio.CancelScope() as self._waiting:
                self._act()
                async for fact in facts:
                    if self._recorder is not None and isinstance(fact, tuple):
                        self._recorder.progress(fact)
                    self._plan.apply(fact, trio.current_time())
                    del fact  # it may hold a handle of each job of a submission, see `make_handles`
                    self._act()
                return

    def _act(self) -> None:
        """Pass the plan's actions on to the runners, and its changes to watchers. Never blocks."""
        now = trio.current_time()
        actions = self._plan.decide(now)
        if self._recorder is not None:
            self._record(self._recorder, actions, now)
        for action in actions:
            # A runner that has ended takes no action; its `BackendEnded` is on its way, and ends the jobs concerned.
            with contextlib.suppress(trio.BrokenResourceError):
                self._actions[action.backend].send_nowait(action)
        self._publish()
        if self._plan.statuses.unfinished:
            self._waiting.deadline = self._plan.wake_at(now)
        elif self._state == "running":
            self._state = "ending"
            self._providing.cancel()
            for channel in self._actions.values():
                channel.close()  # nothing more to do: the runner ends

    def _record(self, recorder: Recorder, actions: Iterable[Action], now: float) -> None:
        """Record completions since the last call, a stop, and the intents of `actions`, before those are acted on."""
        for at, request in self._requests:  # before what follows of it
            record_request(recorder, request, at)
        self._requests.clear()
        # The completions first: a job is submitted after those that it needs have ended, and the journal says so.
        statuses = self._plan.statuses
        if statuses.retried:  # before all others: a job that waited for its next attempt may have ended since
            recorder.ended(statuses.retried, again=True)
            statuses.retried.clear()
        completions = statuses.completions
        if completions:
            recorder.ended(completions)
            completions.clear()
        recorder.stopping(now, self._plan.stopped_by)
        for action in actions:
            if isinstance(action, Submit):
                ids = [job.id for job in action.jobs]
                attempts = action.attempts
                numbers = [attempts.get(job_id, 1) for job_id in ids] if attempts else [1] * len(ids)
                queued = self._backends[action.backend].jobs_outlive_runtime
                recorder.starting(action.backend, ids, numbers, now, queued=queued)

    @trio.lowlevel.enable_ki_protection
    async def _follow_limits(self, facts: trio.MemorySendChannel[Fact]) -> None:
        with facts, self._providing:
            await follow_limits(self._providers, facts)

    def _force(self, by: str) -> None:
        """Kill all jobs without soft stop and SIGTERM, also where a kill is in progress."""
        for backend in self._backends.values():
            backend.close(by=by, force=True)

    def _unsubscribe(self, stream: StatusStream[JobT]) -> None:
        if stream in self._streams:
            self._streams.remove(stream)
        if not self._streams:
            self._plan.statuses.changes = None

    def _publish(self) -> None:
        changes = self._plan.statuses.changes
        if changes:
            for stream in self._streams:
                stream.put(cast("list[StatusChange[JobT]]", changes))  # as in `results`
            changes.clear()


async def run_jobs(
    jobs: Iterable[JobT],
    backends: Mapping[str, RuntimeBackend] | RuntimeBackend,
    *,
    default_backend: str | None = None,
    max_parallelism: int | None = None,
    resources: Mapping[str, Limit] | None = None,
    on_missing_resource: MissingPolicy = "error",
    priority: Priority | None = None,
    max_failures: int | None = None,
    busy_timeout: float = BUSY_TIMEOUT,
) -> list[JobResult[JobT]]:
    """Run `jobs` and return their results, in the order given. See `Scheduler` for arguments and errors.

    A job's failure is a result, never an exception. If this is cancelled, it kills all jobs before it raises
    `trio.Cancelled`.
    """
    scheduler = Scheduler(
        jobs,
        backends,
        default_backend=default_backend,
        max_parallelism=max_parallelism,
        resources=resources,
        on_missing_resource=on_missing_resource,
        priority=priority,
        max_failures=max_failures,
        busy_timeout=busy_timeout,
    )
    return await scheduler.run()
