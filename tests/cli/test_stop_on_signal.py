"""Signals during a run: the first, second and third, and the results that it leaves."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
import trio
import trio.testing

from runtime.cli import exit_on_signal
from runtime.cli.exit_on_signal import exit_code
from runtime.cli.stop_on_signal import Stopper
from runtime.signal_names import signal_name
from tests.cli.program import (
    Done,
    Fifo,
    end_of,
    insist,
    is_alive,
    job_file,
    links,
    reset_signals,
    results,
    started,
    statuses,
    wait_for,
)

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
ONCE_MORE = "once more to kill them at once"
WITHOUT_WAITING = "once more to exit without waiting"


class ExitedError(Exception):
    pass


class Recorder:
    """A scheduler that records how it was stopped."""

    def __init__(self) -> None:
        self.stops: list[dict[str, Any]] = []
        self.shown: list[str] = []

    def stop(self, **how: Any) -> None:
        self.stops.append(how)

    def exit_now(self, code: int) -> NoReturn:
        raise ExitedError(code)

    def stopper(self, *, drain: bool = False) -> Stopper:
        return Stopper(self, drain=drain, show=self.shown.append, exit_now=self.exit_now, suspend=lambda: None)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_each_signal_stops_harder(number: signal.Signals, code: int) -> None:
    recorder = Recorder()
    stopper = recorder.stopper()
    assert stopper.first is None
    stopper.receive(number)
    assert recorder.stops == [{"by": number.name, "drain": False}]
    stopper.receive(signal.SIGTERM)
    assert recorder.stops[1:] == [{"by": "SIGTERM", "force": True}]
    assert stopper.first is number
    with pytest.raises(ExitedError, match=str(code)):
        stopper.receive(signal.SIGINT)
    assert exit_code(number) == code
    assert [number.name in recorder.shown[0], "SIGTERM" in recorder.shown[1]] == [True, True]


def test_the_first_signal_drains_if_that_was_asked_for() -> None:
    recorder = Recorder()
    stopper = recorder.stopper(drain=True)
    stopper.receive(signal.SIGINT)
    stopper.receive(signal.SIGINT)
    assert recorder.stops == [{"by": "SIGINT", "drain": True}, {"by": "SIGINT", "force": True}]


@pytest.mark.parametrize("number", [number for number in exit_on_signal.SIGNALS if number != signal.SIGABRT])
async def test_each_signal_that_would_end_the_program_stops_the_run(number: int) -> None:
    # All but SIGABRT, for which pytest has a handler.
    recorder = Recorder()
    stopper = recorder.stopper()
    async with trio.open_nursery() as nursery:
        await nursery.start(stopper.watch)
        for _ in range(2):  # the second is the same request
            os.kill(os.getpid(), number)
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert recorder.stops == [{"by": signal_name(number), "drain": False}]
    assert stopper.first == number


async def test_a_signal_that_somebody_else_handles_or_ignores_is_left_alone() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _frame: seen.append(number))
    ignored = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    recorder = Recorder()
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(recorder.stopper().watch)
            for number in (signal.SIGALRM, signal.SIGUSR1):
                os.kill(os.getpid(), number)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.signal(signal.SIGUSR1, ignored)
    assert (seen, recorder.stops) == ([signal.SIGALRM], [])


async def test_handlers_are_there_while_it_watches_and_gone_afterwards() -> None:
    before = [signal.getsignal(number) for number, _ in SIGNALS]
    for sent, _ in SIGNALS:
        recorder = Recorder()
        async with trio.open_nursery() as nursery:
            await nursery.start(recorder.stopper().watch)
            os.kill(os.getpid(), sent)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert [stop["by"] for stop in recorder.stops] == [sent.name]
        assert [signal.getsignal(number) for number, _ in SIGNALS] == before


async def test_signals_that_come_together_are_one_request() -> None:
    recorder = Recorder()
    numbers = (signal.SIGTERM, signal.SIGHUP)
    async with trio.open_nursery() as nursery:
        await nursery.start(recorder.stopper().watch)
        for number in numbers:
            os.kill(os.getpid(), number)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    (stop,) = recorder.stops
    assert stop["by"] in {number.name for number in numbers}  # signals that come together are delivered in any order
    assert "force" not in stop


slow = pytest.mark.slow


@contextmanager
def stubborn(directory: Path, *options: str, term_timeout: float = 60) -> Iterator[tuple[Any, int]]:
    """Run a job that ignores SIGTERM, and one that depends on it; yield the run and the first job's process id."""
    up = Fifo(directory / "up")
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open(sys.argv[1], 'w').write(f'{os.getpid()}\\n')\n"
        "while True: signal.pause()\n"
    )
    jobs = {
        "stubborn": {"cmd": [sys.executable, "-c", code, str(up.path)]},
        "next": {"cmd": "true", "needs": ["stubborn"]},
    }
    file = job_file(directory, jobs, backends={"local": {"term_timeout": term_timeout}})
    with started(directory, "run", file, *options) as program:
        pid = int(up.hear())
        yield program, pid
        assert not is_alive(pid)


