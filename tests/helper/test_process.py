from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from runtime.helper import process
from runtime.helper.process import HelperProcess, deadline_in

ECHO = """
import os, socket, struct, sys
control = socket.socket(fileno=int(sys.argv[1]))
def receive():
    return control.recv(struct.unpack("<I", control.recv(4, socket.MSG_WAITALL))[0], socket.MSG_WAITALL)
def send(message):
    control.sendall(struct.pack("<I", len(message)) + message)
"""


@pytest.fixture
def start() -> Iterator[Callable[[str], HelperProcess]]:
    started = []

    def start(script: str) -> HelperProcess:
        started.append(HelperProcess(["-I", "-S", "-c", ECHO + script], env={}))
        return started[-1]

    yield start
    for each in started:
        each.end()
        each.close()


Start = Callable[[str], HelperProcess]


def test_a_message_is_answered(start: Start) -> None:
    helper = start("send(receive()[::-1] * 2); receive()")
    helper.channel.send(b"x" * 100_000 + b"y")
    assert helper.channel.receive(deadline_in(60)) == (b"y" + b"x" * 100_000) * 2
    helper.channel.close()
    assert helper.watch.wait(60)


def test_it_has_a_session_of_its_own_and_no_other_descriptors(start: Start) -> None:
    helper = start("send(repr((os.getsid(0) == os.getpid(), len(os.listdir('/proc/self/fd')))).encode())")
    assert helper.channel.receive(deadline_in(60)) == b"(True, 5)"  # 0, 1, 2, the socket, and that of `listdir`


def test_its_death_ends_a_wait_though_a_forked_process_has_its_socket(start: Start) -> None:
    helper = start("os.fork() or os.execv('/bin/sleep', ['sleep', '1000']); os._exit(3)")
    with pytest.raises(EOFError):
        helper.channel.receive(deadline_in(60))
    assert helper.end(60) == 3


def test_a_wait_has_a_deadline(start: Start) -> None:
    helper = start("os.kill(os.getpid(), 19)")
    with pytest.raises(TimeoutError):
        helper.channel.receive(deadline_in(0.01))
    with pytest.raises(TimeoutError):
        helper.channel.send(bytes(1 << 24), deadline_in(0.01))


def test_what_does_not_exit_by_itself_is_killed_with_its_group(start: Start) -> None:
    helper = start("pid = os.fork() or os.execv('/bin/sleep', ['sleep', '1000']); send(str(pid).encode()); receive()")
    child = int(helper.channel.receive(deadline_in(60)))
    with open(f"/proc/{child}/stat") as file:
        assert int(file.read().rpartition(")")[2].split()[2]) == helper.pid
    assert helper.end(0.01) == -signal.SIGKILL
    assert helper.end() == -signal.SIGKILL  # nothing is signalled: others may have its number
    assert helper.has_exited()


def test_a_process_that_others_have_reaped_is_not_signalled(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = start("os._exit(3)")
    os.waitpid(helper.pid, 0)
    assert helper.has_exited()
    monkeypatch.setattr(os, "killpg", lambda *_: pytest.fail("it may be another process"))
    assert helper.end() == 0  # its status is lost


def test_a_process_without_an_owner_is_reaped_some_day_or_ended_with_ours(start: Start) -> None:
    ended: list[int] = []
    first, second = start("receive()"), start("receive()")
    first.leave()
    second.leave(lambda: ended.append(second.end()))
    start("")
    assert {first, second} <= {*process._left}
    first.kill()
    assert first.watch.wait(60)
    start("")
    assert first not in process._left
    process.end_all_left()
    assert ended == [-signal.SIGKILL]
    assert second not in process._left


def test_one_that_cannot_be_started_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> subprocess.Popen[bytes]:
        raise BlockingIOError

    monkeypatch.setattr(process, "start_helper", fail)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(BlockingIOError):
        HelperProcess([], env={})
    assert len(os.listdir("/proc/self/fd")) == before
