from __future__ import annotations

import logging
import math
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trio

from runtime.cli import screen as module
from runtime.cli.screen import MAX_FAILURES_AT_ONCE, Screen
from runtime.job import FailureKind, JobStatus
from runtime.report.output import Output
from runtime.report.progress import RunProgress, RunSnapshot
from runtime.scheduler.statuses import StatusChange
from tests.report.results import result


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIVE_INTERVAL", 0.001)


@contextmanager
def screen(interval: float = math.inf) -> Iterator[tuple[Screen, int]]:
    """Yield a screen that writes to a pipe, and the end to read from."""
    reading, writing = os.pipe()
    with open(writing, "w", encoding="utf-8") as stream, open(reading, "rb") as reader:
        yield Screen(Output(stream), Output(None), Path("/out"), interval=interval, live=True), reader.fileno()


def failed(progress: RunProgress, *names: str) -> None:
    for name in names:
        bad = result(name, FailureKind.EXIT_CODE, "exit code 3")
        progress.apply(StatusChange(bad.job, name, JobStatus.RUNNING, JobStatus.FAILED, 0.0, None, bad.event))


def snapshot() -> RunSnapshot:
    return RunProgress("fifo", 0.0).snapshot({JobStatus.PASSED: 1}, 0.0)


async def read(reader: int) -> str:
    await trio.lowlevel.wait_readable(reader)
    return os.read(reader, 1 << 16).decode()


async def test_nothing_is_shown_while_the_terminal_is_lent() -> None:
    progress = RunProgress("fifo", 0.0)
    with screen() as (shown, reader):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shown.follow, progress, snapshot)
            async with shown.lent():
                shown.say("later")
                for _ in range(3):
                    await trio.sleep(0.002)
                assert not select.select([reader], [], [], 0)[0]
            assert "later" in await read(reader)
            nursery.cancel_scope.cancel()


async def test_what_is_drawn_stays_when_somebody_else_has_written_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Output, "is_terminal", True)
    progress = RunProgress("fifo", 0.0)
    with screen() as (shown, reader):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shown.follow, progress, snapshot)
            while "\x1b[J" not in await read(reader):  # it draws over what it has drawn
                pass
            nursery.cancel_scope.cancel()
        shown.redraw_below()
        await shown.finish(progress, ())
        with suppress(BlockingIOError):
            os.set_blocking(reader, False)
            rest = os.read(reader, 1 << 16).decode()
            assert not rest.endswith("\x1b[J")


async def test_what_is_logged_said_and_failed_becomes_lines() -> None:
    progress = RunProgress("fifo", 0.0)
    with screen() as (shown, reader):
        shown.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
        shown.say("hello\x1b")
        shown.handle(logging.LogRecord("runtime", logging.WARNING, "", 0, "care\n%s", ("ful",), None))
        failed(progress, "a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shown.follow, progress, snapshot)
            assert await read(reader) == "hello\\x1b\nWARNING: care\\nful\nFAILED a: exit code 3  run/a/job.log\n"
            nursery.cancel_scope.cancel()
        shown.say("late")
        await shown.finish(progress, [(("the end", "bold"),)])
        assert await read(reader) == "late\nthe end\n"


def record(level: int, text: str) -> logging.LogRecord:
    return logging.LogRecord("runtime", level, "", 0, text, (), None)


@pytest.mark.parametrize("is_terminal", [False, True])
async def test_errors_go_to_standard_error_but_above_a_live_area(
    tmp_path: Path, is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Output, "is_terminal", is_terminal)
    with (tmp_path / "out").open("w") as output, (tmp_path / "err").open("w") as errors:
        shown = Screen(Output(output), Output(errors), Path("/out"), interval=math.inf, live=True)
        shown.handle(record(logging.WARNING, "careful"))
        shown.handle(record(logging.ERROR, "broken"))
        await shown.finish(RunProgress("fifo", 0.0), ())
    out, err = (tmp_path / "out").read_text(), (tmp_path / "err").read_text()
    assert "careful" in out
    assert ("broken" in out) is is_terminal
    assert err == ("" if is_terminal else "job-runtime: broken\n")


async def test_progress_is_a_line_at_each_interval() -> None:
    with screen(interval=0.002) as (shown, reader):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shown.follow, RunProgress("fifo", 0.0), snapshot)
            text = ""
            while text.count("\n") < 3:
                text += await read(reader)
            nursery.cancel_scope.cancel()
    assert set(text.splitlines()) == {"[0.0 s] 1/1 done: 1 passed, 0 failed, 0 killed, 0 running, 0 waiting"}


async def test_failures_that_come_together_are_not_all_said() -> None:
    progress = RunProgress("fifo", 0.0)
    failed(progress, *(f"job{number}" for number in range(MAX_FAILURES_AT_ONCE + 5)))
    with screen() as (shown, reader):
        await shown.finish(progress, [])
        lines = (await read(reader)).splitlines()
    assert len(lines) == MAX_FAILURES_AT_ONCE + 1
    assert lines[-1] == "… and 5 more that did not pass"


async def test_while_the_terminal_is_somebody_elses_nothing_is_written() -> None:
    asked = trio.Event()
    rounds = 0

    def count() -> RunSnapshot:
        nonlocal rounds
        rounds += 1
        asked.set()
        return snapshot()

    with screen() as (shown, reader):
        shown.held = True
        shown.say("wait for it")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shown.follow, RunProgress("fifo", 0.0), count)
            with trio.move_on_after(0.02):
                await asked.wait()
            assert rounds == 0
            shown.held = False
            assert await read(reader) == "wait for it\n"
            nursery.cancel_scope.cancel()


async def test_a_reader_that_takes_nothing_stops_nobody_else() -> None:
    """The loop goes on while a write waits for the reader."""
    with screen() as (shown, reader):
        shown.say("x" * 1_000_000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shown.follow, RunProgress("fifo", 0.0), snapshot)
            got = 0
            while got <= 1_000_000:  # this task runs, while the screen's thread waits for it
                got += len(await read(reader))
            nursery.cancel_scope.cancel()
    assert got == 1_000_001
