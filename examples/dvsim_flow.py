"""A DVSim flow on this scheduler: `run_scheduler` stands in for DVSim's, and returns what that returns.

Moving over is one line, before the flow begins::

    dvsim.flow.base.run_scheduler = dvsim_flow.run_scheduler

DVSim's job specifications run unchanged. Its backends are replaced by ours: a legacy launcher by our adapter, the local
backend by `LocalBackend`, the fake one by `FakeBackend`. A backend of ours or a launcher class can be given, too. trio
runs as a guest of DVSim's asyncio loop, so DVSim's status printer works as before.

On the fake backend the results are equal to DVSim's, field by field. Intended differences:

- A job that needs all of its dependencies ends as soon as one of them has failed, not when the last one has ended.
- Two jobs of one name are an error; DVSim drops the second.
- The first SIGINT or SIGTERM is a soft stop, the second kills at once. Reasons of killed and local jobs have our words.
- A job that needs all of a limited resource (`None`) runs, alone; DVSim refuses it.
"""

from __future__ import annotations

import asyncio
import math
import shlex
import signal
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import outcome
import trio
from dvsim.job.data import CompletedJobStatus
from dvsim.job.data import JobSpec as TheirJobSpec
from dvsim.job.data import JobStatusInfo as TheirInfo
from dvsim.job.status import JobStatus as TheirStatus
from dvsim.logging import log
from dvsim.runtime.backend import LogResults
from dvsim.runtime.fake import FakeRuntimeBackend
from dvsim.runtime.legacy import LegacyLauncherAdapter as TheirAdapter
from dvsim.runtime.local import LocalRuntimeBackend
from dvsim.scheduler.core import ALL_FAILED_DEP, FAILED_DEP
from dvsim.scheduler.log_manager import LogManager
from dvsim.scheduler.status_printer import create_status_printer

from runtime import (
    FailureKind,
    FakeBackend,
    FakeRun,
    JobResult,
    JobSpec,
    JobStatus,
    JobStatusInfo,
    LegacyLauncherAdapter,
    LocalBackend,
    RuntimeBackend,
    Scheduler,
)

SAME = (
    "name", "job_type", "target", "backend", "resources", "seed",
    "full_name", "qual_name", "dependencies", "needs_all_dependencies_passing", "weight", "odir",
    "renew_odir", "log_path", "pass_patterns", "fail_patterns", "dry_run", "interactive",
)  # fmt: skip
"""Fields with the same name and meaning in their specifications and in ours."""

Observer = Callable[[TheirJobSpec, TheirStatus, TheirStatus], object]
"""Called with a job, its old status, and its new one."""


async def run_scheduler(
    *,
    jobs: Iterable[TheirJobSpec],
    max_parallel: int,
    interactive: bool,
    backend: Any,
    resource_manager: Any = None,
) -> list[CompletedJobStatus]:
    """Run the jobs of a flow in DVSim's asyncio loop. Signals are handled only in the main thread.

    Args:
        jobs: what to run.
        max_parallel: how many jobs run at once; 0 for no limit.
        interactive: whether the terminal belongs to the jobs, so that no status is printed.
        backend: DVSim's or ours, or a launcher class.
        resource_manager: DVSim's, with limits that do not change; or a mapping as for `Scheduler`; or `None`.

    Returns:
        The result of each job, in the order of `jobs`.

    Raises:
        ValueError: for jobs that cannot run: a cycle, an unknown dependency or resource, one name twice.
    """
    jobs = list(jobs)
    theirs = {job.id: job for job in jobs}
    ours = as_backend(backend)
    is_local = isinstance(ours, LocalBackend)
    limits, missing = await limits_of(resource_manager)
    scheduler = Scheduler(
        [as_job(job) for job in jobs] if is_local else jobs,
        ours,
        max_parallelism=max_parallel,
        resources=limits,
        on_missing_resource=missing,
    )
    links = LogManager(jobs)
    observers: list[Observer] = [lambda job, _old, new: links.on_job_status_change(job, new)]
    printer = None if interactive else create_status_printer(jobs)
    if printer is not None:
        observers.append(printer.update_status)
        printer.start()
    try:
        results = await as_guest(watched_run, scheduler, theirs, observers)
    finally:
        if printer is not None:
            printer.stop()
    return [completed(theirs[result.id], result, is_local=is_local) for result in results]


# ---------------------------------------------------------------------- from DVSim's to ours


def as_backend(given: Any) -> RuntimeBackend:
    """Return our backend that corresponds to `given`."""
    if isinstance(given, RuntimeBackend):
        return given
    if isinstance(given, type):
        return LegacyLauncherAdapter(given)
    if isinstance(given, TheirAdapter):
        return LegacyLauncherAdapter(
            given.launcher_cls,
            name=given.name,
            poll_interval=given.poll_interval,
            max_polls_per_interval=given.max_polls_per_interval,
            max_parallelism=given.max_parallelism,
        )
    if isinstance(given, LocalRuntimeBackend):
        return LocalBackend(
            given.max_parallelism, term_timeout=given.sigterm_timeout, kill_timeout=given.sigkill_timeout
        )
    if isinstance(given, FakeRuntimeBackend):
        return FakeBackend(as_fake_policy(given._fake_policy), max_parallelism=given.max_parallelism)
    msg = f"backend is {given!r}; expected a backend of DVSim's or of runtime's, or a launcher class"
    raise TypeError(msg)


