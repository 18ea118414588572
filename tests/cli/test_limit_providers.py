"""Limits that a command prints, or the clock tells: real commands, and what they may do wrong."""

from __future__ import annotations

import logging
import os
from datetime import datetime
from pathlib import Path

import pytest
import trio

from runtime.backend.fake import FakeBackend, FakeRun
from runtime.cli import limit_providers
from runtime.cli.limit_providers import CommandProvider, ScheduleProvider, limits_of_run
from runtime.errors import ResourceError
from runtime.jobfile.limits import CommandLimit, Hours, ScheduledLimit
from runtime.scheduler.providers import TimedProvider
from runtime.scheduler.run import Scheduler
from tests.cli.program import Fifo, is_alive
from tests.scheduler.planning import job

BY_DAY = ScheduledLimit(((Hours(frozenset(range(7)), 480, 1080), 4),), 40)


def provider(command: str, directory: Path) -> CommandProvider:
    return CommandProvider(CommandLimit(command, 30.0, directory))


async def has_died(pid: int) -> None:
    """Wait for the end of a process that was killed, perhaps a moment ago."""
    with trio.fail_after(60):
        while is_alive(pid):
            await trio.lowlevel.checkpoint()


async def test_a_command_runs_in_its_directory_and_its_first_line_is_the_limit(tmp_path: Path) -> None:
    (tmp_path / "free").write_text("#!/bin/sh\necho ' 12 '; echo 5; echo noise >&2\n")
    (tmp_path / "free").chmod(0o755)
    assert await provider("./free", tmp_path).capacity() == 12


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("echo many", "'echo many' printed 'many'; expected a whole number in its first line"),
        ("true", "'true' printed ''; expected a whole number in its first line"),
        ("echo; echo 5", "printed ''; expected"),
        ("echo -1", "printed '-1'; expected"),
        ("echo 1_000", "printed '1_000'; expected"),
        ("echo ٤", r"printed '\\u0664'; expected"),
        (f"echo {'9' * 300}", "printed '9999"),
        ("echo lmgrd is down >&2; exit 3", "ended with 3: 'lmgrd is down'"),
        ("echo 4; exit 1", "ended with 1: '4'"),
        ("kill -9 $$", "was ended by a signal, or could not be started"),
        ("/no/such/program", "ended with 127: "),
        ("echo 4; yes", r"'echo 4; yes' printed more than 64 KiB; expected a whole number in its first line"),
        ("printf '\\033[2J\\n'", r"printed '\\x1b\[2J'; expected"),
    ],
)
async def test_what_gives_no_limit_is_told(tmp_path: Path, command: str, complaint: str) -> None:
    with pytest.raises(ResourceError, match=complaint):
        await provider(command, tmp_path).capacity()


async def test_a_directory_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="ended with"):
        await provider("echo 3", tmp_path / "gone").capacity()


async def test_a_command_that_takes_too_long_is_killed_with_all_of_its_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limit_providers, "COMMAND_TIMEOUT", 0.2)
    with pytest.raises(ResourceError, match=r"did not end within 0\.2 s"):
        await provider("echo 3; sleep 1000 & echo $! > pid; wait", tmp_path).capacity()
    await has_died(int((tmp_path / "pid").read_text()))


async def test_a_cancel_ends_the_command(tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(provider("echo $$ > fifo; exec sleep 1000", tmp_path).capacity)
        pid = int(await trio.to_thread.run_sync(fifo.hear))
        nursery.cancel_scope.cancel()
    await has_died(pid)  # a start that was just over is ended in the background


async def test_a_run_follows_its_command_and_goes_on_when_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "free").write_text("2\n")
    limits = limits_of_run({"licence": CommandLimit("cat free", 0.001, tmp_path)}, [], [])
    backend = FakeBackend(lambda _spec, _attempt: FakeRun(duration=10**9))
    scheduler = Scheduler([job(f"j{i}", resources={"licence": 1}) for i in range(9)], backend, resources=limits)

    async def until_in_flight(count: int) -> None:
        while scheduler.statistics().in_flight != count:
            await trio.lowlevel.checkpoint()

    with caplog.at_level(logging.WARNING), trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scheduler.run)
            await until_in_flight(2)
            os.rename(tmp_path / "free", tmp_path / "gone")
            while not caplog.messages:
                await trio.lowlevel.checkpoint()
            (tmp_path / "new").write_text("5\n")
            os.rename(tmp_path / "new", tmp_path / "free")
            await until_in_flight(5)
            nursery.cancel_scope.cancel()
    (message,) = caplog.messages
    assert message.startswith("the limit of resource 'licence' is not known, the last value is kept: 'cat free' ended")


async def test_a_schedule_is_that_of_the_local_time() -> None:
    times = [datetime(2026, 11, 30, 7, 59, 59), datetime(2026, 11, 30, 8), datetime(2026, 11, 30, 18)]  # noqa: DTZ001 - local
    clock = iter(times)
    schedule = ScheduleProvider(BY_DAY, lambda: next(clock))
    assert [await schedule.capacity() for _ in times] == [40, 4, 40]
    assert isinstance(schedule, TimedProvider)


def test_options_replace_the_limits_of_the_file() -> None:
    limits = limits_of_run({"licence": BY_DAY, "gpu": 1}, [("licence", 3), ("disk", None)], [])
    assert limits == {"licence": 3, "gpu": 1, "disk": None}


@pytest.mark.parametrize(("amount", "is_possible"), [(40, True), (41, False), (None, True)])
def test_a_job_that_needs_more_than_a_schedule_ever_allows_is_wrong_input(
    amount: int | None, is_possible: bool
) -> None:
    jobs = [job("big", resources={"licence": amount}), job("none")]
    if is_possible:
        limits_of_run({"licence": BY_DAY}, [], jobs)
        return
    with pytest.raises(ResourceError, match="job 'big' needs 41 of resource 'licence', and its schedule allows 40"):
        limits_of_run({"licence": BY_DAY}, [], jobs)
