"""Tests of `benchmarks.ending`: nothing that was started outlives the program that measures, whatever ends it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import ending, environment
from benchmarks.ending import MARK, Stopped, nothing_outlives
from benchmarks.model import BenchmarkError
from tests.slurm.cluster import Process

FOR_EVER = """
import signal, subprocess, sys, tempfile
pipe = open(sys.argv[1], "w")  # who has it open is alive
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

script, pipe, place = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever who started this one ignores
for number in signal.SIGTERM, signal.SIGHUP:
    signal.signal(number, signal.SIG_DFL)

@contextmanager
def surroundings():
    try:
        yield {"TMPDIR": place}
    finally:
        print("down", flush=True)

asked = Question(
    "ever",
    [Contender("a", [sys.executable, script, pipe])],
    [Figure("ever", "x", "s", "lower", "a", {})],
    surroundings,
)
program.QUESTIONS = {"ever": lambda quick: asked}
sys.exit(program.main([]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=lambda it: str(int(it))
)
def test_what_a_signal_ends_leaves_nothing(number: signal.Signals, code: int, tmp_path: Path) -> None:
    script, pipe, place = tmp_path / "for_ever.py", tmp_path / "pipe", tmp_path / "place"
    script.write_text(FOR_EVER)
    os.mkfifo(pipe)
    place.mkdir()
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    command = [sys.executable, "-c", MEASURING, str(script), str(pipe), str(place)]
    measuring = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=environment.TREE, text=True
    )
    try:
        assert select.select([reading], [], [], 60)[0], "the sample did not start"
        assert os.read(reading, 100) == b"there\n"
        assert list(place.rglob("tmp*"))
        measuring.send_signal(number)
        out, err = measuring.communicate(timeout=60)
    finally:
        measuring.kill()
        measuring.wait()
    assert measuring.returncode == code
    assert err == f"stopped by {number.name}\n"
    assert out.splitlines()[1:] == ["down"]
    assert os.read(reading, 100) == b""  # nobody has it open: it would be an error otherwise
    os.close(reading)
    assert not list(place.iterdir())


def test_one_signal_is_heeded_so_that_nothing_disturbs_the_ending() -> None:
    ended = []
    with pytest.raises(Stopped) as stopped, nothing_outlives():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            ended.append("as well")
    assert stopped.value.signal is signal.SIGTERM
    assert ended == ["as well"]


def test_a_signal_that_is_ignored_stays_so_and_handlers_are_put_back() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    others = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        with nothing_outlives():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGTERM) is not others[1]
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == others
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_no_block_has_ended_is_killed_and_others_are_not() -> None:
    started = [subprocess.Popen(["sleep", "600"])]
    try:
        with nothing_outlives():
            started.append(subprocess.Popen(["sleep", "600"], start_new_session=True))
        stranger, lost = started
        assert Process.of(lost.pid) is None
        assert Process.of(stranger.pid) is not None
        assert MARK not in os.environ
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_what_survives_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "PATIENCE", 0.0)
    monkeypatch.setattr(Process, "signal", lambda *_: None)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(BenchmarkError, match="processes survive SIGKILL: ") as survived, nothing_outlives():
        hardy = subprocess.Popen(["sleep", "600"])
    hardy.kill()
    hardy.wait()
    assert str(hardy.pid) in str(survived.value)
    assert signal.getsignal(signal.SIGTERM) is handler
