"""The far side of containment: a supervisor, and the shims that it forks. Run as a file; it never imports `runtime`.

The problem: to end a *tree* of processes whatever sessions they open, and even when the runtime is killed. Who kills a
process group misses those that left it; who walks the tree misses those whose parent has ended, and may hit a stranger
that has got the number of a process that is gone. A *subreaper* has neither trouble: orphans among its descendants
become its children, so that it kills its direct children, whose numbers nobody else can get before it has reaped them,
until it has none. But being one changes a process; so it is not the runtime, but processes of our own::

    runtime ── supervisor ─┬─ shim ── the processes of a job
                       ├─ shim ── the processes of another
                       └─ shim    (idle)

A *shim* has one job at a time. It makes the job's files, in the usual case, starts it in a session of its own, waits,
sees that nothing of it is left, tells, with its log if that is short, and takes the next. To use it again is what makes
this fast: no large process forks for a job.

The *supervisor* forks shims. It has a session of its own, so no key of a terminal reaches it, and one thread, so
`PR_SET_PDEATHSIG` means what it says. It is a subreaper as well: when a job kills its shim, the supervisor gets what is
left.

Who notices whose death:

- of the runtime: the supervisor by the end of its control socket and by a pidfd, each shim by the end of its own
  socket; all jobs are killed at once;
- of the supervisor: each shim by a SIGTERM that the system sends; it kills its job, says so, and ends;
- of a shim: the supervisor, which kills what it left before it says so;
- of all of them: the runtime, by the end of the pipe on which they all answer.

No signal that can be caught ends a guard, as some send one to every process that they find (systemd to a control group,
Slurm to an allocation, a job to its parent): all are blocked. SIGTERM alone means something to a shim, and only if it
comes from the supervisor, or if there is no supervisor any more; who sent it, and who is the parent, cannot be forged.
A guard that was stopped is continued: a shim by the supervisor, which sees that at once, and both by the runtime, twice
a second.

Messages are marshalled tuples, framed by their length. Commands come on a socket for each process. Answers go to one
pipe; each stays in one piece, as none is longer than `PIPE_BUF`. While nobody reads, the pipe is full at some time; who
waits for room in it notices all deaths meanwhile. All descriptors but 0, 1 and 2 are closed in jobs.
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

    Place = tuple[int, bytes]
else:
    # What those modules add to these in Python is 10 ms of each start, and memory of each shim; `contextlib` is more.
    import _signal as signal
    import _socket as socket

# Commands to the supervisor: the tuple begins with one of these.
SETUP: Final = "setup"
"""The environment, a dict of bytes; its dump, for jobs that add nothing to it; how long leftovers of a killed shim may
take to die, seconds."""
FORK: Final = "fork"
"""The number of a new shim, with its end of a socket."""
PING: Final = "ping"
"""Any number."""

# Commands to a shim.
JOB: Final = "job"
"""Its number; how many seconds what its root leaves running has to go by itself, 0 if nobody asks; argv, exports and
working directory in bytes; the place of that directory, or `None` for wherever its path leads; patience in seconds; the
place of its log, if that is to come with its end; and what is to be made: the place of a directory, the names of a log
in it and of a file with the dump of the environment, and that dump (`None` for the usual one). Instead of the last, the
descriptor of its output may come with it. A *place* is the number of a root and a path below it: `rooted` opens it."""
STOP: Final = "stop"
"""The job's number; the soft step (a signal, the place of a file, or None) and its seconds; grace and patience,
seconds."""
FORCE: Final = "force"
"""The job's number."""
PAUSE: Final = "pause"
"""The job's number: its processes stop, and no time counts for it."""
UNPAUSE: Final = "unpause"
"""The job's number."""

# Answers of the supervisor.
HELLO: Final = "hello"
FORKED: Final = "forked"
"""The shim's number, its pid."""
NOT_FORKED: Final = "not forked"
"""The shim's number, an errno."""
DEAD: Final = "dead"
"""The shim's number, its wait status, the pids of what it left that would not die."""
PONG: Final = "pong"
"""The number of the ping."""
STOOD_STILL: Final = "stood still"
"""From when to when, seconds of the monotonic clock: this process was not run, though it was due."""

# Answers of a shim; each begins with its number and the number of the job.
STARTED: Final = "started"
"""The pid of the root process."""
NOT_STARTED: Final = "not started"
"""An errno or None, the file that it is about, a text."""
NOT_MADE: Final = "not made"
"""Something of what was to be made is there already, or cannot be made: whoever can say more has to look."""
ENDED: Final = "ended"
"""The wait status of the root; CPU seconds; peak bytes; whether it had been asked to stop; why else it was killed;
whether this shim takes no more jobs; what its log says, if that is short, or None; and what it left running, which was
killed: names and pids, as text."""
STUCK: Final = "stuck"
"""The pids that have not gone. The end may come yet."""

