"""The worked example of docs/moving-over.md: a farm's old launcher through the adapter, and the backend after it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from examples.moving_over import __main__ as program
from examples.moving_over import backend, launcher
from examples.moving_over.backend import FarmBackend, FarmError
from examples.moving_over.launcher import FarmLauncher
from runtime import JobSpec, JobStatus, LegacyLauncherAdapter, RuntimeBackend, run_jobs
from runtime.testing import CHECKS, BackendFixture, Behaviour, run_check
from runtime.testing.conformance import Check

pytestmark = pytest.mark.slow

EXAMPLE = Path(program.__file__).parent
PAGE = EXAMPLE.parents[1] / "docs" / "moving-over.md"

STEPS: dict[str, Callable[[], RuntimeBackend]] = {
    "through the adapter": lambda: LegacyLauncherAdapter(FarmLauncher, poll_interval=0.02),
    "natively": lambda: FarmBackend(poll_interval=0.02),
}
both_steps = pytest.mark.parametrize("make", STEPS.values(), ids=STEPS)

TIMEOUT = 60.0
"""Seconds after which a test counts as hung. Arbitrary: ten times less would fail on a busy machine."""

COMMANDS = {
    Behaviour.PASS: "true",
    Behaviour.FAIL: "exit 3",
    Behaviour.RUN_UNTIL_KILLED: "exec sleep 1000",
    Behaviour.IGNORE_SIGTERM: "trap '' TERM; sleep 1000; sleep 1000",
    Behaviour.CANNOT_LAUNCH: "true",
    Behaviour.BUSY_ONCE: "true # full the first time",
}
SOMETIMES_FULL = f"""#!/bin/sh
case "$1 $*" in
    "submit "*"full the first time") ! mkdir "$2/asked" 2>/dev/null || exit 75 ;;
esac
exec '{EXAMPLE / "farm"}' "$@"
"""


@pytest.fixture(autouse=True)
def farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty farm, and where it notes what it was asked."""
    place = tmp_path / "farm"
    place.mkdir()
    monkeypatch.setenv("FARM", str(place))
    return place


def job(tmp_path: Path, name: str, cmd: str, **fields: object) -> JobSpec:
    given: dict[str, Any] = {"name": name, "cmd": cmd, "odir": str(tmp_path / name), **fields}
    return JobSpec(**given)


def asked(farm: Path, verb: str) -> list[int]:
    """For each time that the farm was asked to `verb`, about how many jobs; a submission has two words, and is 2."""
    lines = [line.split() for line in (farm / "asked").read_text().splitlines()]
    return [int(count) for what, count in lines if what == verb]


