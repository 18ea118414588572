"""Signals before a run, and after it: real ones, to real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.program import LIMIT, ROOT, end_of, environment, started

pytestmark = pytest.mark.slow

SIGNALS = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by SIGTERM"), (signal.SIGHUP, 129, "")]


def wait_until_it_listens(pid: int) -> None:
    """Until the process has a handler for SIGTERM."""
    deadline = time.monotonic() + LIMIT
    while not int(status_of(pid)["SigCgt"], 16) >> (signal.SIGTERM - 1) & 1:
        assert time.monotonic() < deadline
        os.sched_yield()


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@pytest.mark.parametrize(("number", "code", "said"), SIGNALS)
@pytest.mark.parametrize("times", [1, 3])
def test_before_the_run_any_signal_ends_it_in_one_line(
    tmp_path: Path, number: signal.Signals, code: int, said: str, times: int
) -> None:
    with started(tmp_path, "run", "-", stdin=subprocess.PIPE) as program:  # which nobody writes to
        wait_until_it_listens(program.pid)
        for _ in range(times):
            program.send_signal(number)
        program.wait(LIMIT)
        done = end_of(program)
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1)
    assert done.err.startswith(f"job-runtime: {said}")
    assert list(tmp_path.iterdir()) == []


INTERRUPTED_IMPORTS = """
import builtins, os, signal
from runtime.cli.main import main
real_import = builtins.__import__
def interrupted_import(name, *args, **options):
    if name == "runtime.cli.encoding":
        os.kill(os.getpid(), signal.SIGINT)
    return real_import(name, *args, **options)
builtins.__import__ = interrupted_import
main()
"""


def test_ctrl_c_before_the_handlers_are_there_ends_it_without_a_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORTS], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


PROGRAM = """
import os, signal
from runtime.cli.exit_on_signal import call_before_exit, exit_on_signals
exit_on_signals()
call_before_exit(lambda: print("not this", flush=True))
call_before_exit(lambda: (print("results", flush=True), os.kill(os.getpid(), signal.SIGINT)))
os.kill(os.getpid(), signal.SIGTERM)
"""


def run_program(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", text], env=environment(), cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_what_is_to_be_done_before_is_done_once_and_not_interrupted() -> None:
    done = run_program(PROGRAM)
    assert (done.returncode, done.stdout, done.stderr) == (143, "results\n", "job-runtime: ended by SIGTERM\n")


def test_it_ends_whatever_fails_on_the_way() -> None:
    done = run_program(PROGRAM.replace('print("results", flush=True)', "1 / 0"))
    assert done.returncode == 143


def test_what_is_ignored_stays_ignored() -> None:
    done = run_program("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + PROGRAM + "print('alive')")
    assert (done.returncode, done.stdout) == (0, "alive\n")


def test_a_log_file_has_the_last_words(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    done = run_program(f"from runtime.cli.logs import log_to_file\nlog_to_file({str(log)!r})\n" + PROGRAM)
    assert done.returncode == 143
    assert log.read_text() == "job-runtime: ended by SIGTERM\n"
