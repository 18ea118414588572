"""A sample of `adapter_stall`: the longest gap of the event loop while launchers are polled whose polls block."""

from __future__ import annotations

import json
import sys
import time

import trio

from runtime import JobSpec, JobStatus, LegacyLauncherAdapter, run_jobs

POLL = 0.005
"""Seconds that a poll takes."""
POLLS = 2
"""A launcher passes at this one."""


class Blocking:
    """A launcher whose polls take their time."""

    poll_freq = 0

    def __init__(self, job: JobSpec) -> None:
        """Take the job."""
        self._polls = 0

    def launch(self) -> None:
        """Do nothing."""

    def poll(self) -> JobStatus:
        """Block, then say how far it is."""
        time.sleep(POLL)
        self._polls += 1
        return JobStatus.PASSED if self._polls == POLLS else JobStatus.RUNNING

    def kill(self) -> None:
        """Be there."""


async def longest_gap(launchers: int, *, idle: bool) -> float:
    """Return the longest time between two wakes of a task that sleeps for 1 ms again and again, in seconds."""
    longest = 0.0
    wakes = 0

    async def beat() -> None:
        nonlocal longest, wakes
        last = time.perf_counter()
        while True:
            await trio.sleep(0.001)
            now = time.perf_counter()
            longest = max(longest, now - last)
            wakes += 1
            last = now

    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat)
        if idle:
            await trio.sleep(launchers * POLLS * POLL)
        else:
            specs = [JobSpec(name=f"job{number}", cmd="make run") for number in range(launchers)]
            results = await run_jobs(specs, LegacyLauncherAdapter(Blocking))
            assert len(results) == launchers
            assert all(result.status is JobStatus.PASSED for result in results)
            await trio.sleep(0.002)  # so that a gap at the end counts, too
        nursery.cancel_scope.cancel()
    assert wakes > 1
    return longest


def main() -> None:
    """Measure once."""

    async def measure() -> float:
        return await longest_gap(int(sys.argv[1]), idle="--idle" in sys.argv)

    print(json.dumps({"longest_gap_ms": 1000 * trio.run(measure)}))


if __name__ == "__main__":
    main()
