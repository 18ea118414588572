"""SIGKILL of the command line at random instants of a run of local jobs; then the run is resumed, and killed again.

Does a job that passed run again? Has each job one result at the end? Is a process left?
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runtime.job import JobStatus
from runtime.journal import RunState, read, replay
from runtime.process.environment import HERE_VARIABLE
from runtime.process.leftovers import left_of
from tests.campaigns import Campaign
from tests.cli.program import LIMIT, command, environment

JOBS = 200
"""Of one run."""
BUILDS = 20
"""Of these, those that the others need."""
MAX_KILLS = 12
"""Kills of one run, after which it may end. Arbitrary: with ten times more, only its beginning is tested."""


def write_jobs(directory: Path, count: int = JOBS, lives: int = 7) -> None:
    """Write a job file. Each job notes in ``ran/ID`` that it has begun, and lives for up to ``10 * lives`` ms."""
    (directory / "ran").mkdir()
    jobs: dict[str, Any] = {}
    for number in range(count):
        pause = f"sleep 0.0{number % lives}; " if number % lives else ""
        body = f"echo $$ >> {directory}/ran/j{number}; {pause}echo done"
        jobs[f"j{number}"] = {"cmd": body, "needs": [] if number < BUILDS else [f"j{number % BUILDS}"]}
    (directory / "jobs.json").write_text(json.dumps({"jobs": jobs}))


def state_of(directory: Path) -> RunState:
    """Return what the journal of the run says; nothing if there is none yet."""
    path = directory / "results" / "latest" / "journal.jsonl"
    return replay(read(path).records) if path.exists() else RunState()


def begun(directory: Path) -> dict[str, int]:
    """Return how often each job has begun."""
    return {path.name: len(path.read_text().splitlines()) for path in (directory / "ran").iterdir()}


def passed(state: RunState) -> set[str]:
    """Return the ids of the jobs that passed."""
    return {name for name, number in state.numbers.items() if state.statuses[number] is JobStatus.PASSED}


@contextmanager
def started(directory: Path, *, resumes: bool) -> Iterator[subprocess.Popen[bytes]]:
    """Start the command line; kill it with the block."""
    words = command("run", "jobs.json", *(["--resume"] if resumes else []))
    with open(directory / "out", "ab") as output:
        program = subprocess.Popen(
            words, cwd=directory, env=environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield program
    finally:
        program.kill()
        program.wait()


def wait_for_instant(directory: Path, program: subprocess.Popen[bytes], chance: random.Random) -> None:
    """Wait until a random number of jobs has begun, and then for a random moment; or until the program has ended.

    Most numbers are small, so that a run is killed several times; a quarter of the kills hits the start.
    """
    before, more = sum(begun(directory).values()), chance.choice([0, 1, chance.randrange(20), chance.randrange(60)])
    while more and program.poll() is None and sum(begun(directory).values()) < before + more:
        time.sleep(0.005)
    time.sleep(chance.uniform(0, 0.05 if more else 1.0))


class Seen:
    """What the kills of one run have shown."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._begun: dict[str, int] = {}
        """By id of a job that passed: how often it had begun by then."""

    def look(self) -> int:
        """Check that no job that passed has begun since, and note which have passed. Return how many."""
        now = begun(self._directory)
        for name, count in self._begun.items():
            assert now[name] == count, f"{name} passed, and ran again"
        self._begun = {name: now[name] for name in passed(state_of(self._directory))}
        return len(self._begun)


def kill_a_run(directory: Path, most: int, chance: random.Random) -> tuple[int, int]:
    """Kill and resume one run up to `most` times, then let it end. Return how often, and how many jobs were kept."""
    write_jobs(directory)
    seen, kills, kept = Seen(directory), 0, 0
    while True:
        resumes = (directory / "results" / "latest").exists()  # also of a run that had not begun, which runs anew
        with started(directory, resumes=resumes) as program:
            if kills == most:
                code = program.wait(LIMIT)
                assert code == 0, f"exit code {code}: {(directory / 'out').read_text()}"
                break
            wait_for_instant(directory, program, chance)
            if program.poll() is None:
                program.send_signal(signal.SIGKILL)
                kills += 1
        kept += seen.look()
        if len(passed(state_of(directory))) == JOBS and state_of(directory).is_complete:
            break
    seen.look()
    check_end(directory)
    return kills, kept


def check_end(directory: Path, count: int = JOBS) -> None:
    """Check that each job has one result, and that no process is left."""
    check_results(directory, count)
    token = state_of(directory).segments[0].begin.token
    left = list(left_of(HERE_VARIABLE, token))
    assert not left, f"{len(left)} processes are left"


def check_results(directory: Path, count: int = JOBS) -> None:
    """Check that each job has one result, and passed."""
    results = json.loads((directory / "results" / "latest" / "results.json").read_bytes())
    ids = [job["id"] for job in results["jobs"]]
    assert sorted(ids) == sorted(f"j{number}" for number in range(count))
    assert {job["status"] for job in results["jobs"]} == {"passed"}


def run(seed: int, count: int) -> str:
    """Kill runs `count` times."""
    chance = random.Random(seed)
    kills = runs = kept = 0
    while kills < count:
        with tempfile.TemporaryDirectory() as directory:
            more, more_kept = kill_a_run(Path(directory), min(MAX_KILLS, count - kills), chance)
            kills, kept, runs = kills + more, kept + more_kept, runs + 1
    assert kept or count < MAX_KILLS, "no job passed before a kill: nothing was shown"
    return f"{kills} kills of {runs} runs of {JOBS} jobs; {kept} results kept, none ran again, each job once"


CAMPAIGN = Campaign(
    name="resumes",
    question="is a run that is killed and resumed as good as one that was not?",
    count=300,
    run=run,
)