def as_fake_policy(policy: Callable[[TheirJobSpec], TheirStatus]) -> Callable[[TheirJobSpec, int], FakeRun]:
    """Return a policy for our fake backend that ends jobs and calls their hooks like DVSim's."""

    def fake(job: TheirJobSpec, _attempt: int) -> FakeRun:
        status = policy(job)
        job.post_finish(status)
        return FakeRun(JobStatus[status.name], JobStatusInfo("Fake result"))

    return fake


def as_job(job: TheirJobSpec) -> JobSpec:
    """Return a job for `LocalBackend`: as in DVSim, it runs in the current directory, without a shell."""
    interactive = {"RUN_INTERACTIVE": "1", "DVSIM_RUN_INTERACTIVE": "1"} if job.interactive else {}
    return JobSpec(
        **{name: getattr(job, name) for name in SAME},
        cmd=shlex.split(job.cmd),
        cwd=str(Path.cwd()),
        timeout=job.timeout_secs or None,
        exports={**job.exports, **interactive},
        pre_launch=job.pre_launch,
        post_finish=lambda status: job.post_finish(TheirStatus[status.name]),
    )


async def limits_of(manager: Any) -> tuple[Mapping[str, Any], Any]:
    """Return the limits of a resource manager, and the policy for resources without a limit."""
    if manager is None:
        return {}, "ignore"
    if isinstance(manager, Mapping):
        return manager, "error"
    if manager._provider.is_dynamic:
        msg = "resource_manager has limits that change; expected fixed limits, or a mapping with a ResourceProvider"
        raise TypeError(msg)
    policy = {"ignore": "ignore", "warn": "warn", "error": "warn", "fatal": "error"}[manager._missing_policy.value]
    return await manager._provider.get_capacity(), policy


# ---------------------------------------------------------------------- the run


async def watched_run(
    scheduler: Scheduler[TheirJobSpec], theirs: Mapping[str, TheirJobSpec], observers: Iterable[Observer]
) -> list[JobResult[TheirJobSpec]]:
    """Run the scheduler, call the observers for each change, and stop at signals."""
    changes = scheduler.subscribe(math.inf)

    async def notify() -> None:
        async for change in changes:
            if change.new is change.old:
                continue
            for observer in observers:
                try:
                    observer(theirs[change.id], TheirStatus[change.old.name], TheirStatus[change.new.name])
                except Exception:  # noqa: BLE001 - an observer is foreign code, and must not stop the run
                    log.exception("an observer failed; the run goes on")

    async def stop_at_signals() -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            seen = 0
            async for number in signals:
                scheduler.stop(by=f"a {signal.Signals(number).name} signal to the scheduler", force=seen > 0)
                seen += 1

    async with trio.open_nursery() as service:
        if threading.current_thread() is threading.main_thread():
            service.start_soon(stop_at_signals)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(notify)
            results = await scheduler.run()
        service.cancel_scope.cancel()
    return results


async def as_guest(function: Callable[..., Any], *args: Any) -> Any:
    """Run a trio function as a guest of this asyncio loop; a cancellation is passed on, and its end awaited."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[outcome.Outcome[Any]] = loop.create_future()
    scope = trio.CancelScope()

    async def main() -> Any:
        with scope:
            return await function(*args)

    trio.lowlevel.start_guest_run(
        main,
        run_sync_soon_threadsafe=loop.call_soon_threadsafe,
        run_sync_soon_not_threadsafe=loop.call_soon,
        done_callback=ended.set_result,
        host_uses_signal_set_wakeup_fd=True,
    )
    token = trio.lowlevel.current_trio_token()
    try:
        return (await asyncio.shield(ended)).unwrap()
    except asyncio.CancelledError:
        token.run_sync_soon(scope.cancel)
        (await ended).unwrap()
        raise


# ---------------------------------------------------------------------- from ours to DVSim's


def completed(job: TheirJobSpec, result: JobResult[object], *, is_local: bool) -> CompletedJobStatus:
    """Return a result in the form that DVSim's flows use."""
    runtime, simulated = times_of(job, result, is_local=is_local)
    return CompletedJobStatus(
        name=job.name,
        job_type=job.job_type,
        seed=job.seed,
        block=job.block,
        tool=job.tool,
        workspace_cfg=job.workspace_cfg,
        full_name=job.full_name,
        qual_name=job.qual_name,
        target=job.target,
        log_path=job.log_path,
        job_runtime=runtime,
        simulated_time=simulated,
        status=TheirStatus[result.status.name],
        fail_msg=reason_of(job, result),
    )


def times_of(job: TheirJobSpec, result: JobResult[object], *, is_local: bool) -> tuple[float, float]:
    """Return the run time in seconds and the simulated time in microseconds; 0 if unknown, as in DVSim."""
    if is_local and result.started is not None and not job.dry_run:
        runtime, simulated = LogResults(job).get_runtime_from_logs()  # calls the plug-in of the job's simulator
        return (
            result.ended - result.started if runtime is None else runtime.with_unit("s").get()[0],
            0.0 if simulated is None else simulated.with_unit("us").get()[0],
        )
    if result.usage is None:
        return 0.0, 0.0
    return result.usage.job_runtime or 0.0, round((result.usage.simulated_time or 0.0) * 1e6, 6)


def reason_of(job: TheirJobSpec, result: JobResult[object]) -> TheirInfo | None:
    """Return why a job did not pass. For a failed dependency it has DVSim's words, by which its reports group jobs."""
    reason = result.reason
    if reason is None:
        return None
    if reason.kind is FailureKind.DEPENDENCY:
        return FAILED_DEP if job.needs_all_dependencies_passing else ALL_FAILED_DEP
    return TheirInfo(message=reason.message, lines=reason.lines, context=reason.context)
