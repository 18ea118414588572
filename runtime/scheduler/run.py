"""`Scheduler` and `run_jobs`: run a graph of jobs on one or more backends.

The thin trio shell around `plan`. Facts come in from the lanes (one task per backend, see `lane`) and from whoever
calls `add`, `kill` or `stop`; after each the plan is asked once what to do (`_turn`, which never blocks), and its
actions go to the lanes.
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
from runtime.backend.interrupts import await_hook, call_hook, is_interrupt, outlast
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

PROVIDER_INTERVAL: Final = 10.0
"""Seconds between two questions to a resource provider. Arbitrary: licence servers are asked by many."""
PROVIDER_DEADLINE: Final = 10.0
"""Seconds that a resource provider may take to answer. Arbitrary."""
PROVIDER_LONGEST_DELAY: Final = 300.0
"""Seconds, at most, between two questions to a provider that fails. Arbitrary."""

Limit = int | None | ResourceProvider
"""Of a resource: an amount, `None` for unlimited, or something to ask."""


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
    """Jobs that were handed to a backend and have not completed."""
    stray_events: int
    """Events that were dropped, because they belong to no attempt in flight."""
    resources: Mapping[str, tuple[int, int | None]]
    """Name to the amount held and the limit."""


class Scheduler:
    """Runs jobs in the order that their dependencies, priorities, slots and resources allow. Each instance runs once.

    Of a job it asks only for `id`, `dependencies`, `backend`, `resources`, `weight`, `run_if` (or, as DVSim's jobs have
    it, `needs_all_dependencies_passing`), and `timeout` if it has one; so other people's specifications do as well.

    Args:
        jobs: what to run. More can be added during the run.
        backends: name to backend, or one backend; none of them opened. One is opened when there is a first job for it.
        default_backend: the name of the one for jobs that name none; `None` for the first.
        max_parallelism: how many jobs may be in flight at once on all backends; `None` or 0 for no limit.
        resources: name to limit: an amount, `None` for unlimited, or a `ResourceProvider`, which may change it.
        on_missing_resource: what to do about a job that needs a resource without a limit.
        priority: from a job and the number of its dependents to something that orders; larger goes first. `None` for
            weight, then longer timeout, then more dependents.
        max_failures: the run stops after so many jobs that did not pass by their own fault; `None` or 0 for never.
        busy_timeout: seconds for which a busy backend may refuse a job, from the first time; then it is killed as
            *busy*. Meanwhile it is asked again after 0.05 s, then after twice as long each time, at most 10 s, and at
            once when a job of it ends.

    Raises:
        GraphError: for a duplicate, an unknown dependency or backend, or a cycle, which is named with its path.
        ResourceError: for a resource without a limit, or a need above a limit that never changes.
        ValueError: for an argument that cannot be what it is.
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
            msg = f"priority is {priority!r}; wanted: a function of a job and the number of its dependents, or None"
            raise ValueError(msg)
        if busy_timeout != math.inf and not (is_number(busy_timeout) and busy_timeout >= 0):
            msg = f"busy_timeout is {brief(busy_timeout)}; wanted: seconds, from 0"
            raise ValueError(msg)
        default = next(iter(backends)) if default_backend is None else default_backend
        if default not in backends:
            msg = f"default_backend is {default!r}; this run has: {', '.join(sorted(backends))}"
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
        self._lanes = {name: BackendRunner(name, backend, self._plan, self._turn) for name, backend in backends.items()}
        self._streams: list[StatusStream] = []
        self._state = "new"
        self._done: trio.Event | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        """That of the event loop in which it runs."""
        self._interrupt: KeyboardInterrupt | None = None
        """A Ctrl-C that came while a hook of the user's was called, and is still to be raised."""
        self.run_token = secrets.token_hex(8)
        """Marks the work of this run, for backends that must find it again."""
        self.epoch = time.time()
        """The wall time, in seconds since 1970, at which `trio.current_time()` was 0; exact once the run has begun."""
        self._take(jobs)

    def __repr__(self) -> str:
        return (
            f"<Scheduler {self._state}, {self._plan.unfinished} of {sum(self._plan.counts.values())} jobs unfinished>"
        )

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> list[JobResult]:
        """Run all jobs, those that are added meanwhile included; return their results in the order given.

        A job's failure is a result, never an exception, and so is the breaking of a backend.

        Raises:
            RuntimeError: if it ran before.
            trio.Cancelled: when all jobs were killed and their completions seen, which is bounded; `results` is
                complete.
            KeyboardInterrupt: as for a cancel, if Ctrl-C is pressed and this is awaited by the main task; never in a
                group. Pressed once more meanwhile, it leaves out the gentle steps of the kills.
        """
        if self._state != "new":
            msg = f"{self!r} was run before; make a new one"
            raise RuntimeError(msg)
        self._state = "running"
        self._done = trio.Event()
        self._token = trio.lowlevel.current_trio_token()
        self.epoch = time.time() - trio.current_time()
        try:
            await trio.lowlevel.checkpoint()
            await self._run_lanes_to_the_end()
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
        """Ask for the end of jobs; what depends on them will not run, but for jobs that run however their dependencies
        end. Jobs that have ended are passed over.

        Raises:
            GraphError: if an id is unknown; then nothing is killed.
            RuntimeError: during a run, from another thread; then nothing is killed.
        """
        check_in_loop(self._token, "Scheduler.kill()")
        self._kill(list(ids), by, force=force)

    @trio.lowlevel.enable_ki_protection
    def stop(self, *, by: str = "the caller", force: bool = False, drain: bool = False) -> None:
        """Start nothing more, whatever a job's `run_if` is; `run` returns when what is in flight has completed.

        Args:
            by: who asks for it, for the reasons of the jobs.
            force: kill what is in flight without gentle steps.
            drain: do not kill what is in flight, let it end by itself.

        It can be called again to stop harder.

        Raises:
            RuntimeError: during a run, from another thread; then nothing is stopped.
        """
        if self._state != "ended":
            check_in_loop(self._token, "Scheduler.stop()")
            self._plan.stop(by, self._now(), force=force, drain=drain)
            self._turn()

    @trio.lowlevel.enable_ki_protection
    def results(self) -> list[JobResult]:
        """Return the result of each job that has ended, in the order given; once `run` has ended in any way, of every
        job.
        """
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
        """Return a stream of the status changes from now on.

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
        self._enter(list(jobs))  # which may be anybody's code, and take long

    @trio.lowlevel.enable_ki_protection
    def _enter(self, jobs: Sequence[Any]) -> None:
        with collector_paused():
            self._plan.add(jobs)
        self._turn()

    @trio.lowlevel.enable_ki_protection
    def _kill(self, ids: Sequence[str], by: str, *, force: bool) -> None:
        self._plan.kill(ids, by, self._now(), force=force)
        self._turn()

    def _ask_priority(self, priority: Priority, job: Any, dependents: int) -> Any:
        """Call the priority function for the plan, which must not be left in the middle of a decision by a Ctrl-C."""
        try:
            return call_hook(priority, job, dependents)
        except KeyboardInterrupt as exc:
            self._interrupt = exc
            if self._done is not None:
                self._done.set()
            msg = "it was interrupted"
            raise RuntimeError(msg) from exc

    async def _run_lanes_to_the_end(self) -> None:
        ended = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run_lanes, ended)
            try:
                await self._run_to_the_end()
                await ended.wait()
            except BaseException:
                nursery.cancel_scope.cancel()
                interrupt = await outlast(ended, lambda _: self._force("a second Ctrl-C"))
                if interrupt is not None:
                    raise interrupt  # noqa: B904 - the other is its context, or a cancellation
                raise

    @trio.lowlevel.enable_ki_protection
    async def _run_lanes(self, ended: trio.Event) -> None:
        try:
            async with trio.open_nursery() as nursery:
                for lane in self._lanes.values():
                    nursery.start_soon(lane.run, self.run_token)
        finally:
            ended.set()

    def _force(self, by: str) -> None:
        for lane in self._lanes.values():
            lane.force(by)

    async def _run_to_the_end(self) -> None:
        assert self._done is not None
        try:
            async with trio.open_nursery() as asking:
                for name, provider in self._providers.items():
                    asking.start_soon(self._follow, name, provider)
                self._turn()
                await self._done.wait()
                if self._interrupt is not None:
                    raise self._interrupt
                asking.cancel_scope.cancel()
        except BaseException:
            # The lanes are being cancelled as well, and their backends kill what runs; the plan must know who asked.
            self._plan.stop("the end of the run, which was cancelled", trio.current_time())
            raise
        self._state = "ending"
        for lane in self._lanes.values():
            lane.finish()

    def _unsubscribe(self, stream: StatusStream) -> None:
        if stream in self._streams:
            self._streams.remove(stream)
        if not self._streams:
            self._plan.changes = None

    def _now(self) -> float:
        return 0.0 if self._state == "new" else trio.current_time()

    def _turn(self) -> None:
        """Ask the plan what to do, and pass it on. Never blocks, and nothing that it calls comes back here."""
        if self._state == "running":
            for action in self._plan.decide(trio.current_time()):
                lane = self._lanes[action.backend]
                if isinstance(action, Kill):
                    lane.kill(action)
                else:
                    lane.submit(action)
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
        """Keep the limit of a resource up to date; while its provider fails, the last value counts."""
        delay = PROVIDER_INTERVAL
        while True:
            try:
                with trio.fail_after(PROVIDER_DEADLINE):
                    capacity = await await_hook(provider.capacity)
                self._plan.capacity_changed(name, capacity)
            except Exception as exc:  # noqa: BLE001 - a provider is foreign code; the warning says what it raised
                delay = min(2 * delay, PROVIDER_LONGEST_DELAY)
                logger.warning("the limit of resource %r is not known, the last value counts: %r", name, exc)
            else:
                delay = PROVIDER_INTERVAL
                self._turn()
            await trio.sleep(delay)


def _by_name(backends: Mapping[str, RuntimeBackend] | RuntimeBackend) -> Mapping[str, RuntimeBackend]:
    named = {backends.name: backends} if isinstance(backends, RuntimeBackend) else backends
    if not isinstance(named, Mapping) or not all(isinstance(each, RuntimeBackend) for each in named.values()):
        msg = (
            f"backends is {backends!r}; wanted: a backend, such as LocalBackend(), or a mapping from names to backends"
        )
        raise ValueError(msg)
    if not named:
        msg = "backends is empty; wanted: at least one backend"
        raise ValueError(msg)
    return named


def _limit(what: str, value: int | None) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        msg = f"{what} is {brief(value)}; wanted: a whole number, or None or 0 for no limit"
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

    A job's failure is a result, never an exception. Cancelling it kills every job before `trio.Cancelled` leaves.
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