def check_stopped(directory: Path, done: Done, number: signal.Signals, code: int, by: str = "") -> None:
    assert (done.code, done.err) == (code, "")
    assert "2 jobs: 0 passed, 0 failed, 1 killed, 1 never ran" in done.out
    document = results(directory)
    assert document["stopped_by"] == number.name
    assert [job["kind"] for job in document["jobs"]] == ["cancelled", "cancelled"]
    assert document["jobs"][0]["message"] == f"killed by {by or number.name}"
    assert links(directory) == {"killed": ["stubborn"]}


@slow
@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_the_first_signal_ends_jobs_gently_then_firmly(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with stubborn(tmp_path, term_timeout=0.1) as (program, _):
        program.send_signal(number)
        done = end_of(program)
    check_stopped(tmp_path, done, number, code)
    assert ONCE_MORE in done.out


@slow
@pytest.mark.parametrize(
    "number", [signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGXCPU, signal.SIGRTMIN + 3]
)
def test_each_other_signal_ends_the_run_with_results(tmp_path: Path, number: int) -> None:
    with stubborn(tmp_path, term_timeout=0.1) as (program, _):
        program.send_signal(number)
        done = end_of(program)
    assert (done.code, done.err) == (128 + number, "")
    assert results(tmp_path)["stopped_by"] == signal_name(number)
    assert statuses(tmp_path) == {"stubborn": "killed", "next": "killed"}


CLOSING = "trap 'echo closing; read line <{down}; exit 3' TERM; echo x >{up}; while :; do sleep 0.01; done"


@slow
def test_a_signal_that_comes_twice_at_once_is_one_request_and_later_the_second(tmp_path: Path) -> None:
    up, down = Fifo(tmp_path / "up"), Fifo(tmp_path / "down")
    file = job_file(
        tmp_path,
        {"sim": {"cmd": CLOSING.format(up=up.path, down=down.path)}},
        backends={"local": {"term_timeout": 60}},
    )
    for twice, ends in ((True, "3"), (False, None)):
        with started(tmp_path, "run", file) as program:
            up.hear()
            program.send_signal(signal.SIGTERM)
            if twice:
                wait_for(program.stdout, ONCE_MORE)
                program.send_signal(signal.SIGTERM)
                down.say()
            else:
                insist(program, signal.SIGTERM, WITHOUT_WAITING)
            assert end_of(program).code == 143
        usage = results(tmp_path)["jobs"][0]["usage"]
        assert usage["exit_code"] == (None if ends is None else int(ends))


@slow
def test_a_hang_up_right_after_a_sigterm_leaves_a_job_the_time_of_its_stop_sequence(tmp_path: Path) -> None:
    # As systemd sends them with SendSIGHUP=yes.
    up, down = Fifo(tmp_path / "up"), Fifo(tmp_path / "down")
    jobs = {"sim": {"cmd": CLOSING.format(up=up.path, down=down.path)}}
    file = job_file(tmp_path, jobs, backends={"local": {"term_timeout": 60}})
    with started(tmp_path, "run", file) as program:
        up.hear()
        for number in (signal.SIGTERM, signal.SIGHUP):
            program.send_signal(number)
        said = wait_for(program.stdout, ONCE_MORE)
        down.say()
        done = end_of(program)
    assert done.code in {143, 129}  # signals that come together are delivered in any order
    assert WITHOUT_WAITING not in said + done.out
    assert results(tmp_path)["jobs"][0]["usage"]["exit_code"] == 3


@slow
@pytest.mark.parametrize(("options", "by"), [([], "SIGTERM"), (["--drain"], "SIGINT")])
def test_the_second_signal_kills_at_once(tmp_path: Path, options: list[str], by: str) -> None:
    with stubborn(tmp_path, *options) as (program, pid):
        program.send_signal(signal.SIGTERM)
        wait_for(program.stdout, ONCE_MORE)
        assert is_alive(pid)
        said = insist(program, signal.SIGINT, WITHOUT_WAITING)
        done = end_of(program)
    done = Done(done.code, said + done.out, done.err)
    check_stopped(tmp_path, done, signal.SIGTERM, 143, by)


HANGING = """
import threading
class HangingLauncher:
    def __init__(self, job): self.job = job
    def launch(self): open("launched", "w").write("yes\\n")
    def poll(self): return "RUNNING"
    def kill(self): threading.Event().wait()
"""


@slow
def test_the_third_signal_leaves_at_once_and_with_results(tmp_path: Path) -> None:
    launched = Fifo(tmp_path / "launched")
    (tmp_path / "hanging.py").write_text(HANGING.replace('"RUNNING"', 'type("S", (), {"name": "RUNNING"})()'))
    jobs = {
        "good": {"cmd": "true", "backend": "local", "weight": 9},
        "a": {"cmd": "x", "needs": ["good"]},
        "b": {"cmd": "x", "needs": ["a"]},
    }
    name = "legacy:hanging:HangingLauncher"
    file = job_file(tmp_path, jobs, backends={name: {"kill_timeout": 1000}})
    with started(tmp_path, "run", file, "--backend", name, "--pythonpath", ".") as program:
        launched.hear()
        program.send_signal(signal.SIGINT)
        wait_for(program.stdout, ONCE_MORE)
        insist(program, signal.SIGHUP, WITHOUT_WAITING)
        insist(program, signal.SIGTERM)
        done = end_of(program)
    assert (done.code, done.err) == (130, "job-runtime: exit without waiting for the jobs\n")
    assert statuses(tmp_path) == {"good": "passed", "a": "killed", "b": "killed"}
    assert results(tmp_path)["jobs"][1]["kind"] == "lost"  # nobody has seen how it ended
    assert results(tmp_path)["stopped_by"] == "SIGINT"


@slow
def test_each_job_is_asked_in_its_own_way_first(tmp_path: Path) -> None:
    up = {name: Fifo(tmp_path / name) for name in ("waves", "files")}
    loop = "while :; do test -e {odir}/STOP && exit 4; sleep 0.01; done"
    jobs = {
        "waves": {
            "cmd": f"trap 'exit 3' USR1; trap '' TERM; echo x >{up['waves'].path}; {loop}",
            "soft_stop": "SIGUSR1",
        },
        "files": {"cmd": f"trap '' TERM; echo x >{up['files'].path}; {loop}", "soft_stop": "STOP"},
    }
    file = job_file(tmp_path, jobs, defaults={"soft_timeout": "1h"})
    with started(tmp_path, "run", file, "--max-parallel", "2") as program:
        for fifo in up.values():
            fifo.hear()
        program.send_signal(signal.SIGINT)
        assert end_of(program).code == 130
    usages = {job["id"]: job["usage"]["exit_code"] for job in results(tmp_path)["jobs"]}
    assert usages == {"waves": 3, "files": 4}


@slow
def test_draining_lets_running_jobs_finish(tmp_path: Path) -> None:
    up, down = Fifo(tmp_path / "up"), Fifo(tmp_path / "down")
    jobs = {"a": {"cmd": f"echo x >{up.path}; read line <{down.path}"}, "b": {"cmd": "true", "needs": ["a"]}}
    with started(tmp_path, "run", job_file(tmp_path, jobs), "--drain") as program:
        up.hear()
        program.send_signal(signal.SIGINT)
        wait_for(program.stdout, "running jobs may finish")
        down.say()
        assert end_of(program).code == 130
    assert statuses(tmp_path) == {"a": "passed", "b": "killed"}


@slow
def test_a_hang_up_is_ignored_when_the_person_said_so(tmp_path: Path) -> None:
    def like_nohup() -> None:
        reset_signals()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    up, down = Fifo(tmp_path / "up"), Fifo(tmp_path / "down")
    jobs = {"a": {"cmd": f"echo x >{up.path}; read line <{down.path}"}}
    with started(tmp_path, "run", job_file(tmp_path, jobs), preexec_fn=like_nohup) as program:
        up.hear()
        program.send_signal(signal.SIGHUP)
        down.say()
        assert end_of(program).code == 0
    assert statuses(tmp_path) == {"a": "passed"}


@slow
def test_a_signal_while_jobs_are_read_is_no_traceback(tmp_path: Path) -> None:
    with started(tmp_path, "run", "-", stdin=-1) as program:
        assert program.stdin is not None
        # More than a pipe holds: when all of it is written, the program reads.
        program.stdin.write('{"name": "a", "cmd": "x"}\n')
        program.stdin.write(" \n" * 70_000)
        program.stdin.flush()
        program.send_signal(signal.SIGINT)
        done = end_of_without_input(program)
    assert (done.code, done.err) == (130, "job-runtime: interrupted\n")
    assert not (tmp_path / "results").exists()


def end_of_without_input(program: Any) -> Done:
    """Wait for a program whose standard input stays open."""
    code = program.wait(60)
    return Done(code, program.stdout.read(), program.stderr.read())
