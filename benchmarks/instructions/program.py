"""What runs under Valgrind: a sample of `benchmarks`, with what would make counts differ from run to run taken away.

Its arguments are how many times slower clocks run, the path of the sample, and the arguments of that. Under Valgrind a
program is some 50 times slower. With the right time, it would do more often per job what it does every second, and less
in a slice of some milliseconds; how much, would depend on the load of the machine.

This imports nothing of this project, as the sample may be one of another commit.

Valgrind 3.19, of Debian 12, does not know `pidfd_open`, without which no local job starts. A helper process, which does
not run under Valgrind, opens the descriptors then, and hands them over.
"""

from __future__ import annotations

import functools
import os
import runpy
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import trio

NO_SWITCHES = 1e6
"""Seconds after which a thread gives up the interpreter's lock. A switch after 5 ms, the default, comes at a point
that depends on the load of the machine. Threads that wait for something give up the lock in any case."""

_HELPER = """
import os, socket, sys
connection = socket.socket(fileno=int(sys.argv[1]))
while request := connection.recv(8):
    try:
        pidfd = os.pidfd_open(int(request))
    except OSError as exc:
        connection.send(b"%d" % exc.errno)
    else:
        socket.send_fds(connection, [b"0"], [pidfd])
        os.close(pidfd)
"""


def knows_pidfd_open() -> bool:
    """Whether the system call works here."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def provide_pidfd_open() -> None:
    """Replace `os.pidfd_open` by one that asks a helper process, which ends with this one."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-I", "-S", "-c", _HELPER, str(its.fileno())]
    with its:
        subprocess.Popen(command, pass_fds=[its.fileno()])

    def pidfd_open(pid: int, flags: int = 0) -> int:
        assert flags == 0
        ours.send(b"%d" % pid)
        answer, pidfds, _, _ = socket.recv_fds(ours, 8, 1)
        if pidfds:
            return pidfds[0]
        raise OSError(int(answer), os.strerror(int(answer)))

    os.pidfd_open = pidfd_open


class SlowClock(trio.abc.Clock):
    """Time as `slow_down` leaves it. Sleeping takes so much longer."""

    def __init__(self, slowness: float) -> None:
        self._slowness = slowness

    def start_clock(self) -> None:
        """Do nothing."""

    def current_time(self) -> float:
        """Return seconds."""
        return time.perf_counter()

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Return seconds of the real clock."""
        return (deadline - self.current_time()) * self._slowness


def slow_down(slowness: float) -> None:
    """Let time pass slowly, for all that is imported from now on."""

    def slow(clock: Callable[[], float]) -> Callable[[], float]:
        return lambda: clock() / slowness

    for name in ("monotonic", "perf_counter", "process_time", "thread_time"):
        vars(time)[name] = slow(vars(time)[name])
    sleep = time.sleep
    vars(time)["sleep"] = lambda seconds: sleep(seconds * slowness)
    vars(trio)["run"] = functools.partial(trio.run, clock=SlowClock(slowness))


def main() -> None:
    """Run the sample."""
    if not knows_pidfd_open():
        provide_pidfd_open()
    slow_down(float(sys.argv.pop(1)))
    sys.setswitchinterval(NO_SWITCHES)
    del sys.argv[0]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
