"""A sample of `adapter_kill`: kill, in one call, launchers of DVSim's adapter whose kill takes 0.1 s."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Iterable
from typing import Any

from dvsim.job.status import JobStatus
from dvsim.logging import log
from dvsim.runtime.legacy import LegacyLauncherAdapter
from dvsim_jobs import make_spec
from dvsim_launchers import Slow


async def measure(launchers: int) -> float:
    """Return the seconds that `kill_many` took."""
    log.setLevel(logging.ERROR)
    killed: list[str] = []

    async def completed(events: Iterable[Any]) -> None:
        for event in events:
            assert event.status is JobStatus.KILLED
            killed.append(event.spec.id)

    backend = LegacyLauncherAdapter(Slow)
    backend.attach_completion_callback(completed)
    specs = [make_spec(f"job{number}") for number in range(launchers)]
    handles = await backend.submit_many(specs)
    await asyncio.sleep(0.5)  # all have been polled
    begin = time.perf_counter()
    await backend.kill_many(handles.values())
    seconds = time.perf_counter() - begin
    await backend.close()
    assert sorted(killed) == sorted(spec.id for spec in specs)
    return seconds


def main() -> None:
    """Measure once."""
    print(json.dumps({"seconds": asyncio.run(measure(int(sys.argv[1])))}))


if __name__ == "__main__":
    main()
