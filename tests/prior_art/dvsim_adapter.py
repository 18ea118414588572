"""Runs the scenarios of `adapter_scenarios` with DVSim's adapter. A program for DVSim's interpreter; prints JSON."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
scenarios = importlib.import_module(
    "adapter_scenarios"
)  # as a plain file: this package is not installed in DVSim's environment
legacy = importlib.import_module("dvsim.runtime.legacy")
LIMIT = 0.5


class DVSimAdapter:
    status = legacy.JobStatus
    launcher_error = legacy.LauncherError

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []
        self.handles: dict[str, Any] = {}

    async def open(self, launcher_cls: type) -> None:
        self.backend = legacy.LegacyLauncherAdapter(launcher_cls)

        async def take(events: Iterable[Any]) -> None:
            for event in events:
                message = event.reason.message if event.reason else ""
                self.events.append((event.spec.id, event.status.name, message))

        self.backend.attach_completion_callback(take)

    async def submit(self, jobs: Iterable[Any]) -> None:
        self.handles |= await self.backend.submit_many(jobs)

    async def kill(self, jobs: Iterable[Any]) -> str:
        try:
            await self.backend.kill_many([self.handles[job.id] for job in jobs])
        except Exception as exc:  # noqa: BLE001 - the scenario reports it
            return type(exc).__name__
        return ""

    async def close(self) -> None:
        await self.backend.close()

    async def until(self, condition: Callable[[], bool]) -> bool:
        ends = time.monotonic() + LIMIT
        while not condition() and time.monotonic() < ends:  # noqa: ASYNC110 - any condition; a launcher sets no event
            await asyncio.sleep(0)
        return condition()

    async def run_while_ticking(self, work: Callable[[], Awaitable[None]], tick: Callable[[], bool]) -> None:
        task = asyncio.ensure_future(work())
        while not task.done():
            tick()
            await asyncio.sleep(0)
        await task


async def run(scenario: Callable[[Any], Awaitable[Any]]) -> Any:
    adapter = DVSimAdapter()
    try:
        return await asyncio.wait_for(scenario(adapter), 10)
    finally:
        await adapter.backend.close()


def main() -> None:
    logging.disable()
    facts = {}
    for scenario in scenarios.SCENARIOS:
        try:
            facts[scenario.__name__] = asyncio.run(run(scenario))
        except Exception as exc:  # noqa: BLE001 - an adapter that raises has failed the scenario
            facts[scenario.__name__] = {"raised": repr(exc)}
    json.dump(facts, sys.stdout)


if __name__ == "__main__":
    main()
