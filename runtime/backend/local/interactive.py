"""Interactive jobs: each runs on a pty of its own, which is connected with the user's terminal until it ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import attrs
import trio

from runtime.descriptors import Descriptor
from runtime.process import ProcessTree, TreeEnd

if TYPE_CHECKING:  # not available on every system
    from runtime.process.terminal import Pty


@attrs.frozen
class UserTerminal:
    """The terminal of the user."""

    input: int
    output: int
    """Descriptors."""
    lend: Callable[[], AbstractAsyncContextManager[object]]
    """Returns a context manager that keeps others from it."""
    limiter: trio.CapacityLimiter
    """Limits the threads that write."""


@attrs.frozen
class JobTerminal:
    """The pty of a job, and its log, for writing."""

    pty: Pty
    log: Descriptor

    async def wait_ended(self, tree: ProcessTree, user: UserTerminal) -> TreeEnd:
        """Connect the job with the user until its processes have ended."""
        from runtime.process.terminal import attached

        # Output that the job writes before the terminal is free stays in the pty, so that nothing overwrites it.
        async with user.lend():
            async with attached(self.pty, self.log, user.input, user.output, user.limiter):
                return await tree.wait_ended()
        raise AssertionError

    def close(self) -> None:
        """Close all descriptors. May be called once."""
        self.log.close()
        self.pty.close()


def start_on_pty(
    argv: Sequence[str],
    start: Callable[[Sequence[str], int], ProcessTree],
    *,
    like: int,
    env: Mapping[str, str],
    cwd: str,
    log: int,
) -> tuple[ProcessTree, JobTerminal]:
    """Start a program on a new pty. Blocks.

    Args:
        argv: its words.
        start: starts words with a descriptor as their output.
        like: the user's terminal, whose settings the pty gets.
        env: its environment.
        cwd: the directory that it starts in.
        log: a descriptor, of which a copy is made.

    Raises:
        OSError: if it cannot be started.
    """
    from runtime.process.terminal import command_on_pty, open_pty

    pty = open_pty(like)
    try:
        log = os.dup(log)
        try:
            tree = start(command_on_pty(pty, argv, env=env, cwd=cwd), pty.slave)
        except BaseException:
            os.close(log)
            raise
    except BaseException:
        pty.close()
        raise
    return tree, JobTerminal(pty, Descriptor(log))
