"""Launchers in a process of their own: real processes, which crash, hold the interpreter's lock, and leave children."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from runtime.backend.legacy import DVSimView, LegacyLauncherAdapter, isolated, isolated_program, isolation
from runtime.errors import BackendBrokenError
from runtime.helper import process as helper_process
from runtime.helper.exits import ExitWatch
from runtime.helper.wire import frame
from runtime.job import FailureKind, JobStatus
from tests.backend.legacy.isolated_launchers import CommandLauncher, DroppedLauncher, UnimportableLauncher
from tests.backend.legacy.rig import Rig, job, rig

pytestmark = pytest.mark.slow  # a process is started, which imports this library

SLOW = 2.0
PROBE = 1.0
"""Seconds: `poll_timeout`, and `PROBE_TIMEOUT`. Longer than a healthy process ever takes."""


def isolated_rig(cls: type = CommandLauncher, **options: Any) -> Any:
    return rig(cls, LegacyLauncherAdapter, isolated=True, **options)


async def submit(it: Rig, **cmds: str) -> None:
    await it.backend.submit_many([job(name, cmd=cmd) for name, cmd in cmds.items()])


def pid_of(it: Rig, name: str) -> int:
    return int(it.text(name).split()[0])


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


async def gone(pid: int) -> None:
    with trio.fail_after(10):
        while is_alive(pid):
            await trio.lowlevel.checkpoint()


async def test_it_lives_in_a_process_and_a_session_of_its_own_and_reports_everything() -> None:
    async with isolated_rig() as it:
        await submit(it, one="pass", where="poll:where", other="poll:where")
    assert it.end("one").status is JobStatus.PASSED
    end = it.end("where")
    pid, session = map(int, it.text("where").split())
    assert pid == session == pid_of(it, "other") != os.getpid()
    assert end.status is JobStatus.FAILED
    assert end.reason is not None
    assert end.reason.lines is not None
    assert list(end.reason.lines) == [7]
    assert list(end.reason.context or []) == ["one", "two"]
    assert end.usage is not None
    assert end.usage.job_runtime == 2.5
    assert not is_alive(pid), "it ends with the block"


async def test_what_it_raises_reads_as_in_our_process() -> None:
    async with isolated_rig(poll_error_limit=1) as it:
        await submit(it, build="build:raise", launch="launch:system exit", poll="poll:raise", kill="kill:raise")
        await it.backend.kill("kill")
    assert it.text("build") == "CommandLauncher() raised PermissionError: [Errno 13] not yours"
    assert it.text("launch") == "CommandLauncher.launch() raised SystemExit: 3"
    assert it.text("poll") == "CommandLauncher.poll() raised PermissionError: [Errno 13] not yours"
    assert "CommandLauncher.kill() raised PermissionError: [Errno 13] not yours" in it.text("kill")
    assert [it.kind(name) for name in ("build", "launch", "poll", "kill")] == [
        FailureKind.LAUNCH_ERROR,
        FailureKind.LAUNCH_ERROR,
        FailureKind.LAUNCHER_ERROR,
        FailureKind.LOST,
    ]


async def test_a_busy_launcher_is_kept_in_its_process() -> None:
    async with isolated_rig() as it:
        busy = job("busy", cmd="launch:busy")
        assert await it.backend.submit(busy) is None
        assert await it.backend.submit(busy) is not None  # the same launcher object: its second launch
    assert it.end("busy").status is JobStatus.PASSED


async def test_signals_that_are_sent_to_every_process_end_it_no_sooner() -> None:
    async with isolated_rig() as it:
        await submit(it, sent="poll:survive", other="pass")
    assert it.text("sent") == "-15 -15", "programs that are started there have default signal handlers"
    assert it.end("other").status is JobStatus.PASSED


@pytest.mark.parametrize(
    ("step", "what", "how"),
    [
        ("build", "die", "ended with exit code 3"),
        ("launch", "die", "ended with exit code 3"),
        ("poll", "crash", "was ended by SIGSEGV"),
        ("kill", "die", "ended with exit code 3"),
    ],
)
async def test_a16_a_death_of_the_process_loses_each_of_its_jobs_once_and_the_next_has_a_new_process(
    step: str, what: str, how: str
) -> None:
    async with isolated_rig() as it:
        await submit(it, held="poll:run")
        await submit(it, bad=f"{step}:{what}")
        if step == "kill":
            await it.backend.kill("bad")
        await it.backend.drain()
        await submit(it, after="pass")
    assert [it.kind(name) for name in ("held", "bad")] == [FailureKind.LOST] * 2
    name = "constructor" if step == "build" else f"{step}()"
    assert f"the process of CommandLauncher {how}, during {name} of job 'bad'" in it.text("bad")
    assert how in it.text("held")
    assert it.end("after").status is JobStatus.PASSED


async def test_each_block_has_a_process_of_its_own() -> None:
    backend = LegacyLauncherAdapter(CommandLauncher, isolated=True)
    pids = []
    for name in ("one", "two"):
        async with rig(CommandLauncher, lambda _: backend) as it:
            await submit(it, **{name: "poll:where"})
        pids.append(pid_of(it, name))
    assert pids[0] != pids[1]


async def test_restarts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "MAX_RESTARTS", 2)
    seen = []
    with pytest.raises(BackendBrokenError, match=r"exit code 3.*restarted 2 times"):
        async with isolated_rig() as it:
            for number in range(20):
                seen.append(f"j{number}")
                await submit(it, **{f"j{number}": "launch:die"})
                await it.backend.drain()
    assert len(seen) == 3
    assert {len(it.ends(name)) for name in seen} == {1}


async def test_what_is_left_of_its_group_is_killed(tmp_path: Path) -> None:
    async with isolated_rig() as it:
        await it.backend.submit(job("bad", cmd="launch:child", odir=str(tmp_path / "pid")))
    assert "exit code 4" in it.text("bad")
    await gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize(("step", "what", "code"), [("poll", "fork", 70), ("poll", "forked_exit", 9)])
async def test_a_child_that_comes_back_from_a_call_answers_no_request(step: str, what: str, code: int) -> None:
    async with isolated_rig() as it:
        await submit(it, other="poll:where", bad=f"{step}:{what}")
    assert it.end("bad").status is JobStatus.FAILED, "as the launcher reports it, not as the child would"
    assert it.text("bad") == f"the child ended with exit code {code}"
    assert it.end("other").status is JobStatus.FAILED


async def test_a_death_is_seen_though_a_forked_process_keeps_the_sockets_open(tmp_path: Path) -> None:
    async with isolated_rig() as it:
        with trio.fail_after(30):  # and not for as long as a launch may take
            await it.backend.submit(job("bad", cmd="launch:die and leave a fork", odir=str(tmp_path / "pid")))
    assert "ended with exit code 5, during launch() of job 'bad'" in it.text("bad")
    await gone(int((tmp_path / "pid").read_text()))


async def test_a_death_is_seen_without_a_pidfd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_pid: int) -> int:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "pidfd_open", forbidden)
    async with isolated_rig() as it:
        with trio.fail_after(30):
            await it.backend.submit(job("bad", cmd="launch:die and leave a fork", odir=str(tmp_path / "pid")))
        await submit(it, after="pass")
    assert "ended with exit code 5" in it.text("bad")
    assert it.end("after").status is JobStatus.PASSED


async def test_its_group_ends_with_the_block(tmp_path: Path) -> None:
    async with isolated_rig() as it:
        await it.backend.submit(job("one", cmd="launch:leave a child", odir=str(tmp_path / "pid")))
        await it.wait_ended("one")
        pid = int((tmp_path / "pid").read_text())
        assert is_alive(pid), "it is left alone while launchers live"
    assert it.end("one").status is JobStatus.PASSED
    await gone(pid)


@pytest.mark.parametrize("what", ["alarm", "asyncio"])
async def test_its_launchers_have_the_main_thread(what: str) -> None:
    async with isolated_rig() as it:
        await submit(it, build=f"build:{what}", launch=f"launch:{what}", poll=f"poll:{what}", kill=f"kill:{what}")
        await it.backend.kill("kill")
    assert [it.end(name).status for name in ("build", "launch", "poll")] == [JobStatus.PASSED] * 3
    assert it.kind("kill") is FailureKind.CANCELLED


async def test_a_handler_that_raises_between_two_calls_costs_no_other_job() -> None:
    names = [f"j{number}" for number in range(20)]
    async with isolated_rig() as it:
        await submit(it, other="kill:run")
        for name in names:
            await submit(it, **{name: "launch:late alarm"})
        for name in names:
            await it.wait_ended(name)
        await it.backend.kill("other")
    assert {it.end(name).status for name in names} <= {JobStatus.PASSED, JobStatus.KILLED}
    assert it.kind("other") is FailureKind.CANCELLED, "its process has not died"


async def test_an_exit_that_is_raised_in_all_its_threads_is_no_success() -> None:
    async with isolated_rig() as it:
        await submit(it, bad="launch:inject")
        await it.backend.drain()
        await submit(it, after="poll:where")
    assert it.kind("bad") in {FailureKind.LAUNCH_ERROR, FailureKind.LOST}
    assert it.end("after").status in {JobStatus.FAILED, JobStatus.KILLED}


async def test_launchers_are_dropped_in_the_main_thread_of_their_process(tmp_path: Path) -> None:
    async with isolated_rig(DroppedLauncher) as it:
        await it.backend.submit(job("one", cmd="pass", odir=str(tmp_path / "where")))
        await it.wait_ended("one")
        await submit(it, other="kill:run")  # with the next request
        with trio.fail_after(10):
            while not (tmp_path / "where").exists():
                await trio.lowlevel.checkpoint()
        await it.backend.kill("other")
    assert (tmp_path / "where").read_text() == "MainThread\n"


def test_an_answer_to_another_request_is_dropped() -> None:
    handed: list[socket.socket] = []
    process: Any = SimpleNamespace(
        watch=ExitWatch(os.getpid(), lambda: False), send_descriptor=lambda theirs: handed.append(theirs.dup())
    )
    connection = isolated._Connection(process)
    (theirs,) = handed
    theirs.sendall(frame(b'[0, "", false, ["PASSED"]]') + frame(b'[1, "", false, ["FAILED"]]'))
    assert connection.ask(("poll()", 1, "a", None, ())) == ["", False, ["FAILED"]]
    theirs.sendall(frame(b"no json"))
    with pytest.raises(ValueError, match="Expecting value"):
        connection.ask(("poll()", 1, "a", None, ()))
    connection.close()
    theirs.close()


@pytest.mark.parametrize(
    "answer",
    [
        *map(frame, [b"5", b"{}", b'["", false, null]', b'["1", "", false, 1]', b"[" * 100_000]),
        b"no frame",
    ],
)
def test_bytes_that_are_no_answer_end_the_connection(answer: bytes) -> None:
    handed: list[socket.socket] = []
    process: Any = SimpleNamespace(
        watch=ExitWatch(os.getpid(), lambda: False), send_descriptor=lambda theirs: handed.append(theirs.dup())
    )
    connection = isolated._Connection(process)
    (theirs,) = handed
    theirs.sendall(answer)
    with pytest.raises(ValueError, match=r"the answer is .*expected|nested too deeply|is too long"):
        connection.ask(("poll()", 1, "a", None, ()))
    with pytest.raises(EOFError):
        connection.ask(("poll()", 1, "a", None, ()))
    theirs.close()


NO_REQUESTS = {
    "text": frame(b"hello\n"),
    "zeros": bytes(64),
    "cut": frame(pickle.dumps((1, "poll()", 1, "a", None, ()))[:-3]),
    "number": frame(pickle.dumps(5)),
    "short": frame(pickle.dumps((1, "poll()"))),
    "unknown": frame(pickle.dumps((1, "explode()", 1, "a", None, ()))),
    "unhashable": frame(pickle.dumps((1, [], 1, "a", None, ()))),
    "no module": frame(b"cno_such_module\nname\n."),
    "newline": frame(b"cos\nno such\tname\n."),
}


@pytest.mark.parametrize("bad", NO_REQUESTS.values(), ids=NO_REQUESTS.keys())
def test_bytes_that_are_no_request_are_one_line_and_end_the_connection(
    bad: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    program = isolated_program._Program(CommandLauncher, None)
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(frame(pickle.dumps((7, isolated_program.PING, 0, "", None, ()))) + bad)
        ours.shutdown(socket.SHUT_WR)
        program.serve(theirs)
        assert ours.recv(100) == frame(b'[7, "", false, null]')
        assert ours.recv(100) == b""
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("CommandLauncher: its process cannot read a request, and closes the connection: ")


def test_bytes_that_are_no_frame_are_one_line_and_end_the_connection(capfd: pytest.CaptureFixture[str]) -> None:
    program = isolated_program._Program(CommandLauncher, None)
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(b"hello\n")
        program.serve(theirs)
        assert ours.recv(100) == b""
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("CommandLauncher: its process cannot read a request, and closes the connection: ")


async def test_bytes_that_are_no_request_disturb_no_other_connection(capfd: pytest.CaptureFixture[str]) -> None:
    process = isolation.Isolation(CommandLauncher, None)
    held = process.make(job("held", cmd="poll:run"))
    held.launch()
    connection = isolated._Connection(held.process)
    connection._channel.send(b"no pickle")
    with pytest.raises(EOFError):
        connection._channel.receive()
    connection.close()
    other = process.make(job("other", cmd="pass"))
    other.launch()
    assert other.process is held.process
    assert [held.poll(), other.poll(), other.poll()] == [JobStatus.RUNNING, JobStatus.RUNNING, JobStatus.PASSED]
    await process.close()
    err = capfd.readouterr().err
    assert (err.count("\n"), "Traceback" in err) == (1, False)


async def test_a_job_that_does_not_pickle_is_refused_in_one_line() -> None:
    lock = threading.Lock()
    async with isolated_rig() as it:
        await it.backend.submit_many([job("bad", pre_launch=lock.acquire), job("good")])
    assert it.kind("bad") is FailureKind.LAUNCH_ERROR
    assert "job 'bad' does not pickle, as the job of an isolated launcher must: TypeError" in it.text("bad")
    assert "\n" not in it.text("bad")
    assert it.end("good").status is JobStatus.PASSED


@pytest.mark.parametrize("options", [{}, {"view": lambda job: job}])
async def test_a_class_or_a_view_that_cannot_go_there(options: dict[str, Any]) -> None:
    async with isolated_rig(CommandLauncher if options else UnimportableLauncher, **options) as it:
        await submit(it, one="pass", two="pass")
    assert [it.kind(name) for name in ("one", "two")] == [FailureKind.LAUNCH_ERROR] * 2
    assert "cannot be isolated: it, or its view, does not pickle: " in it.text("one")


def test_a_class_that_cannot_be_imported() -> None:
    class LocalLauncher(CommandLauncher): ...

    with pytest.raises(ValueError, match="defined in a function, from where no other process can import it"):
        LegacyLauncherAdapter(LocalLauncher, isolated=True)


def test_no_job_is_interactive() -> None:
    assert LegacyLauncherAdapter(CommandLauncher, name="local", isolated=True).supports_interactive is False


async def test_the_view_of_dvsim_goes_there_too(tmp_path: Path) -> None:
    async with isolated_rig(view=DVSimView(tmp_path)) as it:
        await submit(it, where="poll:where")
    assert it.end("where").status is JobStatus.FAILED


async def test_a15_the_loop_goes_on_while_a_launcher_holds_the_interpreter_s_lock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(isolated, "PROBE_TIMEOUT", PROBE)
    async with isolated_rig(stall_timeout=0.1, poll_timeout=SLOW, launch_timeout=20) as it:
        await submit(it, other="kill:run")
        await submit(it, bad="poll:hold")
        await it.backend.drain()  # this loop goes on, whatever happens in the process
        await submit(it, after="pass")
    assert [it.kind(name) for name in ("bad", "other")] == [FailureKind.LOST] * 2
    assert it.end("after").status is JobStatus.PASSED


async def test_a15_what_holds_the_lock_is_named_to_all_jobs_that_it_costs_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(isolated, "PROBE_TIMEOUT", PROBE)
    async with isolated_rig(stall_timeout=0.1, poll_timeout=SLOW, poll_interval=1000) as it:
        await submit(it, other="kill:run", bad="poll:hold")
        await it.wait_ended("other")  # which is not polled again for a thousand seconds
        await submit(it, after="kill:run")
        await it.backend.kill("after")
    assert it.text("other") == (
        f"the process of CommandLauncher answered no request for {PROBE:g} s, as a call holds its interpreter's lock, "
        "and was ended by SIGKILL, during poll() of job 'bad'"
    )
    assert it.kind("after") is FailureKind.CANCELLED, "it lived in another process"


async def test_a_job_is_not_sent_to_a_process_whose_death_is_not_yet_known() -> None:
    async with isolated_rig(poll_interval=1000) as it:
        busy = job("busy", cmd="launch:busy")
        await submit(it, held="kill:run", where="poll:where")
        assert await it.backend.submit(busy) is None
        await it.wait_ended("where")
        pid = pid_of(it, "where")
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # until all its threads are gone
        await submit(it, after="kill:run")
        retried = await it.backend.submit(busy)  # its launcher has died, so a new one is built, and is busy, too
        await it.backend.kill_many(["after", "held"])
    assert retried is None
    assert it.kind("after") is FailureKind.CANCELLED
    assert it.kind("held") is FailureKind.LOST
    assert it.ends("busy") == []


KILLED = """
import sys, trio
from tests.backend.legacy.rig import job
from tests.backend.legacy.isolated_launchers import CommandLauncher
from runtime import LegacyLauncherAdapter

