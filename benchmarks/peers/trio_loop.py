"""A sample of `scheduler`: the least that a trio program does for a graph of jobs, as the limit.

For each job an object in a graph, an event of its end and a result. Jobs go to another task, which ends them at once,
and events come back, in batches of 1,000 over two channels. No statuses, priorities, limits, attempts, or stop; and no
garbage collector, because there is no garbage.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Sequence

import trio

RUNS = 9
"""For each build."""
BATCH = 1000


class Spec:
    """What to run, and after what."""

    __slots__ = ("cmd", "dependencies", "id")

    def __init__(self, id: str, cmd: str, dependencies: Sequence[str] = ()) -> None:  # noqa: A002 - as a specification
        self.id = id
        self.cmd = cmd
        self.dependencies = dependencies


class Event:
    """The end of a job."""

    __slots__ = ("ended", "id", "started", "status")

    def __init__(self, job_id: str, status: str, now: float) -> None:
        self.id = job_id
        self.status = status
        self.started = self.ended = now


class Node:
    """A job in the graph."""

    __slots__ = ("dependents", "event", "spec", "waiting")

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.waiting = 0
        self.dependents: list[Node] = []
        self.event: Event | None = None


class Result:
    """A job and its end."""

    __slots__ = ("event", "job")

    def __init__(self, job: Spec, event: Event) -> None:
        self.job = job
        self.event = event


def make_specs(jobs: int) -> list[Spec]:
    """Return `jobs` specifications, a tenth of them builds on which the others depend."""
    specs = []
    for number in range(jobs // (RUNS + 1)):
        build = f"build{number}"
        specs.append(Spec(build, "make build"))
        specs += [Spec(f"{build}.run{run}", "make run", (build,)) for run in range(RUNS)]
    return specs


async def complete(
    submitted: trio.MemoryReceiveChannel[list[Spec]], events: trio.MemorySendChannel[list[Event]]
) -> None:
    """End each job as soon as it is submitted."""
    async with events:
        async for batch in submitted:
            now = trio.current_time()
            await events.send([Event(spec.id, "passed", now) for spec in batch])


async def run(specs: Sequence[Spec]) -> list[Result]:
    """Run all jobs in an order that the graph allows."""
    nodes: dict[str, Node] = {}
    for spec in specs:
        node = nodes[spec.id] = Node(spec)
        for needed in spec.dependencies:
            node.waiting += 1
            nodes[needed].dependents.append(node)
    ready = [node.spec for node in nodes.values() if not node.waiting]
    send_jobs, receive_jobs = trio.open_memory_channel[list[Spec]](1)
    send_events, receive_events = trio.open_memory_channel[list[Event]](1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(complete, receive_jobs, send_events)
        async with send_jobs:
            sent = 0
            while batch := ready[sent : sent + BATCH]:
                sent += len(batch)
                await send_jobs.send(batch)
                for event in await receive_events.receive():
                    node = nodes[event.id]
                    node.event = event
                    for dependent in node.dependents:
                        dependent.waiting -= 1
                        if not dependent.waiting:
                            ready.append(dependent.spec)
    return [Result(node.spec, node.event) for node in nodes.values() if node.event is not None]


def main() -> None:
    """Measure once."""
    specs = make_specs(int(sys.argv[1]))
    gc.disable()
    begin = time.perf_counter()
    results = trio.run(run, specs)
    seconds = time.perf_counter() - begin
    assert [result.job for result in results] == specs
    assert all(result.event.status == "passed" for result in results)
    print(json.dumps({"jobs_per_second": len(specs) / seconds, "microseconds_per_job": 1e6 * seconds / len(specs)}))


if __name__ == "__main__":
    main()
