"""The command of ``--on-end`` gets the summary of a run, changes no exit code, and is not left behind."""

from __future__ import annotations

import json
import os
import queue
import select
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import trio
from jsonschema import Draft202012Validator
from trio.testing import MockClock

from runtime.cli.on_end import OnEnd
from runtime.job import FailureKind
from runtime.report.run_summary import run_summary, summary_variables
from tests.cli.conftest import Here
from tests.cli.program import LIMIT, Fifo, call, end_of, is_alive, job_file, started
from tests.report.results import NONE_APART, result
from tests.report.states import records, state_of

SCHEMA = json.loads(resources.files("runtime.report").joinpath("run_summary.schema.json").read_text("utf-8"))


def test_a_summary_is_as_its_schema_says() -> None:
    ends = [result("a"), result("b", FailureKind.EXIT_CODE)]
    summary = run_summary(state_of(records(ends, "/out/run"), "/out/run"), 1)
    Draft202012Validator(SCHEMA).validate(summary)
    assert set(summary) == set(SCHEMA["properties"])
    assert (summary["exit_code"], summary["jobs"], summary["results"]) == (1, 2, "/out/run/results.json")
    assert summary["counts"] == {"passed": 1, "failed": 1, "killed": 0, **NONE_APART, "never_ran": 0, "unfinished": 0}
    assert summary_variables(summary) == {
        "JOB_RUNTIME_EXIT_CODE": "1",
        "JOB_RUNTIME_NAME": "fifo",
        "JOB_RUNTIME_STATE": "ended",
        "JOB_RUNTIME_RUN_DIR": "/out/run",
        "JOB_RUNTIME_JOBS": "2",
        "JOB_RUNTIME_FLAKY": "0",
        "JOB_RUNTIME_RESULTS": "/out/run/results.json",
        "JOB_RUNTIME_JOBS_PASSED": "1",
        "JOB_RUNTIME_JOBS_FAILED": "1",
        "JOB_RUNTIME_JOBS_KILLED": "0",
        "JOB_RUNTIME_JOBS_INFRASTRUCTURE": "0",
        "JOB_RUNTIME_JOBS_KNOWN": "0",
        "JOB_RUNTIME_JOBS_NEVER_RAN": "0",
        "JOB_RUNTIME_JOBS_UNFINISHED": "0",
    }


@pytest.mark.slow
def test_the_command_gets_the_summary_when_all_is_written(tmp_path: Path) -> None:
    (tmp_path / "tell").write_text(
        "#!/bin/sh\ncat > summary.json; echo $JOB_RUNTIME_EXIT_CODE $JOB_RUNTIME_JOBS_FAILED $1 > told\n"
        "test -s $JOB_RUNTIME_RESULTS && test -s junit.xml && echo there >> told; echo said\n"
    )
    (tmp_path / "tell").chmod(0o755)
    file = job_file(tmp_path, {"a": {"cmd": "exit 1"}})
    done = call(tmp_path, "run", file, "-q", "--junit", "junit.xml", "--on-end", "./tell 'a  b' ';' x")
    assert (done.code, done.err) == (1, "said\n")
    summary = json.loads((tmp_path / "summary.json").read_text())
    Draft202012Validator(SCHEMA).validate(summary)
    assert (summary["exit_code"], summary["state"], summary["counts"]["failed"]) == (1, "ended", 1)
    assert summary["run_dir"] == str((tmp_path / "results" / "latest").resolve())
    assert (tmp_path / "told").read_text() == "1 1 a b\nthere\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("./no-such-program x", '"./no-such-program" cannot be started: No such file or directory'),
        ("sh -c 'exit 3'", '"sh" failed: exit code 3'),
        ("sh -c 'kill -SEGV $$'", '"sh" failed: ended by SIGSEGV'),
    ],
)
def test_a_command_that_fails_is_a_line_and_changes_no_exit_code(tmp_path: Path, command: str, why: str) -> None:
    done = call(tmp_path, "run", job_file(tmp_path, {"a": {"cmd": "true"}}), "-q", "--on-end", command)
    assert (done.code, done.err) == (0, f"job-runtime: --on-end: {why}\n")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("", "'' is given; expected a program and its arguments"),
        ("x 'y", '"x \'y" is given: No closing quotation; expected words as for a shell'),
    ],
)
def test_a_command_that_is_none_is_refused(here: Here, tmp_path: Path, command: str, why: str) -> None:
    done = here("run", job_file(tmp_path, {"a": {"cmd": "true"}}), "--on-end", command)
    assert (done.code, done.err) == (2, f"job-runtime: argument --on-end: {why} (see job-runtime run --help)\n")


