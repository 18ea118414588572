"""The messages between the runtime and its guards: tuples that begin with one of these kinds.

Commands arrive at a guard on a socket of its own. All answers share one socket, which preserves their boundaries.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    WirePath = tuple[int, bytes]

# Commands to the supervisor. The first item of each tuple is one of these.
SETUP: Final = "setup"
"""The environment, a dict of bytes; its dump, which those of most jobs begin with; seconds that the processes left by a
killed shim may take to die before the shim's end is reported without them."""
FORK: Final = "fork"
"""The number of the new shim. Its end of the command socket comes as a descriptor."""
PING: Final = "ping"
"""Any number, which is answered."""

# Commands to a shim.
JOB: Final = "job"
"""The job's number; the leftover timeout (seconds that processes which outlive the root have to exit by themselves; 0
kills them at once); argv; what the job is told about itself, an `Identity` or `None`; exports and working directory, in
bytes; the `WirePath` of that directory, or `None` to follow its path wherever that leads; the kill timeout, seconds or
`None`; the `WirePath` of the log, if the log is to be returned with the end; and what of its files is to be made: the
`WirePath` of the job's directory, which contains the log, the names of the log and of the environment file, and the
content of the latter (`None` for the dump of `SETUP` and what the job is told about itself). If the files are there
already this is `None`, and the descriptor of the job's output comes with the message, and then those that it inherits.
At last the cgroup that the job begins in: the files in which a process writes ``0`` to enter it and to leave it, or
`None`.

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
"""Sent on the control socket, when commands can be handled."""
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

MAX_ANSWER: Final = 4096
"""Bytes of an answer, at most, so that the runtime has room for each. Arbitrary: ten times longer would let fewer wait
for the runtime in the socket, ten times shorter would leave no room for a log."""

MAX_PART: Final = 3072
"""Bytes of the longest part of an answer, at most, so that the whole answer is no longer than `MAX_ANSWER`."""

SHORT_LOG: Final = MAX_PART
"""Bytes of a log that is returned with the end of its job. So short a log is judged in less time than it takes to wake
a thread."""

MAX_PIDS: Final = MAX_PART // 5
"""Pids in an answer, at most; marshal takes five bytes for each."""

MAX_TEXT: Final = MAX_PART // 4
"""Characters of a message in an answer, at most; UTF-8 takes up to four bytes for each."""


def truncate(text: bytes, limit: int) -> bytes:
    """Return `text`, shortened to `limit` bytes with an ellipsis at the end if it is longer."""
    return text if len(text) <= limit else text[: limit - len(_ELLIPSIS)] + _ELLIPSIS


_ELLIPSIS: Final = "…".encode()
