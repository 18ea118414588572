"""Runs DVSim's own tests of its scheduler, unchanged, on our scheduler and adapter; prints their results as JSON.

The tests are in DVSim's source distribution, which `make` puts beside DVSim's interpreter. What they import of DVSim is
replaced before: its scheduler by `SchedulerShim`, its adapter by ours, its `run_scheduler` by ours.
"""

from __future__ import annotations

import asyncio
import inspect
import multiprocessing
import os
import signal
import sys
import tarfile
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import dvsim.runtime.legacy
import dvsim.scheduler.core
import dvsim.scheduler.runner
import pytest
import trio
from dvsim.job.data import CompletedJobStatus
from dvsim.job.data import JobSpec as TheirJobSpec

from runtime import JobResult, JobSpec, LegacyLauncherAdapter, Scheduler
from runtime.dvsim.flow import run_scheduler
from runtime.dvsim.guest import as_guest
from runtime.dvsim.jobs import FlowJobs
from runtime.scheduler import backoff
from tests.dvsim.programs.common import main as print_facts

FILE = "test_scheduler.py"

specifications: dict[str, TheirJobSpec] = {}
"""By id, what launchers are made with: of the last flow that has a job of this id."""


def adapter(launcher_cls: type) -> LegacyLauncherAdapter:
    """Return our adapter with the constructor of DVSim's."""
    return LegacyLauncherAdapter(launcher_cls, view=lambda spec: specifications[spec.id])


class SchedulerShim:
    """Our scheduler with the constructor and the `run` of DVSim's. It needs no window in which completions gather."""

    def __init__(
        self,
        jobs: Iterable[TheirJobSpec],
        backends: Mapping[str, LegacyLauncherAdapter],
        default_backend: str,
        *,
        max_parallelism: int | None = None,
        resource_manager: Any = None,
        priority_fn: Callable[[Any], Any] | None = None,
        coalesce_window: float | None = None,
    ) -> None:
        self._flow = FlowJobs(jobs)
        specifications.update(self._flow.by_id)

        def priority(job: JobSpec, _dependents: int) -> Any:
            assert priority_fn is not None
            return priority_fn(SimpleNamespace(spec=self._flow.by_id[job.id]))

        self._scheduler = Scheduler(
            self._flow.ours(),
            backends,
            default_backend=default_backend,
            max_parallelism=max_parallelism,
            resources=None if resource_manager is None else resource_manager._provider._limits,
            priority=None if priority_fn is None else priority,
        )

    async def run(self) -> list[CompletedJobStatus]:
        """Run the jobs in this asyncio loop; the first signal stops them."""
        return self._flow.results(await as_guest(self._until_signal))

    async def _until_signal(self) -> list[JobResult[JobSpec]]:
        handlers: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        async def stop_at_signals() -> None:
            with trio.open_signal_receiver(*handlers) as signals:
                first = await anext(signals)
                self._scheduler.stop(by=signal.Signals(first).name)
                second = await anext(signals)
                _end_at_once(second, handlers[second])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop_at_signals)
            results = await self._scheduler.run()
            nursery.cancel_scope.cancel()
        return results


def _end_at_once(number: int, handler: Any) -> None:
    """End this process as the second signal ends DVSim's: by the handler that was there before."""
    try:
        handler(number, None)
    except SystemExit as exc:
        os._exit(int(exc.code or 0))


async def run_flow(*, jobs: Iterable[TheirJobSpec], **options: Any) -> list[CompletedJobStatus]:
    """Run our function in the place of DVSim's, with an adapter that is made already."""
    jobs = list(jobs)
    specifications.update((job.id, job) for job in jobs)
    return await run_scheduler(jobs=jobs, **options)


class Plugin:
    """For pytest: runs asynchronous tests, and notes how each test has ended."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.failed: dict[str, str] = {}

    def pytest_configure(self, config: pytest.Config) -> None:
        """Make the marks known that other plugins have."""
        config.addinivalue_line("markers", "asyncio: it is asynchronous")
        config.addinivalue_line("markers", "timeout(seconds): not heeded here, as it measures the machine")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Await what a test starts in a process of its own. DVSim makes a coroutine there, and never awaits it."""
        tests = items[0].getparent(pytest.Module).obj.TestSignals  # type: ignore[union-attr]  # each is in the module
        tests._run_signal_test = partial(_awaited, tests._run_signal_test)

    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Run an asynchronous test."""
        if not inspect.iscoroutinefunction(pyfuncitem.obj):
            return None
        names = inspect.signature(pyfuncitem.obj).parameters
        _awaited(pyfuncitem.obj, **{name: pyfuncitem.funcargs[name] for name in names})
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a result, with the error's own lines."""
        name = report.nodeid.rpartition("::")[2]
        if report.failed:
            lines = [line[1:].strip() for line in report.longreprtext.splitlines() if line.startswith("E ")]
            self.failed[name] = " ".join(lines)
        elif report.when == "call":
            self.passed.append(name)


def _awaited(function: Callable[..., Awaitable[None]], *arguments: Any, **options: Any) -> None:
    async def main() -> None:
        await function(*arguments, **options)

    asyncio.run(main())


def facts(directory: Path) -> Mapping[str, Any]:
    """Return how many tests passed, and the errors of the others by name."""
    sdist = f"dvsim-{version('dvsim')}"
    with tarfile.open(Path(sys.prefix, "sdist", f"{sdist}.tar.gz")) as archive:
        member = archive.extractfile(f"{sdist}/tests/{FILE}")
        assert member is not None
        (directory / FILE).write_bytes(member.read())
    dvsim.scheduler.core.Scheduler = SchedulerShim
    dvsim.runtime.legacy.LegacyLauncherAdapter = adapter
    dvsim.scheduler.runner.run_scheduler = run_flow
    multiprocessing.set_start_method("fork")  # the processes of tests have what is replaced here
    plugin = Plugin()
    words = [str(directory / FILE), "-c", os.devnull, "--rootdir", str(directory), "--import-mode", "importlib"]
    # A launcher that is busy ten times would take 33 s.
    with mock.patch.object(backoff, "LONGEST_DELAY", backoff.FIRST_DELAY):
        pytest.main([*words, "-p", "no:cacheprovider", "--basetemp", str(directory / "tests")], [plugin])
    return {"passed": len(plugin.passed), "failed": plugin.failed}


if __name__ == "__main__":
    print_facts(facts)
