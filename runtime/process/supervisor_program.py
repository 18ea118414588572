"""The program of the supervisor and of the shims that it forks. Run as a file; it never imports `runtime`.

The task is to end a whole *tree* of processes, whatever sessions they open, even after the runtime was killed. A signal
to a process group misses the processes that left it. A walk of the tree misses processes whose parent has ended, and
may hit an unrelated process that was given the pid of one that has exited. A *child subreaper*
(`PR_SET_CHILD_SUBREAPER`) has neither problem: orphans among its descendants become its children. It kills its direct
children until it has none, and their pids cannot be reused before it has reaped them. But a subreaper adopts every
orphan below it, which an embedding program does not expect. So helper processes are the subreapers, not the runtime::

    runtime ── supervisor ─┬─ shim ── the processes of a job
                           ├─ shim ── the processes of another
                           └─ shim    (idle)

A *shim* runs one job at a time. It makes the job's files (unless the runtime did), starts the job in a session of its
own, waits, kills what is left, reports the end together with the log if that is short, and takes the next job. Shims
are reused for speed: no large process has to fork for a job.

The *supervisor* forks shims. It has a session of its own, so no key of a terminal signals it, and a single thread, so
`PR_SET_PDEATHSIG`, which is sent when the forking *thread* exits, means the death of the process. It is a subreaper as
well: when a job kills its shim, the supervisor adopts the job's processes.

How each death is noticed:

- the runtime's: the supervisor sees the end of its control socket, and the pidfd of the runtime; each shim sees the end
  of its own socket. All jobs are killed at once;
- the supervisor's: the kernel sends SIGTERM to each shim, which kills its job, reports that, and exits;
- a shim's: the supervisor reaps it, kills what its job left, and reports that;
- that of all of them: the runtime sees the end of the pipe on which all of them answer.

All signals that can be blocked are blocked in the supervisor and the shims, because systemd signals every process of a
control group, Slurm every process of an allocation, and a job perhaps its parent. Only SIGTERM has a meaning, and only
for a shim, if the supervisor has sent it or the supervisor has died; neither the sender's pid nor the parent's can be
forged. A guard that was stopped is continued: a shim by the supervisor, which sees it at once (`WUNTRACED`), and both
by the runtime, twice a second.

Messages are marshalled tuples, each preceded by its length. Commands arrive on one socket per process. Answers share
one pipe; an answer is never longer than `PIPE_BUF`, so it is written as a whole. A process that waits because the pipe
is full still notices all these deaths. Jobs inherit no descriptors but 0, 1 and 2.
"""

from __future__ import annotations

import errno
import gc
import marshal
import os
import resource
import select
import struct
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, Final

    from runtime import rooted

    WirePath = tuple[int, bytes]
else:
    # `signal` and `socket` are Python wrappers of these, and would add 10 ms to each start and memory to each shim;
    # `contextlib` would add more.
    import _signal as signal
    import _socket as socket

# Commands to the supervisor. The first item of each tuple is one of these.
SETUP: Final = "setup"
"""The environment, a dict of bytes; its dump, for jobs that add nothing to it; seconds that the processes left by a
killed shim may take to die before the shim's end is reported without them."""
FORK: Final = "fork"
"""The number of the new shim. Its end of the command socket comes as a descriptor."""
PING: Final = "ping"
"""Any number, which is answered."""

# Commands to a shim.
JOB: Final = "job"
"""The job's number; the leftover timeout (seconds that processes which outlive the root have to exit by themselves; 0
kills them at once); argv, exports and working directory, in bytes; the `WirePath` of that directory, or `None` to
follow its path wherever that leads; the kill timeout, seconds or `None`; the `WirePath` of the log, if the log is to be
returned with the end; and the files to make: the `WirePath` of the job's directory, the names of the log and of the
environment file in it, and the content of the latter (`None` for the dump of `SETUP`). If the files are there already
this is `None`, and the descriptor of the job's output comes with the message.

A `WirePath` is the number of a root and a path below it, which `rooted` opens."""
STOP: Final = "stop"
"""The job's number; the soft step (a signal, the `WirePath` of a file, or `None`) and its seconds; SIGTERM timeout and
SIGKILL timeout, seconds or `None`."""
FORCE: Final = "force"
"""The job's number: SIGKILL, now."""
PAUSE: Final = "pause"
"""The job's number: its processes are stopped, and its timeouts with them."""
UNPAUSE: Final = "unpause"
"""The job's number."""

# Answers of the supervisor.
HELLO: Final = "hello"
FORKED: Final = "forked"
"""The shim's number, its pid."""
NOT_FORKED: Final = "not forked"
"""The shim's number, an errno."""
DEAD: Final = "dead"
"""The shim's number, its wait status, the pids of processes that it left and that have not died in time."""
PONG: Final = "pong"
"""The number of the ping."""
STOOD_STILL: Final = "stood still"
"""Begin and end of a time in which this process was not scheduled although it was due, by the monotonic clock."""