def summary() -> Mapping[str, object]:
    return run_summary(state_of(records([result("a")], "/out/run"), "/out/run"), 0)


def test_a_command_that_takes_too_long_is_killed_with_what_it_has_started(tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    script = f"sleep 1000 & echo $! > {shlex.quote(str(fifo.path))}; wait"
    assert trio.run(OnEnd(["sh", "-c", script], timeout=0.5).run, summary) == (
        '--on-end: "sh" was killed, as it took longer than 0.5 s'
    )
    wait_until_dead(int(fifo.hear()))


class Starts:
    """In place of `subprocess.Popen`: waits until it is to go on, as for a file system that does not answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._popen = subprocess.Popen
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.ended: queue.Queue[tuple[bool, int]] = queue.Queue()
        """Of each start, whether it was to go on in time, and the process."""
        monkeypatch.setattr(subprocess, "Popen", self)

    def __call__(self, *args: Any, **options: Any) -> subprocess.Popen[bytes]:
        self.begun.set()
        in_time = self.go_on.wait(LIMIT)
        process = self._popen(*args, **options)
        self.ended.put((in_time, process.pid))
        return process


async def failure_of(on_end: OnEnd, starts: Starts, then: Callable[[], None]) -> str | None:
    """Call `then` while the command is being started, and return what comes of it."""
    failures = []

    async def run() -> None:
        failures.append(await on_end.run(summary))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        assert await trio.to_thread.run_sync(starts.begun.wait, LIMIT)
        then()
    return failures[0]


async def test_a_command_that_does_not_start_is_given_up_and_killed_when_it_does(
    monkeypatch: pytest.MonkeyPatch, mock_clock: MockClock
) -> None:
    starts = Starts(monkeypatch)
    failure = await failure_of(OnEnd(["sleep", "1000"]), starts, lambda: mock_clock.jump(60))
    starts.go_on.set()
    assert failure == '--on-end: "sleep" was killed, as it took longer than 60 s'
    in_time, pid = starts.ended.get(timeout=LIMIT)
    assert in_time
    wait_until_dead(pid)


async def test_a_command_that_is_interrupted_while_it_starts_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    starts, on_end = Starts(monkeypatch), OnEnd(["sleep", "1000"])

    def interrupt() -> None:
        on_end.interrupt()
        starts.go_on.set()

    assert await failure_of(on_end, starts, interrupt) == '--on-end: "sleep" was killed, as the run was interrupted'
    assert starts.ended.get(timeout=LIMIT)[0]


def test_what_a_command_leaves_behind_is_killed(tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    script = f"sleep 1000 & echo $! > {shlex.quote(str(fifo.path))}"
    assert trio.run(OnEnd(["sh", "-c", script]).run, summary) is None
    wait_until_dead(int(fifo.hear()))


def wait_until_dead(pid: int) -> None:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        poll = select.poll()
        poll.register(fd)
        assert poll.poll(LIMIT * 1000)
    finally:
        os.close(fd)
    assert not is_alive(pid)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_command_does_not_outlive_the_program(tmp_path: Path, number: signal.Signals) -> None:
    fifo = Fifo(tmp_path / "fifo")
    command = f"sh -c 'echo $$ > {fifo.path}; exec sleep 1000'"
    with started(tmp_path, "run", job_file(tmp_path, {"a": {"cmd": "true"}}), "--on-end", command) as program:
        pid = int(fifo.hear())
        program.send_signal(number)
        done = end_of(program)
    wait_until_dead(pid)
    if number == signal.SIGINT:
        assert done.code == 130
        assert 'job-runtime: --on-end: "sh" was killed, as the run was interrupted\n' in done.err
