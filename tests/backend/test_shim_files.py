"""Shims make the files of ordinary jobs and return short logs; other jobs need threads, with equal results."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from runtime.backend import verdict_pool
from runtime.backend.local import driver, local_job, pipeline
from runtime.job import FailureKind, JobCompletionEvent, JobStatus, Kind
from runtime.process.guard.messages import SHORT_LOG
from tests.backend.local_jobs import local

Hops = Callable[[], int]


@pytest.fixture
def hops(monkeypatch: pytest.MonkeyPatch) -> Hops:
    """Counts the calls of threads."""
    asked: list[object] = []

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        async def in_thread(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
            asked.append(function)
            return await original(function, *args, **options)

        return in_thread

    for module in (verdict_pool, driver, local_job, pipeline):
        for name in {"in_thread", "each_in_thread"} & vars(module).keys():
            monkeypatch.setattr(module, name, counted(getattr(module, name)))
    return lambda: len(asked)


def files(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


def failure(event: JobCompletionEvent) -> tuple[Kind | None, object, object]:
    assert event.reason is not None
    return event.reason.kind, event.reason.lines, event.reason.context


async def test_the_usual_job_needs_no_thread(tmp_path: Path, hops: Hops) -> None:
    async with local(tmp_path, containment="tree") as here:
        await here.run("echo fine", name="first", fail_patterns=["ERROR"])
        before = hops()
        passed = await here.run("echo fine", name="second", fail_patterns=["ERROR"], exports={"WHO": "me and you"})
        failed = await here.run("echo fine; echo ERROR 7; echo after", name="third", fail_patterns=["ERROR"])
        assert hops() == before
        assert passed.status is JobStatus.PASSED
        assert failure(failed) == (FailureKind.FAIL_PATTERN, [2, (1, 3)], ("fine", "ERROR 7", "after"))
        umask = os.umask(0o022)
        os.umask(umask)
        assert files(tmp_path / "second") == {"job.log": 0o666 & ~umask, "env_vars": 0o600}
        assert "WHO='me and you'" in (tmp_path / "second" / "env_vars").read_text().splitlines()
        first, third = ((tmp_path / name / "env_vars").read_text() for name in ("first", "third"))
        assert third == first.replace("JOB_RUNTIME_ID=first\n", "JOB_RUNTIME_ID=third\n") != first


async def test_the_way_that_a_log_takes_makes_no_difference(tmp_path: Path) -> None:
    """The first log of its kind is judged in a thread, the second at once."""
    command = "printf 'one\r\nERROR two\nthree'; exit 3"
    async with local(tmp_path, containment="tree") as here:
        for fields in ({"fail_patterns": ["ERROR"]}, {"pass_patterns": ["DONE"]}, {}):
            first, second = [await here.run(command, name=name, **fields) for name in ("first", "second")]
            assert failure(first) == failure(second)
            assert failure(first)[0] is FailureKind.EXIT_CODE
            assert first.usage is not None
            assert second.usage is not None
            assert first.usage.exit_code == second.usage.exit_code == 3


@pytest.mark.parametrize("size", [SHORT_LOG - 6, SHORT_LOG - 5, SHORT_LOG + 10])
async def test_the_end_of_a_log_counts_whatever_its_length(tmp_path: Path, size: int) -> None:
    async with local(tmp_path, containment="tree") as here:
        await here.run(name="first", fail_patterns=["ERROR"])
        event = await here.run(f"head -c {size} /dev/zero | tr '\\0' '\\n'; echo ERROR", fail_patterns=["ERROR"])
        assert failure(event)[:2] == (FailureKind.FAIL_PATTERN, [size + 1, (size - 3, size + 1)])


async def test_what_many_shims_say_at_once_is_not_mixed_up(tmp_path: Path) -> None:
    """Logs of almost the size that a shim returns, each with a line of its own at the end."""
    found: dict[int, object] = {}
    async with local(tmp_path, containment="tree") as here:

        async def run(size: int) -> None:
            command = f"head -c {size} /dev/zero | tr '\\0' '\\n'; echo ERROR"
            found[size] = failure(await here.run(command, name=f"{size}", fail_patterns=["ERROR"]))[1]

        async with trio.open_nursery() as nursery:
            for number in range(32):
                nursery.start_soon(run, SHORT_LOG - 10 - number)
    assert len(found) == 32
    assert found == {size: [size + 1, (size - 3, size + 1)] for size in found}


async def test_a_directory_that_is_there_already_is_used_again(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "mine").write_text("kept")
    (tmp_path / "job" / "job.log").write_text("ERROR of an older run")
    for _ in range(2):
        async with local(tmp_path, containment="tree") as here:
            event = await here.run("echo $0", fail_patterns=["ERROR"])
            assert event.status is JobStatus.PASSED
            assert here.log() == "/bin/sh\n"
    assert files(tmp_path / "job").keys() == {"job.log", "env_vars", "mine"}


async def test_parents_that_are_missing_are_made(tmp_path: Path) -> None:
    async with local(tmp_path, containment="tree") as here:
        event = await here.run("pwd", odir=str(tmp_path / "a" / "b"))
        assert event.status is JobStatus.PASSED
        assert (tmp_path / "a" / "b" / "job.log").read_text() == f"{tmp_path}/a/b\n"


async def test_what_is_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "job").write_text("no directory")
    async with local(tmp_path, containment="tree") as here:
        event = await here.run()
        assert event.reason is not None
        assert event.reason.kind is FailureKind.LAUNCH_ERROR
        assert str(tmp_path / "job") in event.reason.message
        assert (await here.run(name="next")).status is JobStatus.PASSED


async def test_a_command_of_a_hundred_thousand_bytes_is_run(tmp_path: Path) -> None:
    async with local(tmp_path, containment="tree") as here:
        event = await here.run(["/bin/echo", "x" * 100_000])
        assert event.status is JobStatus.PASSED
        assert len(here.log()) == 100_001


@pytest.mark.parametrize("command", ["rm job.log", "rm job.log; ln -s other job.log", "rm job.log; mkfifo job.log"])
async def test_a_log_that_is_no_file_any_more_cannot_be_read(tmp_path: Path, command: str) -> None:
    async with local(tmp_path, containment="tree") as here:
        await here.run(name="first", fail_patterns=["ERROR"])
        event = await here.run(f"echo fine > other; {command}", fail_patterns=["ERROR"])
        assert failure(event)[0] is FailureKind.LOG_UNREADABLE


@pytest.mark.parametrize("stop", [False, "SIGINT", "STOP"])
async def test_a_soft_stop_of_its_own_costs_no_thread(tmp_path: Path, hops: Hops, stop: Any) -> None:
    async with local(tmp_path, containment="tree", soft_stop="SIGUSR1") as here:
        await here.run(name="first")
        before = hops()
        assert (await here.run(soft_stop=stop)).status is JobStatus.PASSED
        assert hops() == before
