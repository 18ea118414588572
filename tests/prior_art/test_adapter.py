"""Faults of DVSim's adapter: each scenario runs with both adapters; ours passes it, and DVSim's fails it.

DVSim's interpreter is named by `DVSIM_PYTHON`; `make test` makes one.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import pytest
import trio

from runtime.backend.legacy import LauncherError, LegacyLauncherAdapter
from runtime.job import EventBatch, JobCompletionEvent, JobStatus
from tests.prior_art.adapter_scenarios import SCENARIOS, AdapterUnderTest, Facts, Job

LIMIT = 0.5


class OurAdapter:
    status = JobStatus
    launcher_error: type[Exception] = LauncherError

    def __init__(self, nursery: trio.Nursery) -> None:
        self.events: list[tuple[str, str, str]] = []
        self.nursery = nursery
        self.closing = trio.Event()
        self.closed = trio.Event()

    async def open(self, launcher_cls: type) -> None:
        self.backend = LegacyLauncherAdapter(launcher_cls)
        await self.nursery.start(self._live)

    async def _live(self, task_status: trio.TaskStatus[None]) -> None:
        send, receive = trio.open_memory_channel[EventBatch](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._collect, receive)
            with send:
                async with self.backend.open(send):
                    task_status.started()
                    await self.closing.wait()
                    self.backend.close()
        self.closed.set()

    async def _collect(self, receive: trio.MemoryReceiveChannel[EventBatch]) -> None:
        async for batch in receive:
            for event in batch:
                assert isinstance(event, JobCompletionEvent)
                message = event.reason.message if event.reason else ""
                self.events.append((event.job_id, event.status.name, message))

    async def submit(self, jobs: Iterable[Job]) -> None:
        await self.backend.submit_many(jobs)

    async def kill(self, jobs: Iterable[Job]) -> str:
        ids = [job.id for job in jobs]
        await self.backend.kill_many(ids)
        assert await self.until(lambda: {name for name, _, _ in self.events} >= set(ids))
        return ""

    async def close(self) -> None:
        self.closing.set()
        await self.closed.wait()

    async def until(self, condition: Callable[[], bool]) -> bool:
        with trio.move_on_after(LIMIT):
            while not condition():
                await trio.lowlevel.checkpoint()
        return condition()

    async def run_while_ticking(self, work: Callable[[], Awaitable[None]], tick: Callable[[], bool]) -> None:
        async with trio.open_nursery() as nursery:
            done = trio.Event()

            async def run() -> None:
                await work()
                done.set()

            nursery.start_soon(run)
            while not done.is_set():
                tick()
                await trio.lowlevel.checkpoint()


@functools.cache
def facts_of_dvsim() -> dict[str, Facts]:
    program = Path(__file__).with_name("dvsim_adapter.py")
    python = os.environ.get("DVSIM_PYTHON", "/nonexistent/python-of-dvsim")
    done = subprocess.run([python, program], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    facts: dict[str, Facts] = json.loads(done.stdout)
    return facts


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_the_adapter(scenario: Callable[[AdapterUnderTest], Awaitable[Facts]]) -> None:
    async with trio.open_nursery() as nursery:
        adapter = OurAdapter(nursery)
        facts = await scenario(adapter)
        await adapter.close()
    assert facts == SCENARIOS[scenario]


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_adapter_of_dvsim_fails(scenario: Callable[[AdapterUnderTest], Awaitable[Facts]]) -> None:
    facts = facts_of_dvsim()[scenario.__name__]
    expected = json.loads(json.dumps(SCENARIOS[scenario]))
    assert facts.keys() == expected.keys(), "the scenario must run to its end there, too"
    assert facts != expected
