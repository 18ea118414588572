"""`GroupStarter`: starts jobs as process groups, children of this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import trio

from runtime.backend.local.launch_errors import UnwatchedError
from runtime.process import GroupTree, ProcessTable, spawn
from runtime.process.start_registry import StartRegistry

_STOP_FILE_THREADS: Final = 8
"""Threads that make stop files. Arbitrary: ten times more compete for the interpreter's lock; with a single one, a file
system that does not answer stops all."""


class GroupStarter:
    """Starts process groups.

    Args:
        kill_timeout: seconds that processes may take to die after SIGKILL; `None` for no limit.
    """

    def __init__(self, kill_timeout: float | None) -> None:
        self._kill_timeout = kill_timeout
        self._table = ProcessTable(trio.CapacityLimiter(1))
        self._files = trio.CapacityLimiter(_STOP_FILE_THREADS)
        self.registry: Final = StartRegistry()
        """All that were started."""

    def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        directory: int | None,
        output: int,
        leftover_timeout: float,
        inherited: Sequence[int] = (),
    ) -> GroupTree:
        """Start a program; arguments as for `spawn` and `GroupTree`. Blocks, also while jobs are paused.

        Raises:
            OSError: if it cannot be started.
            ValueError: if an argument or variable cannot be passed to a program.
            UnwatchedError: if there is no memory to watch it; it was killed.
        """

        def start() -> GroupTree:
            child = spawn(argv, env=env, cwd=cwd, directory=directory, output=output, inherited=inherited)
            try:
                return GroupTree(child, self._table, self._kill_timeout, self._files, leftover_timeout)
            except MemoryError:
                child.destroy()
                raise UnwatchedError from None

        return self.registry.start(start)
