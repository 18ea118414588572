"""Who gets the lock of a run directory: a table of what the file may be, and real processes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import attrs
import pytest

from runtime.errors import JournalLockedError
from runtime.journal import lock
from runtime.journal.lock import Holder, acquire, holder_of, may_live, start_of
from runtime.roots import RootedPath, Roots
from tests.journal import lock_program

LIMIT = 60.0
"""Seconds; none of them passes."""
HERE = Holder.this_process()
_PARENT = os.getppid() or 1  # 0: it is in another PID namespace
PARENT = attrs.evolve(HERE, pid=_PARENT, start=start_of(_PARENT) or 0)
"""A process that lives."""
ELSEWHERE = attrs.evolve(HERE, host="build\x1b[7", boot="another boot")

FREE: dict[str, bytes] = {
    "another start time": attrs.evolve(PARENT, start=PARENT.start - 1).to_content(),
    "an earlier boot": attrs.evolve(PARENT, boot="an earlier one").to_content(),
    "empty": b"",
    "torn": PARENT.to_content()[:-20],
    "zeros": bytes(100),
    "no JSON": b"\xff\xfe",
    "nested": b"[" * 5000,
    "no table": b"[1]",
    "a pid that is a text": PARENT.to_content().replace(b"%d" % PARENT.pid, b'"x"'),
    "a pid of all": json.dumps({**attrs.asdict(PARENT), "pid": -1}).encode(),
    "a pid that is true": json.dumps({**attrs.asdict(PARENT), "pid": True}).encode(),
    "too long": b" " * 5000 + PARENT.to_content(),
}
"""Contents of a file that nobody holds."""


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[RootedPath]:
    roots = Roots(str(tmp_path / "run"))
    roots.open()
    yield roots.run
    roots.close()


def file_of(directory: RootedPath) -> Path:
    return Path(str(directory)) / "journal.lock"


def content_of(directory: RootedPath) -> Holder | None:
    return Holder.from_content(file_of(directory).read_bytes())


def refusal(directory: RootedPath, *, timeout: float = 0) -> str:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(JournalLockedError) as caught:
        acquire(directory, timeout=timeout)
    assert len(os.listdir("/proc/self/fd")) == before
    text = str(caught.value)
    assert text.isprintable()
    return text


def check_taken(directory: RootedPath) -> None:
    """Check that the lock can be taken, and is free again after that."""
    before = len(os.listdir("/proc/self/fd"))
    with acquire(directory) as taken:
        assert content_of(directory) == HERE
        assert holder_of(directory) == HERE
        assert file_of(directory).stat().st_mode & 0o777 == 0o600
        assert refusal(directory) == f"{directory} is in use: this process runs it already"
    assert not file_of(directory).exists()
    assert holder_of(directory) is None
    taken.release()  # idempotent
    assert len(os.listdir("/proc/self/fd")) == before


def test_where_there_is_none_it_is_taken(directory: RootedPath) -> None:
    check_taken(directory)
    check_taken(directory)


@pytest.mark.parametrize("content", FREE.values(), ids=FREE)
def test_what_nobody_holds_is_taken(directory: RootedPath, content: bytes) -> None:
    file_of(directory).write_bytes(content)
    file_of(directory).chmod(0o600)
    assert holder_of(directory) is None
    check_taken(directory)


def test_the_lock_of_a_process_that_has_ended_is_taken(directory: RootedPath) -> None:
    """Also of a zombie, whose parent has not looked at its end."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    holder = attrs.evolve(HERE, pid=process.pid, start=start_of(process.pid) or 0)
    file_of(directory).write_bytes(holder.to_content())
    assert refusal(directory).endswith(f"process {process.pid} of this host runs it; wait for its end, or end it")
    assert holder_of(directory) == holder
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has exited, and is not reaped
    assert holder_of(directory) is None
    file_of(directory).chmod(0o600)
    check_taken(directory)
    file_of(directory).write_bytes(holder.to_content())
    process.communicate()
    file_of(directory).chmod(0o600)
    check_taken(directory)


