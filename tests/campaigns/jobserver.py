"""Builds that share the slots of a backend by make's jobserver, some of which are killed, beside one ``make -j``.

In each round three jobs of ``make``, without ``-j``, build files on four slots; compilers are stand-ins that sleep for
a random time, and write down when they start and end. In every second round one of the jobs is killed in the middle.
"""

from __future__ import annotations

import math
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import trio

from runtime.backend.local import LocalBackend
from runtime.job import EventBatch, JobCompletionEvent, JobSpec, JobStatus
from tests.backend.compilers import SYSTEM_MAKE
from tests.campaigns import Campaign

SLOTS = 4
NAMES = ("a", "b", "c")
FILES = 16
"""Of each job."""
LONGEST = 0.4
"""Seconds of a compiler."""
MOST = 1.1
"""Times the time of ``make -j4`` that the three jobs may take together, over all rounds in which none is killed."""


class Build:
    """A directory with makefiles, and what its compilers have written down."""

    def __init__(self, directory: Path, chance: random.Random, longest: float) -> None:
        self.directory = directory
        directory.mkdir()
        compiler = directory / "cc"
        compiler.write_text(f"#!/bin/sh\ncd {directory}\necho + $1 >>log\nsleep $2\necho - $1 >>log\n")
        compiler.chmod(0o755)
        rules: dict[str, list[str]] = {name: [] for name in NAMES}
        for name in NAMES:
            for number in range(FILES):
                seconds = f"{chance.uniform(longest / 8, longest):.3f}"
                rules[name].append(f"{name}{number}: ; @{compiler} {name} {seconds}\n")
        for name, some in rules.items():
            self._write(name, some)
        self._write("all", [rule for some in rules.values() for rule in some])

    def _write(self, name: str, rules: Sequence[str]) -> None:
        targets = " ".join(rule.partition(":")[0] for rule in rules)
        (self.directory / f"{name}.mk").write_text(f".PHONY: all {targets}\nall: {targets}\n{''.join(rules)}")

    def job(self, name: str) -> JobSpec:
        """Return the job that builds the files of this name."""
        return JobSpec(name=name, cmd=[SYSTEM_MAKE, "-f", str(self.directory / f"{name}.mk")], jobserver=True)

    def alone(self) -> float:
        """Build all files by one ``make -j4``; return the seconds. Blocks."""
        began = time.monotonic()
        command = [SYSTEM_MAKE, f"-j{SLOTS}", "-f", str(self.directory / "all.mk")]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        subprocess.run(command, check=True, env=environment)
        return time.monotonic() - began

    def note(self, line: str) -> None:
        """Add a line to what was written down."""
        with (self.directory / "log").open("a") as log:
            log.write(line + "\n")

    def count(self) -> int:
        """Return how many compilers have started."""
        return (self.directory / "log").read_text().count("+")

    def most(self) -> list[int]:
        """Return how many compilers ran at once, at most; if a job was killed, before that and after."""
        most = [0]
        running: list[str] = []
        killed: set[str] = set()
        for what, name in map(str.split, (self.directory / "log").read_text().splitlines()):
            if what == "x":
                killed.add(name)
                running = [each for each in running if each != name]
                most.append(0)
            elif name in killed:
                pass  # other campaigns see that the processes of a job end with it
            elif what == "+":
                running.append(name)
            else:
                running.remove(name)
            most[-1] = max(most[-1], len(running))
        return most


@attrs.define
class Seen:
    """What was seen in all rounds."""

    together: float = 0.0
    """Seconds of the three jobs, in rounds without a kill."""
    alone: float = 0.0
    """Seconds of ``make -j4`` for the same."""
    fewest: int = SLOTS
    """The fewest compilers that ran at once, at most, before or after a kill in a round."""
    killed: int = 0
    compilers: int = 0


async def play_round(build: Build, victim: str | None, after: float) -> float:
    """Run the three jobs; return the seconds. The `victim` is killed `after` so many."""
    send, receive = trio.open_memory_channel[EventBatch](math.inf)
    backend = LocalBackend(SLOTS, build.directory / "run")
    statuses: dict[str, JobStatus] = {}
    async with backend.open(send), trio.open_nursery() as nursery:
        began = trio.current_time()

        async def kill() -> None:
            await trio.sleep(after)
            if victim is not None:
                build.note(f"x {victim}")
                await backend.kill_many([victim], by="the campaign")

        if victim is not None:
            nursery.start_soon(kill)
        await backend.submit_many([build.job(name) for name in NAMES])
        while len(statuses) < len(NAMES):
            for event in await receive.receive():
                if isinstance(event, JobCompletionEvent):
                    statuses[event.job_id] = event.status
        seconds = trio.current_time() - began
        nursery.cancel_scope.cancel()
    expected: Mapping[str, JobStatus] = {
        name: JobStatus.KILLED if name == victim else JobStatus.PASSED for name in NAMES
    }
    assert statuses == expected, statuses
    return seconds


def play(seed: int, count: int, longest: float = LONGEST) -> Seen:
    """Play `count` rounds."""
    chance = random.Random(seed)
    seen = Seen()
    with tempfile.TemporaryDirectory(prefix="jobserver-", ignore_cleanup_errors=True) as directory:
        for number in range(count):
            build = Build(Path(directory) / str(number), chance, longest)
            victim = chance.choice(NAMES) if number % 2 else None
            # In the first third of the time that all would take: what is left is enough to use all slots again.
            after = chance.uniform(0.1, 0.3) * len(NAMES) * FILES * longest * 9 / 16 / SLOTS
            seconds = trio.run(play_round, build, victim, after)
            most = build.most()
            assert max(most) <= SLOTS, f"round {number}: {most} compilers at once"
            seen.fewest = min(seen.fewest, *most)
            seen.compilers += build.count()
            if victim is None:
                seen.together += seconds
                seen.alone += build.alone()
            else:
                seen.killed += 1
    return seen


def run(seed: int, count: int) -> str:
    """Raise if there were ever more or fewer compilers than slots, or if it takes too long."""
    seen = play(seed, count)
    ratio = seen.together / seen.alone
    text = (
        f"{seen.compilers} compilers, never more than {SLOTS}, {seen.killed} jobs killed; {ratio:.3f} × make -j{SLOTS}"
    )
    assert ratio <= MOST, text
    assert seen.fewest == SLOTS, f"in a round only {seen.fewest} compilers ran at once: {text}"
    return text


CAMPAIGN = Campaign("jobserver", "do three makes share four slots as one make -j4 would use them?", 40, run)
