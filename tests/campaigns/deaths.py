"""SIGKILL of the runtime, of the supervisor, or of a shim, at random instants while twenty hostile jobs run.

Is any process of their jobs alive two seconds later? Does a runtime that survives report each of these jobs once?
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import trio

from tests.backend import containment_program
from tests.campaigns import Campaign
from tests.process import hostile
from tests.process.hostile_job import HostileJob

JOBS = 20
LIMIT = 2.0
"""Seconds after which no process may be alive: what the docs promise."""

TIMEOUT = 60.0
"""Seconds for every other wait. Arbitrary: ten times less would fail on a busy machine."""

VICTIMS = ("runtime", "supervisor", "shim")
MODES = tuple(mode for mode in hostile.MODES if mode != "root_first")  # that one ends by itself


class Trial:
    """One kill of one victim.

    Args:
        directory: for all files.
        chance: the source of random choices.
    """

    def __init__(self, directory: Path, chance: random.Random) -> None:
        self.directory = directory
        self.chance = chance
        self.modes = [chance.choice(MODES) for _ in range(JOBS)]
        self.jobs = [HostileJob(directory / f"{number}-{mode}", mode) for number, mode in enumerate(self.modes)]
        self.output = b""
        self.alive = 0
        """The number of jobs with a live process just before the kill."""

    async def play(self, victim: str) -> float:
        """Kill `victim`. Return the seconds until the last process has ended."""
        words = [sys.executable, "-m", containment_program.__name__, str(self.directory), *self.modes]
        self.runtime = await trio.lowlevel.open_process(words, stdout=subprocess.PIPE)
        try:
            (pids,) = await self.read_lines(1)
            supervisor, *shims = map(int, pids.split())
            await self.wait_for_a_random_instant()
            self.alive = sum(one.alive() for one in self.jobs)
            killed = {"runtime": self.runtime.pid, "supervisor": supervisor, "shim": self.chance.choice(shims)}[victim]
            began = trio.current_time()
            os.kill(killed, signal.SIGKILL)
            victims = [await self.wait_for_the_job_of_the_shim()] if victim == "shim" else self.jobs
            with trio.move_on_at(began + LIMIT):
                for one in victims:
                    await one.wait_gone()
            lived = trio.current_time() - began
            alive = [one.mode for one in victims if one.alive()]
            assert not alive, f"after the death of the {victim}, alive for more than {LIMIT:g} s: {alive}"
            if victim != "runtime":
                reported = Counter(line.split()[0] for line in await self.read_lines(1 + len(victims)) if b"-" in line)
                assert len(reported) == reported.total() == len(victims), reported
            return lived
        finally:
            self.runtime.kill()
            await self.runtime.wait()
            with trio.move_on_after(TIMEOUT, shield=True):
                for one in self.jobs:
                    await one.wait_gone()
            for one in self.jobs:
                one.close()

    async def wait_for_a_random_instant(self) -> None:
        """Wait until all processes have started, or for a random part of half a second."""
        with trio.fail_after(TIMEOUT):
            if self.chance.random() < 0.5:
                for one in self.jobs:
                    await one.wait_started()
            else:
                await trio.sleep(self.chance.random() * 0.5)

    async def read_lines(self, lines: int) -> list[bytes]:
        """Return at least `lines` lines of the runtime's output: pids, then a line for each event."""
        assert self.runtime.stdout is not None
        with trio.fail_after(TIMEOUT):
            while self.output.count(b"\n") < lines:
                data = await self.runtime.stdout.receive_some()
                assert data, "the runtime has ended"
                self.output += data
        return self.output.splitlines()

    async def wait_for_the_job_of_the_shim(self) -> HostileJob:
        """Return the job whose event comes, which is that of the killed shim."""
        event = (await self.read_lines(2))[1]
        one = self.jobs[int(event.split(b"-")[0])]
        assert not one.alive(), "alive at its event"
        return one


def run(seed: int, count: int) -> str:
    """Raise at the first survivor."""
    chance = random.Random(seed)
    longest = 0.0
    alive = 0
    for number in range(count):
        with tempfile.TemporaryDirectory(prefix="deaths-", ignore_cleanup_errors=True) as name:
            trial = Trial(Path(name), chance)
            longest = max(longest, trio.run(trial.play, VICTIMS[number % 3]))
            alive += trial.alive
    assert alive > count * JOBS / 2, f"only {alive} of {count * JOBS} jobs were alive at the kill"
    return (
        f"{count} deaths with {alive / count:.1f} of {JOBS} hostile jobs alive, 0 survivors;"
        f" the last process lived for {longest:.3f} s"
    )


CAMPAIGN = Campaign("deaths", "does anything survive the death of the runtime, the supervisor or a shim?", 200, run)
