"""A runtime that is to be killed while its loop stands still: ``python -m … DIRECTORY MODE``.

Nobody reads what its keeper and its shim say any more, there is no room for more of that, and yet they have to say
something: the shim, that it has started a hostile job, whose hostages are made already; the keeper, that it is alive.
And a process that was forked from the runtime, and outlives it, has all its descriptors. Says the pids of that process
and of the keeper, in a line.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import trio

from runtime.process import keeper_program as far
from runtime.process.keeper import Keeper, Keepers
from tests.process import hostile


def open_pipe(keeper: Keeper) -> int:
    """Open the pipe for answers as who answers does."""
    return os.open(f"/proc/self/fd/{keeper._answers}", os.O_WRONLY | os.O_NONBLOCK)


def fill(keeper: Keeper) -> None:
    """Leave no room for answers."""
    fd = open_pipe(keeper)
    try:
        while True:
            os.write(fd, far.frame(far.PONG, 0))
    except BlockingIOError:
        os.close(fd)


async def main(directory: Path, mode: str) -> None:
    keepers = Keepers({}, 1.0, trio.CapacityLimiter(1))
    await keepers.start()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keepers.run)
        (shim,), _ = await keepers.take(1)
        forked = os.fork()
        if forked == 0:
            signal.alarm(hostile.LIFETIME)
            hostile.sleep()
        fill(keepers.current)
        keepers.current._control.send(far.frame(far.PING, 1))
        words = [sys.executable, "-I", "-S", hostile.__file__, mode, str(directory)]
        with open(os.devnull, "w") as output:
            shim.start(words, exports={}, cwd="/", output=output.fileno(), patience=None)
        sys.stdout.write(f"{forked} {keepers.current.pid}\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), sys.argv[2])