def test_a_process_that_lives_keeps_it_also_where_files_cannot_be_locked(
    directory: RootedPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", flock)
    check_taken(directory)
    file_of(directory).write_bytes(PARENT.to_content())
    assert f"process {PARENT.pid} of this host runs it" in refusal(directory)


def test_another_host_keeps_it_and_the_message_says_how_to_remove_it(directory: RootedPath) -> None:
    file_of(directory).write_bytes(ELSEWHERE.to_content())
    assert refusal(directory) == (
        f"{directory} is in use: process {HERE.pid} of the host 'build\\x1b[7' runs it, or has done so until that host "
        f"failed, which cannot be seen from here; make sure that it has ended, then remove {file_of(directory)}"
    )
    assert holder_of(directory) == ELSEWHERE
    file_of(directory).unlink()
    check_taken(directory)


LOCKED = {
    "another host": (ELSEWHERE.to_content(), "of the host 'build\\x1b[7' runs it; wait for its end, or end it"),
    "this host": (PARENT.to_content(), f"process {PARENT.pid} of this host runs it; wait for its end, or end it"),
    "nobody yet": (b"", "another process has just begun to run it, or is left of a run that was killed; fuser "),
    "a dead process": (FREE["another start time"], "another process has just begun to run it, or is left of "),
}


@pytest.mark.parametrize("kind", LOCKED)
def test_what_another_process_has_locked_is_refused_whatever_it_says(directory: RootedPath, kind: str) -> None:
    content, message = LOCKED[kind]
    file_of(directory).write_bytes(content)
    with file_of(directory).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert message in refusal(directory, timeout=0.05)
        assert file_of(directory).read_bytes() == content


@pytest.mark.parametrize("content", [b"", FREE["another start time"]], ids=["nobody yet", "a dead process"])
def test_a_child_that_a_killed_process_has_just_forked_is_waited_for(
    directory: RootedPath, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the locked file open until it executes its program."""
    file_of(directory).write_bytes(content)
    file_of(directory).chmod(0o600)
    file = file_of(directory).open()
    fcntl.flock(file, fcntl.LOCK_EX)
    waits = iter([lambda: None, file.close])
    monkeypatch.setattr(time, "sleep", lambda _: next(waits)())
    with acquire(directory, timeout=LIMIT):
        assert content_of(directory) == HERE
    assert next(waits, None) is None


def test_an_interruption_closes_no_other_file(directory: RootedPath, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Ctrl-C in the main thread, while the lock is waited for."""
    file_of(directory).touch(0o600)
    before = len(os.listdir("/proc/self/fd"))
    with file_of(directory).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        others: list[int] = []

        def interrupt(_: float) -> None:
            others.append(os.open(os.devnull, os.O_RDONLY))  # gets the number of what was closed last
            raise KeyboardInterrupt

        monkeypatch.setattr(time, "sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            acquire(directory, timeout=LIMIT)
        os.close(others[0])  # an error, if it was closed by `acquire`
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_process_that_lives_is_not_waited_for(directory: RootedPath, monkeypatch: pytest.MonkeyPatch) -> None:
    file_of(directory).write_bytes(PARENT.to_content())
    with file_of(directory).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waits"))
        assert "runs it" in refusal(directory, timeout=LIMIT)


def bind(path: Path, _: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(path.parent)
        try:
            listener.bind(path.name)
        finally:
            os.chdir(here)


PLANTED: dict[str, Callable[[Path, Path], object]] = {
    "a symbolic link": lambda path, other: path.symlink_to(other),
    "a link to nothing": lambda path, other: path.symlink_to(other.with_name("new")),
    "a hard link": lambda path, other: path.hardlink_to(other),
    "a FIFO": lambda path, _: os.mkfifo(path),
    "a directory": lambda path, _: path.mkdir(),
    "a socket": bind,
}


@pytest.mark.parametrize("kind", PLANTED)
def test_what_a_job_puts_in_its_place_is_refused_and_neither_followed_nor_waited_for(
    directory: RootedPath, tmp_path: Path, kind: str
) -> None:
    other = tmp_path / "precious"
    other.write_text("precious")
    PLANTED[kind](file_of(directory), other)
    text = refusal(directory)
    assert text.startswith(f"{file_of(directory)} is no file that the runtime has made (")
    assert text.endswith("); remove it, and start again")
    assert holder_of(directory) is None
    assert other.read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["precious", "run"]


@pytest.mark.parametrize(
    ("holder", "lives"),
    [
        (HERE, True),
        (attrs.evolve(HERE, host="renamed"), True),  # the same boot is the same machine
        (attrs.evolve(HERE, start=1), False),
        (attrs.evolve(HERE, boot="earlier"), False),
        (attrs.evolve(HERE, boot="other", host="other"), True),
    ],
)
def test_who_may_live(holder: Holder, lives: bool) -> None:
    assert may_live(holder, HERE) is lives


def test_without_boot_ids_the_host_decides() -> None:
    here = attrs.evolve(HERE, boot="")
    assert may_live(here, here)
    assert may_live(attrs.evolve(here, host="other"), here)
    assert not may_live(attrs.evolve(here, start=1), here)


def test_a_file_that_is_removed_while_it_is_opened_is_not_the_lock(
    directory: RootedPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its holder releases it between our `open` and our `flock`, and a third process makes a new one."""
    real = RootedPath.open_to_append
    opened: list[int] = []

    def open_to_append(path: RootedPath, mode: int) -> int:
        fd = real(path, mode)
        if not opened:
            file_of(directory).unlink()
        opened.append(os.fstat(fd).st_ino)
        return fd

    monkeypatch.setattr(RootedPath, "open_to_append", open_to_append)
    with acquire(directory):
        assert len(opened) == 2
        assert file_of(directory).stat().st_ino == opened[-1]
        assert content_of(directory) == HERE


def test_a_lock_that_was_removed_by_hand_is_released_without_harm_to_the_next(directory: RootedPath) -> None:
    taken = acquire(directory)
    file_of(directory).unlink()
    file_of(directory).write_text("another's")
    taken.release()
    assert file_of(directory).read_text() == "another's"


def test_a_lock_whose_file_cannot_be_removed_is_free_all_the_same(
    directory: RootedPath, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unlink(path: RootedPath, *, missing_ok: bool) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    taken = acquire(directory)
    with monkeypatch.context() as patch:
        patch.setattr(RootedPath, "unlink", unlink)
        taken.release()
    assert caplog.messages == [f"{directory}/journal.lock stays, and is in nobody's way: Read-only file system"]
    with os.fdopen(directory.below(lock.LOCK_NAME).open_regular()) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_forked_child_does_not_hold_the_lock_of_a_killed_parent(directory: RootedPath) -> None:
    with Program(directory) as program:
        assert program.ask("acquire") == "taken"
        child = int(program.ask("fork"))
        try:
            program.process.kill()
            program.process.wait()
            assert start_of(child) is not None
            check_taken(directory)
        finally:
            os.kill(child, signal.SIGKILL)


class Program:
    """A process that takes the lock when it is told to."""

    def __init__(self, directory: RootedPath) -> None:
        words = [sys.executable, "-m", lock_program.__name__, str(directory)]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def tell(self, order: str) -> None:
        stdin: IO[str] | None = self.process.stdin
        assert stdin is not None
        stdin.write(order + "\n")
        stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def ask(self, order: str) -> str:
        self.tell(order)
        return self.answer()


@pytest.mark.slow
def test_of_two_processes_that_start_together_exactly_one_gets_it(directory: RootedPath) -> None:
    contents = [None, b"", *FREE.values()]
    with Program(directory) as one, Program(directory) as other:
        for round_ in range(40):
            content = contents[round_ % len(contents)]
            if content is not None:
                file_of(directory).write_bytes(content)
                file_of(directory).chmod(0o600)
            for each in (one, other):
                assert each.ask("prepare") == "ready"
            for each in (one, other):
                each.tell("now")
            answers = [one.answer(), other.answer()]
            assert sorted(each == "taken" for each in answers) == [False, True], answers
            (refused,) = [each for each in answers if each != "taken"]
            assert "is in use: " in refused
            for each in (one, other):
                assert each.ask("release") == "released"
            assert not file_of(directory).exists()


@pytest.mark.slow
def test_while_the_lock_is_given_from_hand_to_hand_nobody_shares_it(directory: RootedPath) -> None:
    """Releases and acquisitions overlap: the file is removed and made all the time."""
    with Program(directory) as one, Program(directory) as other:
        for each in (one, other):
            each.tell("struggle 100")
        assert one.answer() == other.answer() == "never shared"


def test_the_name_of_the_lock_is_known() -> None:
    assert lock.LOCK_NAME == "journal.lock"
