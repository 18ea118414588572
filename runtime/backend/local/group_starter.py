"""`GroupStarter`: starts jobs as process groups, children of this process."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import trio
from outcome import Error, Outcome, capture

from runtime.backend.local.launch_errors import UnwatchedError
from runtime.process import Child, GroupTree, ProcessTable, spawn
from runtime.process.group_exits import GroupExits
from runtime.process.start_registry import StartRegistry
from runtime.roots import RootedPath

_STOP_FILE_THREADS: Final = 8
"""Threads that make stop files. Arbitrary: ten times more compete for the interpreter's lock; with a single one, a file
system that does not answer stops all."""

_LOG_THREADS: Final = 4
"""Threads that read short logs, which takes microseconds. Arbitrary: ten times more mostly sleep; a single one may hang
in a file system that does not answer."""


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
        self.exits: Final = GroupExits(trio.CapacityLimiter(_LOG_THREADS))
        """Notices their exits; its `run` must be running."""

    def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        directory: int | None,
        output: int,
        leftover_timeout: float,
        log: RootedPath | None = None,
        inherited: Sequence[int] = (),
        cgroup: tuple[bytes, bytes] | None = None,
    ) -> GroupTree:
        """Start a program; arguments as for `spawn`, `GroupTree` and `Shim`. Blocks, also while jobs are paused.

        Raises:
            OSError: if it cannot be started.
            ValueError: if an argument or variable cannot be passed to a program.
            UnwatchedError: if there is no memory to watch it; it was killed.
        """

        def start() -> GroupTree:
            begin = partial(spawn, argv, env=env, cwd=cwd, directory=directory, output=output, inherited=inherited)
            child = begin() if cgroup is None else _begin_in(cgroup, begin)
            try:
                return GroupTree(child, self._table, self._kill_timeout, self._files, leftover_timeout, self.exits, log)
            except MemoryError:
                child.destroy()
                raise UnwatchedError from None

        return self.registry.start(start)


def _begin_in(cgroup: tuple[bytes, bytes], begin: Callable[[], Child]) -> Child:
    """Call `begin` while a thread, alone of this process, is in a cgroup.

    It is a new thread, which ends after that: one that cannot leave the cgroup must not start another job.

    Raises:
        OSError: as `begin`, and if no thread can be started, or it cannot enter the cgroup.
    """
    from runtime.process.guard.job_files import EnteredCgroup, StrandedError

    begun: list[Outcome[Child]] = []

    def run() -> None:
        try:
            with EnteredCgroup(cgroup):
                begun.append(capture(begin))
        except StrandedError:
            pass  # this thread ends
        except Exception as exc:  # noqa: BLE001 - raised below, in the thread that waits for this one
            begun.append(Error(exc))

    thread = threading.Thread(target=run, daemon=True)
    try:
        thread.start()
    except RuntimeError as exc:
        raise OSError(errno.EAGAIN, f"no thread can be started: {exc}") from exc
    thread.join()
    return begun[0].unwrap()
