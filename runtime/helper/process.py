"""`HelperProcess`: a process of our own, a socket to it, and its end. All helpers are started and ended by it.

The pattern workers, the process of isolated launchers, and the supervisor of contained jobs differ in their programs
and in what is said. The same for all of them are:

- *the start*: an interpreter in a session of its own, so that no key of a terminal signals it;
- *the framing* (`runtime.helper.wire`), and a deadline for each message;
- *the death*: a task that waits for a message gets `EOFError` when the process exits. A pidfd tells, not the end of the
  socket, of which a process that the helper has forked keeps a copy;
- *the end*: the socket is hung up, which a program takes for the order to exit. A process that does not is killed, with
  its process group, before it is reaped: until then nobody else can have its number.

Methods may be called in any thread, and block where they say so. Nobody has to wait for the end: see `leave`.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from runtime.helper.exits import ExitWatch
from runtime.helper.interpreter import start_helper
from runtime.helper.wire import FrameBuffer, frame

_CHUNK: Final = 1 << 16
"""Bytes that are received at once. Arbitrary: more than most messages have."""

_PEEK: Final = os.WEXITED | os.WNOHANG | os.WNOWAIT
"""Options of `waitid`: report an exited child, without blocking and without reaping it."""


def deadline_in(seconds: float) -> float:
    """Return the deadline in so many seconds, for the methods of a `Channel`."""
    return time.monotonic() + seconds


class Channel:
    """A socket to a process, for frames. One thread may send at a time, and one receive.

    Args:
        stream: our end. It is closed by this object.
        watch: tells when the process exits.
        longest: the most bytes of a message; `None` for no limit.
    """

    def __init__(self, stream: socket.socket, watch: ExitWatch, longest: int | None = None) -> None:
        stream.setblocking(False)
        self.stream = stream
        self._watch = watch
        self._buffer = FrameBuffer(longest)
        self._messages: list[bytes] = []

    def send(self, message: bytes, deadline: float = float("inf")) -> None:
        """Send a message. Blocks until the process has taken all of it, but for what the socket holds.

        Raises:
            EOFError: if the process has exited.
            TimeoutError: at the deadline.
            OSError: if the other end was closed, or this one.
        """
        left = memoryview(frame(message))
        while left:
            try:
                left = left[self.stream.send(left) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)

    def receive(self, deadline: float = float("inf")) -> bytes:
        """Return the next message. Blocks until there is one.

        Raises:
            EOFError: if the process has exited, or has closed its end.
            TimeoutError: at the deadline.
            ValueError: if the message is longer than the limit.
            OSError: if this end was closed.
        """
        while not self._messages:
            self._wait(select.POLLIN, deadline)
            try:
                data = self.stream.recv(_CHUNK)
            except BlockingIOError:
                continue
            if not data:
                raise EOFError
            self._messages = self._buffer.feed(data)
        return self._messages.pop(0)

    def send_descriptor(self, fd: int) -> None:
        """Send an empty message, and a descriptor with it. In any thread. Blocks and raises as `send`."""
        while True:
            try:
                socket.send_fds(self.stream, [frame(b"")], [fd])
            except BlockingIOError:
                self._wait(select.POLLOUT, float("inf"))
            else:
                return

    def close(self) -> None:
        """Hang up: the other side sees the end, even if a process that was forked has a copy of this socket."""
        hang_up(self.stream)

    def _wait(self, events: int, deadline: float) -> None:
        if not self._watch.wait_ready(self.stream.fileno(), events, deadline):
            raise EOFError


def hang_up(stream: socket.socket) -> None:
    """Close a socket so that the other side sees its end, even if a forked process has a copy of the descriptor."""
    with suppress(OSError):
        stream.shutdown(socket.SHUT_RDWR)
    stream.close()


class HelperProcess:
    """A process of ours and a `Channel` to it. The constructor starts it, which blocks for milliseconds.

    Args:
        words: arguments of the interpreter, as of `runtime.helper.program.words`. The numbers of the descriptors
            follow: the program's end of the channel, and `fds`.
        env: its environment.
        fds: descriptors that it inherits.
        output: the descriptor of its standard output, as for `subprocess`; `None` for ours.
        errors: as `output`, of its standard error.
        block_signals: as for `start_helper`.
        longest: as for `Channel`.

    Raises:
        OSError: if it cannot be started.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        env: Mapping[str, str],
        fds: Sequence[int] = (),
        output: int | None = subprocess.DEVNULL,
        errors: int | None = subprocess.DEVNULL,
        block_signals: bool = True,
        longest: int | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._is_killed = False
        reap_left()
        ours, theirs = socket.socketpair()
        with theirs:
            numbers = (theirs.fileno(), *fds)
            try:
                self._popen = start_helper(
                    [*words, *map(str, numbers)],
                    env=env,
                    fds=numbers,
                    output=output,
                    errors=errors,
                    block_signals=block_signals,
                )
            except BaseException:
                ours.close()
                raise
        self.watch: Final = ExitWatch(self._popen.pid, self.has_exited)
        """Tells when it exits."""
        self.channel: Final = Channel(ours, self.watch, longest)

    def __repr__(self) -> str:
        return f"<HelperProcess {self.pid}{' ended' if self.has_exited() else ''}>"

    @property
    def pid(self) -> int:
        """Its process id, and that of its process group."""
        return self._popen.pid

    def has_exited(self) -> bool:
        """Whether it has exited. Does not block, and does not reap it."""
        if self._popen.returncode is not None:
            return True
        try:
            # It stays a zombie, so that its number is not reused before its group is killed.
            return os.waitid(os.P_PID, self.pid, _PEEK) is not None
        except ChildProcessError:
            return True  # other code has reaped it, or the kernel, if SIGCHLD is ignored

    def kill(self) -> None:
        """Kill it and its process group, unless it is reaped. A thread that waits for a message gets `EOFError`."""
        with self._lock:
            # Once: nobody has its number before it was killed, and somebody else may have it once it is reaped.
            if self._is_killed or self._popen.returncode is not None:
                return
            self._is_killed = True
            with suppress(ProcessLookupError, PermissionError, ChildProcessError):
                os.waitid(os.P_PID, self.pid, _PEEK)  # fails if other code, or the kernel, has reaped it
                os.killpg(self.pid, signal.SIGKILL)

    def reap(self) -> int:
        """Return its exit status, as `subprocess` does, and reap it. It must have exited; else this blocks."""
        return self._popen.wait()

    def end(self, timeout: float = 0.0) -> int:
        """Make it exit, with its process group; return its exit status. Blocks.

        Args:
            timeout: seconds that it has to exit by itself, before it is killed: its own status tells more than that
                of a SIGKILL.
        """
        self.watch.wait(timeout)
        self.kill()  # also what is left of its group
        return self.reap()

    def close(self) -> None:
        """Close our descriptors. No other thread may wait for it any more."""
        self.channel.close()
        self.watch.close()

    def leave(self, end: Callable[[], object] | None = None) -> None:
        """Leave it running without an owner: it is reaped some day after it has exited.

        Args:
            end: called once, in any thread: after it has exited, or to end it when our process exits. `None` if it may
                outlive our process.
        """
        _left[self] = end


_left: Final[dict[HelperProcess, Callable[[], object] | None]] = {}
"""Processes without an owner, and what ends each."""


def reap_left() -> None:
    """Reap those processes without an owner that have exited. The start of each helper does that."""
    for process in list(_left):
        if process.has_exited():
            _end_left(process)


def _end_left(process: HelperProcess) -> None:
    try:
        end = _left.pop(process)
    except KeyError:
        return  # another thread has just done it
    if end is None:
        process.reap()
        process.channel.close()
    else:
        end()


@atexit.register
def end_all_left() -> None:
    """End those processes without an owner that must not outlive this one."""
    for process in [process for process, end in _left.items() if end is not None]:
        _end_left(process)
