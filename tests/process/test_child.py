from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from runtime.process import UNKNOWN, Child, SharedEnvironment, spawn
from runtime.process.start import is_available


class Starter:
    """Starts programs whose output goes to a file."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "log"
        self.output = os.open(self.log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self.children: list[Child] = []

    def __call__(self, *argv: str, cwd: str | None = None) -> Child:
        # With a directory in PATH that may not be searched, the error of an unknown program would be another one.
        child = spawn(argv, env={**os.environ, "PATH": "/usr/bin:/bin"}, cwd=cwd, output=self.output)
        self.children.append(child)
        return child

    def close(self) -> None:
        os.close(self.output)
        for child in self.children:
            child.destroy()


@pytest.fixture(params=["by the C library", "by subprocess"])
def start(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Starter]:
    by_libc = request.param == "by the C library"
    assert is_available() or not by_libc, "all machines that run the tests have glibc"
    monkeypatch.setattr("runtime.process.child.is_available", lambda: by_libc)
    starter = Starter(tmp_path)
    yield starter
    starter.close()


async def ended(child: Child) -> None:
    with trio.fail_after(30):
        await child.wait_exited()


async def test_no_signal_is_blocked_or_ignored_in_it_whatever_we_do(start: Starter) -> None:
    numbers = signal.SIGINT, signal.SIGUSR1, signal.SIGPROF
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2, signal.SIGCHLD})
    try:
        child = start("/bin/grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status")
        assert signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, action in before.items():
            signal.signal(number, action)
    await ended(child)
    _, blocked, _, ignored = start.log.read_text().split()
    usual = {number - 1 for number in signal.valid_signals()}  # the C library reserves two more
    assert [bit for bit in usual if (int(blocked, 16) | int(ignored, 16)) >> bit & 1] == []


async def test_an_exit_code_and_what_was_used_are_known(start: Starter) -> None:
    child = start("/bin/sh", "-c", "exit 7")
    await ended(child)
    assert child.has_exited()
    assert not child.reaped
    how = child.reap()
    assert (how.code, how.signal, how.core_dumped) == (7, None, False)
    assert how.cpu_seconds is not None
    assert how.cpu_seconds > 0
    assert child.reaped
    assert child.reap() is UNKNOWN


async def test_a_signal_is_told_from_an_exit_code(start: Starter) -> None:
    child = start("/bin/sh", "-c", "kill -KILL $$")
    await ended(child)
    how = child.reap()
    assert (how.code, how.signal) == (None, signal.SIGKILL)


async def test_the_peak_is_known_only_if_it_is_above_our_own(start: Starter) -> None:
    small = start("true")
    await ended(small)
    assert small.reap().peak_bytes is None
    program = (
        "import resource; ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; x = b'x' * (ours + 300_000) * 1024"
    )
    large = start("python3", "-c", program)
    await ended(large)
    peak = large.reap().peak_bytes
    assert peak is not None
    assert peak > 300 << 20


async def test_it_leads_a_session_of_its_own(start: Starter) -> None:
    child = start("sleep", "1000")
    assert os.getsid(child.pid) == os.getpgid(child.pid) == child.pid
    assert child.group_exists()
    child.signal_group(signal.SIGTERM)
    await ended(child)
    assert child.group_exists()  # the zombie of the child is a member
    assert child.reap().signal == signal.SIGTERM
    assert not child.group_exists()


async def test_it_inherits_three_descriptors_and_no_more(start: Starter) -> None:
    descriptors = [os.dup(0) for _ in range(5)]
    for fd in descriptors:
        os.set_inheritable(fd, True)
    child = start("/bin/sh", "-c", "for i in $(seq 0 40); do test -e /proc/$$/fd/$i && echo $i; done; cat")
    await ended(child)
    for fd in descriptors:
        os.close(fd)
    assert start.log.read_text() == "0\n1\n2\n"


async def test_no_signal_is_sent_after_it_was_reaped(start: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    child = start("true")
    await ended(child)
    child.reap()
    sent: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, number: sent.append(group))
    child.signal_group(signal.SIGKILL)
    assert sent == []


async def test_a_reap_by_other_code_is_noticed(start: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    child = start("true")
    os.waitpid(child.pid, 0)
    await ended(child)
    sent: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, number: sent.append(group))
    child.signal_group(signal.SIGKILL)
    assert sent == []
    assert child.has_exited()
    assert child.reap() is UNKNOWN
    other = start("true")
    os.waitpid(other.pid, 0)
    assert other.reap() is UNKNOWN


@pytest.mark.parametrize(
    ("argv", "cwd", "number"),
    [
        (["/no/such/program"], None, errno.ENOENT),
        (["no-such-program-anywhere"], None, errno.ENOENT),
        (["/etc/passwd"], None, errno.EACCES),
        (["true"], "/no/such/directory", errno.ENOENT),
        (["true"], "/etc/passwd", errno.ENOTDIR),
        (["true", "x" * (1 << 22)], None, errno.E2BIG),
    ],
)
def test_what_cannot_be_started_says_why(start: Starter, argv: list[str], cwd: str | None, number: int) -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is checked below
        start(*argv, cwd=cwd)
    assert caught.value.errno == number
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("word", ["a\0b", "\ud800"])
def test_an_argument_that_cannot_be_passed_is_refused(start: Starter, word: str) -> None:
    with pytest.raises(ValueError, match=r"null byte|NUL byte|surrogates"):
        start("echo", word)


async def test_an_environment_for_many_is_that_of_each(start: Starter) -> None:
    shared = SharedEnvironment({"PATH": "/usr/bin:/bin", "NAME": "value"})
    for _ in range(2):
        child = spawn(["env"], env=shared, cwd=None, output=start.output)
        start.children.append(child)
        await ended(child)
    assert start.log.read_text() == "PATH=/usr/bin:/bin\nNAME=value\n" * 2


async def test_an_environment_for_many_is_extended_for_each(start: Starter) -> None:
    shared = SharedEnvironment({"PATH": "/usr/bin:/bin", "NAME": "value"})
    for own in ({"A": "1", "B": "2"}, {}, {"NAME": "mine"}):
        environment = shared.extended(own)
        assert environment == {**shared, **own}
        child = spawn(["env"], env=environment, cwd=None, output=start.output)
        start.children.append(child)
        await ended(child)
    lines = ["NAME=value", "A=1", "B=2", "PATH=/usr/bin:/bin", "NAME=value", "PATH=/usr/bin:/bin", "NAME=mine"]
    assert start.log.read_text().splitlines() == ["PATH=/usr/bin:/bin", *lines]


@pytest.mark.parametrize("wrong", [{"a=b": "x"}, {"A": "a\0b"}, {"A": "\ud800"}])
def test_what_no_environment_can_have_is_refused_in_an_extended_one(start: Starter, wrong: dict[str, str]) -> None:
    shared = SharedEnvironment({"PATH": "/usr/bin:/bin"})
    with pytest.raises(ValueError, match=r"no name|null byte|NUL byte|illegal environment|surrogates"):
        spawn(["true"], env=shared.extended(wrong), cwd=None, output=start.output)


@pytest.mark.parametrize("wrong", [{"a=b": "x"}, {"NAME": "a\0b"}])
def test_an_environment_for_many_that_cannot_be_is_refused_each_time(start: Starter, wrong: dict[str, str]) -> None:
    shared = SharedEnvironment({"PATH": "/usr/bin:/bin", **wrong})
    for _ in range(2):
        with pytest.raises(ValueError, match=r"no name|null byte|NUL byte|illegal environment"):
            spawn(["true"], env=shared, cwd=None, output=start.output)


def test_without_a_descriptor_to_wait_on_nothing_is_left_behind(
    start: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []

    def no_descriptor(pid: int) -> int:
        pids.append(pid)
        raise OSError(errno.EMFILE, "none left")

    monkeypatch.setattr(os, "pidfd_open", no_descriptor)
    with pytest.raises(OSError, match="none left"):
        start("sleep", "1000")
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
