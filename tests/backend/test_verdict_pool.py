from __future__ import annotations

import errno
import itertools
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from runtime.backend import verdict_pool
from runtime.backend.verdict_pool import VerdictPool
from runtime.job import FailureKind, JobSpec, JobStatus
from runtime.process import Exit, Work, each_in_thread
from runtime.verdict import Judgement, LogFollower, verdicts
from runtime.verdict.file import judge_log
from runtime.verdict.judge import LogPatterns
from tests.campaigns import log as long_log

SPEC = JobSpec(name="job", cmd="true", pass_patterns=["^PASSED"])
WELL = Exit(code=0)


@asynccontextmanager
async def open_judges() -> AsyncIterator[VerdictPool]:
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            judges = VerdictPool(trio.CapacityLimiter(6))
            nursery.start_soon(judges.run)
            yield judges
            nursery.cancel_scope.cancel()


class Door:
    """Holds up the judging of the log with this name until it is opened."""

    def __init__(self, patch: pytest.MonkeyPatch, name: str) -> None:
        self.opened = threading.Event()
        self.arrived = threading.Event()
        self.calls: list[str] = []
        self._name = name
        patch.setattr(verdicts, "judge_log", self._judge_log)

    def _judge_log(self, path: str, patterns: LogPatterns, *args: Any, **options: Any) -> Judgement:
        name, longest = Path(path).name, options.get("longest")
        if longest is not None and Path(path).stat().st_size > longest:
            return judge_log(path, patterns, *args, **options)  # which reads nothing of it
        self.calls.append(name)
        if name == self._name:
            self.arrived.set()
            self.opened.wait()
        return judge_log(path, patterns, *args, **options)

    async def wait_arrived(self) -> None:
        await trio.to_thread.run_sync(self.arrived.wait, limiter=trio.CapacityLimiter(1))


