"""What ``/proc`` says of processes: their states, parents and children."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

_MAX_TREE: Final = 10_000
"""Processes of a job that are signalled one by one, at most, so that the search ends for a job that forks without end.
Arbitrary: so many take a second. Ten times as many would delay the SIGKILL of a fork bomb by ten seconds; with a tenth,
some processes of a large job would get no SIGTERM."""

_MAX_NAMED: Final = 5
"""Leftover processes that are named in a message. Arbitrary: so many fit on a line or two."""


class ProcessEntry:
    """The entry of one process in the process table."""

    __slots__ = ("group", "name", "parent", "pid", "start", "state", "threads")

    def __init__(self, pid: int, text: bytes) -> None:
        # The second field is the program's name in parentheses, and may itself contain parentheses and spaces: so the
        # last closing one ends it.
        name, _, rest = text.partition(b"(")[2].rpartition(b")")
        fields = rest.split(None, 20)
        self.pid: int = pid
        self.name: bytes = name
        self.state: bytes = fields[0]
        self.parent: Final = int(fields[1])
        self.group: Final = int(fields[2])
        self.threads: Final = int(fields[17])
        self.start: bytes = fields[19]
        """When it was started, in clock ticks after boot: differs between two processes with the same pid."""


def read_entry(pid: int) -> ProcessEntry | None:
    """Return the entry of a process in the process table; `None` if it does not exist."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return ProcessEntry(pid, file.read())
    except (OSError, ValueError, IndexError):
        return None


EXITED: Final = (b"Z", b"X")
"""States of processes that have exited: zombie and dead."""


def describe(processes: Sequence[ProcessEntry]) -> list[str]:
    """Return names and pids of processes for a message; of more than `_MAX_NAMED`, the first and how many more."""
    texts = [f"{process.name.decode(errors='replace')} (pid {process.pid})" for process in processes[:_MAX_NAMED]]
    return [*texts, f"{len(processes) - _MAX_NAMED} more"] if len(processes) > _MAX_NAMED else texts


def has_running_child() -> bool:
    """Whether a child of this process has not exited."""
    try:
        # `WSTOPPED` without `WEXITED`: `waitid` fails with ECHILD unless a child is left that may still stop, and a
        # zombie cannot. So this answers without a look at each child in /proc.
        os.waitid(os.P_ALL, 0, os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def parent_of(pid: int) -> int:
    """Return the pid of the parent of a process; 0 if the process does not exist."""
    found = read_entry(pid)
    return 0 if found is None else found.parent


def children(pid: int | str = "self", threads: int = 0) -> list[int]:
    """Return the pids of the direct children of a process, zombies included; none if it does not exist.

    For this process the list is exact: it shrinks only when this process reaps, which has one thread. `threads` is how
    many threads the process has, 0 if unknown; with 1 a directory listing is saved.
    """
    found = []
    try:
        for task in [str(pid)] if threads == 1 else os.listdir(f"/proc/{pid}/task"):
            try:
                with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                    found += [int(child) for child in file.read().split()]
            except FileNotFoundError:
                if not os.path.exists(f"/proc/self/task/{os.getpid()}/children"):  # else the thread has ended
                    return _children_by_parent(pid)
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def _children_by_parent(pid: int | str) -> list[int]:
    """As `children`, for a kernel without CONFIG_PROC_CHILDREN: reads all of ``/proc``."""
    parent = os.getpid() if pid == "self" else int(pid)
    return [int(name) for name in os.listdir("/proc") if name.isdecimal() and parent_of(int(name)) == parent]


def with_descendants(roots: list[ProcessEntry]) -> Iterator[ProcessEntry]:
    """Yield processes and all descendants that can be found now, each once, parents first, and no other process.

    A pid that was reused during the search has another parent, or its parent another start time. When the caller acts
    on what is found here, a pid may have been reused since: see `signal_process`.
    """
    this = os.getpid()
    found = {process.pid for process in roots}
    yield from roots
    level = roots
    while level and len(found) < _MAX_TREE:
        below = []
        for parent in level:
            new = read_entries([pid for pid in children(parent.pid, parent.threads) if pid not in found])
            # A process whose parent has exited since is a child of this one, if this is a subreaper.
            new = [child for child in new if child.parent in (parent.pid, this)]
            # Only now: if the parent had exited before its children were listed, they may be those of another process.
            if new and still_exists(parent):
                found.update(child.pid for child in new)
                below += new
        yield from below
        level = below


def still_exists(process: ProcessEntry) -> bool:
    """Whether a process still exists, perhaps as a zombie."""
    now = read_entry(process.pid)
    return now is not None and now.start == process.start


def is_alive(process: ProcessEntry) -> bool:
    """Whether a process still exists, and is no zombie."""
    now = read_entry(process.pid)
    return now is not None and now.start == process.start and now.state not in EXITED


def ignores(pid: int, number: int) -> bool:
    """Whether a process will not act on a signal: it ignores the signal, is a zombie, or does not exist."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            fields = dict(line.split(b":", 1) for line in file if line.startswith((b"State:", b"SigIgn:")))
        return fields[b"State"].split()[0] in EXITED or bool(int(fields[b"SigIgn"], 16) >> (number - 1) & 1)
    except (OSError, ValueError, LookupError):
        return True


def read_entries(pids: list[int]) -> list[ProcessEntry]:
    """Return the entries of those processes that exist."""
    return [process for process in map(read_entry, pids) if process is not None]
