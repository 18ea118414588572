"""A runtime that is to be killed while its loop stands still: ``python -m … DIRECTORY MODE``.

Nothing reads the pipe for answers any more, and the pipe is full, and yet supervisor and shim have to write to it: the
shim, that it has started a hostile job, whose directory exists already; the supervisor, a heartbeat. And a process
that was forked from the runtime, and outlives it, has all its descriptors. Prints the pids of that
process and of the supervisor, in a line.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import trio

from runtime.helper.wire import frame
from runtime.process.guard.messages import PING, PONG
from runtime.process.supervisor import Supervisor, Supervisors
from tests.process import hostile


def open_pipe(supervisor: Supervisor) -> int:
    """Open the pipe for answers as a process that answers does."""
    return os.open(f"/proc/self/fd/{supervisor._answers}", os.O_WRONLY | os.O_NONBLOCK)


def fill(supervisor: Supervisor) -> None:
    """Fill the pipe for answers."""
    fd = open_pipe(supervisor)
    try:
        while True:
            os.write(fd, frame(PONG, 0))
    except BlockingIOError:
        os.close(fd)


async def main(directory: Path, mode: str) -> None:
    supervisors = Supervisors({}, 1.0, trio.CapacityLimiter(1))
    await supervisors.start()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisors.run)
        (shim,), _ = await supervisors.take(1)
        forked = os.fork()
        if forked == 0:
            signal.alarm(hostile.LIFETIME)
            hostile.sleep()
        fill(supervisors.current)
        supervisors.current._control.send(frame(PING, 1))
        words = [sys.executable, "-I", "-S", hostile.__file__, mode, str(directory)]
        with open(os.devnull, "w") as output:
            shim.start(words, exports={}, cwd="/", output=output.fileno(), kill_timeout=None)
        sys.stdout.write(f"{forked} {supervisors.current.pid}\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), sys.argv[2])
