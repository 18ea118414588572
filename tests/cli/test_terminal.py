"""On a terminal: the live display, and the state of the terminal after any end."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import Fifo, end_of, job_file, reset_signals, started, statuses

pytestmark = pytest.mark.slow


HIDES_CURSOR = "\x1b[?25l"
OTHER_SCREEN = "\x1b[?1049h"


class Terminal:
    """A terminal that keeps all output, in which a test can wait for a text."""

    def __init__(self) -> None:
        self._ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self.before = termios.tcgetattr(self.theirs)
        self.text = ""
        self._grown = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        try:
            while data := os.read(self._ours, 1 << 16):
                with self._grown:
                    self.text += data.decode()
                    self._grown.notify_all()
        except OSError:  # EIO: no process has it open any longer
            pass

    def wait_for(self, text: str) -> None:
        with self._grown:
            assert self._grown.wait_for(lambda: text in self.text, timeout=60), self.text

    def press(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def close(self) -> None:
        os.close(self.theirs)
        self._reader.join(60)
        os.close(self._ours)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


@contextmanager
def on(terminal: Terminal, directory: Path, *arguments: str, **options: Any) -> Iterator[Any]:
    with started(
        directory,
        *arguments,
        **{"stdin": terminal.theirs, "stdout": terminal.theirs, "stderr": terminal.theirs, **options},
    ) as program:
        yield program
    assert termios.tcgetattr(terminal.theirs) == terminal.before
    assert HIDES_CURSOR not in terminal.text
    assert OTHER_SCREEN not in terminal.text


def waiting_job(directory: Path, **more: Any) -> tuple[str, Fifo]:
    down = Fifo(directory / "down")
    jobs = {"bad": {"cmd": "exit 3", "weight": 9}, "long": {"cmd": f"read line <{down.path}"}, **more}
    return job_file(directory, jobs), down


def test_a_live_display_shows_what_runs_and_what_failed(tmp_path: Path, terminal: Terminal) -> None:
    file, down = waiting_job(tmp_path)
    with on(terminal, tmp_path, "run", file) as program:
        terminal.wait_for("FAILED")
        terminal.wait_for("long")
        terminal.wait_for("━")
        down.say()
        assert end_of(program).code == 1
    terminal.wait_for("2 jobs: ")
    last = terminal.text.rpartition("\x1b[J")[2]  # what is drawn after the live area went away
    assert "Failures of the design" in last
    assert "━" not in last


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"TERM": ""}])
def test_a_dumb_terminal_gets_plain_lines(tmp_path: Path, terminal: Terminal, env: dict[str, str]) -> None:
    file, down = waiting_job(tmp_path)
    with on(terminal, tmp_path, "run", file, "--print-interval", "0.01", env=env) as program:
        terminal.wait_for("1 running")
        down.say()
        assert end_of(program).code == 1
    terminal.wait_for("2 jobs: ")
    assert "\x1b" not in terminal.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_terminal_is_as_it_was_after_any_signal(tmp_path: Path, terminal: Terminal, number: signal.Signals) -> None:
    file, _ = waiting_job(tmp_path)
    with on(terminal, tmp_path, "run", file) as program:
        terminal.wait_for("long")
        program.send_signal(number)
        program.wait(60)


def test_names_cannot_command_the_terminal(tmp_path: Path, terminal: Terminal) -> None:
    evil = "x\x1b]0;title\x07\x1b[2J\u202e[blink]"
    file, down = waiting_job(tmp_path, **{evil: {"cmd": "printf '\\033[2Jevil\\n'; exit 1", "weight": 9}})
    with on(terminal, tmp_path, "run", file) as program:
        terminal.wait_for("[blink]")
        down.say()
        end_of(program)
    terminal.wait_for("3 jobs: ")
    for sequence in ("\x1b]0;", "\x07", "\x1b[2J", "\u202e"):
        assert sequence not in terminal.text


def test_an_interactive_job_has_the_terminal_for_itself(tmp_path: Path, terminal: Terminal) -> None:
    first, last = Fifo(tmp_path / "first"), Fifo(tmp_path / "last")
    jobs = {
        "build": {"cmd": f"read line <{first.path}"},
        "talk": {
            "cmd": "printf 'name? '; read name; echo \"hello $name\"",
            "interactive": True,
            "needs": ["build"],
        },
        "after": {"cmd": f"read line <{last.path}", "needs": ["talk"]},
    }
    with on(terminal, tmp_path, "run", job_file(tmp_path, jobs), preexec_fn=take_terminal) as program:
        terminal.wait_for("build")  # it is drawn
        first.say()
        terminal.wait_for("name? ")
        terminal.press(b"world\r")
        terminal.wait_for("hello world")
        terminal.wait_for("after")  # it is drawn again
        last.say()
        assert end_of(program).code == 0
    before, _, rest = terminal.text.partition("name? ")
    during, _, after = rest.partition("hello world")
    assert before.endswith("\x1b[J"), "what was drawn has gone before the job says anything"
    assert ("━" in before or "─" in before, "━" in during or "─" in during, "─" in after) == (True, False, True)
    assert set(statuses(tmp_path).values()) == {"passed"}


def test_the_terminal_comes_back_when_three_signals_end_an_interactive_job_at_once(
    tmp_path: Path, terminal: Terminal
) -> None:
    jobs = {"talk": {"cmd": "trap '' TERM INT HUP; echo ready; sleep 60; sleep 60", "interactive": True}}
    # Each of them is a request, so that the third comes before the second has killed the job.
    program_text = (
        "import sys, runtime.cli.repeated_signals as r, runtime.__main__ as m\n"
        "r.ANY_SIGNAL_INTERVAL = 0; sys.exit(m.main())"
    )
    words = [sys.executable, "-c", program_text, "run", job_file(tmp_path, jobs)]
    with on(terminal, tmp_path, words=words, preexec_fn=take_terminal) as program:
        terminal.wait_for("ready")
        assert termios.tcgetattr(terminal.theirs) != terminal.before, "so the test can tell"
        numbers = (signal.SIGTERM, signal.SIGUSR1, signal.SIGQUIT)
        for number in numbers:
            program.send_signal(number)
        # Signals that come together are delivered in any order.
        assert program.wait(60) in [128 + number for number in numbers]
    assert statuses(tmp_path) == {"talk": "killed"}


FARM = """
import subprocess, types

