"""`run_scheduler`: DVSim's function of this name, on our scheduler, for a program that has flows of its own.

Moving such a program over is one line, before the flow begins::

    dvsim.flow.base.run_scheduler = runtime.dvsim.flow.run_scheduler

DVSim's job specifications run unchanged. Its backends are replaced by ours: a legacy launcher by our adapter, the local
backend by `LocalBackend`, the fake one by `FakeBackend`. A backend of ours or a launcher class can be given, too. trio
runs as a guest of DVSim's asyncio loop, so DVSim's status printer works as before. ``docs/parity.md`` has what differs.

Nothing is recorded: the command ``job-runtime dvsim`` has a journal, and so a resume and reports.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable
from typing import Any

import trio
from dvsim.job.data import CompletedJobStatus
from dvsim.job.data import JobSpec as TheirJobSpec

from runtime.dvsim.backends import as_backend, limits_of
from runtime.dvsim.guest import as_guest
from runtime.dvsim.jobs import FlowJobs
from runtime.dvsim.observers import Observers
from runtime.job import JobResult, JobSpec
from runtime.scheduler.run import Scheduler


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
    flow = FlowJobs(jobs)
    limits, missing = await limits_of(resource_manager)
    scheduler = Scheduler(
        flow.ours(),
        as_backend(backend, flow),
        max_parallelism=max_parallel,
        resources=limits,
        on_missing_resource=missing,
    )
    observers = Observers(flow, is_interactive=interactive)
    with observers.shown():
        return flow.results(await as_guest(lambda: _watched(scheduler, observers)))


async def _watched(scheduler: Scheduler[JobSpec], observers: Observers) -> list[JobResult[JobSpec]]:
    """Run the scheduler, tell the observers, and stop at signals."""

    @trio.lowlevel.enable_ki_protection
    async def stop_at_signals() -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            seen = 0
            async for number in signals:
                scheduler.stop(by=signal.Signals(number).name, force=seen > 0)
                seen += 1

    async with trio.open_nursery() as service:
        if threading.current_thread() is threading.main_thread():
            service.start_soon(stop_at_signals)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(observers.follow, observers.subscribe(scheduler))
            results = await scheduler.run()
        service.cancel_scope.cancel()
    return results
