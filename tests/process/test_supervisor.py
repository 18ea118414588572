from __future__ import annotations

import marshal
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from runtime.process import supervisor
from runtime.process import supervisors as supervisors_module
from runtime.process.guard import messages, procfs
from runtime.process.shim import Shim, Tree
from runtime.process.supervisor import Supervisor
from runtime.process.supervisors import Supervisors
from tests.backend.local_jobs import local
from tests.backend.stalled_program import fill, guards_ends
from tests.backend.test_local import state_of
from tests.process.hostile_job import HostileJob


@pytest.mark.parametrize(("script", "words"), [("exit 1", "it wrote no error message"), ("echo broken >&2", "broken")])
def test_a_supervisor_that_does_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(OSError, match=f"the supervisor of processes did not start: {words}"):
        Supervisor.start({}, kill_timeout=1)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A supervisor that never says hello. Each writes its pid to this FIFO."""
    program, fifo = tmp_path / "python", tmp_path / "pids"
    os.mkfifo(fifo)
    program.write_text(f"#!/bin/sh\necho $$ >{fifo}\nexec sleep 1000\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return fifo


async def read_pid(fifo: Path) -> int:
    return int(await trio.to_thread.run_sync(fifo.read_text, limiter=trio.CapacityLimiter(1)))


async def test_a_start_that_takes_long_can_be_cancelled_and_leaves_nothing(silent: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    supervisors = Supervisors({}, 1.0, trio.CapacityLimiter(1))
    with trio.fail_after(supervisor._START_TIMEOUT / 2):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisors.start)
            pid = await read_pid(silent)
            nursery.cancel_scope.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_backend_whose_supervisor_does_not_start_can_be_cancelled(silent: Path, tmp_path: Path) -> None:
    pids: list[int] = []
    with trio.fail_after(supervisor._START_TIMEOUT / 2), trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def cancel() -> None:
                pids.append(await read_pid(silent))
                scope.cancel()

            nursery.start_soon(cancel)
            async with local(tmp_path / "run", containment="tree"):
                raise AssertionError("it never opens")
    assert scope.cancelled_caught
    (pid,) = pids
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_supervisor_whose_start_was_cancelled_is_ended() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for begin_first in (True, False):
        started: list[int] = []

        def start(**options: Any) -> Supervisor:
            one = Supervisor.start({}, kill_timeout=1, **options)
            started.append(one.pid)  # noqa: B023 - called at once
            return one

        attempt = supervisors_module._Start(start)
        with trio.fail_after(60):
            if begin_first:
                await trio.to_thread.run_sync(attempt.run)  # the supervisor that it returns is lost
                await attempt.abandon()
            else:
                await attempt.abandon()
                with pytest.raises(OSError, match="the start of the supervisor of processes was cancelled"):
                    await trio.to_thread.run_sync(attempt.run)
        assert len(started) == begin_first
        for pid in started:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_shim_that_is_forked_after_a_cancel_is_used_later() -> None:
    before = len(os.listdir("/proc/self/fd"))
    supervisors = Supervisors({}, 1.0, trio.CapacityLimiter(1))
    with trio.fail_after(60):
        await supervisors.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisors.run)
            pool = supervisors.current.pool
            with trio.move_on_after(0):
                await pool.take(1)
            (shim,), _ = await supervisors.take(1)
            while len(pool.shims) < 2 or None in [one.pid for one in pool.shims]:
                await trio.lowlevel.checkpoint()
            (other,), _ = await supervisors.take(1)
            assert {shim, other} == set(pool.shims)
            shim.give_back()
            assert await supervisors.take(1) == ([shim], None)
            nursery.cancel_scope.cancel()
        await supervisors.aclose()
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_delay_of_the_event_loop_is_not_the_silence_of_a_supervisor(
    mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    supervisors = Supervisors({}, 1.0, trio.CapacityLimiter(1))
    await supervisors.start()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisors.run)
        await supervisors.take(1)  # the first ping was before
        mock_clock.jump(60)
        await supervisors.take(2)
        nursery.cancel_scope.cancel()
    await supervisors.aclose()
    assert "has not answered" not in caplog.text


async def start_with_full_socket(supervisors: Supervisors, argv: Sequence[str]) -> tuple[Shim, Tree]:
    """Start a job in a shim, while no answers are read and their socket is full."""
    with guards_ends() as ends:
        await supervisors.start()
        (end,) = map(os.dup, ends)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisors.run)
        (shim,), _ = await supervisors.take(1)
        nursery.cancel_scope.cancel()
    fill(end)
    os.close(end)
    with open(os.devnull, "w") as output:
        return shim, shim.start(argv, exports={}, cwd="/", output=output.fileno(), kill_timeout=None)


async def test_a_shim_ends_its_job_while_the_socket_is_full(tmp_path: Path) -> None:
    job = HostileJob(tmp_path / "job", "mixed")
    supervisors = Supervisors({}, 1.0, trio.CapacityLimiter(1))
    with trio.fail_after(60):
        await start_with_full_socket(supervisors, job.cmd)
        await job.wait_started()
        os.kill(supervisors.current.pid, signal.SIGKILL)
        await job.wait_gone()
        await supervisors.aclose()
    job.close()


async def test_an_exit_while_the_socket_is_full_is_reported_later() -> None:
    supervisors = Supervisors({}, 1.0, trio.CapacityLimiter(1))
    with trio.fail_after(60):
        shim, tree = await start_with_full_socket(supervisors, ["/bin/true"])
        assert shim.pid is not None
        while not procfs.children(shim.pid):
            await trio.lowlevel.checkpoint()
        (root,) = procfs.children(shim.pid)
        while state_of(root) != "Z" or has_pending(shim.pid, signal.SIGCHLD):
            await trio.lowlevel.checkpoint()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisors.run)
            assert (await tree.wait_ended()).exit.code == 0
            nursery.cancel_scope.cancel()
        await supervisors.aclose()


def has_pending(pid: int, number: int) -> bool:
    """Whether a signal is pending for a process."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("ShdPnd"))
    return bool(int(line.split()[1], 16) & 1 << number - 1)


