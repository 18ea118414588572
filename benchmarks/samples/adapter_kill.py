"""A sample of `adapter_kill`: kill, in one call, launchers whose kill takes 0.1 s."""

from __future__ import annotations

import json
import sys
import time

import trio

from runtime import EventBatch, JobCompletionEvent, JobSpec, JobStatus, LegacyLauncherAdapter

KILL = 0.1
"""Seconds that a kill takes."""


class Slow:
    """A launcher whose kill takes its time."""

    poll_freq = 0.1

    def __init__(self, job: JobSpec) -> None:
        """Take the job."""

    def launch(self) -> None:
        """Do nothing."""

    def poll(self) -> JobStatus:
        """Run for ever."""
        return JobStatus.RUNNING

    def kill(self) -> None:
        """Block."""
        time.sleep(KILL)


async def measure(launchers: int) -> float:
    """Return the seconds that `kill_many` took."""
    specs = [JobSpec(name=f"job{number}", cmd="make run") for number in range(launchers)]
    killed: list[str] = []

    async def receive(channel: trio.MemoryReceiveChannel[EventBatch]) -> None:
        async for batch in channel:
            for event in batch:
                if isinstance(event, JobCompletionEvent):
                    assert event.status is JobStatus.KILLED
                    killed.append(event.job_id)

    send, channel = trio.open_memory_channel[EventBatch](0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive, channel)
        with send:
            async with LegacyLauncherAdapter(Slow).open(send) as backend:
                handles = await backend.submit_many(specs)
                await trio.sleep(0.5)  # all have been polled
                begin = time.perf_counter()
                await backend.kill_many(handles.values())
                seconds = time.perf_counter() - begin
    assert sorted(killed) == sorted(spec.id for spec in specs)
    return seconds


def main() -> None:
    """Measure once."""
    print(json.dumps({"seconds": trio.run(measure, int(sys.argv[1]))}))


if __name__ == "__main__":
    main()