# Answers of a shim. Each begins with the numbers of the shim and of the job.
STARTED: Final = "started"
"""The pid of the root process."""
NOT_STARTED: Final = "not started"
"""An errno or `None`, the file that it is about, a message."""
NOT_MADE: Final = "not made"
"""A file that was to be made exists already, or cannot be made. The runtime tries again itself, and reports why."""
ENDED: Final = "ended"
"""The wait status of the root; CPU seconds; peak bytes; whether it had been asked to stop; why it was killed otherwise,
or `None`; whether this shim takes no more jobs; the content of its log if that is short, else `None`; and the processes
that outlived the root and were killed: names and pids, as text."""
STUCK: Final = "stuck"
"""The pids that have not died within the SIGKILL timeout. `ENDED` may still follow."""

HEADER: Final = struct.Struct("<I")
CHUNK: Final = 1 << 16

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36
_SFD_CLOEXEC: Final = 0o2000000
_SFD_NONBLOCK: Final = 0o4000
_SIGINFO: Final = struct.Struct("=IiiI112x")
"""`struct signalfd_siginfo`, of which the number, `ssi_code` and `ssi_pid` are unpacked."""
_SI_USER: Final = 0
"""The `si_code` of a signal sent by `kill`: then the kernel has set `si_pid`, and no sender can forge it. From
asm-generic/siginfo.h."""

_ONE_DESCRIPTOR: Final = socket.CMSG_SPACE(4)

_PEEK: Final = os.WEXITED | os.WNOHANG | os.WNOWAIT
"""Options of `waitid`: report an exited child, without blocking and without reaping it."""

ALL_SIGNALS: Final = tuple(signal.valid_signals())

PIPE_BUF: Final = 4096
"""Bytes that Linux writes to a pipe atomically, that is, not mixed with those of another process."""

_MAX_PART: Final = 3072
"""Bytes of the longest part of an answer, at most, so that the whole answer fits into `PIPE_BUF`."""

SHORT_LOG: Final = _MAX_PART
"""Bytes of a log that is returned with the end of its job. So short a log is judged in less time than it takes to wake
a thread."""

_MAX_PIDS: Final = _MAX_PART // 5
"""Pids in an answer, at most; marshal takes five bytes for each."""

_MAX_TEXT: Final = _MAX_PART // 4
"""Characters of a message in an answer, at most; UTF-8 takes up to four bytes for each."""

_MAX_TREE: Final = 10_000
"""Processes of a job that are signalled one by one, at most, so that the search ends for a job that forks without end.
Arbitrary: so many take a second. Ten times as many would delay the SIGKILL of a fork bomb by ten seconds; with a tenth,
some processes of a large job would get no SIGTERM."""

_MAX_NAMED: Final = 5
"""Leftover processes that are named in a message. Arbitrary: so many fit on a line or two."""

_FORWARDERS: Final = (b"timeout",)
"""Programs that forward each signal to their only child and to its group, and exit with it: timeout(1) of coreutils."""
_NOT_FORWARDED: Final = (signal.SIGSTOP, signal.SIGCONT)

_FIRST_DELAY: Final = 0.002
_LAST_DELAY: Final = 0.25
"""Seconds between two rounds of SIGKILL, at first and at most. Arbitrary: ten times longer would delay the report of an
end by as much, ten times shorter would take CPU time from the others while a process is stuck."""

_KILL_ROUNDS: Final = 10
"""Rounds of SIGKILL without effect after which processes are stopped before they are killed. Arbitrary: most jobs need
one or two; with ten times as many a fork bomb would live some 20 s longer."""

TICK: Final = 1.0
"""Longest sleep, in seconds, of the supervisor, and of a shim during a stop sequence, so that they notice a standstill:
only the time beyond a wait is noticed. Arbitrary: ten times longer, and a standstill of some seconds may count against
the timeouts of a stop; ten times shorter, and each wakes up ten times a second."""

_STANDSTILL: Final = 1.0
"""Seconds by which a wait must overrun to count as a standstill, as in a frozen cgroup; this process has one thread and
little to do. Arbitrary: longer than a busy system delays it, shorter than the timeouts of a job."""

_PASSES: Final = 3
"""Passes over the tree that send SIGSTOP: a process that is forked during one is found by the next. Arbitrary."""


class EndOfStream(Exception):  # noqa: N818 - like `StopIteration`, it is no error
    """The other end of a socket has been closed."""


def frame(*message: Any) -> bytes:
    """Return a message as bytes, preceded by its length."""
    body = marshal.dumps(message)
    return HEADER.pack(len(body)) + body


def unframe(data: bytes, longest: int | None = None) -> tuple[list[tuple[Any, ...]], bytes]:
    """Return the complete messages in `data`, and the rest: the beginning of the next message.

    Raises:
        EOFError, TypeError, ValueError: if `data` is no such message, or a message is longer than `longest` bytes.
    """
    messages = []
    begin = 0
    while len(data) >= begin + HEADER.size:
        (size,) = HEADER.unpack_from(data, begin)
        end = begin + HEADER.size + size
        if longest is not None and size > longest:
            raise ValueError(size)
        if len(data) < end:
            break
        messages.append(marshal.loads(data[begin + HEADER.size : end]))
        begin = end
    return messages, data[begin:]


def try_write(pipe: int, answer: bytes) -> bool:
    """Write an answer to a pipe; return false if the pipe is full.

    Raises:
        OSError: if the reader has closed the pipe.
    """
    try:
        # At most `PIPE_BUF` bytes: written as a whole, or not at all.
        os.write(pipe, answer)
    except BlockingIOError:
        return False
    return True


