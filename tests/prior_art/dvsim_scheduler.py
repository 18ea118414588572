"""What DVSim's scheduler does in the situations of `test_scheduler`. A program for DVSim's interpreter; prints JSON."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

core: Any = importlib.import_module("dvsim.scheduler.core")
status = importlib.import_module("dvsim.job.status").JobStatus
data = importlib.import_module("dvsim.runtime.data")
times = importlib.import_module("dvsim.job.time")
base: Any = importlib.import_module("dvsim.runtime.backend").RuntimeBackend
# DVSim's class needs a block and a tool, which do not matter here.
core.CompletedJobStatus = lambda **facts: SimpleNamespace(**facts)  # noqa: PLW0108 - it takes keywords alone


def job(name: str, *needs: str, backend: str | None = None, weight: int = 1) -> Any:
    return SimpleNamespace(
        id=name, full_name=name, name=name, qual_name=name, dependencies=list(needs), backend=backend, weight=weight,
        resources=None, needs_all_dependencies_passing=True, target="", job_type="", seed=None, block=None, tool=None,
        workspace_cfg=None, log_path=None, timeout_mins=None, post_finish=lambda _status: None,
    )  # fmt: skip


class Backend(base):  # type: ignore[misc]  # DVSim is not installed where types are checked
    """Jobs pass at once, or when `end` is called."""

    def __init__(self, name: str, *, max_parallelism: int = 0, at_once: bool = True) -> None:
        super().__init__(max_parallelism=max_parallelism)
        self.name = name
        self.at_once = at_once
        self.submitted: list[str] = []
        self.killed: list[str] = []

    async def submit_many(self, jobs: Iterable[Any]) -> dict[str, Any]:
        jobs = list(jobs)
        self.submitted += [spec.id for spec in jobs]
        if self.at_once:
            await self.end(jobs, status.PASSED)
        zero = times.JobTime()
        return {
            spec.id: data.JobHandle(spec=spec, backend=self.name, job_runtime=zero, simulated_time=zero)
            for spec in jobs
        }

    async def end(self, jobs: Iterable[Any], how: Any) -> None:
        await self._emit_completion([data.JobCompletionEvent(spec, how, None) for spec in jobs])

    async def kill_many(self, handles: Iterable[Any]) -> None:
        self.killed += [handle.spec.id for handle in handles]


def scheduler(jobs: list[Any], *backends: Backend, **options: Any) -> Any:
    return core.Scheduler(jobs, {backend.name: backend for backend in backends}, backends[0].name, **options)


async def busy() -> dict[str, Any]:
    """Count how often a busy backend is asked during 1,000 iterations of the event loop."""
    asked = 0

    class Busy(Backend):
        async def submit_many(self, jobs: Iterable[Any]) -> dict[str, Any]:
            nonlocal asked
            asked += len(list(jobs))
            await asyncio.sleep(0)
            return {}

    run = asyncio.ensure_future(scheduler([job("a")], Busy("busy")).run())
    for _ in range(1000):
        await asyncio.sleep(0)
    run.cancel()
    await asyncio.wait([run])
    return {"asked": asked}


async def breaks() -> dict[str, Any]:
    class Breaks(Backend):
        async def submit_many(self, jobs: Iterable[Any]) -> dict[str, Any]:
            msg = "broken"
            raise ZeroDivisionError(msg)

    fine = Backend("fine", at_once=False)
    run = scheduler([job("a", backend="breaks"), job("b")], fine, Breaks("breaks"))
    try:
        await run.run()
    except ZeroDivisionError:
        return {"aborted": True, "left running": fine.submitted, "killed": fine.killed}
    return {"aborted": False}


async def slow() -> dict[str, Any]:
    """Find out whether a completion of one backend is handled while a submission to another is in progress."""
    release = asyncio.Event()

    class Slow(Backend):
        async def submit_many(self, jobs: Iterable[Any]) -> dict[str, Any]:
            await release.wait()
            return await super().submit_many(jobs)

    quick = Backend("quick")
    run = asyncio.ensure_future(
        scheduler([job("slow", backend="slow"), job("a"), job("b", "a")], quick, Slow("slow")).run()
    )
    for _ in range(1000):
        await asyncio.sleep(0)
    before = list(quick.submitted)
    release.set()
    await run
    return {"before": before, "after": quick.submitted}


async def handlers() -> dict[str, Any]:
    before = signal.getsignal(signal.SIGTERM)
    await scheduler([job("a")], Backend("fake")).run()
    return {"left behind": signal.getsignal(signal.SIGTERM) is not before}


async def second_signal() -> dict[str, Any]:
    """Find out whether a second SIGTERM has an effect while a kill blocks."""
    release = asyncio.Event()

    class Stubborn(Backend):
        async def kill_many(self, handles: Iterable[Any]) -> None:
            await super().kill_many(handles)
            await release.wait()
            await self.end([handle.spec for handle in handles], status.KILLED)

    backend = Stubborn("stubborn", at_once=False)
    run = asyncio.ensure_future(scheduler([job("a")], backend).run())
    signals = 0
    for _ in range(2000):
        await asyncio.sleep(0)
        if signals < 2 and (backend.submitted if signals == 0 else backend.killed):
            os.kill(os.getpid(), signal.SIGTERM)
            signals += 1
    facts = {"signals": signals, "kills asked for": len(backend.killed), "ended": run.done()}
    run.cancel()
    release.set()
    await asyncio.wait([run])
    return facts


async def observer() -> dict[str, Any]:
    backend = Backend("fake")
    run = scheduler([job("a"), job("b", "a")], backend)

    def raises(_spec: Any, _old: Any, _new: Any) -> None:
        msg = "in an observer"
        raise ZeroDivisionError(msg)

    run.add_job_status_change_callback(raises)
    try:
        await run.run()
    except ZeroDivisionError:
        return {"aborted": True}
    return {"aborted": False}


async def twins() -> dict[str, Any]:
    ended = await scheduler([job("a"), job("a")], Backend("fake")).run()
    return {"results": len(ended)}


async def full() -> dict[str, Any]:
    """Count how often jobs are taken from the ready heap to run 200 jobs, one at a time."""
    pops = 0
    heappop = core.heapq.heappop

    def counting(heap: list[Any]) -> Any:
        nonlocal pops
        pops += 1
        return heappop(heap)

    core.heapq = SimpleNamespace(heappop=counting, heappush=core.heapq.heappush)
    await scheduler([job(f"j{i}") for i in range(200)], Backend("fake", max_parallelism=1), coalesce_window=None).run()
    return {"pops": pops}


SCENARIOS: dict[str, Callable[[], Any]] = {
    function.__name__: function
    for function in (busy, breaks, slow, handlers, second_signal, observer, twins, full)
}  # fmt: skip

if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    sys.stdout.write(json.dumps({name: asyncio.run(scenario()) for name, scenario in SCENARIOS.items()}))
