"""The program that runs under Valgrind: a sample of `benchmarks`, without what makes counts differ between runs.

Its arguments are the slow-down of clocks, the path of the sample, and the arguments of the sample. Under Valgrind a
program is about 50 times slower. With real clocks, the runtime would do its once-a-second work more often per job, and
do less work in a slice of milliseconds; by how much would depend on the load of the machine.

It imports nothing of this project, because the sample may be that of another commit.

Valgrind 3.19, in Debian 12, does not support `pidfd_open`, without which no local job starts. There a helper process
that does not run under Valgrind opens the descriptors, and sends them over a socket.
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
"""The switch interval of the interpreter, in seconds: practically never. With the default of 5 ms the point of a switch
depends on the load of the machine. Threads that block release the lock in any case."""

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
    """Return whether the system call `pidfd_open` works."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def provide_pidfd_open() -> None:
    """Replace `os.pidfd_open` by a function that asks a helper process, which ends with this one."""
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
    """A clock for trio on the slowed time. A sleep takes `slowness` times longer in real time."""

    def __init__(self, slowness: float) -> None:
        self._slowness = slowness

    def start_clock(self) -> None:
        """Do nothing."""

    def current_time(self) -> float:
        """Return the slowed time, in seconds."""
        return time.perf_counter()

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Return the real seconds until `deadline`."""
        return (deadline - self.current_time()) * self._slowness


def slow_down(slowness: float) -> None:
    """Slow down all clocks for the modules that are imported from now on."""

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