class Frames:
    """Receives frames, and at most one descriptor with each, from a stream."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._buffer = b""
        self.fds: list[int] = []
        """Received descriptors, in order. The caller that removes one closes it."""

    def receive(self) -> list[tuple[Any, ...]]:
        """Return the messages that are complete after one more read, which may block.

        Raises:
            EndOfStream: at the end of the stream.
        """
        try:
            # Close-on-exec from the beginning: no program that is started meanwhile may inherit it.
            data, extra, _, _ = self._stream.recvmsg(CHUNK, _ONE_DESCRIPTOR, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            raise EndOfStream from None  # ECONNRESET: the other end was closed with unread data
        for _, _, fd in extra:
            self.fds.append(int.from_bytes(fd[:4], sys.byteorder))
        if not data:
            raise EndOfStream
        messages, self._buffer = unframe(self._buffer + data)
        return messages


# ---------------------------------------------------------------------- system calls and the process table


class System:
    """System calls that Python has no function for, and the descriptors of the roots."""

    def __init__(self, roots: list[int]) -> None:
        # Not at the head: the runtime imports this module as well, and does not need it.
        import ctypes

        self.roots = roots
        self._ctypes = ctypes
        self._libc = ctypes.CDLL(None, use_errno=True)

    def _check(self, result: int) -> int:
        if result < 0:
            number = self._ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result

    def configure(self, name: str, death_signal: int | None) -> None:
        """Make this process a subreaper with a name, which gets `death_signal` when its parent dies."""
        prctl, number = self._libc.prctl, self._ctypes.c_ulong
        prctl(_PR_SET_NAME, self._ctypes.c_char_p(name.encode()), number(0), number(0), number(0))
        if death_signal is not None:
            self._check(prctl(_PR_SET_PDEATHSIG, number(death_signal), number(0), number(0), number(0)))
        self._check(prctl(_PR_SET_CHILD_SUBREAPER, number(1), number(0), number(0), number(0)))

    def default_action(self, number: int) -> None:
        """Give a signal its default action: that it is ignored may have been inherited."""
        self._libc.signal(number, None)

    def signal_descriptor(self, *numbers: int) -> int:
        """Return a signalfd for these signals, which must be blocked."""
        mask = sum(1 << (number - 1) for number in numbers).to_bytes(128, sys.byteorder)
        return self._check(self._libc.signalfd(-1, mask, _SFD_CLOEXEC | _SFD_NONBLOCK))


def read_signals(fd: int) -> list[tuple[int, int]]:
    """Return the pending signals: the number of each, and the pid of its sender, or 0 if that could be forged."""
    try:
        data = os.read(fd, 16 * _SIGINFO.size)
    except BlockingIOError:
        return []
    return [(number, pid if code == _SI_USER else 0) for number, _, code, pid in _SIGINFO.iter_unpack(data)]


class ProcessEntry:
    """The entry of one process in the process table."""

    __slots__ = ("group", "name", "parent", "pid", "start", "state", "threads")

    def __init__(self, pid: int, text: bytes) -> None:
        # The second field is the program's name in parentheses, and may itself contain parentheses and spaces: so the
        # last closing one ends it.
        name, _, rest = text.partition(b"(")[2].rpartition(b")")
        fields = rest.split(None, 20)
        self.pid = pid
        self.name = name
        self.state = fields[0]
        self.parent = int(fields[1])
        self.group = int(fields[2])
        self.threads = int(fields[17])
        self.start = fields[19]
        """When it was started, in clock ticks after boot: differs between two processes with the same pid."""


def read_entry(pid: int) -> ProcessEntry | None:
    """Return the entry of a process in the process table; `None` if it does not exist."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return ProcessEntry(pid, file.read())
    except (OSError, ValueError, IndexError):
        return None


def truncate(text: bytes, limit: int) -> bytes:
    """Return `text`, shortened to `limit` bytes with an ellipsis at the end if it is longer."""
    return text if len(text) <= limit else text[: limit - len(_ELLIPSIS)] + _ELLIPSIS


_ELLIPSIS: Final = "…".encode()

_ENDED: Final = (b"Z", b"X")
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
    return now is not None and now.start == process.start and now.state not in _ENDED


