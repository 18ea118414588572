"""A runtime that is to be killed while its loop stands still: ``python -m … DIRECTORY MODE``.

Nothing reads the socket for answers any more, and it is full, and yet supervisor and shim have to write to it: the
shim, that it has started a hostile job, whose directory exists already; the supervisor, a heartbeat. And a process
that was forked from the runtime, and outlives it, has all its descriptors. Prints the pids of that
process and of the supervisor, in a line.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

import trio

from runtime.helper.wire import encode, pack
from runtime.process.guard.messages import PING, PONG
from runtime.process.supervisors import Supervisors
from tests.process import hostile


@contextmanager
def guards_ends() -> Iterator[list[int]]:
    """Keep the guards' ends of the sockets for answers of all supervisors that are started meanwhile, oldest first."""
    original, kept = socket.socketpair, []

    def socketpair(*kind: int) -> tuple[socket.socket, socket.socket]:
        ours, theirs = original(*kind)
        if kind == (socket.AF_UNIX, socket.SOCK_SEQPACKET):
            kept.append(os.dup(theirs.fileno()))  # no `socket` object, which would make it blocking for the guards
        return ours, theirs

    with mock.patch.object(socket, "socketpair", socketpair):
        yield kept
    for end in kept:
        os.close(end)


def fill(end: int) -> None:
    """Fill the socket for answers, as a guard could whose answers are not read."""
    with suppress(BlockingIOError):
        while True:
            os.write(end, encode(PONG, 0))


async def main(directory: Path, mode: str) -> None:
    supervisors = Supervisors({}, 1.0, trio.CapacityLimiter(1))
    with guards_ends() as ends:
        await supervisors.start()
        (end,) = map(os.dup, ends)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisors.run)
        (shim,), _ = await supervisors.take(1)
        forked = os.fork()
        if forked == 0:
            signal.alarm(hostile.LIFETIME)
            hostile.sleep()
        fill(end)
        os.close(end)
        supervisors.current.pool._control.send(pack(PING, 1))
        words = [sys.executable, "-I", "-S", hostile.__file__, mode, str(directory)]
        with open(os.devnull, "w") as output:
            shim.start(words, exports={}, cwd="/", output=output.fileno(), kill_timeout=None)
        sys.stdout.write(f"{forked} {supervisors.current.pid}\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), sys.argv[2])
