"""`Scheduler` and `run_jobs`: run a graph of jobs on one or more backends.

The thin trio shell around `plan`. Facts come from the backend runners (one task per backend, see `runner`) and from
callers of `add`, `kill` and `stop`. After each the plan is asked once what to do (`_dispatch`, which never blocks), and
its actions go to the runners.
"""

from __future__ import annotations

import functools
import logging
import math
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
import trio

from runtime.backend.backend import RuntimeBackend
from runtime.backend.event_loop import check_in_loop
from runtime.backend.interrupts import await_hook, call_hook, is_interrupt, wait_through_interrupts
from runtime.job import JobResult, JobStatus
from runtime.job.numbers import brief, is_number
from runtime.scheduler.actions import Kill
from runtime.scheduler.collector import collector_paused
from runtime.scheduler.plan import BUSY_TIMEOUT, Plan, Priority
from runtime.scheduler.resources import MissingPolicy, ResourcePool, ResourceProvider
from runtime.scheduler.runner import BackendRunner
from runtime.scheduler.stream import StatusStream

logger: Final = logging.getLogger("runtime.scheduler")

_CANCELLED: Final = "killed by the end of the run, which was cancelled"
"""The reason of jobs that have no completion when a cancelled run has ended."""

PROVIDER_INTERVAL: Final = 10.0
"""Seconds between two calls of a resource provider. Arbitrary: ten times longer, released licences would lie idle for
minutes; ten times shorter, a licence server that many runs ask would be flooded."""
PROVIDER_DEADLINE: Final = 10.0
"""Seconds that a resource provider may take to answer. Arbitrary: ten times longer, a server that hangs is reported
late; ten times shorter, one that is only slow counts as failing."""
PROVIDER_LONGEST_DELAY: Final = 300.0
"""The longest delay between two calls of a provider that fails, in seconds. Arbitrary: ten times longer, most of an
hour would pass before a server that is back is noticed; ten times shorter, one that is down is asked without need."""

Limit = int | None | ResourceProvider
"""The limit of a resource: an amount, `None` for unlimited, or a provider that is asked for it."""


@attrs.frozen
class SchedulerStatistics:
    """A snapshot of a run."""

    counts: Mapping[JobStatus, int]
    """How many jobs are in each status."""
    total: int
    unfinished: int
    never_ran: int
    """Of the jobs that were killed, those that ended before they began to run."""
    in_flight: int
    """Jobs that were submitted to a backend and have not completed."""
    stray_events: int
    """Events that were dropped, because they belong to no attempt in flight."""
    resources: Mapping[str, tuple[int, int | None]]
    """Name to the amount held and the limit."""