def ignores(pid: int, number: int) -> bool:
    """Whether a process will not act on a signal: it ignores the signal, is a zombie, or does not exist."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            fields = dict(line.split(b":", 1) for line in file if line.startswith((b"State:", b"SigIgn:")))
        return fields[b"State"].split()[0] in _ENDED or bool(int(fields[b"SigIgn"], 16) >> (number - 1) & 1)
    except (OSError, ValueError, LookupError):
        return True


def signal_process(process: ProcessEntry, *numbers: int) -> None:
    """Send signals to a process, if that is permitted; never to another process with the same pid."""
    try:
        held = os.pidfd_open(process.pid)  # stands for one process, even if its pid is reused
    except OSError:
        return
    try:
        if still_exists(process):  # the pid may have been reused before the pidfd was opened
            for number in numbers:
                signal.pidfd_send_signal(held, number)
    except OSError:
        pass
    finally:
        os.close(held)


def signal_each_once(processes: Sequence[ProcessEntry], *numbers: int) -> None:
    """Send signals to processes so that each gets them once.

    A process that forwards signals to its child, which is also among `processes`, gets only SIGSTOP and SIGCONT: else
    the child would get the others twice.
    """
    forward = forwarders(processes)
    for process in processes:
        signal_process(process, *[each for each in numbers if process.pid not in forward or each in _NOT_FORWARDED])


def forwarders(processes: Iterable[ProcessEntry]) -> set[int]:
    """Return the pids of those processes that forward signals to others of them."""
    all_of_them = list(processes)
    parents = {process.parent for process in all_of_them}
    return {process.pid for process in all_of_them if process.name in _FORWARDERS and process.pid in parents}


def signal_tree(direct: list[int], *numbers: int) -> None:
    """Send signals, once each, to children of this process and to all their descendants that can be found now."""
    # The whole list before the first signal: a process that has died has no children any more.
    signal_each_once(list(with_descendants(read_entries(direct))), *numbers)


def read_entries(pids: list[int]) -> list[ProcessEntry]:
    """Return the entries of those processes that exist."""
    return [process for process in map(read_entry, pids) if process is not None]


def signal_child(pid: int, number: int) -> None:
    """Send a signal to a child of this process. Does nothing if that is not permitted, as for a setuid program."""
    try:
        os.kill(pid, number)
    except OSError:
        pass


def kill_children(pids: list[int], rounds: int) -> None:
    """Send SIGKILL to each of `pids`, which must be children of this process, after `rounds` such rounds before."""
    # In a fork bomb at a limit of processes, each process that is killed lets another one fork. So after some rounds
    # without effect all descendants are stopped first: they fill the limit, and do not fork.
    if rounds >= _KILL_ROUNDS:
        for _ in range(_PASSES):
            signal_tree(pids, signal.SIGSTOP)
    for pid in pids:
        signal_child(pid, signal.SIGKILL)


# ---------------------------------------------------------------------- the shim


class Job:
    """The state of the job that a shim runs."""

    RUNNING, LEFT, SOFT, TERM, KILL = range(5)
    """`LEFT`: the root has exited by itself, and other processes run. The root is not reaped meanwhile, so that its
    group can still be signalled."""

    status = 0
    cpu = 0.0
    peak = 0
    """The largest resident set, KiB."""
    phase = RUNNING
    stopped = False
    """Whether a stop was requested while the root was running."""
    cut_off: str | None = None
    """Why it was killed without a request to stop."""
    stop: tuple[Any, ...] = ()
    """The arguments of `STOP`, without the job's number."""
    paused_at: float | None = None
    """When it was paused, because the runtime was stopped; no phase ends until it is continued."""
    deadline: float | None = None
    """When the next phase begins or, in `KILL`, when the processes that are left are reported as stuck."""
    delay = _FIRST_DELAY
    rounds = 0
    """Rounds of SIGKILL without effect: there were as many processes as in an earlier round."""
    fewest = sys.maxsize
    """The smallest number of its processes in a round of SIGKILL so far."""

    left_behind: Sequence[str] = ()
    """Processes that outlived the root and the leftover timeout: names and pids."""

    def __init__(self, number: int, root: int, kill_timeout: float | None, leftover_timeout: float) -> None:
        self.number = number
        self.leftover_timeout = leftover_timeout
        """Seconds that processes which outlive the root have to exit by themselves; 0 kills them at once."""
        self.root = root
        """The pid of the root process; 0 after it was reaped."""
        self.kill_timeout = kill_timeout

    def root_has_exited(self) -> bool:
        """Whether the root has exited, whether or not it was reaped."""
        return not self.root or os.waitid(os.P_PID, self.root, _PEEK) is not None

    def signal_group(self, number: int) -> None:
        """Signal the process group of the root, if the root is not reaped: so long its pid cannot be reused."""
        if self.root:
            try:
                # Fails if no process is left in the group, or none that may be signalled.
                os.killpg(self.root, number)
            except OSError:
                pass

    def enter_phase(self, phase: int, seconds: float | None) -> None:
        """Begin a phase that lasts for at most `seconds`; `None` for no limit."""
        self.phase = phase
        self.deadline = None if seconds is None else time.monotonic() + seconds

    def postpone(self, seconds: float) -> None:
        """Extend the phase by the time in which the job was not running."""
        if self.deadline is not None:
            self.deadline += seconds


