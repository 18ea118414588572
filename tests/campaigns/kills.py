"""Kills of hostile jobs, in all modes, at random instants. Is any process alive when the event comes?

Twenty jobs at a time. Half are killed when all of their processes have started, half while they still fork; some with
force.
"""

from __future__ import annotations

import math
import random
import tempfile
from collections import Counter
from pathlib import Path

import trio

from runtime.backend.local import LocalBackend
from runtime.job import EventBatch, JobCompletionEvent, JobSpec, JobStatus
from tests.campaigns import Campaign
from tests.process import hostile
from tests.process.hostile_job import HostileJob

AT_ONCE = 20
"""Hostile jobs that run at the same time."""


class Round:
    """A number of jobs that are submitted together and killed at random instants."""

    def __init__(self, directory: Path, number: int, chance: random.Random, waited_for: float) -> None:
        self.chance = chance
        self.waited_for = waited_for
        self.jobs = {
            f"{number}-{index}": HostileJob(directory / f"{number}-{index}", hostile.MODES[index % len(hostile.MODES)])
            for index in range(AT_ONCE)
        }
        self.survivors: list[str] = []
        self.seen: Counter[JobStatus] = Counter()

    async def play(self, backend: LocalBackend, receive: trio.MemoryReceiveChannel[EventBatch]) -> None:
        """Submit and kill the jobs, and check at each event which processes are alive."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.look, receive)
            await backend.submit_many([JobSpec(name=name, cmd=one.cmd) for name, one in self.jobs.items()])
            for name, one in self.jobs.items():
                nursery.start_soon(self.kill, backend, name, one)
        for one in self.jobs.values():
            one.close()

    async def kill(self, backend: LocalBackend, name: str, one: HostileJob) -> None:
        """Kill one job."""
        if one.mode != "root_first" and self.chance.random() < self.waited_for:  # `root_first` would end by itself
            await one.wait_started()
        else:
            await trio.sleep(self.chance.random() * 0.2)
        await backend.kill(name, force=self.chance.random() < 0.3)

    async def look(self, receive: trio.MemoryReceiveChannel[EventBatch]) -> None:
        """Receive the events, and record the survivors at each."""
        left = len(self.jobs)
        while left:
            for event in await receive.receive():
                assert isinstance(event, JobCompletionEvent)
                left -= 1
                self.seen[event.status] += 1
                one = self.jobs[event.job_id]
                if one.alive():
                    self.survivors.append(f"{one.mode}: {one.survivors()} {event}")


async def play(
    seed: int, count: int, containment: str, waited_for: float = 0.5
) -> tuple[Counter[JobStatus], list[str]]:
    """Kill `count` jobs, rounded up. Return how they ended, and the survivors at the events.

    The part `waited_for` of them, from 0 to 1, is killed when all of their processes have started.
    """
    chance = random.Random(seed)
    seen: Counter[JobStatus] = Counter()
    survivors: list[str] = []
    with tempfile.TemporaryDirectory(prefix="kills-", ignore_cleanup_errors=True) as name:
        send, receive = trio.open_memory_channel[EventBatch](math.inf)
        backend = LocalBackend(0, Path(name) / "run", containment=containment, term_timeout=0.1)
        async with backend.open(send):
            for number in range(math.ceil(count / AT_ONCE)):
                some = Round(Path(name), number, chance, waited_for)
                await some.play(backend, receive)
                seen += some.seen
                survivors += some.survivors
    return seen, survivors


def run(seed: int, count: int) -> str:
    """Raise if a process survived."""
    seen, survivors = trio.run(play, seed, count, "tree")
    assert not survivors, "\n".join(survivors)
    # One mode ends by itself, and a job that has not begun cannot survive: most must have been killed.
    assert seen[JobStatus.KILLED] > seen.total() / 2, seen
    ends = ", ".join(f"{number} {status.name}" for status, number in seen.items())
    return f"{seen.total()} hostile jobs ({ends}), 0 survivors at the event"


CAMPAIGN = Campaign("kills", "is any process of a hostile job alive when its event comes?", 1000, run)
