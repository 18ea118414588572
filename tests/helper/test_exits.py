"""`ExitWatch`, with a pidfd and without one."""

from __future__ import annotations

import errno
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import trio

from runtime.helper import exits
from runtime.helper.exits import ExitWatch


@pytest.fixture(params=["pidfd", "none"])
def child(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A child that exits when its standard input ends."""
    if request.param == "none":

        def forbidden(_pid: int) -> int:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "pidfd_open", forbidden)
        monkeypatch.setattr(exits, "POLL_INTERVAL", 0.01)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        yield child


def watch_of(child: subprocess.Popen[bytes]) -> ExitWatch:
    return ExitWatch(child.pid, lambda: child.poll() is not None)


def test_an_exit_is_noticed_though_a_socket_of_the_process_is_open(child: subprocess.Popen[bytes]) -> None:
    ours, theirs = socket.socketpair()
    assert child.stdin is not None
    with ours, theirs:
        child.stdin.close()
        assert not watch_of(child).wait_ready(ours.fileno(), select.POLLIN)


def test_data_that_was_written_before_the_exit_is_read_first(child: subprocess.Popen[bytes]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"answer")
        child.kill()
        child.wait()
        assert watch_of(child).wait_ready(ours.fileno(), select.POLLIN)


def test_a_deadline(child: subprocess.Popen[bytes]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(TimeoutError):
        watch_of(child).wait_ready(ours.fileno(), select.POLLIN, time.monotonic() + 0.02)


async def test_a_task_can_wait_too(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    with trio.move_on_after(0) as scope:
        await watch_of(child).wait_exited()
    assert scope.cancelled_caught
    child.stdin.close()
    await watch_of(child).wait_exited()
    assert child.poll() is not None


def test_it_keeps_no_descriptor(child: subprocess.Popen[bytes]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    watch = watch_of(child)
    del watch
    assert len(os.listdir("/proc/self/fd")) == before
