"""Harm at each operation on the files of a run of local jobs: each write, sync, rename, creation and removal of the
journal, its lock, its secret values, the results, and the link to the latest run.

SIGKILL before, in the middle of, and after it: does a job that passed run again? Has each job one result? Is a process
left? And a disk that is full from then on: does the run go on, say so once, and end with exit code 74? Can it be
resumed, as if it had been killed?
"""

from __future__ import annotations

import random
import signal
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.campaigns import Campaign
from tests.campaigns.resumes import JOBS, Seen, begun, check_end, check_results, write_jobs
from tests.cli import failpoints, program
from tests.cli.failpoints import RUN_DIRECTORY, Failpoint, Harm, Operation, log_plan, operations
from tests.cli.program import Done

_REFUSED: Final = (
    *((call, "journal.lock") for call in ("open", "ftruncate", "write")),
    ("mkdir", RUN_DIRECTORY),
)
"""What a run cannot begin without: there is no directory, or no lock. Then nothing is started."""
_WARNED: Final = (("symlink", "latest"), ("rename", "latest"))
"""What a run can do without: that is a warning."""
_HARMLESS: Final = ("unlink", "journal.lock")
"""What is left is in nobody's way, and is said in the log alone."""

CUT: Final = Operation("ftruncate", "journal.jsonl", 0)
"""What cuts off the frame that a killed run has not written to its end. Only a run that goes on after such a one does
it."""


def call(directory: Path, plan: str | None, *arguments: str) -> Done:
    """Run the command line with ``jobs.json``, harmed as planned."""
    # On a large machine all jobs would run at once, and a few writes be enough for all of their records.
    words = ["run", "jobs.json", "--max-parallel", "4", *arguments]
    if plan is None:
        return program.call(directory, *words)
    return program.call(directory, plan, *words, module=failpoints.__name__)


def all_operations() -> list[Operation]:
    """Return the operations of a run that is not harmed, and `CUT`."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        write_jobs(directory, lives=1)
        done = call(directory, log_plan(directory / "log"))
        assert done.code == 0, done
        return [*operations(directory / "log"), CUT]


def choose(found: Sequence[Operation], count: int, chance: random.Random) -> list[Failpoint]:
    """Return up to `count` failpoints: first one of each kind, then others at random."""
    points = [Failpoint(operation, harm) for operation in found for harm in operation.harms]
    chance.shuffle(points)
    kinds = {(point.operation.call, point.operation.file, point.harm): point for point in points}
    first = sorted(kinds.values(), key=str)
    return [*first, *(point for point in points if kinds[_kind(point)] is not point)][:count]


def _kind(point: Failpoint) -> tuple[str, str, Harm]:
    return point.operation.call, point.operation.file, point.harm


def resumes(directory: Path) -> Sequence[str]:
    """Return the arguments of the next run: it resumes the last one, unless that had not begun."""
    return ["--resume"] if (directory / "results" / "latest").exists() else []


def kill_at(directory: Path, point: Failpoint, jobs: int) -> int:
    """Kill a run there, and its resumption at the same operation of its own; then let it end. Return the kills."""
    seen, kills = Seen(directory), 0
    for _ in range(2):
        done = call(directory, point.plan, *resumes(directory))
        assert done.code in (0, -signal.SIGKILL), done
        kills += done.code != 0
        seen.look()
    done = call(directory, None, *resumes(directory))
    assert done.code == 0, done
    seen.look()
    check_end(directory, jobs)
    return kills


def fill_at(directory: Path, point: Failpoint, jobs: int) -> bool:
    """Let the disk be full from there on, then resume. Return whether the run came to that operation."""
    done = call(directory, point.plan, *resumes(directory))
    what = (point.operation.call, point.operation.file)
    if done.code == 0 and not done.err and what != _HARMLESS:
        return False  # it came to its end without that operation
    check_full(directory, point, done, jobs)
    seen = Seen(directory)
    seen.look()
    done = call(directory, None, *resumes(directory))
    assert done.code == 0, done
    seen.look()
    check_end(directory, jobs)
    return True


def check_full(directory: Path, point: Failpoint, done: Done, jobs: int) -> None:
    """Check what a run with a full disk has done and said."""
    what = (point.operation.call, point.operation.file)
    lines = [line for line in done.err.splitlines() if "a frame" not in line]  # which is said of what was cut off
    assert done.err.count("No space left on device") == len(lines) == (what != _HARMLESS), done
    assert "No space left" not in done.out, done
    if what in _REFUSED:
        assert done.code == 2, done
        assert not begun(directory)
        assert not list((directory / "results").glob("2*")), "a directory is left"
        return
    assert done.code == (0 if what in (*_WARNED, _HARMLESS) else 74), done
    assert f"{jobs} passed" in done.out, done
    assert len(begun(directory)) == jobs, "not all jobs have run"
    assert point.operation == CUT or set(begun(directory).values()) == {1}
    if point.operation.file not in ("results.json", "latest"):
        check_results(directory, jobs)


def harm(point: Failpoint, jobs: int = JOBS) -> int:
    """Harm a run of so many jobs at a point; return how often that came to pass."""
    with tempfile.TemporaryDirectory() as name:
        write_jobs(Path(name), jobs, lives=1)
        if point.operation == CUT:
            torn = call(Path(name), Failpoint(Operation("write", CUT.file, 5), Harm.MIDDLE).plan)
            assert torn.code == -signal.SIGKILL, torn
        return (fill_at if point.harm is Harm.FULL else kill_at)(Path(name), point, jobs)


def run(seed: int, count: int) -> str:
    """Harm runs at `count` points, or at all that there are."""
    found = all_operations()
    points = choose(found, count, random.Random(seed))
    harms: Counter[str] = Counter()
    for point in points:
        try:
            harms["kills" if point.harm is not Harm.FULL else "full disks"] += harm(point)
        except Exception as exc:
            exc.add_note(f"at: {point}")
            raise
    return f"{len(points)} points in {len(found)} operations; " + ", ".join(f"{n} {what}" for what, n in harms.items())


CAMPAIGN = Campaign(
    name="failpoints",
    question="is a run as good as another if it is killed, or its disk is full, at any operation on its journal?",
    count=10_000,
    run=run,
)
