"""SIGKILL of the runtime, of the supervisor, of a shim, at random instants with twenty hostile jobs alive.

Two seconds later, is anything alive of those that they guarded? And does a runtime that lives tell of each of these
jobs, once?
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
"""Seconds after which nothing may be alive."""

PATIENCE = 60.0
"""Seconds for all else."""

VICTIMS = ("runtime", "supervisor", "shim")
MODES = tuple(mode for mode in hostile.MODES if mode != "root_first")  # which ends by itself


class Trial:
    """One death of one victim.

    Args:
        directory: for all files.
        chance: decides.
    """

    def __init__(self, directory: Path, chance: random.Random) -> None:
        self.directory = directory
        self.chance = chance
        self.modes = [chance.choice(MODES) for _ in range(JOBS)]
        self.taken = [HostileJob(directory / f"{number}-{mode}", mode) for number, mode in enumerate(self.modes)]
        self.said = b""
        self.alive = 0
        """Jobs of which somebody was alive just before the death."""

    async def play(self, victim: str) -> float:
        """Kill `victim`; return how long the last process lived after that, in seconds."""
        words = [sys.executable, "-m", containment_program.__name__, str(self.directory), *self.modes]
        self.runtime = await trio.lowlevel.open_process(words, stdout=subprocess.PIPE)
        try:
            (pids,) = await self.hear(1)
            supervisor, *shims = map(int, pids.split())
            await self.wait_for_an_instant()
            self.alive = sum(one.alive() for one in self.taken)
            killed = {"runtime": self.runtime.pid, "supervisor": supervisor, "shim": self.chance.choice(shims)}[victim]
            began = trio.current_time()
            os.kill(killed, signal.SIGKILL)
            doomed = [await self.hear_whose_shim_it_was()] if victim == "shim" else self.taken
            with trio.move_on_at(began + LIMIT):
                for one in doomed:
                    await one.wait_gone()
            lived = trio.current_time() - began
            alive = [one.mode for one in doomed if one.alive()]
            assert not alive, f"after the death of the {victim}, alive for more than {LIMIT:g} s: {alive}"
            if victim != "runtime":
                told = Counter(line.split()[0] for line in await self.hear(1 + len(doomed)) if b"-" in line)
                assert len(told) == told.total() == len(doomed), told
            return lived
        finally:
            self.runtime.kill()
            await self.runtime.wait()
            with trio.move_on_after(PATIENCE, shield=True):
                for one in self.taken:
                    await one.wait_gone()
            for one in self.taken:
                one.close()

    async def wait_for_an_instant(self) -> None:
        """Wait until all processes are there; or not."""
        with trio.fail_after(PATIENCE):
            if self.chance.random() < 0.5:
                for one in self.taken:
                    await one.wait_started()
            else:
                await trio.sleep(self.chance.random() * 0.5)

    async def hear(self, lines: int) -> list[bytes]:
        """Return what the runtime has said: its pids, then a line for each event; at least so many lines."""
        assert self.runtime.stdout is not None
        with trio.fail_after(PATIENCE):
            while self.said.count(b"\n") < lines:
                data = await self.runtime.stdout.receive_some()
                assert data, "the runtime has ended"
                self.said += data
        return self.said.splitlines()

    async def hear_whose_shim_it_was(self) -> HostileJob:
        """Return the job whose event comes."""
        event = (await self.hear(2))[1]
        one = self.taken[int(event.split(b"-")[0])]
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
    assert alive > count * JOBS / 2, f"of {count * JOBS} jobs only {alive} were alive at the time"
    return (
        f"{count} deaths with {alive / count:.1f} of {JOBS} hostile jobs alive, 0 survivors;"
        f" the last process lived for {longest:.3f} s"
    )


CAMPAIGN = Campaign("deaths", "does anything survive the death of the runtime, the supervisor or a shim?", 200, run)