class ShimProcess:
    """Runs jobs, one at a time, and leaves no process of a job behind."""

    def __init__(
        self,
        system: System,
        supervisor: int,
        number: int,
        commands: socket.socket,
        answers: int,
        environment: dict[bytes, bytes],
        dump: bytes,
    ) -> None:
        self.supervisor = supervisor
        """The supervisor's pid."""
        self.number = number
        self.environment = environment
        self.dump = dump
        self.answers = answers
        self.roots = system.roots
        self.frames = Frames(commands)
        self.signals = system.signal_descriptor(signal.SIGCHLD, signal.SIGTERM)
        self.commands = commands.fileno()
        self.poll = select.poll()
        self.poll.register(self.signals, select.POLLIN)
        self.poll.register(self.commands, select.POLLIN)
        self.shutting_down = False
        self.next: tuple[Any, ...] | None = None
        """The arguments of a `JOB` that has not begun."""
        self.job: Job | None = None
        self.paused = 0
        """The number of the job that is to be paused, which may not have begun; 0 for none."""
        self.own_peak = 0

    def serve(self) -> None:
        """Run jobs until the runtime or the supervisor ends."""
        while not self.shutting_down:
            if self.next is None:
                self.wait(None)
            else:
                command, self.next = self.next, None
                self.run(*command)

    def report(self, kind: str, number: int, *rest: Any) -> None:
        """Send an answer about a job. While this shuts down, the answer is dropped if the pipe is full."""
        answer = frame(kind, self.number, number, *rest)
        try:
            # A full pipe means that the runtime does not read. A blocking write would miss its death, the supervisor's,
            # and a command to kill; so this waits for all of them together.
            while not try_write(self.answers, answer) and not self.shutting_down:
                self.poll.register(self.answers, select.POLLOUT)
                self.wait(None)
                self.poll.unregister(self.answers)
        except OSError:
            self.shut_down("the runtime has gone")

    def shut_down(self, why: str) -> None:
        """Kill the job, and exit when nothing of it is left. Idempotent."""
        if self.shutting_down:
            return
        self.shutting_down = True
        job = self.job
        if job is not None:
            if not job.root_has_exited():
                # If the root has exited, it ended by itself, and its status is the result.
                job.cut_off = why
            self.begin_kill(job)

    def wait(self, seconds: float | None) -> None:
        """Wait for signals and commands, and handle them. May return earlier than after `seconds`, without any."""
        if seconds is not None:
            seconds = min(seconds, TICK)  # only the part of a standstill that exceeds the wait is noticed
        begun = time.monotonic()
        ready = self.poll.poll(None if seconds is None else max(0.0, seconds * 1000))
        if seconds is not None and self.job is not None:
            overrun = time.monotonic() - begun - seconds
            if overrun > _STANDSTILL:
                self.job.postpone(overrun)
        for fd, _ in ready:
            if fd == self.signals:
                for number, sender in read_signals(self.signals):
                    # Of two pending SIGTERM only the first is kept: that of the supervisor may be lost because another
                    # process had sent one. The supervisor repeats its own; if it has died, it is not the parent.
                    if number == signal.SIGTERM and (sender == self.supervisor or os.getppid() != self.supervisor):
                        self.shut_down("the supervisor of its shim was killed")
            elif fd == self.commands:
                self.handle_commands()

    def handle_commands(self) -> None:
        """Receive commands of the runtime, and carry them out."""
        try:
            commands = self.frames.receive()
        except EndOfStream:
            self.poll.unregister(self.commands)
            self.shut_down("the runtime has gone")
            return
        for kind, number, *rest in commands:
            job = self.job
            if kind == JOB:
                # Not run here: this may be called while an answer about the previous job waits for the pipe.
                self.next = (number, *rest)
            elif kind == PAUSE:
                # Also if the job has not begun: `run` pauses it then.
                self.paused = number
                if job is not None and job.number == number:
                    self.pause(job)
            elif kind == UNPAUSE:
                self.paused = 0
                if job is not None and job.number == number:
                    self.unpause(job)
            elif job is None or job.number != number:
                pass  # it ended while the command was on its way
            elif kind == FORCE:
                self.begin_kill(job)
            elif job.phase == Job.RUNNING and not job.root_has_exited():
                job.stopped = True
                job.stop = tuple(rest)
                job.kill_timeout = rest[3]
                self.unpause(job)  # stopped processes could not act on the soft step
                self.begin_soft(job)

    # ------------------------------------------------------------------ one job

    def run(
        self,
        number: int,
        leftover_timeout: float,
        argv: list[bytes],
        exports: dict[bytes, bytes],
        cwd: bytes,
        cwd_path: WirePath | None,
        kill_timeout: float | None,
        log: WirePath | None,
        to_make: tuple[WirePath, bytes, bytes, bytes | None] | None,
    ) -> None:
        """Run a job until nothing of it is left. Arguments as for `JOB`."""
        if to_make is None:
            output = self.frames.fds.pop(0)
        else:
            (root, directory), name, environment_file, dump = to_make
            try:
                output = make_files(
                    self.roots[root], directory, name, environment_file, self.dump if dump is None else dump
                )
            except OSError:
                self.report(NOT_MADE, number)
                return
        try:
            self.change_directory(cwd, cwd_path)
            root = start(argv, {**self.environment, b"PWD": cwd, **exports}, output)
        except OSError as exc:
            self.report(NOT_STARTED, number, exc.errno, truncate(exc.filename or b"", _MAX_PART), exc.strerror)
            return
        except MemoryError:
            self.report(NOT_STARTED, number, errno.ENOMEM, b"", "")
            return
        except Exception as exc:  # noqa: BLE001 - such as an argument with a NUL byte: it fails this job alone
            why = str(exc)
            self.report(NOT_STARTED, number, None, b"", why if len(why) <= _MAX_TEXT else why[: _MAX_TEXT - 1] + "…")
            return
        finally:
            os.close(output)
        job = self.job = Job(number, root, kill_timeout, leftover_timeout)
        self.own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.report(STARTED, number, root)
        if self.paused == number:
            self.pause(job)
        while self.reap(job):
            self.wait(self.take_due_steps(job))
        self.job = None
        # A child starts as a copy of this process, whose size counts in its `ru_maxrss`: only a larger one is its own.
        peak = job.peak * 1024 if job.peak > self.own_peak else None
        text = None if log is None else short_log(self.roots[log[0]], log[1])
        how = (job.status, job.cpu, peak, job.stopped, job.cut_off, self.shutting_down, text)
        self.report(ENDED, number, *how, job.left_behind)
        os.chdir("/")  # an idle shim must not keep a file system from being unmounted

    def change_directory(self, path: bytes, wire_path: WirePath | None) -> None:
        """Change to the directory in which a job is to run."""
        if wire_path is None:
            os.chdir(path)
            return
        fd = rooted.open_directory(self.roots[wire_path[0]], wire_path[1])
        try:
            os.fchdir(fd)
        finally:
            os.close(fd)

    def take_due_steps(self, job: Job) -> float | None:
        """Take the steps that are due for `job`, which is not over; return the seconds until the next."""
        if job.phase == Job.RUNNING:
            if job.root:
                return None
            self.begin_kill(job)
        elif job.phase == Job.SOFT and not job.root and not self.may_act(job):
            self.begin_term(job)
        if job.paused_at is not None:
            return None
        now = time.monotonic()
        if job.phase == Job.KILL:
            pids = children()
            kill_children(pids, job.rounds)
            job.rounds += len(pids) >= job.fewest  # a round after which there are fewer had an effect
            job.fewest = min(job.fewest, len(pids))
        if job.deadline is not None and job.deadline <= now:
            self.advance(job)
        seconds = None if job.deadline is None else job.deadline - now
        if job.phase == Job.KILL:
            seconds = job.delay if seconds is None else min(job.delay, seconds)
            job.delay = min(2 * job.delay, _LAST_DELAY)
        return seconds

    def reap(self, job: Job) -> bool:
        """Reap the children that have exited; return whether a process is left."""
        while True:
            if job.phase == Job.LEFT:
                # The root is reaped last: until then its group can be signalled, and cannot be another one.
                for pid in children():
                    if pid != job.root:
                        self.reap_one(job, pid)
                if has_running_child():
                    return True
                job.phase = Job.KILL
            try:
                found = os.waitid(os.P_ALL, 0, _PEEK)
            except ChildProcessError:
                return False
            if found is None:
                return True
            pid = found.si_pid
            if pid == job.root and job.phase == Job.RUNNING:
                if job.leftover_timeout and has_running_child():
                    job.enter_phase(Job.LEFT, job.leftover_timeout)
                    continue
                job.signal_group(signal.SIGKILL)  # before the root is reaped: after that its pid may be reused
            self.reap_one(job, pid)

    def reap_one(self, job: Job, pid: int) -> None:
        """Reap a child, if it has exited."""
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            job.cpu += usage.ru_utime + usage.ru_stime
            job.peak = max(job.peak, usage.ru_maxrss)
            if pid == job.root:
                # The pid may be reused from now on, so the group gets no more signals.
                job.status, job.root = status, 0

    def begin_soft(self, job: Job) -> None:
        """Begin the stop sequence of `job`, with the soft step if there is one."""
        soft, seconds = job.stop[:2]
        if soft is None:
            self.begin_term(job)
            return
        job.enter_phase(Job.SOFT, seconds)
        if isinstance(soft, int):
            signal_tree(children(), soft)
        else:
            try:
                made = rooted.touch(self.roots[soft[0]], soft[1])
            except OSError:
                made = False
            # A job that cannot be told gains nothing from the wait.
            if not made:
                self.begin_term(job)

    def may_act(self, job: Job) -> bool:
        """Whether a process is left that may still act on the soft step, now that the root has exited.

        A shell dies of the signal at once, while the simulator that it has started closes its files. But what a shell
        starts in the background ignores SIGINT, and is not waited for. Only the root looks for a stop file.
        """
        soft = job.stop[0]
        if not isinstance(soft, int):
            return False
        return any(not ignores(one.pid, soft) for one in with_descendants(read_entries(children())))

    def begin_term(self, job: Job) -> None:
        """Send SIGTERM to all processes of `job`."""
        job.enter_phase(Job.TERM, job.stop[2])
        # A stopped process acts on SIGTERM only after SIGCONT.
        signal_tree(children(), signal.SIGTERM, signal.SIGCONT)

    def pause(self, job: Job) -> None:
        """Send SIGSTOP to all processes of `job`, unless they are being killed."""
        if job.paused_at is None and job.phase != Job.KILL:
            job.paused_at = time.monotonic()
            job.signal_group(signal.SIGSTOP)
            # A process outside the group that is forked during one pass is found by the next.
            for _ in range(_PASSES):
                signal_tree(children(), signal.SIGSTOP)

    def unpause(self, job: Job) -> None:
        """Send SIGCONT to all processes of `job`, if it is paused."""
        if job.paused_at is not None:
            job.postpone(time.monotonic() - job.paused_at)
            job.paused_at = None
            signal_tree(children(), signal.SIGCONT)

    def begin_kill(self, job: Job) -> None:
        """Kill all processes of `job`, round after round until none is left."""
        job.paused_at = None  # SIGKILL takes effect on stopped processes, too
        if job.phase != Job.KILL:
            job.enter_phase(Job.KILL, job.kill_timeout)
            # One system call for the whole group, however fast it forks. Processes outside of it become children of
            # this subreaper as their parents die, and are killed by the next rounds.
            job.signal_group(signal.SIGKILL)

    def advance(self, job: Job) -> None:
        """End the phase of `job` whose time is up, and begin the next."""
        if job.phase == Job.LEFT:
            found = with_descendants(read_entries(children()))
            job.left_behind = describe([one for one in found if one.pid != job.root and one.state not in _ENDED])
            self.begin_kill(job)
        elif job.phase == Job.SOFT:
            self.begin_term(job)
        elif job.phase == Job.TERM:
            self.begin_kill(job)
        else:
            job.deadline = None
            self.report(STUCK, job.number, children()[:_MAX_PIDS])


