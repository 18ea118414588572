"""Too few processes, descriptors or memory, for real: jobs are refused for a while, or fail with that reason."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trio

from runtime import LocalBackend, run_jobs
from runtime.backend.local import group_starter, launch
from runtime.job import FailureKind, JobSpec, JobStatus
from runtime.process import in_thread
from tests.backend import few_descriptors_program, out_of_resources_program
from tests.backend.local_jobs import local
from tests.unmeasured import unmeasured

USER = 65_000 + os.getpid() % 400
"""Unused by others, one may hope; root has no limit to its processes."""

BECOME = ["setpriv", f"--reuid={USER}", "--clear-groups"]
# The interpreter may be in a directory that is for its owner only.
BECOME += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]


def run(directory: Path, *arguments: object) -> tuple[list[Any], str, list[int]]:
    """Run the program as an ordinary user; return how the jobs ended, what was logged, and its descriptors."""
    directory.chmod(0o777)
    program = [sys.executable, "-m", out_of_resources_program.__name__, directory / "run", *arguments]
    words = [*(BECOME if os.getuid() == 0 else ()), *map(str, program)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60, env=unmeasured())
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    ends, texts, descriptors = json.loads(done.stdout)
    return ends, "\n".join(texts), descriptors


@pytest.mark.slow
@pytest.mark.root  # as below
@pytest.mark.parametrize("containment", ["group", "tree"])
def test_l4_with_few_processes_all_jobs_run(tmp_path: Path, containment: str) -> None:
    ends, log, _ = run(tmp_path, containment, 16, "RLIMIT_NPROC", 7, 60)
    assert [status for status, *_ in ends] == ["PASSED"] * 16
    assert "16 jobs at once need about" in log
    assert "is busy" in log
    assert "cannot be started: EAGAIN" in log


@pytest.mark.slow
@pytest.mark.root  # the user of the tests has other processes, whose ends would free some
def test_l4_with_no_process_they_are_busy_with_the_systems_reason(tmp_path: Path) -> None:
    ends, _, _ = run(tmp_path, "tree", 3, "RLIMIT_NPROC", 3, 0.3)  # a supervisor, a shim, a thread
    for status, kind, message in ends:
        assert (status, kind) == ("KILLED", "busy")
        assert message.startswith("its backend 'local' has been busy for ")
        assert "cannot be started: EAGAIN, Resource temporarily unavailable" in message


@pytest.mark.slow
@pytest.mark.parametrize("containment", ["group", "tree"])
def test_l5_where_there_are_few_descriptors_all_jobs_run_and_none_leaks(tmp_path: Path, containment: str) -> None:
    ends, log, descriptors = run(tmp_path, containment, 24, "RLIMIT_NOFILE", 20, 60)
    assert [status for status, *_ in ends] == ["PASSED"] * 24
    assert "cannot be started: EMFILE" in log
    assert descriptors == [0, 1, 2, 3]  # and the one that lists them


@pytest.mark.slow
@pytest.mark.parametrize("containment", ["group", "tree"])
def test_with_however_few_descriptors_the_backend_is_busy_or_cannot_be_opened_and_none_leaks(
    tmp_path: Path, containment: str
) -> None:
    words = [sys.executable, "-m", few_descriptors_program.__name__, str(tmp_path), containment, "2", "4", "17", "0.1"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120, env=unmeasured())
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    passed = []
    for spare, (ends, descriptors) in json.loads(done.stdout).items():  # trio itself needs the four of the first
        assert descriptors == [0, 1, 2, 3], spare  # and the one that lists them
        passed.append([status for status, *_ in ends] == ["PASSED"] * 2)
        for status, kind, message in ends:
            if status != "PASSED":
                assert kind == "busy" or "backend 'local' cannot be opened: [Errno 24]" in message, spare
                assert "Too many open files" in message, spare
    assert (passed[0], passed[-1]) == (False, True)


@pytest.mark.slow
@pytest.mark.parametrize("containment", ["group", "tree"])
async def test_l5_where_there_is_no_descriptor_they_are_busy_with_the_systems_reason(
    tmp_path: Path, containment: str
) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def take_the_rest(_status: JobStatus) -> None:
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))

    jobs = [
        JobSpec(name="first", cmd="true", post_finish=take_the_rest),
        # Whose files we make ourselves: a shim that is there already needs no descriptor of ours for the usual job.
        JobSpec(name="second", cmd="true", dependencies=["first"], renew_odir=True),
    ]
    try:
        results = await run_jobs(jobs, LocalBackend(2, tmp_path, containment=containment), busy_timeout=0.2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    first, second = results
    assert first.status is JobStatus.PASSED
    assert second.status is JobStatus.KILLED
    assert second.reason is not None
    assert second.reason.kind is FailureKind.BUSY
    assert "cannot be started: EMFILE, Too many open files" in second.reason.message


@pytest.mark.slow
@pytest.mark.parametrize("containment", ["group", "tree"])
def test_l6_without_memory_for_a_thread_each_job_ends_once_and_says_why(tmp_path: Path, containment: str) -> None:
    ends, _, _ = run(tmp_path, containment, 8, "RLIMIT_AS", 1_000_000, 60)  # the stack of a thread has 8 MiB
    for status, kind, message in ends:
        assert (status, kind) == ("KILLED", "backend_error")
        assert "cannot be opened" in message
        assert "no thread can be started" in message
    assert len(ends) == 8


@pytest.mark.slow
@pytest.mark.parametrize("containment", ["group", "tree"])
@pytest.mark.parametrize("spare", [10_000_000, 16_000_000, 30_000_000, 80_000_000])
def test_l6_with_little_memory_each_job_ends_once_and_nothing_is_reported_as_a_bug(
    tmp_path: Path, containment: str, spare: int
) -> None:
    ends, _, _ = run(tmp_path, containment, 8, "RLIMIT_AS", spare, 1)
    assert len(ends) == 8
    for status, kind, message in ends:
        if status != "PASSED":  # how much is needed differs from one system to the other
            assert kind in {"busy", "backend_error", "log_unreadable"}
            assert re.search("EAGAIN|ENOMEM|no thread can be started|memory for", message)


NO_THREAD = (RuntimeError("can't start new thread"), MemoryError())
"""What trio raises if no thread can be started, and if it is out of memory."""


class NoThreads:
    """Fails that many starts of threads."""

    def __init__(self, patch: pytest.MonkeyPatch, times: int, error: BaseException = NO_THREAD[0]) -> None:
        self.left = times
        self.refused: list[Any] = []
        """The functions that the threads would have called."""
        self._error = error
        self._start = trio.to_thread.run_sync
        patch.setattr(trio.to_thread, "run_sync", self._run_sync)

    async def _run_sync(self, function: Any, **options: Any) -> Any:
        if self.left:
            self.left -= 1
            self.refused.append(function)
            raise self._error
        return await self._start(function, **options)


@pytest.mark.parametrize("error", NO_THREAD, ids=repr)
async def test_a_call_that_may_wait_gets_a_thread_when_one_can_be_started(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    no_threads = NoThreads(monkeypatch, 3, error)
    assert await in_thread(max, 3, 4, limiter=trio.CapacityLimiter(1)) == 4
    assert no_threads.left == 0


async def test_a_thread_that_starts_after_it_was_abandoned_calls_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    no_threads = NoThreads(monkeypatch, 1, NO_THREAD[1])
    calls: list[int] = []
    await in_thread(calls.append, 1, limiter=trio.CapacityLimiter(1))
    for start in no_threads.refused:
        start()
    assert calls == [1]


@pytest.mark.parametrize("error", NO_THREAD, ids=repr)
async def test_a_call_that_may_not_wait_raises_that_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    NoThreads(monkeypatch, 1, error)
    with pytest.raises(OSError, match="no thread can be started") as caught:
        await in_thread(max, 3, 4, limiter=trio.CapacityLimiter(1), wait_for_thread=False)
    assert caught.value.errno == errno.EAGAIN


@pytest.mark.parametrize("error", NO_THREAD, ids=repr)
async def test_an_error_of_the_function_itself_is_raised_as_it_is(error: BaseException) -> None:
    def raise_it() -> None:
        raise error

    with pytest.raises(type(error)):
        await in_thread(raise_it, limiter=trio.CapacityLimiter(1))


@pytest.mark.parametrize("containment", ["group", "tree"])
@pytest.mark.parametrize("renew", [False, True], ids=["by its shim", "in a thread"])
async def test_without_memory_to_start_a_job_the_backend_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, containment: str, renew: bool
) -> None:
    def no_memory(*_args: object) -> None:
        raise MemoryError

    async with local(tmp_path, containment=containment) as here:
        with monkeypatch.context() as patch:
            patch.setattr(launch, "command_words", no_memory)
            patch.setattr(launch, "starting_words", no_memory)
            assert await here.session.submit([JobSpec(name="job", cmd="true", renew_odir=renew)]) == {}
            assert here.backend.busy_because == "cannot be started: ENOMEM, Cannot allocate memory"
        assert (await here.run()).status is JobStatus.PASSED


@pytest.mark.parametrize(
    ("containment", "renew", "module", "what"),
    [
        ("group", False, launch, "LocalJob"),
        ("group", False, group_starter, "GroupTree"),
        ("tree", False, launch, "LocalJob"),
        ("tree", True, launch, "LocalJob"),  # in a thread
    ],
)
async def test_a_process_that_cannot_be_watched_for_lack_of_memory_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, containment: str, renew: bool, module: ModuleType, what: str
) -> None:
    def no_memory(*_args: object) -> None:
        raise MemoryError

    lock = tmp_path / "lock"
    async with local(tmp_path, containment=containment) as here:
        with monkeypatch.context() as patch:
            patch.setattr(module, what, no_memory)
            event = await here.run(f"exec flock {lock} sleep 1000", name="first", renew_odir=renew)
            assert event.reason is not None
            assert event.reason.kind is FailureKind.LAUNCH_ERROR
            assert (
                event.reason.message == "cannot be started: there is no memory to watch its process, so that was killed"
            )
        # A process that still held the lock would hold it for longer than this test may take.
        assert (await here.run(f"exec flock {lock} true")).status is JobStatus.PASSED


@pytest.mark.parametrize("containment", ["group", "tree"])
async def test_without_a_thread_to_launch_in_the_backend_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, containment: str
) -> None:
    async with local(tmp_path, containment=containment) as here:
        with monkeypatch.context() as patch:
            NoThreads(patch, 1)
            assert await here.session.submit([JobSpec(name="job", cmd="true", renew_odir=True)]) == {}
            assert "no thread can be started" not in here.backend.busy_because  # the system's own words
            assert "EAGAIN" in here.backend.busy_because
        assert (await here.run()).status is JobStatus.PASSED
