"""A `cmd` that is too long for an argument of a program is passed in a private file, and means the same."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from runtime.backend.job_paths import LONGEST_WORD, has_long_text
from runtime.backend.local import LocalBackend
from runtime.job import FailureKind, JobSpec, JobStatus
from runtime.job.command import words_by_file
from runtime.scheduler.run import run_jobs


def text_of(length: int) -> str:
    """A command of that many bytes."""
    return "echo done # ".ljust(length, "x")


@pytest.mark.parametrize("containment", ["tree", "group"])
async def test_a_file_is_there_only_for_what_is_too_long_and_private(tmp_path: Path, containment: str) -> None:
    jobs = [
        JobSpec(name="fits", cmd=text_of(LONGEST_WORD)),
        JobSpec(name="long", cmd=text_of(LONGEST_WORD + 1)),
        JobSpec(name="aside", cmd=text_of(LONGEST_WORD + 2), log_path=str(tmp_path / "logs" / "a.log")),
        JobSpec(name="elsewhere", cmd=text_of(LONGEST_WORD + 3), log_path=str(tmp_path / "logs" / "b.log")),
    ]
    results = await run_jobs(jobs, LocalBackend(run_dir=tmp_path, containment=containment))
    assert [result.status for result in results] == [JobStatus.PASSED] * 4
    files = {str(path.relative_to(tmp_path)): path for path in tmp_path.rglob("*.cmd")}
    assert set(files) == {"long/job.log.cmd", "logs/a.log.cmd", "logs/b.log.cmd"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files.values()} == {0o600}
    assert [path.stat().st_size - LONGEST_WORD for _, path in sorted(files.items())] == [2, 3, 1]


async def test_a_planted_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / "long").mkdir()
    (tmp_path / "long" / "job.log.cmd").symlink_to(precious)
    job = JobSpec(name="long", cmd=text_of(LONGEST_WORD + 1))
    (result,) = await run_jobs([job], LocalBackend(run_dir=tmp_path))
    assert precious.read_text() == "precious"
    assert result.status is JobStatus.KILLED


def test_bytes_count_and_not_characters() -> None:
    assert not has_long_text(JobSpec(name="a", cmd="é" * (LONGEST_WORD // 2)))
    assert has_long_text(JobSpec(name="a", cmd="é" * (LONGEST_WORD // 2 + 1)))
    assert not has_long_text(JobSpec(name="a", cmd=["x" * 200_000]))


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("/bin/sh", ["/bin/sh", "-c", ". '/a b/log.cmd'"]),
        ("/bin/tcsh", ["/bin/tcsh", "-c", "source '/a b/log.cmd'"]),
        (["zsh", "-ec"], ["zsh", "-ec", "eval \"$(<'/a b/log.cmd')\""]),
    ],
)
def test_each_shell_reads_it_in_its_own_way(shell: str | list[str], words: list[str]) -> None:
    assert list(words_by_file(JobSpec(name="a", cmd="true", shell=shell), "/a b/log.cmd")) == words


@pytest.mark.parametrize("shell", [["python3", "-c"], ["/usr/bin/env", "perl", "-e"], "/opt/bin/python3.11"])
def test_what_is_no_shell_is_asked_to_read_none(shell: str | list[str]) -> None:
    assert not has_long_text(JobSpec(name="a", cmd=text_of(LONGEST_WORD + 1), shell=shell))


async def test_a_text_that_is_too_long_for_what_is_no_shell_is_said_to_be(tmp_path: Path) -> None:
    job = JobSpec(name="a", cmd="#".ljust(LONGEST_WORD + 1), shell=["python3", "-c"])
    (result,) = await run_jobs([job], LocalBackend(run_dir=tmp_path))
    assert result.reason is not None
    assert result.reason.kind is FailureKind.LAUNCH_ERROR
    assert "E2BIG" in result.reason.message
