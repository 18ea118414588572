"""The embedding example, as a program and as functions, with buffers 0, 1 and infinite."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from examples.embed import JOBS, schedule
from runtime import FakeBackend, LocalBackend
from runtime.backend.fake import FakeRun

PROGRAM = Path(__file__).parents[2] / "examples" / "embed.py"
ENDS = {**{job.id: "PASSED" for job in JOBS}, "broken": "FAILED"}


@pytest.mark.parametrize("buffer", [0, 1, math.inf])
async def test_every_job_ends_once_and_the_program_ends(buffer: float) -> None:
    ended = await schedule(JOBS, LocalBackend(max_parallelism=3), buffer)
    assert {name: event.status.name for name, event in ended.items()} == ENDS
    assert next(iter(ended)) == "build"


@pytest.mark.parametrize("buffer", [0, 1, math.inf])
async def test_any_backend_will_do(buffer: float) -> None:
    ended = await schedule(JOBS, FakeBackend(), buffer)
    assert {event.status.name for event in ended.values()} == {"PASSED"}


@pytest.mark.parametrize("buffer", [0, 1, math.inf])
async def test_a_run_that_is_cancelled_sees_every_job_complete(
    buffer: float, capsys: pytest.CaptureFixture[str], autojump_clock: MockClock
) -> None:
    backend = FakeBackend(lambda spec, _: FakeRun(duration=1 if spec.id == "build" else math.inf, kill_duration=1))
    with trio.move_on_after(5):
        await schedule(JOBS, backend, buffer)
    printed = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert printed.keys() == {job.id for job in JOBS}
    assert all(text.startswith("KILLED") for name, text in printed.items() if name != "build")
    assert backend.undelivered == 0


@pytest.mark.parametrize("buffer", ["0", "1", "inf"])
def test_as_a_program(buffer: str) -> None:
    done = subprocess.run([sys.executable, PROGRAM, buffer], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "build: PASSED"
    assert "broken: FAILED (exit code 3)" in lines
    assert lines[-1] == f"{len(JOBS) - 1} of {len(JOBS)} passed"
