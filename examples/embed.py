"""Embedding: any backend under a scheduler of your own, in forty lines.

    python examples/embed.py [BUFFER]

BUFFER is the size of the completion channel: 0 (the default), a number, or ``inf``. All work.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import trio

from runtime import EventBatch, JobCompletionEvent, JobSpec, LocalBackend, RuntimeBackend

JOBS = [
    JobSpec(name="build", cmd="echo compiling"),
    *(
        JobSpec(name=f"sim.{seed}", cmd=f"echo 'seed {seed}: TEST PASSED'", pass_patterns=["TEST PASSED$"])
        for seed in range(5)
    ),
    JobSpec(name="broken", cmd="exit 3"),
]


@trio.lowlevel.enable_ki_protection  # otherwise a Ctrl-C in here would lose events
async def consume(
    receive: trio.MemoryReceiveChannel[EventBatch], ended: dict[str, JobCompletionEvent], go: trio.Event
) -> None:
    """Read events until the channel ends, which is when the backend's block ends, also in a cancelled run."""
    with trio.CancelScope(shield=True), receive:
        async for batch in receive:  # a tuple of events, never an empty one
            for event in batch:
                if isinstance(event, JobCompletionEvent):
                    ended[event.job_id] = event
                    print(
                        f"{event.job_id}: {event.status.name}" + (f" ({event.reason.message})" if event.reason else "")
                    )
            go.set()


async def schedule(
    jobs: Sequence[JobSpec], backend: RuntimeBackend, buffer: float = 0
) -> dict[str, JobCompletionEvent]:
    """Run the first job, then all others at once; return how each ended. Refused jobs are submitted again."""
    ended: dict[str, JobCompletionEvent] = {}
    built = trio.Event()
    send, receive = trio.open_memory_channel[EventBatch](buffer)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume, receive, ended, built)
        with send:  # the code that makes a channel closes it
            async with backend.open(send):
                await backend.submit(jobs[0])
                await built.wait()
                waiting = {job.id: job for job in jobs[1:]}
                while waiting:
                    for job_id in await backend.submit_many(waiting.values()):
                        del waiting[job_id]
                    await backend.drain()
            # Leaving the block has waited for the jobs, and until their events were taken.
    return ended


if __name__ == "__main__":
    size = sys.argv[1] if len(sys.argv) > 1 else "0"
    results = trio.run(schedule, JOBS, LocalBackend(), math.inf if size == "inf" else int(size))
    print(f"{sum(event.status.name == 'PASSED' for event in results.values())} of {len(JOBS)} passed")
