"""A disk that fills up during a run, for real: the run goes on, says so once, and can be resumed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.job import JobStatus
from runtime.journal import read, replay
from tests.cli.program import Done, call, job_file
from tests.mounts import small_disk

pytestmark = [pytest.mark.root, pytest.mark.slow]

SIZE = 1 << 20
"""The size of the disk, in bytes."""
COUNT = 50


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", SIZE) as path:
        yield path


def run(directory: Path, *arguments: str, frees: bool) -> Done:
    """Run jobs on the disk, of which the first fills it. Their own files are elsewhere."""
    ballast = directory / "disk" / "ballast"
    jobs: dict[str, Any] = {"fills": {"cmd": f"cat /dev/zero > {ballast}; echo {{id}} >> {directory}/ran"}}
    for number in range(COUNT):
        jobs[f"j{number}"] = {"cmd": f"echo {{id}} >> {directory}/ran", "needs": ["fills"]}
    if frees:
        jobs["frees"] = {"cmd": f"rm {ballast}", "needs": [f"j{number}" for number in range(COUNT)]}
    for name, job in jobs.items():
        job["odir"] = str(directory / "logs" / name)
    return call(directory, "run", job_file(directory, jobs), "--out", str(directory / "disk" / "results"), *arguments)


def latest(directory: Path) -> Path:
    return (directory / "disk" / "results" / "latest").resolve()


def passed_in_journal(directory: Path) -> set[str]:
    """Return which jobs passed, as the journal tells."""
    state = replay(read(latest(directory) / "journal.jsonl").records)
    return {name for name, number in state.numbers.items() if state.statuses[number] is JobStatus.PASSED}


def test_a_run_whose_disk_fills_up_goes_on_says_so_once_and_is_resumed(tmp_path: Path, disk: Path) -> None:
    done = run(tmp_path, frees=True)
    assert done.code == 74, done
    (line,) = done.err.splitlines()
    assert "journal.jsonl cannot be written (No space left on device)" in line
    assert "52 passed" in done.out
    kept = passed_in_journal(tmp_path)
    assert len(kept) < COUNT
    ran = (tmp_path / "ran").read_text().split()
    assert len(ran) == len(set(ran)) == COUNT + 1

    again = run(tmp_path, "--resume", frees=False)
    assert again.code == 0, again
    ran = (tmp_path / "ran").read_text().split()[COUNT + 1 :]
    assert set(ran) == {"fills", *(f"j{number}" for number in range(COUNT))} - kept


def test_without_room_for_the_results_two_lines_say_what_is_not_written(tmp_path: Path, disk: Path) -> None:
    done = run(tmp_path, frees=False)
    assert done.code == 74, done
    journal, results = sorted(done.err.splitlines(), key=lambda line: "results.json" in line)
    assert "journal.jsonl cannot be written (No space left on device)" in journal
    assert "results.json cannot be written: No space left on device" in results
    assert "51 passed" in done.out
    assert not (latest(tmp_path) / "results.json").exists()
    (disk / "ballast").unlink()
    report = call(tmp_path, "report", str(latest(tmp_path)))
    assert report.code == 0, report