class Scheduler:
    """Runs jobs in the order that their dependencies, priorities, slots and resources allow. Each instance runs once.

    It reads only these attributes of a job: `id`, `dependencies`, `backend`, `resources`, `weight`, `run_if` (or
    `needs_all_dependencies_passing`, which DVSim's jobs have), and `timeout` if there is one. So instances of other
    classes work as well.

    Args:
        jobs: what to run. More can be added during the run.
        backends: name to backend, or one backend; not opened yet. Each is opened when the first job for it is ready.
        default_backend: the name of the backend for jobs that name none; `None` for the first.
        max_parallelism: how many jobs may be in flight at once on all backends; `None` or 0 for no limit.
        resources: name to limit: an amount, `None` for unlimited, or a `ResourceProvider`, which may change it.
        on_missing_resource: what to do about a job that needs a resource without a limit.
        priority: maps a job and the number of its dependents to something that can be ordered and hashed; larger goes
            first. `None` for weight, then longer timeout, then more dependents.
        max_failures: the run stops after so many jobs that failed or were killed, not counting those that ended because
            of a dependency or were killed by the caller; `None` or 0 for never.
        busy_timeout: seconds, from the first refusal, after which a job that its busy backend still refuses is killed,
            with the reason *busy*. The backend is asked again after 0.05 s, then after twice as long each time, at most
            10 s, and at once when one of its jobs ends.

    Raises:
        GraphError: for a duplicate, an unknown dependency or backend, or a cycle; the message shows the cycle's path.
        ResourceError: for a resource without a limit, or a request above a limit that never changes.
        ValueError: for an argument that is not as described.
    """

    def __init__(
        self,
        jobs: Iterable[Any],
        backends: Mapping[str, RuntimeBackend] | RuntimeBackend,
        *,
        default_backend: str | None = None,
        max_parallelism: int | None = None,
        resources: Mapping[str, Limit] | None = None,
        on_missing_resource: MissingPolicy = "error",
        priority: Priority | None = None,
        max_failures: int | None = None,
        busy_timeout: float = BUSY_TIMEOUT,
    ) -> None:
        backends = _by_name(backends)
        if priority is not None and not callable(priority):
            msg = f"priority is {priority!r}; expected a function of a job and the number of its dependents, or None"
            raise ValueError(msg)
        if busy_timeout != math.inf and not (is_number(busy_timeout) and busy_timeout >= 0):
            msg = f"busy_timeout is {brief(busy_timeout)}; expected seconds, from 0"
            raise ValueError(msg)
        default = next(iter(backends)) if default_backend is None else default_backend
        if default not in backends:
            msg = f"default_backend is {default!r}; expected a backend of this run: {', '.join(sorted(backends))}"
            raise ValueError(msg)
        limits = dict(resources or {})
        self._providers = {
            name: limit
            for name, limit in limits.items()
            if not isinstance(limit, int | None) and hasattr(limit, "capacity")
        }
        static: dict[str, Any] = {name: limit for name, limit in limits.items() if name not in self._providers}
        self._plan = Plan(
            {name: backend.max_parallelism for name, backend in backends.items()},
            default,
            max_parallelism=_limit("max_parallelism", max_parallelism),
            resources=ResourcePool(static, dynamic=self._providers, missing=on_missing_resource),
            priority=None if priority is None else functools.partial(self._ask_priority, priority),
            max_failures=_limit("max_failures", max_failures),
            busy_timeout=busy_timeout,
            batches={name: backend.max_batch for name, backend in backends.items()},
            provided={name: backend.resources for name, backend in backends.items()},
        )
        self._runners = {
            name: BackendRunner(name, backend, self._plan, self._dispatch) for name, backend in backends.items()
        }
        self._streams: list[StatusStream] = []
        self._state = "new"
        self._done: trio.Event | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        """Of the event loop in which it runs."""
        self._interrupt: KeyboardInterrupt | None = None
        """A Ctrl-C that came during a call of a hook of the user's, and is still to be raised."""
        self.run_token = secrets.token_hex(8)
        """Marks the work of this run, so that a backend can find it again, for example in a batch system's queue."""
        self.epoch = time.time()
        """The wall time, in seconds since 1970, at which `trio.current_time()` was 0; exact once the run has begun."""
        self._take(jobs)

    def __repr__(self) -> str:
        return (
            f"<Scheduler {self._state}, {self._plan.unfinished} of {sum(self._plan.counts.values())} jobs unfinished>"
        )

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> list[JobResult]:
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
            msg = f"{self!r} was run before; expected a new one for each run"
            raise RuntimeError(msg)
        self._state = "running"
        self._done = trio.Event()
        self._token = trio.lowlevel.current_trio_token()
        self.epoch = time.time() - trio.current_time()
        try:
            await trio.lowlevel.checkpoint()  # inside: from here on every job gets a result, whatever happens
            await self._run_all()
        except BaseExceptionGroup as group:
            if is_interrupt(group):
                raise KeyboardInterrupt from group
            raise
        finally:
            self._state = "ended"
            self._plan.finish(_CANCELLED, trio.current_time())
            self._publish()
            for stream in list(self._streams):
                stream.close()
        return self.results()

    def add(self, jobs: Iterable[Any]) -> None:
        """Add jobs, before the run or during it; they may depend on any job of the run.

        Raises:
            GraphError: as for the constructor; none of the jobs was taken.
            ResourceError: as for the constructor; none of the jobs was taken.
            RuntimeError: if the run has ended; during a run, from another thread. None of the jobs was taken.
        """
        check_in_loop(self._token, "Scheduler.add()")
        if self._state not in ("new", "running"):
            msg = f"{self!r} takes no more jobs"
            raise RuntimeError(msg)
        self._take(jobs)

    def kill(self, ids: Iterable[str], *, by: str = "the caller", force: bool = False) -> None:
        """Kill jobs, ignoring those that have ended.

        Jobs that depend on them end without running, unless their `run_if` allows it.

        Raises:
            GraphError: if an id is unknown; then nothing is killed.
            RuntimeError: during a run, from another thread; then nothing is killed.
        """
        check_in_loop(self._token, "Scheduler.kill()")
        self._kill(list(ids), by, force=force)

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
            self._plan.stop(by, self._now(), force=force, drain=drain)
            self._dispatch()

    @trio.lowlevel.enable_ki_protection
    def results(self) -> list[JobResult]:
        """Return the results of the jobs that have ended, in the order given; after `run`, of all jobs."""
        with collector_paused():
            return self._plan.results()

    def statistics(self) -> SchedulerStatistics:
        """Return a snapshot of the run."""
        plan = self._plan
        counts = dict(plan.counts)
        return SchedulerStatistics(
            counts,
            sum(counts.values()),
            plan.unfinished,
            plan.never_ran,
            plan.in_flight,
            plan.stray,
            plan.usage(),
        )

    def subscribe(self, buffer: float = 1024) -> StatusStream:
        """Return a stream of the status changes from now on, which drops changes rather than delay the run.

        Args:
            buffer: how many changes it holds; when it is full the oldest is dropped. `math.inf` for all.
        """
        stream = StatusStream(buffer, self._unsubscribe)
        if self._state == "ended":
            stream.close()
        else:
            self._streams.append(stream)
            if self._plan.changes is None:
                self._plan.changes = []
        return stream

    # ------------------------------------------------------------------ inside

    def _take(self, jobs: Iterable[Any]) -> None:
        # Here, where Ctrl-C is not held back: an iterator is the user's code, and may take long.
        self._enter(list(jobs))

    @trio.lowlevel.enable_ki_protection
    def _enter(self, jobs: Sequence[Any]) -> None:
        with collector_paused():
            self._plan.add(jobs)
        self._dispatch()

    @trio.lowlevel.enable_ki_protection
    def _kill(self, ids: Sequence[str], by: str, *, force: bool) -> None:
        self._plan.kill(ids, by, self._now(), force=force)
        self._dispatch()

    def _ask_priority(self, priority: Priority, job: Any, dependents: int) -> Any:
        """Call the priority function for the plan.

        A Ctrl-C in it is raised later: it must not leave the plan in the middle of a decision.
        """
        try:
            return call_hook(priority, job, dependents)
        except KeyboardInterrupt as exc:
            self._interrupt = exc  # `_run_jobs` raises it
            if self._done is not None:
                self._done.set()
            msg = "it was interrupted"
            raise RuntimeError(msg) from exc

    async def _run_all(self) -> None:
        """Run the backends and the jobs. However it ends, the backends have ended."""
        ended = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run_backends, ended)
            try:
                await self._run_jobs()
                await ended.wait()
            except BaseException:
                nursery.cancel_scope.cancel()
                # The backends kill their jobs, which takes bounded time. A second Ctrl-C meanwhile forces the kills.
                interrupt = await wait_through_interrupts(ended, lambda _: self._force("a second Ctrl-C"))
                if interrupt is not None:
                    raise interrupt  # noqa: B904 - the first is its context, or a cancellation
                raise

    @trio.lowlevel.enable_ki_protection
    async def _run_backends(self, ended: trio.Event) -> None:
        try:
            async with trio.open_nursery() as nursery:
                for runner in self._runners.values():
                    nursery.start_soon(runner.run, self.run_token)
        finally:
            ended.set()

    def _force(self, by: str) -> None:
        for runner in self._runners.values():
            runner.force(by)

    async def _run_jobs(self) -> None:
        """Keep limits up to date and dispatch jobs until all have ended; then let the runners end."""
        assert self._done is not None
        try:
            async with trio.open_nursery() as asking:
                for name, provider in self._providers.items():
                    asking.start_soon(self._follow, name, provider)
                self._dispatch()
                await self._done.wait()
                if self._interrupt is not None:
                    raise self._interrupt
                asking.cancel_scope.cancel()
        except BaseException:
            # The runners are being cancelled as well, and their backends kill all jobs. The plan must start no others,
            # and know why.
            self._plan.stop("the end of the run, which was cancelled", trio.current_time())
            raise
        self._state = "ending"
        for runner in self._runners.values():
            runner.finish()

    def _unsubscribe(self, stream: StatusStream) -> None:
        if stream in self._streams:
            self._streams.remove(stream)
        if not self._streams:
            self._plan.changes = None

    def _now(self) -> float:
        return 0.0 if self._state == "new" else trio.current_time()

    def _dispatch(self) -> None:
        """Call the plan's `decide`, and pass its actions on to the runners. Never blocks, and is not reentered."""
        if self._state == "running":
            for action in self._plan.decide(trio.current_time()):
                runner = self._runners[action.backend]
                if isinstance(action, Kill):
                    runner.kill(action)
                else:
                    runner.submit(action)
            if not self._plan.unfinished and self._done is not None:
                self._done.set()
        self._publish()

    def _publish(self) -> None:
        changes = self._plan.changes
        if changes:
            for stream in self._streams:
                stream.put(changes)
            changes.clear()

    @trio.lowlevel.enable_ki_protection
    async def _follow(self, name: str, provider: ResourceProvider) -> None:
        """Keep the limit of a resource up to date; while its provider fails, the last value is kept."""
        delay = PROVIDER_INTERVAL
        while True:
            try:
                with trio.fail_after(PROVIDER_DEADLINE):
                    capacity = await await_hook(provider.capacity)
                self._plan.capacity_changed(name, capacity)
            except Exception as exc:  # noqa: BLE001 - a provider is foreign code; the warning says what it raised
                delay = min(2 * delay, PROVIDER_LONGEST_DELAY)
                logger.warning("the limit of resource %r is not known, the last value is kept: %r", name, exc)
            else:
                delay = PROVIDER_INTERVAL
                self._dispatch()
            await trio.sleep(delay)


def _by_name(backends: Mapping[str, RuntimeBackend] | RuntimeBackend) -> Mapping[str, RuntimeBackend]:
    named = {backends.name: backends} if isinstance(backends, RuntimeBackend) else backends
    if not isinstance(named, Mapping) or not all(isinstance(each, RuntimeBackend) for each in named.values()):
        msg = (
            f"backends is {backends!r}; expected a backend, such as LocalBackend(), or a mapping from names to backends"
        )
        raise ValueError(msg)
    if not named:
        msg = "backends is empty; expected at least one backend"
        raise ValueError(msg)
    return named


def _limit(what: str, value: int | None) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        msg = f"{what} is {brief(value)}; expected a whole number, or None or 0 for no limit"
        raise ValueError(msg)
    return value or None


async def run_jobs(
    jobs: Iterable[Any],
    backends: Mapping[str, RuntimeBackend] | RuntimeBackend,
    *,
    default_backend: str | None = None,
    max_parallelism: int | None = None,
    resources: Mapping[str, Limit] | None = None,
    on_missing_resource: MissingPolicy = "error",
    priority: Priority | None = None,
    max_failures: int | None = None,
    busy_timeout: float = BUSY_TIMEOUT,
) -> list[JobResult]:
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