@both_steps
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_both_keep_the_contract(
    make: Callable[[], RuntimeBackend], check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "sometimes-full"
    command.write_text(SOMETIMES_FULL)
    command.chmod(0o755)
    monkeypatch.setattr(launcher, "FARM", command)

    def make_job(behaviour: Behaviour, id: str, *, timeout: float | None = None) -> JobSpec:  # noqa: A002 - see MakeJob
        odir = command / id if behaviour is Behaviour.CANNOT_LAUNCH else tmp_path / id
        return JobSpec(name=id, cmd=COMMANDS[behaviour], odir=str(odir), timeout=timeout)

    def fixture() -> BackendFixture:
        fresh = make()
        if isinstance(fresh, FarmBackend):
            fresh._farm = command
        return BackendFixture(fresh, make_job)

    await run_check(check, fixture, 0)


@both_steps
async def test_both_give_the_same_verdicts(make: Callable[[], RuntimeBackend], tmp_path: Path) -> None:
    jobs = [
        job(tmp_path, "passes", "echo TEST PASSED", pass_patterns=["^TEST PASSED"]),
        job(tmp_path, "says nothing", "echo nothing", pass_patterns=["^TEST PASSED"]),
        job(tmp_path, "exits 3", "exit 3"),
        job(tmp_path, "too long", "sleep 1000", timeout=0.2),
        job(tmp_path, "needs it", "true", dependencies=["exits 3"]),
    ]
    results = await run_jobs(jobs, make())
    assert {result.id: result.status.name for result in results} == {
        "passes": "PASSED",
        "says nothing": "FAILED",
        "exits 3": "FAILED",
        "too long": "KILLED",
        "needs it": "KILLED",
    }


@both_steps
async def test_a_full_farm_gets_what_it_has_no_room_for_later(
    make: Callable[[], RuntimeBackend], tmp_path: Path, farm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARM_SIZE", "1")
    results = await run_jobs([job(tmp_path, f"j{i}", "true") for i in range(3)], make())
    assert {result.status for result in results} == {JobStatus.PASSED}
    assert len(asked(farm, "submit")) >= 3


@both_steps
async def test_what_was_taken_from_the_farm_by_hand_was_killed(
    make: Callable[[], RuntimeBackend], tmp_path: Path, farm: Path
) -> None:
    async def take() -> None:
        while not (tmp_path / "job" / "up").exists():  # noqa: ASYNC110 - another process makes it
            await trio.sleep(0.01)
        await trio.run_process(
            [launcher.FARM, "kill", *(path.name for path in farm.glob("job.*"))], capture_stdout=True
        )

    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            (result,) = await run_jobs([job(tmp_path, "job", "touch up; sleep 1000")], make())
    assert (result.status, result.reason and result.reason.message) == (
        JobStatus.KILLED,
        "killed on the farm by another user",
    )


@pytest.mark.parametrize(("step", "most"), [("through the adapter", 1), ("natively", 5)])
async def test_natively_one_question_is_for_all_jobs(step: str, most: int, tmp_path: Path, farm: Path) -> None:
    gate = tmp_path / "gate"
    jobs = [job(tmp_path, f"j{i}", f"until [ -e '{gate}' ]; do sleep 0.01; done") for i in range(5)]

    def is_asked() -> bool:
        noted = (farm / "asked").exists()
        return noted and len(asked(farm, "submit")) == len(jobs) and asked(farm, "status")[-3:] == [most] * 3

    async def open_gate() -> None:
        while not is_asked():  # noqa: ASYNC110 - other processes are
            await trio.sleep(0.01)
        gate.touch()

    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(open_gate)
            await run_jobs(jobs, STEPS[step]())
    assert max(asked(farm, "status")) == most


async def test_a_farm_that_never_answers_breaks_its_backend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mute = tmp_path / "mute"
    mute.write_text(f"""#!/bin/sh
case $1 in status) echo no answer >&2; exit 1 ;; esac
exec '{EXAMPLE / "farm"}' "$@"
""")
    mute.chmod(0o755)
    monkeypatch.setattr(backend, "MAX_FAILURES", 3)
    send, receive = trio.open_memory_channel[object](10)
    broken = FarmBackend(mute, poll_interval=0.01)
    with send, receive, pytest.raises(FarmError, match="no answer"):
        async with broken.open(send):  # its events are not read
            await broken.submit(job(tmp_path, "job", "sleep 1000"))
            await trio.sleep_forever()
    assert caplog.text.count("does not return the status of its jobs") == 3


async def test_a_job_without_a_directory_costs_only_itself() -> None:
    (result,) = await run_jobs([JobSpec(name="a", cmd="true")], FarmBackend())
    assert result.reason is not None
    assert result.reason.message == "the job has no odir; expected a directory in which the farm runs it"


def test_the_first_step_takes_no_program(tmp_path: Path) -> None:
    file = tmp_path / "jobs.json"
    file.write_text('{"jobs": {"a": {"cmd": "echo TEST PASSED", "pass_patterns": ["^TEST PASSED"], "seeds": 4}}}')
    words = ["run", str(file), "--out", str(tmp_path), "--backend", "legacy:examples.moving_over.launcher:FarmLauncher"]
    command = [sys.executable, "-m", "runtime", *words]
    done = subprocess.run(command, cwd=EXAMPLE.parents[1], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 jobs: 4 passed, 0 failed, 0 killed" in done.stdout


def test_what_the_page_shows_is_what_is_tested() -> None:
    tested = "".join(path.read_text() for path in [*EXAMPLE.glob("*.py"), Path(__file__)])
    shown = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(shown) == 6
    assert [code for code in shown if code.rstrip("\n") not in tested] == []


def test_the_program_shows_both(capsys: pytest.CaptureFixture[str]) -> None:
    program.main(5)
    first, second = capsys.readouterr().out.splitlines()
    assert re.match(r"LegacyLauncherAdapter: 4 of 5 passed; calls of the farm: {'submit': 5, 'status': \d+}", first)
    assert re.match(r"FarmBackend: 4 of 5 passed; calls of the farm: {'submit': 5, 'status': \d+}", second)