SAYS = "trap 'echo {0} >>told; exit 1' {0}; "
CHILD = SAYS.format("INT") + SAYS.format("TERM") + "echo x >up; while :; do sleep 0.01; done"

class FarmLauncher:
    poll_freq = 0.01
    def __init__(self, job): pass
    def launch(self): self.child = subprocess.Popen(["sh", "-c", CHILD])
    def poll(self): return types.SimpleNamespace(name="RUNNING" if self.child.poll() is None else "FAILED")
    def kill(self): self.child.terminate(); self.child.wait()
"""


@pytest.mark.parametrize("isolated", [True, False])
def test_ctrl_c_reaches_no_child_of_an_isolated_launcher(tmp_path: Path, terminal: Terminal, isolated: bool) -> None:
    up = Fifo(tmp_path / "up")
    (tmp_path / "farm.py").write_text(FARM)
    name = "legacy:farm:FarmLauncher"
    file = job_file(tmp_path, {"long": {"cmd": "x"}}, backends={name: {"isolated": isolated}})
    words = ["run", file, "--backend", name, "--pythonpath", "."]
    with on(terminal, tmp_path, *words, preexec_fn=take_terminal) as program:
        up.hear()
        terminal.press(b"\x03")
        code = end_of(program).code
    told = (tmp_path / "told").read_text().split()
    assert "Traceback" not in terminal.text
    if isolated:  # its launcher ended it, in an orderly way
        assert (code, told, statuses(tmp_path)) == (130, ["TERM"], {"long": "killed"})
    else:
        assert told[0] == "INT", "so the test can tell"


def take_terminal() -> None:
    """In a child that leads a session: let its standard input be its terminal."""
    reset_signals()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
