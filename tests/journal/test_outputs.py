"""Which output a job that passed has left, as its journal tells."""

from __future__ import annotations

import os
from pathlib import Path

from runtime.job import JobCompletionEvent, JobPaths, JobStatus
from runtime.journal.completions import ended, output
from runtime.journal.outputs import OutputFinder
from runtime.journal.records import End, Ended, OutputIdentity
from runtime.roots import Roots


def paths(directory: Path) -> JobPaths:
    return JobPaths(str(directory), str(directory / "job.log"), str(directory))


def made(directory: Path, size: int) -> OutputIdentity:
    directory.mkdir()
    (directory / "job.log").write_bytes(b"x" * size)
    found = directory.stat()
    return OutputIdentity(found.st_dev, found.st_ino, size)


def event(name: str, where: JobPaths | None, status: JobStatus = JobStatus.PASSED) -> JobCompletionEvent:
    return JobCompletionEvent(name, 1, status, None, 0.0, 0.0, 0.0, paths=where)


def test_the_outputs_of_jobs_that_passed_are_in_their_record(tmp_path: Path, roots: Roots) -> None:
    run = tmp_path / "run"
    expected = [made(run / "a", 3), None, made(run / "c", 0), None, made(tmp_path / "outside", 5)]
    made(run / "b", 1)
    events = [
        event("a", paths(run / "a")),
        event("b", paths(run / "b"), JobStatus.FAILED),
        event("c", paths(run / "c")),
        event("d", None),
        event("e", paths(tmp_path / "outside")),
    ]
    record = OutputFinder(roots).complete(ended(range(5), events, str(run)))
    assert isinstance(record, Ended)
    assert [output(record, row) for row in range(5)] == expected


def test_what_is_no_output_is_none(tmp_path: Path, roots: Roots) -> None:
    run, finder = tmp_path / "run", OutputFinder(roots)
    assert finder.find(paths(run / "gone")) is None
    (run / "file").touch()
    assert finder.find(paths(run / "file")) is None
    real = made(run / "real", 2)
    os.symlink(run / "real", run / "link")
    assert finder.find(paths(run / "link")) is None
    (run / "real" / "job.log").unlink()
    assert finder.find(paths(run / "real")) == OutputIdentity(real.device, real.inode, None)
    os.mkfifo(run / "real" / "job.log")
    assert finder.find(paths(run / "real")) == OutputIdentity(real.device, real.inode, None)


def test_other_records_stay_as_they_are(roots: Roots) -> None:
    record = End(1.0)
    assert OutputFinder(roots).complete(record) is record
