"""A sample of `adapter_stall`: the longest gap of DVSim's event loop while launchers are polled whose polls block."""

from __future__ import annotations

import asyncio
import json
import sys
import time

from dvsim.runtime.legacy import LegacyLauncherAdapter
from dvsim_jobs import make_spec, run
from dvsim_launchers import Blocking


async def longest_gap(launchers: int) -> float:
    """Return the longest time between two wakes of a task that sleeps for 1 ms again and again, in seconds."""
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest = max(longest, now - last)
            last = now

    beating = asyncio.create_task(beat())
    await run([make_spec(f"job{number}") for number in range(launchers)], LegacyLauncherAdapter(Blocking))
    await asyncio.sleep(0.002)  # so that a gap at the end counts, too
    beating.cancel()
    assert longest > 0
    return longest


def main() -> None:
    """Measure once."""
    print(json.dumps({"longest_gap_ms": 1000 * asyncio.run(longest_gap(int(sys.argv[1])))}))


if __name__ == "__main__":
    main()
