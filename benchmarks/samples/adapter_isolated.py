"""A sample of `adapter_isolated`: the longest gap of the event loop while launchers hold the interpreter's lock."""

from __future__ import annotations

import json
import logging
import math
import sys
import time

import trio
from lock_holder import LockHolder

from runtime import EventBatch, JobSpec, JobStatus, LegacyLauncherAdapter

IDLE: float = 1.0
"""Seconds for which an idle loop is watched."""


async def longest_gap(launchers: int, *, isolated: bool) -> float:
    """Return the longest time between two wakes of a task that sleeps for 1 ms again and again, in seconds.

    It begins when the process of isolated launchers is there. With no launchers the loop is idle.
    """
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

    send, receive = trio.open_memory_channel[EventBatch](math.inf)
    with send:
        async with LegacyLauncherAdapter(LockHolder, isolated=isolated).open(send) as backend:
            await backend.submit(JobSpec(name="first", cmd="pass"))
            await backend.drain()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(beat)
                await backend.submit_many([JobSpec(name=f"job{number}", cmd="hold") for number in range(launchers)])
                await backend.drain()
                await trio.sleep(0.002 if launchers else IDLE)  # so that a gap at the end counts, too
                nursery.cancel_scope.cancel()
    passed = 0
    async for batch in receive:
        passed += sum(event.status is JobStatus.PASSED for event in batch)
    assert passed == launchers + 1
    assert wakes > 1
    return longest


def main() -> None:
    """Measure once."""
    logging.disable()  # that the lock is held is known here

    async def measure() -> float:
        return await longest_gap(int(sys.argv[1]), isolated="--isolated" in sys.argv)

    print(json.dumps({"longest_gap_ms": 1000 * trio.run(measure)}))


if __name__ == "__main__":
    main()
