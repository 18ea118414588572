"""A hostile job: ``python hostile.py MODE DIRECTORY``. Its processes do what jobs do to survive their end.

Each process makes a file in DIRECTORY/locks and holds a lock on it while it lives, so that living processes can be
counted from outside without trusting a pid or a name. Each writes a byte to DIRECTORY/fifo when it has its lock, and
keeps the FIFO open. Run as a file; standard library only.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

MODES: Final = ("child", "term_ignored", "setsid", "daemon", "wiped", "root_first", "hopper", "stopped", "mixed")

PROCESSES: Final = {
    "child": 3,
    "term_ignored": 3,
    "setsid": 3,
    "daemon": 3,
    "wiped": 4,
    "root_first": 4,
    "hopper": 2,
    "stopped": 2,
    "mixed": 8,
}
"""How many processes a mode starts, at least, before it does its harm; the root is one of them."""

LIFETIME: Final = 600
"""Seconds after which a process ends by itself, if a test cannot end it. Arbitrary: longer than any test."""

FIFO: Final = 100
"""The descriptor of the FIFO, above those that `daemon` closes."""


def enter(directory: str) -> None:
    """Make a file and lock it for the lifetime of this process; then write a byte to the FIFO."""
    signal.alarm(LIFETIME)
    name = f"{os.getpid()}-{time.monotonic_ns()}"
    fd = os.open(f"{directory}/locks/.{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    # A lock of the process, not of the open file: a forked child does not hold it.
    fcntl.lockf(fd, fcntl.LOCK_EX)
    with suppress(BlockingIOError):  # a hopper may fill the FIFO
        os.write(FIFO, b".")
    with suppress(FileNotFoundError):  # a hopper has removed it
        os.rename(f"{directory}/locks/.{name}", f"{directory}/locks/{name}")


def wait_entered(directory: str, count: int) -> None:
    """Wait until so many processes have their locks."""
    while sum(not name.startswith(".") for name in os.listdir(f"{directory}/locks")) < count:
        time.sleep(0.001)


def survivors(directory: Path) -> list[str]:
    """Return the names of the files whose process is alive."""
    alive = []
    for path in directory.iterdir():
        try:
            fd = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue  # a hopper has removed it
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            alive.append(path.name)
        finally:
            os.close(fd)
    return alive


def sleep() -> None:
    while True:
        time.sleep(1000)


def ignore() -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)


def spawn(directory: str, what: Callable[[], None], *, session: bool = False) -> None:
    """Fork a process that locks a file and does `what`."""
    if os.fork() == 0:
        if session:
            os.setsid()
        enter(directory)
        what()
        os._exit(0)


def parent(directory: str, *, session: bool = False) -> None:
    """Start a child, and stay alive."""
    spawn(directory, sleep, session=session)
    sleep()


def daemon(directory: str, what: Callable[[], None]) -> None:
    """Start a process in a session of its own, whose parent has exited, without open descriptors."""
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 64)
            enter(directory)
            what()
        os._exit(0)
    os.waitpid(child, 0)


def wiped(directory: str) -> None:
    """Execute a program without an environment, so that nothing shows to which job it belongs."""
    os.execve(sys.executable, [sys.executable, "-I", "-S", __file__, "sleeper", directory], {})


def hop(directory: str) -> None:
    """Fork and exit for ever, with a new session and a new pid each time."""
    while True:
        if os.fork() != 0:
            os._exit(0)
        os.setsid()
        enter(directory)
        with os.scandir(f"{directory}/locks") as old:
            for entry in list(old)[:-20]:  # limits their number
                with suppress(OSError):
                    os.unlink(entry.path)


def run(mode: str, directory: str) -> None:
    """Run one mode."""
    if mode == "child":
        spawn(directory, lambda: parent(directory))
    elif mode == "term_ignored":
        ignore()
        spawn(directory, lambda: parent(directory))
    elif mode == "setsid":
        spawn(directory, lambda: parent(directory, session=True), session=True)
    elif mode == "daemon":
        ignore()
        daemon(directory, sleep)
        daemon(directory, sleep)
    elif mode == "wiped":
        ignore()
        spawn(directory, lambda: wiped(directory), session=True)
        daemon(directory, lambda: wiped(directory))
    elif mode == "root_first":
        spawn(directory, lambda: parent(directory), session=True)
        daemon(directory, sleep)
        wait_entered(directory, PROCESSES[mode])  # before the root exits, as they are killed then
        return
    elif mode == "hopper":
        daemon(directory, lambda: hop(directory))
    elif mode == "stopped":
        spawn(directory, lambda: os.kill(os.getpid(), signal.SIGSTOP))
    elif mode == "mixed":
        ignore()
        spawn(directory, lambda: parent(directory))
        spawn(directory, lambda: parent(directory, session=True), session=True)
        daemon(directory, sleep)
        daemon(directory, lambda: wiped(directory))
        daemon(directory, lambda: hop(directory))
    sleep()


if __name__ == "__main__":
    MODE, DIRECTORY = sys.argv[1:]
    if MODE != "sleeper":
        OPENED = os.open(f"{DIRECTORY}/fifo", os.O_WRONLY | os.O_NONBLOCK)
        os.dup2(OPENED, FIFO)  # executed programs inherit it, too
        os.close(OPENED)
    enter(DIRECTORY)
    if MODE == "sleeper":
        sleep()
    run(MODE, DIRECTORY)
