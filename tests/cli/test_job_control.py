"""Ctrl-Z and fg, and the background: under a shell with job control, on a terminal."""

from __future__ import annotations

import os
import signal
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import LIMIT, Fifo, command, job_file, started, statuses
from tests.cli.test_terminal import Terminal, take_terminal

pytestmark = pytest.mark.slow

SHELL = str(Path(__file__).with_name("job_control.py"))


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


class Shell:
    """A shell that runs the command line."""

    def __init__(self, directory: Path) -> None:
        self.told = Fifo(directory / "told")
        self.go = Fifo(directory / "go")
        self.program: Any = None

    @contextmanager
    def runs(self, terminal: Terminal, directory: Path, where: str, *arguments: str) -> Iterator[None]:
        words = [sys.executable, SHELL, where, str(self.told.path), str(self.go.path), *command(*arguments)]
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.theirs)
        with started(directory, words=words, preexec_fn=take_terminal, **streams) as self.program:
            yield

    def hear_stop(self) -> int:
        return int(self.told.hear())

    def exit_code(self) -> int:
        code: int = self.program.wait(LIMIT)
        return code


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def wait_state(pids: list[int], *, stopped: bool) -> None:
    deadline = time.monotonic() + LIMIT
    while any((state(pid) == "T") != stopped for pid in pids):
        assert time.monotonic() < deadline


@pytest.mark.parametrize("containment", ["tree", "group"])
def test_ctrl_z_stops_the_jobs_as_well_and_fg_continues_them(
    tmp_path: Path, terminal: Terminal, containment: str
) -> None:
    up, down, shell = Fifo(tmp_path / "up"), Fifo(tmp_path / "down"), Shell(tmp_path)
    jobs = {"sim": {"cmd": f"sleep 1000 & echo $$ $! >{up.path}; read line <{down.path}; exit 0"}}
    file = job_file(tmp_path, jobs, backends={"local": {"containment": containment}})
    with shell.runs(terminal, tmp_path, "foreground", "run", file):
        pids = [int(word) for word in up.hear().split()]
        for _ in range(2):
            terminal.press(b"\x1a")
            assert shell.hear_stop() == signal.SIGTSTP
            wait_state(pids, stopped=True)
            shell.go.say()
            wait_state(pids, stopped=False)
        down.say()
        assert shell.exit_code() == 0
    assert statuses(tmp_path) == {"sim": "passed"}


def test_time_between_ctrl_z_and_fg_counts_towards_no_limit(tmp_path: Path, terminal: Terminal) -> None:
    up, down, shell = Fifo(tmp_path / "up"), Fifo(tmp_path / "down"), Shell(tmp_path)
    limit = 3
    jobs = {"sim": {"cmd": f"echo $$ >{up.path}; read line <{down.path}; exit 0", "timeout": limit}}
    with shell.runs(terminal, tmp_path, "foreground", "run", job_file(tmp_path, jobs)):
        pid = int(up.hear())
        terminal.press(b"\x1a")
        shell.hear_stop()
        over = time.monotonic() + limit
        while time.monotonic() < over:
            wait_state([pid], stopped=True)
        shell.go.say()
        down.say()
        assert shell.exit_code() == 0
    assert statuses(tmp_path) == {"sim": "passed"}


def test_a_signal_stops_an_interactive_job_and_the_terminal_is_usable_meanwhile(
    tmp_path: Path, terminal: Terminal
) -> None:
    up, shell = Fifo(tmp_path / "up"), Shell(tmp_path)
    jobs = {"talk": {"cmd": f"echo $PPID >{up.path}; read line; echo got $line", "interactive": True}}
    with shell.runs(terminal, tmp_path, "foreground", "run", job_file(tmp_path, jobs)):
        up.hear()
        deadline = time.monotonic() + LIMIT
        while termios.tcgetattr(terminal.theirs) == terminal.before:
            assert time.monotonic() < deadline
        (pid,) = [
            int(word)
            for word in Path(f"/proc/{shell.program.pid}/task/{shell.program.pid}/children").read_text().split()
        ]
        signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGTSTP)
        shell.hear_stop()
        assert termios.tcgetattr(terminal.theirs) == terminal.before
        shell.go.say()
        while termios.tcgetattr(terminal.theirs) == terminal.before:
            assert time.monotonic() < deadline
        terminal.press(b"seven\r")
        assert shell.exit_code() == 0
    assert "got seven" in terminal.text
    assert termios.tcgetattr(terminal.theirs) == terminal.before


def test_in_the_background_of_a_terminal_that_stops_writers_a_run_goes_on(tmp_path: Path, terminal: Terminal) -> None:
    modes = termios.tcgetattr(terminal.theirs)
    modes[3] |= termios.TOSTOP
    termios.tcsetattr(terminal.theirs, termios.TCSANOW, modes)
    shell = Shell(tmp_path)
    cmd = ["grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"]
    jobs = {"sim": {"cmd": cmd}, "talk": {"cmd": "echo said by a job", "interactive": True, "needs": ["sim"]}}
    with shell.runs(terminal, tmp_path, "background", "run", job_file(tmp_path, jobs), "--log-file", "log"):
        assert shell.exit_code() == 0
    assert terminal.text == ""
    assert statuses(tmp_path) == {"sim": "passed", "talk": "passed"}
    assert "2 jobs: 2 passed" in (tmp_path / "log").read_text()
    _, blocked, _, ignored = (tmp_path / "results" / "latest" / "sim" / "job.log").read_text().split()
    assert not (int(blocked, 16) | int(ignored, 16)) >> (signal.SIGTTOU - 1) & 1