HEADER: Final = struct.Struct("<I")
CHUNK: Final = 1 << 16

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36
_SFD_CLOEXEC: Final = 0o2000000
_SFD_NONBLOCK: Final = 0o4000
_SIGINFO: Final = struct.Struct("=IiiI112x")
"""What a signalfd gives for each signal; of which we need its number, `si_code` and `si_pid`."""
_SI_USER: Final = 0
"""The `si_code` of a signal sent by `kill`, whose `si_pid` is true: only the kernel sets it. From asm/siginfo.h."""

_ONE_DESCRIPTOR: Final = socket.CMSG_SPACE(4)

_PEEK: Final = os.WEXITED | os.WNOHANG | os.WNOWAIT
"""For `waitid`: who has exited, without waiting for that, and without reaping."""

ALL_SIGNALS: Final = tuple(signal.valid_signals())

PIPE_BUF: Final = 4096
"""Bytes that go to a pipe as a whole, and not into those of another process: Linux's."""

_ROOM: Final = 3072
"""Bytes of the longest part of an answer, at most; which leaves room for the others."""

SHORT_LOG: Final = _ROOM
"""Bytes of a log that comes with the end of its job: what is judged in less time than it takes to wake a thread."""

_MANY_PIDS: Final = _ROOM // 5
"""Pids in an answer at most, of five bytes each."""

_LONG: Final = _ROOM // 4
"""Characters of a text in an answer at most."""

_MANY: Final = 10_000
"""Processes of a job that are signalled one by one, at most: who forks without end shall not keep us looking for more.
Arbitrary; so many take a second."""

_NAMED: Final = 5
"""Processes that are named of those that a job left running. Arbitrary."""

_FORWARDERS: Final = (b"timeout",)
"""Programs that send each signal that they get to their only child and to its group, and end with it: coreutils."""
_NOT_FORWARDED: Final = (signal.SIGSTOP, signal.SIGCONT)

_FIRST_LOOK: Final = 0.002
_LAST_LOOK: Final = 0.25
"""Seconds between two rounds of killing what does not die, at first and at most. Arbitrary."""

_TURNS: Final = 10
"""Turns of killing after which what is left is stopped first. Arbitrary: most jobs need one or two."""

TICK: Final = 1.0
"""Seconds that the supervisor, and a shim in the steps of a stop, sleep at most, so that they notice a standstill.
Arbitrary: a shorter standstill may go unnoticed."""

_STANDSTILL: Final = 1.0
"""Seconds by which a wait must have been too long for this process to have stood still, as in a frozen cgroup; it has
one thread and little to do. Arbitrary: longer than a busy system makes it wait, shorter than any limit of a job."""

_PASSES: Final = 3
"""Looks for who is to be stopped: who forks meanwhile is found by the next. Arbitrary."""


class Gone(Exception):  # noqa: N818 - an end, and no error
    """The other end of a socket has been closed."""


def frame(*message: Any) -> bytes:
    """Return a message with its length before it."""
    body = marshal.dumps(message)
    return HEADER.pack(len(body)) + body