def make_files(root: int, directory: bytes, log: bytes, environment_file: bytes, dump: bytes) -> int:
    """Make the directory of a job, its log, and a file with `dump` that only the user can read. None of them may exist.

    Returns:
        A descriptor for appending to the log.

    Raises:
        OSError: if one of them exists, or cannot be made; those that were made stay.
    """
    made = rooted.make_new_directory(root, directory)
    try:
        fd = rooted.create(made, environment_file, 0o600)
        try:
            # A disk that becomes full may take a part.
            if os.write(fd, dump) < len(dump):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), environment_file)
        finally:
            os.close(fd)
        return rooted.create(made, log, 0o666, os.O_APPEND)
    finally:
        os.close(made)


def short_log(root: int, path: bytes) -> bytes | None:
    """Return the content of a log; `None` if it is longer than `SHORT_LOG`, not a regular file, or cannot be read."""
    try:
        fd = rooted.open_regular(root, path)
    except OSError:
        return None
    try:
        text = os.read(fd, SHORT_LOG + 1)
    except OSError:
        return None
    finally:
        os.close(fd)
    return text if len(text) <= SHORT_LOG else None


def start(argv: list[bytes], environment: dict[bytes, bytes], output: int) -> int:
    """Start a program in a session of its own, looked up in the ``PATH`` of `environment`; return its pid."""
    program = argv[0]
    candidates = [program]
    if b"/" not in program:
        path = environment.get(b"PATH", os.fsencode(os.defpath))
        candidates = [directory + b"/" + program if directory else program for directory in path.split(b":")]
    error = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
    for candidate in candidates:
        try:
            return os.posix_spawn(
                candidate,
                argv,
                environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)],
                setsid=True,
                setsigmask=(),
                # Python ignores two of them, and the process that started the runtime perhaps others, such as SIGINT in
                # a shell's background. All, because the C library has to look up the action of each that is not given,
                # which takes longer than to set it.
                setsigdef=ALL_SIGNALS,
            )
        except OSError as exc:
            if exc.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                raise OSError(exc.errno, os.strerror(exc.errno or 0), program) from None
            if exc.errno == errno.EACCES:  # says more than that there is no such file in the other directories
                what = os.strerror(errno.EACCES)
                error = PermissionError(errno.EACCES, what, program)  # type: ignore[assignment]  # any `OSError` will do
    raise error


