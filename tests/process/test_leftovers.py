"""What is left of a run is found by a variable of its environment, and ended; nothing else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from runtime.process import leftovers
from runtime.process.leftovers import GUARD_TIMEOUT, KILL_TIMEOUT, end_leftovers, left_of

NAME = f"JOB_RUNTIME_TEST_{os.getpid()}"  # other tests may run on this machine
WAIT = "print('ready', flush=True); input()"


@contextmanager
def process(value: str | None, code: str = WAIT) -> Iterator[subprocess.Popen[str]]:
    """Start a program with the variable, and wait until it is ready; end it with the block."""
    env = {**os.environ, **({} if value is None else {NAME: value})}
    words = [sys.executable, "-I", "-S", "-c", code]
    with subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        try:
            yield program
        finally:
            program.kill()


class Clock:
    """A clock that goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept = 0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += 1


def test_exactly_the_processes_with_the_variable_are_found() -> None:
    with process("abc") as ours, process("abcd"), process("xabc"), process(None):
        assert [found.pid for found in left_of(NAME, "abc")] == [ours.pid]


def test_this_process_and_its_ancestors_are_never_found() -> None:
    code = (
        f"import os, subprocess, sys; from runtime.process.leftovers import left_of;"
        f"print([each.pid for each in left_of({NAME!r}, 'abc')])"
    )
    again = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {code!r}]).returncode)"
    env = {**os.environ, NAME: "abc", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", again], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_ends_by_itself_is_not_killed() -> None:
    clock = Clock()
    with process("abc") as program:

        def sleep(seconds: float) -> None:
            assert program.stdin is not None
            if not program.stdin.closed:
                program.stdin.write("\n")
                program.stdin.close()
                program.wait()
            clock.sleep(seconds)

        assert end_leftovers(NAME, "abc", clock=clock, sleep=sleep) == []
        assert program.returncode == 0
    assert clock.slept == 1


def test_what_is_left_after_its_time_is_killed_whatever_it_ignores() -> None:
    clock = Clock()
    deaf = f"import signal; [signal.signal(number, signal.SIG_IGN) for number in (1, 2, 15)]; {WAIT}"
    with process("abc", deaf) as program, process("other") as other:

        def sleep(seconds: float) -> None:
            if clock.now >= GUARD_TIMEOUT:  # it was killed
                program.wait()
            clock.sleep(seconds)

        assert end_leftovers(NAME, "abc", clock=clock, sleep=sleep) == []
        assert program.returncode == -signal.SIGKILL
        assert other.poll() is None
    assert clock.now >= GUARD_TIMEOUT


def test_what_cannot_be_killed_is_told_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *_: None)  # as for a process that waits for a dead disk
    monkeypatch.setattr(leftovers, "_INTERVAL", 0.5)  # each look reads the process table
    with process("abc") as program:
        (left,) = end_leftovers(NAME, "abc", clock=clock, sleep=clock.sleep)
        assert left.pid == program.pid
    assert clock.now >= GUARD_TIMEOUT + KILL_TIMEOUT
