"""Thousands of jobs on one local backend. Are there as many descriptors, threads, processes and bytes as before?"""

from __future__ import annotations

import gc
import math
import os
import random
import tempfile
import threading
from pathlib import Path

import attrs
import trio

from runtime.backend.local import LocalBackend
from runtime.job import EventBatch, JobSpec
from tests.campaigns import Campaign

AT_ONCE = 24
LIMIT = 2048
"""Bytes of memory that may remain per finished job."""

COMMANDS = ("true", "exit 3", "kill -9 $$", "sleep 1000 & exit 0", "(setsid sleep 1000 &)", "echo x; exec true")


@attrs.frozen
class State:
    """What must not grow."""

    descriptors: int
    threads: int
    guards: tuple[str, ...]
    """The names and states of the supervisor and of all processes that came from it."""
    memory: int
    """Bytes resident."""

    @classmethod
    def of(cls, supervisor: int) -> State:
        """Return the state of this process and of the supervisor's descendants."""
        gc.collect()
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
        states = tuple(sorted(descendants(supervisor)))
        return cls(len(os.listdir("/proc/self/fd")), threading.active_count(), states, resident)


def descendants(pid: int) -> list[str]:
    """Return the names of `pid` and its descendants, each with a Z if it is a zombie."""
    text = Path(f"/proc/{pid}/stat").read_text()
    name, state = text.partition("(")[2].rpartition(")")[0], text.rpartition(")")[2].split()[0]
    found = [name + (" Z" if state == "Z" else "")]
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += descendants(int(child))
    return found


async def play(seed: int, count: int) -> tuple[State, State]:
    """Run `count` jobs. Return the states before and after them, both with all shims started."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="leaks-", ignore_cleanup_errors=True) as name:
        send, receive = trio.open_memory_channel[EventBatch](math.inf)
        backend = LocalBackend(AT_ONCE, name, containment="tree")
        async with backend.open(send):

            async def some(first: int, last: int) -> None:
                handed, ended = first, first
                while ended < last:
                    free = min(AT_ONCE - (handed - ended), last - handed)
                    # Few directories, so that these do not grow.
                    jobs = [
                        JobSpec(name=f"job{number}", cmd=chance.choice(COMMANDS), odir=f"{name}/{number % 100}")
                        for number in range(handed, handed + free)
                    ]
                    handed += len(await backend.submit_many(jobs))
                    ended += len(await receive.receive())

            # Start all shims first: the largest number of jobs, none of which ends by itself.
            together = [JobSpec(name=f"warm{number}", cmd="sleep 1000") for number in range(AT_ONCE)]
            assert len(await backend.submit_many(together)) == AT_ONCE
            await backend.kill_many([job.id for job in together])
            ended = 0
            while ended < AT_ONCE:
                ended += len(await receive.receive())
            await some(0, 500)
            assert backend._driver is not None
            assert backend._driver.guards.supervisors is not None
            supervisor = backend._driver.guards.supervisors.current.pid
            before = State.of(supervisor)
            await some(500, 500 + count)
            return before, State.of(supervisor)
    raise AssertionError


def run(seed: int, count: int) -> str:
    """Raise if a resource has grown with the number of jobs."""
    before, after = trio.run(play, seed, count)
    assert before.guards.count("job-shim") == AT_ONCE, before
    assert after.descriptors == before.descriptors, (before, after)
    assert after.threads <= before.threads + AT_ONCE, (before, after)  # trio keeps idle ones for a while
    assert after.guards == before.guards, (before, after)
    growth = (after.memory - before.memory) / count
    assert growth <= LIMIT, f"{growth:.0f} bytes per job"
    return f"{count} jobs, {after.descriptors} descriptors, {len(after.guards)} processes, {growth:.0f} bytes per job"


CAMPAIGN = Campaign("leaks", "does anything grow with the number of jobs that a local backend has run?", 10_000, run)
