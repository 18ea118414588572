from __future__ import annotations

import errno
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from runtime.descriptors import Descriptor
from runtime.process import Child, spawn
from runtime.process import terminal as module
from runtime.process.terminal import attached, command_on_pty, copy_size, open_pty, raw_terminal
from tests.process.user_terminal import UserTerminal, user_terminal


@pytest.fixture
def user() -> Iterator[UserTerminal]:
    with user_terminal() as terminal:
        yield terminal


@asynccontextmanager
async def running(log: Path, stdin: int, stdout: int, *argv: str) -> AsyncIterator[Child]:
    """A program on a pty, attached to the user for the block."""
    output = Descriptor(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    pty = open_pty(stdin)
    env = dict(os.environ)
    child = spawn(command_on_pty(pty, argv, env=env, cwd=None), env=env, cwd=None, output=pty.slave)
    try:
        with trio.fail_after(30):
            async with attached(pty, output, stdin, stdout, trio.CapacityLimiter(2)):
                yield child
    finally:
        child.destroy()
        pty.close()
        output.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


async def test_the_user_sees_the_output_and_gives_the_input_and_the_log_has_it_all(
    user: UserTerminal, log: Path
) -> None:
    user.resize(41, 99)
    before = user.settings
    script = "stty size; test -t 0 && test -t 1 && test -t 2 && echo ttys; read line < /dev/tty; echo got $line"
    async with running(log, user.fd, user.fd, "/bin/sh", "-c", script) as child:
        await user.see(b"ttys\r\n")
        assert user.raw
        user.type(b"hello\r")
        await user.see(b"got hello\r\n")
        await child.wait_exited()
    assert user.settings == before
    assert log.read_bytes() == user.seen
    assert user.seen.startswith(b"41 99\r\nttys\r\n")


async def test_keys_make_signals(user: UserTerminal, log: Path) -> None:
    async with running(log, user.fd, user.fd, "/bin/sh", "-c", "echo ready; exec sleep 1000") as child:
        await user.see(b"ready")
        user.type(b"\x03")
        await child.wait_exited()
        assert child.reap().signal == signal.SIGINT


async def test_the_size_of_the_window_is_followed(
    user: UserTerminal, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SIZE_INTERVAL", 0.001)
    script = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.01; done"
    async with running(log, user.fd, user.fd, "/bin/sh", "-c", script) as child:
        await user.see(b"ready")
        user.resize(50, 132)
        await user.see(b"50 132")
        await child.wait_exited()


async def test_all_output_is_in_the_log_at_the_end(user: UserTerminal, log: Path) -> None:
    async with trio.open_nursery() as nursery:
        async with running(log, user.fd, user.fd, "seq", "20000") as child:
            nursery.start_soon(user.see, b"20000\r\n")
            await child.wait_exited()
    assert log.read_bytes() == b"".join(b"%d\r\n" % number for number in range(1, 20001)) == user.seen


async def test_the_terminal_is_as_it_was_after_an_exception_and_after_a_cancel(user: UserTerminal, log: Path) -> None:
    before = user.settings
    with pytest.RaisesGroup(pytest.RaisesGroup(ValueError)):
        async with running(log, user.fd, user.fd, "sleep", "1000"):
            assert user.raw
            raise ValueError
    assert user.settings == before
    with trio.CancelScope() as scope:
        async with running(log, user.fd, user.fd, "sleep", "1000"):
            assert user.raw
            scope.cancel()
            await trio.sleep_forever()
    assert user.settings == before


async def test_a_terminal_that_accepts_no_output_does_not_hold_up_the_end(
    user: UserTerminal, log: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_DRAIN_TIMEOUT", 0.01)
    user.fill()
    async with running(log, user.fd, user.fd, "/bin/sh", "-c", "seq 1000; echo end") as child:
        await child.wait_exited()
    assert log.read_bytes().endswith(b"\r\n1000\r\nend\r\n")
    assert "no longer goes to the terminal: it accepts no output" in caplog.text
    await user.see(b"\r\n3\r\n")  # so that the writing thread ends


async def test_input_may_be_a_pipe(user: UserTerminal, log: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"one\ntwo")
    os.close(writer)
    async with running(log, reader, user.fd, "/bin/sh", "-c", "stty -echo; cat; echo; echo end") as child:
        await child.wait_exited()
    os.close(reader)
    assert log.read_bytes().endswith(b"one\r\ntwo\r\nend\r\n")


@pytest.mark.parametrize("content", [None, b"", b"one\n"])
async def test_input_may_be_a_file_or_nothing(
    user: UserTerminal, log: Path, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "input"
    path.write_bytes(content or b"")
    source = os.open(os.devnull if content is None else path, os.O_RDONLY)
    async with running(log, source, user.fd, "/bin/sh", "-c", "cat > /dev/null; echo end") as child:
        await child.wait_exited()
    os.close(source)
    assert log.read_bytes().endswith(b"end\r\n")


async def test_output_that_is_not_read_is_in_the_log(log: Path, caplog: pytest.LogCaptureFixture) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    null = os.open(os.devnull, os.O_RDONLY)
    async with running(log, null, writer, "seq", "3") as child:
        await child.wait_exited()
    os.close(writer)
    os.close(null)
    assert log.read_bytes().endswith(b"1\r\n2\r\n3\r\n")
    assert "no longer goes to the terminal" in caplog.text


@pytest.mark.parametrize("program", ["/no/such/program", "no-such-program-at-all", "./no-such-program"])
def test_an_unknown_program_is_an_error(user: UserTerminal, program: str) -> None:
    pty = open_pty(user.fd)
    with pytest.raises(FileNotFoundError) as caught:
        command_on_pty(pty, [program], env={}, cwd="/")
    pty.close()
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, program)


def test_what_is_no_terminal_is_left_alone(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    with raw_terminal(fd):
        copy_size(fd, fd)
    os.close(fd)


def test_a_terminal_that_another_job_of_the_shell_has_is_left_alone(
    user: UserTerminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "tcgetpgrp", lambda fd: os.getpgrp() + 1)
    with raw_terminal(user.fd):
        assert not user.raw
    monkeypatch.setattr(os, "tcgetpgrp", lambda fd: os.getpgrp())
    with raw_terminal(user.fd):
        assert user.raw
    assert not user.raw


async def test_input_that_the_shell_has_taken_is_not_read_when_this_is_in_the_foreground_again(
    user: UserTerminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read would block the event loop until the user presses a key."""
    os.set_blocking(user.fd, False)  # so here it would raise, and count as the end of the input
    answers = iter([False, True])

    def is_ours(fd: int) -> bool:
        is_foreground = next(answers)
        if not is_foreground:
            assert os.read(fd, 100) == b"fg\n"  # by the shell
        return is_foreground

    monkeypatch.setattr(module, "_is_ours", is_ours)
    monkeypatch.setattr(module, "_SIZE_INTERVAL", 0.001)
    user.type(b"fg\n")
    read: list[bytes] = []

    async def read_input() -> None:
        read.append(await module.read_input(user.fd, trio.CapacityLimiter(1)))

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_input)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert not read
            user.type(b"for us\n")
    assert read == [b"for us\n"]


async def test_output_that_is_stuck_goes_to_no_other_file_when_its_own_is_closed(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    log, size = Descriptor(writer), 1 << 20
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                lambda: trio.to_thread.run_sync(module._write_all, log, b"x" * size, abandon_on_cancel=True)
            )
            await trio.lowlevel.wait_readable(reader)
            nursery.cancel_scope.cancel()  # a write is in progress, and more have to follow
        log.close()
        others = [os.open(tmp_path / f"{number}", os.O_WRONLY | os.O_CREAT) for number in range(4)]
        left = size
        while left:
            await trio.lowlevel.wait_readable(reader)
            left -= len(os.read(reader, 1 << 16))
        await trio.lowlevel.wait_readable(reader)
        assert os.read(reader, 1) == b""  # the log is closed when the write has ended
    assert [os.fstat(fd).st_size for fd in others] == [0] * 4
    for fd in (reader, *others):
        os.close(fd)