# ---------------------------------------------------------------------- the supervisor


class SupervisorProcess:
    """Forks shims, and kills the processes that a killed shim leaves behind.

    Args:
        system: for system calls.
        control: the socket on which commands arrive.
        answers: the pipe for answers.
        runtime: a pidfd of the runtime.
    """

    def __init__(self, system: System, control: socket.socket, answers: int, runtime: int) -> None:
        self.system = system
        self.pid = os.getpid()
        self.control = control
        self.answers = answers
        self.runtime = runtime
        self.frames = Frames(control)
        self.signals = system.signal_descriptor(signal.SIGCHLD)
        self.poll = select.poll()
        for fd in (self.signals, control.fileno(), runtime):
            self.poll.register(fd, select.POLLIN)
        self.writable = select.poll()
        """Ready when the pipe can be written, or the runtime has ended."""
        for fd, events in ((answers, select.POLLOUT), (control.fileno(), select.POLLRDHUP), (runtime, select.POLLIN)):
            self.writable.register(fd, events)
        self.environment: dict[bytes, bytes] = {}
        self.dump = b""
        self.kill_timeout = 0.0
        self.shims: dict[int, int] = {}
        """The numbers of shims by pid."""
        self.dead: list[tuple[int, int, float]] = []
        """Shims that have exited and were not reported: number, wait status, when to report them in any case."""
        self.sweeping = False
        """Whether processes may be left that a shim has left behind."""
        self.delay = _FIRST_DELAY
        self.rounds = 0
        """How many rounds of SIGKILL there were in a row."""
        self.shutting_down = False

    def serve(self) -> None:
        """Fork shims on command until the runtime has ended; then end them, and return when no process is left."""
        self.report(HELLO, self.pid)
        while not self.shutting_down:
            self.wait()
        self.sweeping = True
        while self.reap():
            # Again in each round: a SIGTERM of another process may have been pending, and this one lost.
            for pid in self.shims:
                os.kill(pid, signal.SIGTERM)
            self.sweep()
            self.wait()

    def report(self, kind: str, *rest: Any) -> None:
        """Send an answer. While this shuts down, the answer is dropped if the pipe is full."""
        answer = frame(kind, *rest)
        try:
            while not try_write(self.answers, answer) and not self.shutting_down:
                if self.answers not in [fd for fd, _ in self.writable.poll()]:
                    self.shut_down()
        except OSError:
            self.shut_down()

    def shut_down(self) -> None:
        """End when no process is left. Idempotent."""
        if not self.shutting_down:
            self.shutting_down = True
            self.poll.unregister(self.control)
            self.poll.unregister(self.runtime)

    def wait(self) -> None:
        """Wait for signals and commands, and handle them."""
        seconds = TICK
        if self.sweeping:
            seconds = self.delay
            self.delay = min(2 * self.delay, _LAST_DELAY)
        begun = time.monotonic()
        ready = self.poll.poll(seconds * 1000)
        now = time.monotonic()
        if now - begun - seconds > _STANDSTILL:
            self.report(STOOD_STILL, begun + seconds, now)
        for fd, _ in ready:
            if fd == self.signals:
                read_signals(self.signals)
            elif fd == self.runtime:
                self.shut_down()
            elif not self.shutting_down:
                try:
                    commands = self.frames.receive()
                except EndOfStream:
                    self.shut_down()
                else:
                    for command in commands:
                        self.handle_command(*command)
        if not self.shutting_down:
            self.reap()
            if self.sweeping:
                self.sweep()

    def handle_command(self, kind: str, *rest: Any) -> None:
        """Carry out a command of the runtime."""
        if kind == SETUP:
            self.environment, self.dump, self.kill_timeout = rest
        elif kind == FORK:
            self.fork(rest[0], self.frames.fds.pop(0))
        elif kind == PING:
            self.report(PONG, *rest)

    def fork(self, number: int, fd: int) -> None:
        """Fork a shim that takes its commands from the socket `fd`."""
        try:
            pid = os.fork()
        except OSError as exc:
            os.close(fd)
            self.report(NOT_FORKED, number, exc.errno)
            return
        if pid == 0:
            try:
                self.run_shim(number, fd)
            finally:
                # A failed child must not continue in the loop of the supervisor.
                os._exit(1)
        os.close(fd)
        self.shims[pid] = number
        self.report(FORKED, number, pid)

    def run_shim(self, number: int, fd: int) -> None:
        """Turn this forked process into a shim. Does not return."""
        self.system.configure("job-shim", signal.SIGTERM)
        if os.getppid() != self.pid:
            os._exit(0)  # the supervisor died before the death signal was set, so that none will come
        self.control.close()
        os.close(self.runtime)
        os.close(self.signals)
        commands = socket.socket(fileno=fd)
        ShimProcess(self.system, self.pid, number, commands, self.answers, self.environment, self.dump).serve()
        os._exit(0)

    def reap(self) -> bool:
        """Reap the children that have exited; return whether one is left."""
        while True:
            try:
                pid, status, _ = os.wait4(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if os.WIFSTOPPED(status):
                if pid in self.shims:  # only a job stops a shim; there is no other reason
                    os.kill(pid, signal.SIGCONT)
            elif pid in self.shims:
                # Reported by `sweep` when the processes that it left are dead.
                self.dead.append((self.shims.pop(pid), status, time.monotonic() + self.kill_timeout))
                self.sweeping = True
                self.delay = _FIRST_DELAY

    def sweep(self) -> None:
        """Kill the processes that dead shims have left, and report the shims of which none is left."""
        orphans = [pid for pid in children() if pid not in self.shims]
        kill_children(orphans, self.rounds)
        self.rounds = self.rounds + 1 if orphans else 0
        now = time.monotonic()
        for shim in list(self.dead):
            number, status, until = shim
            if not orphans or until <= now:
                self.dead.remove(shim)
                self.report(DEAD, number, status, orphans[:_MAX_PIDS])
        self.sweeping = bool(orphans) or self.shutting_down


def load_rooted(directory: str) -> None:
    """Import the module `rooted` from its directory, without the package that it is in."""
    global rooted  # noqa: PLW0603 - an import that needs an argument of `main`
    sys.path.append(directory)
    import rooted  # type: ignore[import-not-found]  # found there

    sys.path.pop()


def main() -> None:
    """Run the supervisor.

    The arguments are the directory of the module `rooted`, and descriptors: the control socket, the pipe for answers, a
    pidfd of the runtime, and the roots.
    """
    load_rooted(sys.argv[1])
    control, answers, runtime, *roots = map(int, sys.argv[2:])
    for fd in (control, answers, runtime, *roots):
        os.set_inheritable(fd, False)
    os.chdir("/")
    signal.pthread_sigmask(signal.SIG_BLOCK, ALL_SIGNALS)
    system = System(roots)
    system.default_action(signal.SIGCHLD)  # ignored, the kernel would reap all children itself
    system.configure("job-supervisor", None)
    gc.disable()
    gc.freeze()  # shims then share this memory: no collection writes to it
    SupervisorProcess(system, socket.socket(fileno=control), answers, runtime).serve()
    os._exit(0)  # faster than a regular exit, for which the runtime waits


if __name__ == "__main__":
    main()