def write(directory: Path, name: str, size: int = 0) -> str:
    (directory / name).write_bytes(b"x\n" * (size // 2) + b"PASSED\n")
    return str(directory / name)


async def test_short_logs_are_judged_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hops: list[int] = []

    async def note(work: Work[Any, Any], **options: Any) -> None:
        hops.append(len(work.left()))
        await each_in_thread(work, **options)

    monkeypatch.setattr(verdict_pool, "each_in_thread", note)
    statuses: list[JobStatus] = []

    async def ask(judges: VerdictPool, log: str) -> None:
        statuses.append((await judges.of(SPEC, WELL, log)).status)

    async with open_judges() as judges:
        log = write(tmp_path, "log")
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(ask, judges, log)
    assert statuses == [JobStatus.PASSED] * 100
    assert sum(hops) == 100
    assert len(hops) < 20


async def test_long_logs_hold_up_no_short_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(monkeypatch, "long")
    async with open_judges() as judges:
        long, short = write(tmp_path, "long", 1 << 20), write(tmp_path, "short")
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(judges.of, SPEC, WELL, long)
            await door.wait_arrived()
            assert (await judges.of(SPEC, WELL, short)).passed
            assert not door.opened.is_set()
            door.opened.set()
    assert sorted(door.calls) == ["long"] * 3 + ["short"]


async def test_one_log_that_cannot_be_read_to_its_end_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = Door(monkeypatch, "stuck")
    async with open_judges() as judges:
        stuck, other = write(tmp_path, "stuck"), write(tmp_path, "other")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(judges.of, SPEC, WELL, stuck)
            await door.wait_arrived()
            assert (await judges.of(SPEC, WELL, other)).passed
            nursery.cancel_scope.cancel()  # one waiter is cancelled, and the other waits on
        assert (await judges.of(SPEC, WELL, other)).passed
        door.opened.set()


async def test_logs_that_cannot_be_read_hold_up_none_of_those_that_share_their_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than the pool has threads."""
    door = Door(monkeypatch, "stuck")
    async with open_judges() as judges:
        stuck, other = write(tmp_path, "stuck"), write(tmp_path, "other")
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(judges.of, SPEC, WELL, stuck)
            async with trio.open_nursery() as others:
                for _ in range(10):
                    others.start_soon(judges.of, SPEC, WELL, other)
            door.opened.set()


@pytest.mark.parametrize(
    ("error", "message"),
    [(OSError(errno.EMFILE, "none left"), "[Errno 24] none left"), (MemoryError(), "there is no memory for that")],
)
async def test_a_log_waits_for_a_free_descriptor_and_for_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    lacking = 3

    def judge_or_lack(*args: Any, **options: Any) -> Judgement:
        nonlocal lacking
        if lacking:
            lacking -= 1
            raise error
        return judge_log(*args, **options)

    monkeypatch.setattr(verdicts, "judge_log", judge_or_lack)
    log = write(tmp_path, "log")
    async with open_judges() as judges:
        assert (await judges.of(SPEC, WELL, log)).passed
        assert lacking == 0
        lacking = 1000
        monkeypatch.setattr(verdict_pool, "_RESOURCE_TIMEOUT", 0.02)
        verdict = await judges.of(SPEC, WELL, log)
        assert verdict.reason is not None
        assert verdict.reason.kind is FailureKind.LOG_UNREADABLE
        assert verdict.reason.message == f"its log could not be judged: {message}"


async def test_without_memory_to_see_whether_a_log_is_judged_quickly_it_is_judged_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_args: object, **_options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(verdicts, "is_quick", no_memory)
    log = write(tmp_path, "log")
    async with open_judges() as judges:
        assert (await judges.of(SPEC, WELL, log)).passed
        monkeypatch.setattr(verdicts, "judge_text", no_memory)
        assert judges.at_once(SPEC, WELL, b"PASSED") is None


async def test_a_log_that_is_gone_is_in_the_verdict(tmp_path: Path) -> None:
    async with open_judges() as judges:
        verdict = await judges.of(SPEC, WELL, str(tmp_path / "gone"))
        assert verdict.log is None
        assert verdict.reason is not None
        assert verdict.reason.kind is FailureKind.LOG_UNREADABLE
        assert "No such file" in verdict.reason.message
        without = JobSpec(name="job", cmd="true")
        verdict = await judges.of(without, Exit(code=3), str(tmp_path / "gone"))
        assert verdict.reason is not None
        assert verdict.reason.message == "exit code 3"


async def test_a_short_log_that_may_take_long_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = Door(monkeypatch, "quadratic")
    spec = JobSpec(name="quadratic", cmd="true", pass_patterns=[r"^PASSED(?!(x+)+y)"])
    async with open_judges() as judges:
        quadratic, short = write(tmp_path, "quadratic"), write(tmp_path, "short")
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(judges.of, spec, WELL, quadratic)
            await door.wait_arrived()
            assert (await judges.of(SPEC, WELL, short)).passed
            door.opened.set()


async def test_a_pattern_that_takes_for_ever_costs_its_job_and_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "judge_log", partial(judge_log, budget=0.1))
    spec = JobSpec(name="bad", cmd="true", fail_patterns=[r"(?=x)(x+)+y"])
    (tmp_path / "log").write_bytes(b"x" * 40)
    async with open_judges() as judges:
        verdict = await judges.of(spec, WELL, str(tmp_path / "log"))
        assert verdict.log is None
        assert verdict.reason is not None
        assert verdict.reason.kind is FailureKind.LOG_UNREADABLE
        assert verdict.reason.message.endswith(r"budget of 0.1 s, pattern '(?=x)(x+)+y'")
        (tmp_path / "log").write_bytes(b"z")
        assert (await judges.of(spec, WELL, str(tmp_path / "log"))).passed
        (worker,) = judges._verdicts._workers._idle
    assert worker.helper.has_exited()


@pytest.mark.slow
async def test_r1_a_log_of_300_megabytes_takes_few_of_them(tmp_path: Path) -> None:
    line, size = long_log.write(tmp_path / "log", 320 << 20, seed=1)
    assert size > 300 << 20
    _, _, extra = await long_log.judge(tmp_path / "log", line)
    assert extra <= long_log.MAX_EXTRA


@pytest.mark.slow
async def test_r2_a_line_of_300_megabytes_takes_few_of_them(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        file.truncate(300 << 20)  # NUL, without an end of a line
        file.seek(0, os.SEEK_END)
        file.write(b"TEST PASSED")
    spec = JobSpec(name="log", cmd="true", pass_patterns=["TEST PASSED$", "^$"], fail_patterns=long_log.FAILING)
    long_log.forget_peak()
    before = long_log.peak()
    async with open_judges() as judges:
        verdict = await judges.of(spec, WELL, str(tmp_path / "log"))
    assert long_log.peak() - before <= long_log.MAX_EXTRA
    assert verdict.reason is not None
    assert verdict.reason.message == "pass pattern not found: '^$'"
    assert verdict.log is not None
    assert verdict.log.lines == 1


async def test_a_log_is_watched_on_after_there_was_no_free_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, log = JobSpec(name="job", cmd="true", fail_patterns=["^PASSED"]), tmp_path / "log"
    log.write_text("PASSED\n")
    look, looks = LogFollower.look, itertools.count()

    def look_or_lack(follower: LogFollower) -> bool:
        if next(looks) < 3:
            raise OSError(errno.EMFILE, "Too many open files")
        return look(follower)

    monkeypatch.setattr(LogFollower, "look", look_or_lack)
    async with open_judges() as judges:
        await judges.wait_failed(spec, str(log), 0.001)
    assert next(looks) == 4