def unframe(data: bytes, longest: int | None = None) -> tuple[list[tuple[Any, ...]], bytes]:
    """Return the messages that `data` begins with, and what comes after: the beginning of one.

    Raises:
        EOFError, TypeError, ValueError: if `data` is nothing of the kind, or a message is longer than `longest` bytes.
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


def put(pipe: int, answer: bytes) -> bool:
    """Write an answer; return whether there was room for it.

    Raises:
        OSError: if nobody can read it any more.
    """
    try:
        os.write(pipe, answer)
    except BlockingIOError:
        return False
    return True


class Frames:
    """Takes frames, and at most one descriptor with each, from a stream."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._buffer = b""
        self.fds: list[int] = []
        """Descriptors that came, in order; whoever takes one closes it."""

    def receive(self) -> list[tuple[Any, ...]]:
        """Return the frames that are complete after one more read, which may wait for data.

        Raises:
            Gone: at the end of the stream.
        """
        try:
            data, extra, _, _ = self._stream.recvmsg(CHUNK, _ONE_DESCRIPTOR, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            raise Gone from None
        for _, _, fd in extra:
            self.fds.append(int.from_bytes(fd[:4], sys.byteorder))
        if not data:
            raise Gone
        messages, self._buffer = unframe(self._buffer + data)
        return messages


# ---------------------------------------------------------------------- what the system is asked for


class System:
    """Calls that Python has no function for, and the descriptors of the roots."""

    def __init__(self, roots: list[int]) -> None:
        import ctypes

        self.roots = roots
        self._ctypes = ctypes
        self._libc = ctypes.CDLL(None, use_errno=True)

    def _check(self, result: int) -> int:
        if result < 0:
            number = self._ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result

    def become(self, name: str, death_signal: int | None) -> None:
        """Become a subreaper that has a name, and that gets a signal when its parent dies."""
        prctl, number = self._libc.prctl, self._ctypes.c_ulong
        prctl(_PR_SET_NAME, self._ctypes.c_char_p(name.encode()), number(0), number(0), number(0))
        if death_signal is not None:
            self._check(prctl(_PR_SET_PDEATHSIG, number(death_signal), number(0), number(0), number(0)))
        self._check(prctl(_PR_SET_CHILD_SUBREAPER, number(1), number(0), number(0), number(0)))

    def default_action(self, number: int) -> None:
        """Undo that a signal is ignored, which a program may have inherited."""
        self._libc.signal(number, None)

    def signal_descriptor(self, *numbers: int) -> int:
        """Return a descriptor from which these signals, which must be blocked, can be read."""
        mask = sum(1 << (number - 1) for number in numbers).to_bytes(128, sys.byteorder)
        return self._check(self._libc.signalfd(-1, mask, _SFD_CLOEXEC | _SFD_NONBLOCK))


def read_signals(fd: int) -> list[tuple[int, int]]:
    """Return the signals that have come: the number of each, and the pid of its sender; 0 if that may be untrue."""
    try:
        data = os.read(fd, 16 * _SIGINFO.size)
    except BlockingIOError:
        return []
    return [(number, pid if code == _SI_USER else 0) for number, _, code, pid in _SIGINFO.iter_unpack(data)]


class ProcessEntry:
    """What the process table says of one."""

    __slots__ = ("group", "name", "parent", "pid", "start", "state", "threads")

    def __init__(self, pid: int, text: bytes) -> None:
        # The second field is the program's name, in parentheses, and may itself have any of them.
        name, _, rest = text.partition(b"(")[2].rpartition(b")")
        fields = rest.split(None, 20)
        self.pid = pid
        self.name = name
        self.state = fields[0]
        self.parent = int(fields[1])
        self.group = int(fields[2])
        self.threads = int(fields[17])
        self.start = fields[19]
        """When it was started: of two processes that have had the same number, this differs."""


def look_up(pid: int) -> ProcessEntry | None:
    """Return what the process table says of a process; `None` if it has gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return ProcessEntry(pid, file.read())
    except (OSError, ValueError, IndexError):
        return None


def cut(text: bytes, limit: int) -> bytes:
    """Return a text, or its beginning and an ellipsis, in at most `limit` bytes."""
    return text if len(text) <= limit else text[: limit - len(_ELLIPSIS)] + _ELLIPSIS


_ELLIPSIS: Final = "…".encode()

_ENDED: Final = (b"Z", b"X")
"""States of processes that have ended."""


def named(processes: Sequence[ProcessEntry]) -> list[str]:
    """Return names and pids of processes, for people; of many, those of a few, and how many more there are."""
    texts = [f"{process.name.decode(errors='replace')} (pid {process.pid})" for process in processes[:_NAMED]]
    return [*texts, f"{len(processes) - _NAMED} more"] if len(processes) > _NAMED else texts


def a_child_runs() -> bool:
    """Whether a child of ours has not exited. Who has exited is not eligible for this call, reaped or not."""
    try:
        os.waitid(os.P_ALL, 0, os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def parent_of(pid: int) -> int:
    """Return the parent of a process; 0 if it has gone."""
    found = look_up(pid)
    return 0 if found is None else found.parent


def children(pid: int | str = "self", threads: int = 0) -> list[int]:
    """Return the direct children of a process, zombies included; none if it has gone.

    Of ourselves this is exact: the list shrinks only when we reap, and we have one thread. How many `threads` it has
    need not be known, but saves time if it is one.
    """
    found = []
    try:
        for task in [str(pid)] if threads == 1 else os.listdir(f"/proc/{pid}/task"):
            try:
                with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                    found += [int(child) for child in file.read().split()]
            except FileNotFoundError:
                if not os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
                    return _children_by_parent(pid)
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def _children_by_parent(pid: int | str) -> list[int]:
    """As `children`, for a kernel without CONFIG_PROC_CHILDREN: reads all of ``/proc``."""
    wanted = os.getpid() if pid == "self" else int(pid)
    return [int(name) for name in os.listdir("/proc") if name.isdecimal() and parent_of(int(name)) == wanted]


def tree(roots: list[ProcessEntry]) -> Iterator[ProcessEntry]:
    """Yield processes and all that come from them and can be found now, each once, parents first, and no stranger.

    A number that was given away meanwhile has another parent, or its parent another start. What is found here may be
    gone, and its number a stranger's, when the caller does something about it: see `send`.
    """
    ours = os.getpid()
    found = {process.pid for process in roots}
    yield from roots
    level = roots
    while level and len(found) < _MANY:
        below = []
        for parent in level:
            new = processes([pid for pid in children(parent.pid, parent.threads) if pid not in found])
            # Who has lost its parent since is a child of ours, if we are a subreaper.
            new = [child for child in new if child.parent in (parent.pid, ours)]
            if new and is_there(parent):
                found.update(child.pid for child in new)
                below += new
        yield from below
        level = below


def is_there(process: ProcessEntry) -> bool:
    """Whether a process is in the table still, be it a zombie."""
    now = look_up(process.pid)
    return now is not None and now.start == process.start


def is_alive(process: ProcessEntry) -> bool:
    """Whether a process is in the table, and no zombie."""
    now = look_up(process.pid)
    return now is not None and now.start == process.start and now.state not in _ENDED


def ignores(pid: int, number: int) -> bool:
    """Whether a process ignores a signal, or is a zombie, or gone: one that will not act on it."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            fields = dict(line.split(b":", 1) for line in file if line.startswith((b"State:", b"SigIgn:")))
        return fields[b"State"].split()[0] in _ENDED or bool(int(fields[b"SigIgn"], 16) >> (number - 1) & 1)
    except (OSError, ValueError, LookupError):
        return True


def send(process: ProcessEntry, *numbers: int) -> None:
    """Send signals to a process, if we may, and if it is the one that was found; to no stranger."""
    try:
        held = os.pidfd_open(process.pid)  # from here on the number stands for one process
    except OSError:
        return
    try:
        if is_there(process):
            for number in numbers:
                signal.pidfd_send_signal(held, number)
    except OSError:
        pass
    finally:
        os.close(held)


def send_once(processes: Sequence[ProcessEntry], *numbers: int) -> None:
    """Send signals to processes so that each gets them once.

    Who forwards what it gets to its child, which is here as well, is only stopped and continued.
    """
    forward = forwarders(processes)
    for process in processes:
        send(process, *[number for number in numbers if process.pid not in forward or number in _NOT_FORWARDED])


def forwarders(processes: Iterable[ProcessEntry]) -> set[int]:
    """Return the ids of those processes that forward signals to others of them."""
    all_of_them = list(processes)
    parents = {process.parent for process in all_of_them}
    return {process.pid for process in all_of_them if process.name in _FORWARDERS and process.pid in parents}


def signal_tree(direct: list[int], *numbers: int) -> None:
    """Send signals, once each, to children of ours and to all that come from them and can be found now.

    All are found before the first is signalled, as who dies has no children any more.
    """
    send_once(list(tree(processes(direct))), *numbers)


def processes(pids: list[int]) -> list[ProcessEntry]:
    """Return what the process table says of each that is in it."""
    return [process for process in map(look_up, pids) if process is not None]


def send_signal(pid: int, number: int) -> None:
    """Send a signal to a child of ours, if we may: one of another user is waited for all the same."""
    try:
        os.kill(pid, number)
    except OSError:
        pass


def kill_all(pids: list[int], turn: int) -> None:
    """Send SIGKILL to each. They must be children of ours. `turn` says how often that was done before.

    Of a fork bomb whoever is killed makes room for another, as long as one of them runs. So if a few turns were of no
    use, all that come from these are stopped first, who then take up the room and do not fork.
    """
    if turn >= _TURNS:
        for _ in range(_PASSES):
            signal_tree(pids, signal.SIGSTOP)
    for pid in pids:
        send_signal(pid, signal.SIGKILL)


# ---------------------------------------------------------------------- the shim


class Job:
    """What a shim knows of its job."""

    RUNNING, LEFT, SOFT, TERM, KILL = range(5)
    """In `LEFT` the root has ended by itself and others run. It is not reaped, so that its group can be signalled."""

    status = 0
    cpu = 0.0
    peak = 0
    """The largest resident set, KiB."""
    phase = RUNNING
    stopped = False
    """Whether it was asked to stop while its root was alive."""
    cut_off: str | None = None
    """Why it was killed without being asked to stop."""
    stop: tuple[Any, ...] = ()
    paused_at: float | None = None
    """Since when it is stopped, because the runtime is; no phase ends meanwhile."""
    deadline: float | None = None
    """When the next phase begins, or when what is left counts as stuck."""
    look = _FIRST_LOOK
    turns = 0
    """How often its processes were killed in vain: they were no fewer than before."""
    fewest = sys.maxsize
    """How many of them there were when they were killed, at least."""

    left_behind: Sequence[str] = ()
    """What its root left running, and did not go by itself."""

    def __init__(self, number: int, root: int, patience: float | None, leftover_timeout: float) -> None:
        self.number = number
        self.leftover_timeout = leftover_timeout
        """Seconds that what its root leaves running has to go by itself; 0 if nobody asks."""
        self.root = root
        """The pid of the root process; 0 once it is reaped."""
        self.patience = patience

    def root_has_exited(self) -> bool:
        """Whether its root has, be it reaped or not."""
        return not self.root or os.waitid(os.P_PID, self.root, _PEEK) is not None

    def signal_group(self, number: int) -> None:
        """Signal the group of its root, whose number nobody else has as long as it is not reaped."""
        if self.root:
            try:
                os.killpg(self.root, number)
            except OSError:
                pass

    def enter(self, phase: int, seconds: float | None) -> None:
        """Begin a phase that lasts for `seconds` at most; `None` for no limit."""
        self.phase = phase
        self.deadline = None if seconds is None else time.monotonic() + seconds

    def postpone(self, seconds: float) -> None:
        """Let the phase last that much longer: the job has stood still."""
        if self.deadline is not None:
            self.deadline += seconds


class Shim:
    """Runs jobs, one at a time, and sees that nothing of them is left."""

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
        """Its pid."""
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
        self.leaving = False
        self.next: tuple[Any, ...] | None = None
        self.job: Job | None = None
        self.paused = 0
        """The number of the job that is to be paused, which may not have begun."""
        self.own_peak = 0

    def serve(self) -> None:
        """Take jobs until there is a reason to leave."""
        while not self.leaving:
            if self.next is None:
                self.wait(None)
            else:
                command, self.next = self.next, None
                self.run(*command)

    def say(self, kind: str, number: int, *rest: Any) -> None:
        """Tell the runtime about a job; who leaves does not wait until there is room for that."""
        answer = frame(kind, self.number, number, *rest)
        try:
            while not put(self.answers, answer) and not self.leaving:
                self.poll.register(self.answers, select.POLLOUT)
                self.wait(None)
                self.poll.unregister(self.answers)
        except OSError:
            self.leave("the runtime has gone")

    def leave(self, why: str) -> None:
        """End as soon as nothing is left of the job, which is killed. Idempotent."""
        if self.leaving:
            return
        self.leaving = True
        job = self.job
        if job is not None:
            if not job.root_has_exited():
                job.cut_off = why
            self.begin_kill(job)

    def wait(self, seconds: float | None) -> None:
        """Wait for signals and commands, and do what they say; perhaps for less time, in which nothing has happened."""
        if seconds is not None:
            seconds = min(seconds, TICK)  # of a standstill, only what is beyond the wait is noticed
        begun = time.monotonic()
        ready = self.poll.poll(None if seconds is None else max(0.0, seconds * 1000))
        if seconds is not None and self.job is not None:
            late = time.monotonic() - begun - seconds
            if late > _STANDSTILL:
                self.job.postpone(late)
        for fd, _ in ready:
            if fd == self.signals:
                for number, sender in read_signals(self.signals):
                    # Of two that are pending only the first is kept, so the supervisor's own may be lost to a
                    # stranger's: it sends another, unless it has died, and then it is not our parent.
                    if number == signal.SIGTERM and (sender == self.supervisor or os.getppid() != self.supervisor):
                        self.leave("the supervisor of its shim was killed")
            elif fd == self.commands:
                self.obey()

    def obey(self) -> None:
        """Do what the runtime says."""
        try:
            commands = self.frames.receive()
        except Gone:
            self.poll.unregister(self.commands)
            self.leave("the runtime has gone")
            return
        for kind, number, *rest in commands:
            job = self.job
            if kind == JOB:
                self.next = (number, *rest)
            elif kind == PAUSE:
                self.paused = number
                if job is not None and job.number == number:
                    self.pause(job)
            elif kind == UNPAUSE:
                self.paused = 0
                if job is not None and job.number == number:
                    self.unpause(job)
            elif job is None or job.number != number:
                pass  # it has ended meanwhile
            elif kind == FORCE:
                self.begin_kill(job)
            elif job.phase == Job.RUNNING and not job.root_has_exited():
                job.stopped = True
                job.stop = tuple(rest)
                job.patience = rest[3]
                self.unpause(job)  # it has to act on what it is told
                self.begin_soft(job)

    # ------------------------------------------------------------------ one job

    def run(
        self,
        number: int,
        leftover_timeout: float,
        argv: list[bytes],
        exports: dict[bytes, bytes],
        cwd: bytes,
        cwd_place: Place | None,
        patience: float | None,
        log: Place | None,
        to_make: tuple[Place, bytes, bytes, bytes | None] | None,
    ) -> None:
        """Run a job until nothing of it is left."""
        if to_make is None:
            output = self.frames.fds.pop(0)
        else:
            (root, directory), name, beside, dump = to_make
            try:
                output = make(self.roots[root], directory, name, beside, self.dump if dump is None else dump)
            except OSError:
                self.say(NOT_MADE, number)
                return
        try:
            self.enter(cwd, cwd_place)
            root = start(argv, {**self.environment, b"PWD": cwd, **exports}, output)
        except OSError as exc:
            self.say(NOT_STARTED, number, exc.errno, cut(exc.filename or b"", _ROOM), exc.strerror)
            return
        except MemoryError:
            self.say(NOT_STARTED, number, errno.ENOMEM, b"", "")
            return
        except Exception as exc:  # noqa: BLE001 - text that is no argument, say: the job's fault, and its loss alone
            why = str(exc)
            self.say(NOT_STARTED, number, None, b"", why if len(why) <= _LONG else why[: _LONG - 1] + "…")
            return
        finally:
            os.close(output)
        job = self.job = Job(number, root, patience, leftover_timeout)
        self.own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.say(STARTED, number, root)
        if self.paused == number:
            self.pause(job)
        while self.reap(job):
            self.wait(self.press(job))
        self.job = None
        # A process begins with the memory of this one, and the system never forgets how large that was.
        peak = job.peak * 1024 if job.peak > self.own_peak else None
        text = None if log is None else short_log(self.roots[log[0]], log[1])
        how = (job.status, job.cpu, peak, job.stopped, job.cut_off, self.leaving, text)
        self.say(ENDED, number, *how, job.left_behind)
        os.chdir("/")  # so that a file system can be unmounted

    def enter(self, path: bytes, place: Place | None) -> None:
        """Enter the directory that a job is to run in."""
        if place is None:
            os.chdir(path)
            return
        fd = rooted.open_directory(self.roots[place[0]], place[1])
        try:
            os.fchdir(fd)
        finally:
            os.close(fd)

    def press(self, job: Job) -> float | None:
        """Do what is due for `job`, of which somebody is left; return in how many seconds more is."""
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
            kill_all(pids, job.turns)
            job.turns += len(pids) >= job.fewest  # as long as they become fewer, it was of use
            job.fewest = min(job.fewest, len(pids))
        if job.deadline is not None and job.deadline <= now:
            self.advance(job)
        seconds = None if job.deadline is None else job.deadline - now
        if job.phase == Job.KILL:
            seconds = job.look if seconds is None else min(job.look, seconds)
            job.look = min(2 * job.look, _LAST_LOOK)
        return seconds

    def reap(self, job: Job) -> bool:
        """Reap whoever has exited; return whether somebody is left."""
        while True:
            if job.phase == Job.LEFT:
                for pid in children():
                    if pid != job.root:
                        self.reap_one(job, pid)
                if a_child_runs():
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
                if job.leftover_timeout and a_child_runs():
                    job.enter(Job.LEFT, job.leftover_timeout)
                    continue
                job.signal_group(signal.SIGKILL)  # now, as its number is nobody's once it is reaped
            self.reap_one(job, pid)

    def reap_one(self, job: Job, pid: int) -> None:
        """Reap a child, if it has exited."""
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            job.cpu += usage.ru_utime + usage.ru_stime
            job.peak = max(job.peak, usage.ru_maxrss)
            if pid == job.root:
                job.status, job.root = status, 0

    def begin_soft(self, job: Job) -> None:
        """Begin the stop of `job`: with its soft step, if it has one."""
        soft, seconds = job.stop[:2]
        if soft is None:
            self.begin_term(job)
            return
        job.enter(Job.SOFT, seconds)
        if isinstance(soft, int):
            signal_tree(children(), soft)
        else:
            try:
                made = rooted.touch(self.roots[soft[0]], soft[1])
            except OSError:
                made = False
            if not made:
                self.begin_term(job)

    def may_act(self, job: Job) -> bool:
        """Whether anybody is left of `job` who may still act on the soft step, now that its root has ended.

        A shell dies of the signal at once, and the simulator behind it has its files to close. What a shell starts in
        its background ignores SIGINT; waiting for that would be in vain. Who looks for a file is the root.
        """
        soft = job.stop[0]
        return isinstance(soft, int) and any(not ignores(one.pid, soft) for one in tree(processes(children())))

    def begin_term(self, job: Job) -> None:
        """Ask all processes of `job` to end."""
        job.enter(Job.TERM, job.stop[2])
        # A stopped process could not act on the first.
        signal_tree(children(), signal.SIGTERM, signal.SIGCONT)

    def pause(self, job: Job) -> None:
        """Stop all processes of `job`, unless they are being killed. Who forks meanwhile is found by the next pass."""
        if job.paused_at is None and job.phase != Job.KILL:
            job.paused_at = time.monotonic()
            job.signal_group(signal.SIGSTOP)
            for _ in range(_PASSES):
                signal_tree(children(), signal.SIGSTOP)

    def unpause(self, job: Job) -> None:
        """Continue all processes of `job`, if it is paused."""
        if job.paused_at is not None:
            job.postpone(time.monotonic() - job.paused_at)
            job.paused_at = None
            signal_tree(children(), signal.SIGCONT)

    def begin_kill(self, job: Job) -> None:
        """Kill all processes of `job`, from now on until none is left."""
        job.paused_at = None  # which does not keep SIGKILL away
        if job.phase != Job.KILL:
            job.enter(Job.KILL, job.patience)
            # All that stayed in the group at one stroke, however fast it forks; who left it falls to us by and by.
            job.signal_group(signal.SIGKILL)

    def advance(self, job: Job) -> None:
        """The time of a phase is over."""
        if job.phase == Job.LEFT:
            running = [one for one in tree(processes(children())) if one.pid != job.root and one.state not in _ENDED]
            job.left_behind = named(running)
            self.begin_kill(job)
        elif job.phase == Job.SOFT:
            self.begin_term(job)
        elif job.phase == Job.TERM:
            self.begin_kill(job)
        else:
            job.deadline = None
            self.say(STUCK, job.number, children()[:_MANY_PIDS])


def make(root: int, directory: bytes, log: bytes, beside: bytes, dump: bytes) -> int:
    """Make what a job needs, none of which is there: its directory, and in it its log and a private file with `dump`.

    Returns:
        A descriptor for appending to the log.

    Raises:
        OSError: if something is there, or cannot be made; what was made stays.
    """
    made = rooted.make_new_directory(root, directory)
    try:
        fd = rooted.create(made, beside, 0o600)
        try:
            if os.write(fd, dump) < len(dump):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), beside)
        finally:
            os.close(fd)
        return rooted.create(made, log, 0o666, os.O_APPEND)
    finally:
        os.close(made)