async def test_a_supervisor_ends_though_a_forked_process_has_all_descriptors() -> None:
    supervisors = Supervisors({}, None, trio.CapacityLimiter(1))
    with trio.fail_after(60):
        await supervisors.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisors.run)
            (shim, other), _ = await supervisors.take(2)
            ours = (supervisors.current.pool._control, shim._commands, other._commands)
            forks = [os.dup(end.fileno()) for end in ours]  # like the descriptors of a process that is forked now
            held = os.pidfd_open(shim.pid or 0)
            shim.abandon()
            await trio.lowlevel.wait_readable(held)
            os.close(held)
            nursery.cancel_scope.cancel()
        await supervisors.aclose()
    for fd in forks:
        os.close(fd)


@pytest.mark.parametrize("words", [b"not an answer", marshal.dumps(7), marshal.dumps((messages.PONG, 0))[:-1]])
async def test_what_is_no_answer_of_a_guard_is_dropped(words: bytes, caplog: pytest.LogCaptureFixture) -> None:
    supervisors = Supervisors({}, 1.0, trio.CapacityLimiter(1))
    with trio.fail_after(60), guards_ends() as ends:
        await supervisors.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisors.run)
            (shim,), _ = await supervisors.take(1)
            with open(os.devnull, "w") as output:
                tree = shim.start(["/bin/true"], exports={}, cwd="/", output=output.fileno(), kill_timeout=None)
                os.write(ends[0], words)
            end = await tree.wait_ended()
            assert (end.exit.code, end.broken) == (0, None)
            assert not supervisors.current.dead
            nursery.cancel_scope.cancel()
        os.close(ends.pop())
        await supervisors.aclose()
    assert "no answer of a guard" in caplog.text


INTRUDER = """
import os
pid = os.getppid()
for guard in (pid, int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])):
    for fd in os.listdir(f"/proc/{guard}/fd"):
        try:
            target = os.open(f"/proc/{guard}/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK)
            os.write(target, b"words of a job")
            print(os.readlink(f"/proc/{guard}/fd/{fd}"))
        except OSError:
            pass
"""


async def test_a_job_that_writes_into_all_that_its_guards_have_open_harms_nobody(tmp_path: Path) -> None:
    supervisors = Supervisors({}, 1.0, trio.CapacityLimiter(1))
    with trio.fail_after(60):
        await supervisors.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisors.run)
            (shim, other), _ = await supervisors.take(2)
            with open(tmp_path / "written", "w") as output:
                fd, argv = output.fileno(), [sys.executable, "-I", "-S", "-c", INTRUDER]
                beside = other.start(["/bin/cat"], exports={}, cwd="/", output=fd, kill_timeout=None)
                tree = shim.start(argv, exports={}, cwd="/", output=fd, kill_timeout=None)
            for each in (beside, tree):
                end = await each.wait_ended()
                assert (end.exit.code, end.broken, end.left) == (0, None, None)
            shims, _ = await supervisors.take(2)
            assert {*shims} == {shim, other}
            nursery.cancel_scope.cancel()
        await supervisors.aclose()
    written = (tmp_path / "written").read_text().split()
    assert not [name for name in written if name.startswith(("pipe:", "socket:"))]


async def test_a_supervisor_ends_with_its_shims() -> None:
    supervisors = Supervisors({}, 1.0, trio.CapacityLimiter(1))
    with trio.fail_after(60):
        await supervisors.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisors.run)
            shims = [os.pidfd_open(shim.pid or 0) for shim in (await supervisors.take(3))[0]]
            nursery.cancel_scope.cancel()
        await supervisors.aclose()
        for fd in shims:
            with pytest.raises(ProcessLookupError):
                signal.pidfd_send_signal(fd, 0)
            os.close(fd)


async def test_a_supervisor_for_which_there_is_no_thread_is_an_error_of_the_system(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(trio.to_thread, "run_sync", refuse)
    with pytest.raises(OSError, match="no thread can be started"):
        await Supervisors({}, 1.0, trio.CapacityLimiter(1)).start()
