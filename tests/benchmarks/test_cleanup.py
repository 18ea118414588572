"""Tests of `benchmarks.cleanup`: no process outlives the program that measures, however it ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import cleanup, environment
from benchmarks.cleanup import MARK, Stopped, no_process_left
from benchmarks.model import BenchmarkError
from tests.slurm.cluster import Process

FOR_EVER = """
import signal, subprocess, sys, tempfile
pipe = open(sys.argv[1], "w")  # closed when the last process that has it open has ended
subprocess.Popen(["sleep", "600"], pass_fds=[pipe.fileno()], start_new_session=True)
tempfile.NamedTemporaryFile(delete=False)
print("there", file=pipe, flush=True)
signal.pause()
"""

MEASURING = """
import signal, sys
from contextlib import contextmanager
from benchmarks import __main__ as program
from benchmarks.model import Contender, Figure, Question

script, pipe, directory = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)  # also if this program was started with SIGINT ignored
for number in signal.SIGTERM, signal.SIGHUP:
    signal.signal(number, signal.SIG_DFL)

@contextmanager
def setup():
    try:
        yield {"TMPDIR": directory}
    finally:
        print("down", flush=True)

question = Question(
    "ever",
    [Contender("a", [sys.executable, script, pipe])],
    [Figure("ever", "x", "s", "lower", "a", {})],
    setup,
)
program.QUESTIONS = {"ever": lambda quick: question}
sys.exit(program.main(["--alone"]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=lambda it: str(int(it))
)
def test_a_signal_leaves_no_process_and_no_file(number: signal.Signals, code: int, tmp_path: Path) -> None:
    script, pipe, directory = tmp_path / "for_ever.py", tmp_path / "pipe", tmp_path / "directory"
    script.write_text(FOR_EVER)
    os.mkfifo(pipe)
    directory.mkdir()
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    command = [sys.executable, "-c", MEASURING, str(script), str(pipe), str(directory)]
    measuring = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=environment.TREE, text=True
    )
    try:
        assert select.select([reading], [], [], 60)[0], "the sample did not start"
        assert os.read(reading, 100) == b"there\n"
        assert list(directory.rglob("tmp*"))
        measuring.send_signal(number)
        out, err = measuring.communicate(timeout=60)
    finally:
        measuring.kill()
        measuring.wait()
    assert measuring.returncode == code
    assert err == f"stopped by {number.name}\n"
    assert out.splitlines()[1:] == ["down"]
    assert os.read(reading, 100) == b""  # no process has it open: otherwise this raises BlockingIOError
    os.close(reading)
    assert not list(directory.iterdir())


def test_only_the_first_signal_raises_so_that_no_other_interrupts_the_clean_up() -> None:
    ended = []
    with pytest.raises(Stopped) as stopped, no_process_left():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            ended.append("as well")
    assert stopped.value.signal is signal.SIGTERM
    assert ended == ["as well"]


def test_an_ignored_signal_stays_ignored_and_handlers_are_restored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    others = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        with no_process_left():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGTERM) is not others[1]
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == others
    finally:
        signal.signal(signal.SIGHUP, before)


def test_processes_started_in_the_block_are_killed_and_no_others() -> None:
    started = [subprocess.Popen(["sleep", "600"])]
    try:
        with no_process_left():
            started.append(subprocess.Popen(["sleep", "600"], start_new_session=True))
        other, lost = started
        assert Process.of(lost.pid) is None
        assert Process.of(other.pid) is not None
        assert MARK not in os.environ
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_a_process_that_survives_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup, "KILL_TIMEOUT", 0.0)
    monkeypatch.setattr(Process, "signal", lambda *_: None)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(BenchmarkError, match="processes survive SIGKILL: ") as survived, no_process_left():
        survivor = subprocess.Popen(["sleep", "600"])
    survivor.kill()
    survivor.wait()
    assert str(survivor.pid) in str(survived.value)
    assert signal.getsignal(signal.SIGTERM) is handler
