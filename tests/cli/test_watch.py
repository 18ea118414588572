"""``watch``: a run as another process shows it, and keys that ask the run for something."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import NoReturn

import pytest
import trio
import trio.testing

from runtime.cli import watch
from runtime.ctl.sender import NoAnswerError
from runtime.job import FailureKind, JobSpec
from runtime.journal.replay import RunState
from tests.cli.past_run import NAME, held, write_run
from tests.cli.program import Fifo, call, end_of, job_file, started
from tests.cli.test_terminal import Terminal, on, take_terminal, terminal
from tests.report.results import result

__all__ = ("terminal",)  # a fixture

pytestmark = pytest.mark.slow


class RunningRun:
    """A run in which one job has failed, and one waits for `down`."""

    def __init__(self, directory: Path) -> None:
        up, self.down = Fifo(directory / "up"), Fifo(directory / "down")
        jobs = {
            "bad": {"cmd": "exit 3", "weight": 9},
            "long": {"cmd": f"echo up >{up.path}; read line <{self.down.path}"},
        }
        self._up = up
        self.file = job_file(directory, jobs)

    def wait(self) -> None:
        """Wait until the second job runs."""
        self._up.hear()


def test_of_a_run_that_has_ended_the_report_is_shown(tmp_path: Path) -> None:
    write_run(tmp_path / "results", [result("good"), result("bad", FailureKind.EXIT_CODE, "exit code 7")])
    watched, reported = call(tmp_path, "watch"), call(tmp_path, "report")
    assert (watched.code, watched.out, watched.err) == (0, reported.out, "")
    assert "exit code 7" in watched.out


def test_of_a_run_that_has_ended_no_keys_are_offered(tmp_path: Path, terminal: Terminal) -> None:
    write_run(tmp_path / "results", [result("good")])
    with on(terminal, tmp_path, "watch", preexec_fn=take_terminal) as watch:
        assert end_of(watch).code == 0
        terminal.wait_for("1 job: ")
    assert "keys:" not in terminal.text


def test_of_a_run_that_has_died_the_report_says_so(tmp_path: Path) -> None:
    write_run(tmp_path / "results", [result("good")], ended=None, more=[JobSpec(name="late", cmd="true")])
    watched = call(tmp_path, "watch", NAME)
    assert watched.code == 0
    assert "2 jobs, died, " in watched.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], 'RUN is "nothing"; expected the name of a run in'),
        (["--print-interval", "soon"], "'soon' is given; expected seconds, from 0"),
        (["empty"], "it has no journal"),
        (["exported.tar.gz"], "which was exported; expected a run directory"),
    ],
)
def test_wrong_input_is_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "results" / "empty").mkdir(parents=True)
    (tmp_path / "exported.tar.gz").touch()
    end = call(tmp_path, "watch", *arguments)
    assert end.code == 2
    assert message in end.err
    assert "Traceback" not in end.err


def test_elsewhere_than_on_a_terminal_it_is_lines_until_the_run_ends(tmp_path: Path) -> None:
    running = RunningRun(tmp_path)
    with started(tmp_path, "run", running.file) as run:
        running.wait()
        with started(tmp_path, "watch", "--print-interval", "0.01") as watch:
            assert watch.stdout is not None
            lines = iter(watch.stdout.readline, "")
            assert any("1 failed" in line and "1 running, 0 waiting" in line for line in lines)
            running.down.say()
            end = end_of(watch)
        assert end_of(run).code == 1
    assert end.code == 0
    assert "2 jobs: 1 passed, 1 failed, 0 killed, in " in end.out


def test_keys_stop_the_run_when_that_is_confirmed(tmp_path: Path, terminal: Terminal) -> None:
    running = RunningRun(tmp_path)
    with started(tmp_path, "run", running.file) as run:
        running.wait()
        with on(terminal, tmp_path, "watch", preexec_fn=take_terminal) as watch:
            terminal.wait_for("keys: s stops the run")
            terminal.press(b"s")
            terminal.wait_for("stop the run? y: yes")
            terminal.press(b"n")
            terminal.press(b"p")
            terminal.wait_for("launching is paused")
            terminal.press(b"k")
            terminal.wait_for("kill all jobs? y: yes")
            terminal.press(b"y")
            assert end_of(watch).code == 0
        assert end_of(run).code != 0
    results = json.loads((tmp_path / "results" / "latest" / "results.json").read_text())
    requests = [(each["action"], each["force"]) for each in results["segments"][-1]["requests"]]
    assert requests == [("pause", False), ("stop", True)]


@pytest.mark.parametrize("end", ["q", "SIGINT", "SIGTERM"])
def test_leaving_changes_neither_the_run_nor_the_terminal(tmp_path: Path, terminal: Terminal, end: str) -> None:
    running = RunningRun(tmp_path)
    with started(tmp_path, "run", running.file) as run:
        running.wait()
        with on(terminal, tmp_path, "watch", preexec_fn=take_terminal) as watch:
            terminal.wait_for("long")
            if end == "q":
                terminal.press(b"q")
            else:
                watch.send_signal(getattr(signal, end))
            assert end_of(watch).code == {"q": 0, "SIGINT": 130, "SIGTERM": 143}[end]
        running.down.say()
        assert end_of(run).code == 1


async def test_q_leaves_while_a_request_waits(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answered = threading.Event(), threading.Event()

    def ask(*_: object) -> NoReturn:
        asked.set()
        answered.wait()
        raise NoAnswerError("never")

    async def read() -> bytes:
        if not pressed:
            await trio.to_thread.run_sync(asked.wait)
            return b"sq"
        return pressed.pop()

    monkeypatch.setattr(watch, "ask", ask)
    pressed = [b"p"]
    begun = trio.current_time()
    try:
        assert await watch.Keys(tmp_path, RunState(), print).follow(read)
    finally:
        answered.set()
    assert trio.current_time() - begun == watch.LEAVE_TIMEOUT


def test_a_request_that_nobody_answers_is_a_line(tmp_path: Path, terminal: Terminal) -> None:
    run_dir = write_run(tmp_path / "results", [result("good")], ended=None)
    with held(run_dir), on(terminal, tmp_path, "watch", preexec_fn=take_terminal) as watch:
        terminal.wait_for("keys: s stops the run")
        terminal.press(b"p")
        terminal.wait_for("takes no requests")
        terminal.press(b"q")
        assert end_of(watch).code == 0
    assert os.listdir(run_dir) == ["journal.jsonl"] or "lock" in os.listdir(run_dir)