def short_log(root: int, path: bytes) -> bytes | None:
    """Return what is in a log; `None` if it is not short, or no regular file, or cannot be read."""
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
    places = [program]
    if b"/" not in program:
        path = environment.get(b"PATH", os.fsencode(os.defpath))
        places = [directory + b"/" + program if directory else program for directory in path.split(b":")]
    error = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
    for place in places:
        try:
            return os.posix_spawn(
                place,
                argv,
                environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)],
                setsid=True,
                setsigmask=(),
                # Python ignores two of them, and whoever started us perhaps others, such as SIGINT in a shell's
                # background. And to set each takes less time than to ask for each, which is what the C library does
                # with the others.
                setsigdef=ALL_SIGNALS,
            )
        except OSError as exc:
            if exc.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                raise OSError(exc.errno, os.strerror(exc.errno or 0), program) from None
            if exc.errno == errno.EACCES:  # goes before what was not found elsewhere
                what = os.strerror(errno.EACCES)
                error = PermissionError(errno.EACCES, what, program)  # type: ignore[assignment]  # any `OSError` will do
    raise error


# ---------------------------------------------------------------------- the supervisor


class Supervisor:
    """Forks shims, and gets what they leave when they are killed.

    Args:
        system: for calls to the system.
        control: where commands come from.
        answers: where everybody answers.
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
        self.room = select.poll()
        """For room in the pipe, or the end of the runtime."""
        for fd, events in ((answers, select.POLLOUT), (control.fileno(), select.POLLRDHUP), (runtime, select.POLLIN)):
            self.room.register(fd, events)
        self.environment: dict[bytes, bytes] = {}
        self.dump = b""
        self.patience = 0.0
        self.shims: dict[int, int] = {}
        """Pid to number."""
        self.dead: list[tuple[int, int, float]] = []
        """Shims that have ended and were not reported: number, wait status, when to report them in any case."""
        self.sweeping = False
        """Whether there may be somebody whom a shim left behind."""
        self.look = _FIRST_LOOK
        self.turns = 0
        """How often in a row somebody had to be killed."""
        self.leaving = False

    def serve(self) -> None:
        """Fork shims as told, until the runtime has gone; end when nobody is left."""
        self.say(HELLO, self.pid)
        while not self.leaving:
            self.wait()
        self.sweeping = True
        while self.reap():
            for pid in self.shims:
                os.kill(pid, signal.SIGTERM)
            self.sweep()
            self.wait()

    def say(self, kind: str, *rest: Any) -> None:
        """Tell the runtime; who leaves does not wait until there is room for that."""
        answer = frame(kind, *rest)
        try:
            while not put(self.answers, answer) and not self.leaving:
                if self.answers not in [fd for fd, _ in self.room.poll()]:
                    self.leave()
        except OSError:
            self.leave()

    def leave(self) -> None:
        """End as soon as nobody is left."""
        if not self.leaving:
            self.leaving = True
            self.poll.unregister(self.control)
            self.poll.unregister(self.runtime)

    def wait(self) -> None:
        """Wait for signals and commands, and do what they say."""
        seconds = TICK
        if self.sweeping:
            seconds = self.look
            self.look = min(2 * self.look, _LAST_LOOK)
        begun = time.monotonic()
        ready = self.poll.poll(seconds * 1000)
        now = time.monotonic()
        if now - begun - seconds > _STANDSTILL:
            self.say(STOOD_STILL, begun + seconds, now)
        for fd, _ in ready:
            if fd == self.signals:
                read_signals(self.signals)
            elif fd == self.runtime:
                self.leave()
            elif not self.leaving:
                try:
                    commands = self.frames.receive()
                except Gone:
                    self.leave()
                else:
                    for command in commands:
                        self.obey(*command)
        if not self.leaving:
            self.reap()
            if self.sweeping:
                self.sweep()

    def obey(self, kind: str, *rest: Any) -> None:
        """Do what the runtime says."""
        if kind == SETUP:
            self.environment, self.dump, self.patience = rest
        elif kind == FORK:
            self.fork(rest[0], self.frames.fds.pop(0))
        elif kind == PING:
            self.say(PONG, *rest)

    def fork(self, number: int, fd: int) -> None:
        """Fork a shim that takes its commands from the socket `fd`."""
        try:
            pid = os.fork()
        except OSError as exc:
            os.close(fd)
            self.say(NOT_FORKED, number, exc.errno)
            return
        if pid == 0:
            try:
                self.become_shim(number, fd)
            finally:
                os._exit(1)
        os.close(fd)
        self.shims[pid] = number
        self.say(FORKED, number, pid)

    def become_shim(self, number: int, fd: int) -> None:
        """Be a shim; does not return."""
        self.system.become("job-shim", signal.SIGTERM)
        if os.getppid() != self.pid:
            os._exit(0)  # it was too late for the signal
        self.control.close()
        os.close(self.runtime)
        os.close(self.signals)
        commands = socket.socket(fileno=fd)
        Shim(self.system, self.pid, number, commands, self.answers, self.environment, self.dump).serve()
        os._exit(0)

    def reap(self) -> bool:
        """Reap whoever has exited; return whether somebody is left."""
        while True:
            try:
                pid, status, _ = os.wait4(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if os.WIFSTOPPED(status):
                if pid in self.shims:  # nobody but a job stops a shim, and none has to
                    os.kill(pid, signal.SIGCONT)
            elif pid in self.shims:
                self.dead.append((self.shims.pop(pid), status, time.monotonic() + self.patience))
                self.sweeping = True
                self.look = _FIRST_LOOK

    def sweep(self) -> None:
        """Kill what shims left, and report those of which nothing is left."""
        strays = [pid for pid in children() if pid not in self.shims]
        kill_all(strays, self.turns)
        self.turns = self.turns + 1 if strays else 0
        now = time.monotonic()
        for shim in list(self.dead):
            number, status, until = shim
            if not strays or until <= now:
                self.dead.remove(shim)
                self.say(DEAD, number, status, strays[:_MANY_PIDS])
        self.sweeping = bool(strays) or self.leaving


def load_rooted(directory: str) -> None:
    """Import `rooted`, without the package that it is in, from its directory."""
    global rooted  # noqa: PLW0603 - it is an import
    sys.path.append(directory)
    import rooted  # type: ignore[import-not-found]  # found there

    sys.path.pop()


def main() -> None:
    """Be the supervisor.

    Arguments are the directory that `rooted` is in, and descriptors: the control socket, the pipe for answers, a pidfd
    of the runtime, and the roots.
    """
    load_rooted(sys.argv[1])
    control, answers, runtime, *roots = map(int, sys.argv[2:])
    for fd in (control, answers, runtime, *roots):
        os.set_inheritable(fd, False)
    os.chdir("/")
    signal.pthread_sigmask(signal.SIG_BLOCK, ALL_SIGNALS)
    system = System(roots)
    system.default_action(signal.SIGCHLD)  # ignored, it would leave nobody to wait for
    system.become("job-supervisor", None)
    gc.disable()
    gc.freeze()  # so that shims share their memory
    Supervisor(system, socket.socket(fileno=control), answers, runtime).serve()
    os._exit(0)  # somebody waits for that


if __name__ == "__main__":
    main()