async def main():
    send, receive = trio.open_memory_channel(9)
    async with LegacyLauncherAdapter(CommandLauncher, isolated=True).open(send) as backend:
        await backend.submit_many([job("where", cmd="poll:where"), job("bad", cmd="poll:hold", odir=sys.argv[1])])
        print((await receive.receive())[0].reason.message.split()[0], flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


def test_a15_what_holds_the_lock_does_not_outlive_us_however_we_end(tmp_path: Path) -> None:
    held = tmp_path / "held"
    with subprocess.Popen([sys.executable, "-c", KILLED, held], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        pid = int(program.stdout.readline())
        while not held.exists():
            assert program.poll() is None
            os.sched_yield()
        assert is_alive(pid)
        program.kill()
    deadline = time.monotonic() + 5
    while is_alive(pid) and time.monotonic() < deadline:
        os.sched_yield()
    outlived = is_alive(pid)
    if outlived:
        os.kill(pid, signal.SIGKILL)
    assert not outlived


async def test_a_call_that_only_hangs_costs_its_own_job() -> None:
    async with isolated_rig(stall_timeout=0.1, poll_timeout=0.2) as it:
        await submit(it, other="kill:run")
        await submit(it, bad="poll:hang", polled="poll:where")
        await it.wait_ended("bad")
        await it.wait_ended("polled")
        assert it.end("polled").status is JobStatus.FAILED, "in another thread, as the main one hangs"
        assert it.ends("other") == []
        await it.backend.kill("other")
    assert it.text("bad") == "CommandLauncher.poll() timed out after 0.2 s, state unknown"
    assert it.kind("other") is FailureKind.CANCELLED
    (left,) = [one for one in helper_process._left if not one.has_exited()]
    helper_process.end_all_left()  # as at the end of the interpreter
    assert not is_alive(left.pid)
    assert left not in helper_process._left


async def test_a_directory_that_an_isolated_launcher_changes() -> None:
    async with isolated_rig() as it:
        here = os.getcwd()
        await submit(it, bad="launch:chdir", after="pass")
        assert os.getcwd() == here
    assert {it.end(name).status for name in ("bad", "after")} == {JobStatus.PASSED}
