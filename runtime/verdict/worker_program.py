r"""The program of a worker: searches line by line, in a process that may be killed at any time.

Run by `runtime.helper.boot`. Requests and answers are frames on a socket (`runtime.helper.wire`). A request is either
``(None, patterns, seconds)``, the patterns and the processor time for all blocks that follow; or ``(block, first,
last)`` as for `Engine.scan`, which is answered pattern by pattern with ``(line, value, unit)``, where the line is -1 if
there is no hit. So the number of answers tells which pattern was being searched when the kernel ended this process. It
exits when the other end of the socket is closed.
"""

from __future__ import annotations

import re
import resource
import signal
import socket
from collections.abc import Iterator, Sequence
from typing import Final

from runtime.helper.wire import EndOfStream, Frames, decode, pack
from runtime.verdict.python_search import search

_MEMORY: Final = 2 << 30
"""Bytes of address space. Arbitrary: backtracking over a line of a megabyte may take some hundred megabytes, so ten
times less would fail good logs; ten times more, and a bad pattern could fill the memory of the machine."""

Setup = tuple[None, Sequence[bytes], float]
Search = tuple[bytes, Sequence[int], Sequence[int]]
"""The two forms of a request."""

Answer = tuple[int, bytes | None, bytes | None]
"""The index of the line, or -1; and what its groups `value` and `unit` hold."""


def main(control: str) -> None:
    """Answer requests until the other end is closed.

    Args:
        control: the number of the socket.
    """
    # A user may send SIGTERM to every process of the run. This one ends with its socket, or at its limit, so all other
    # signals are blocked. SIGPROF enforces the limit; the process that started this one may have it blocked or ignored.
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals() - {signal.SIGPROF})
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    patterns: list[re.Pattern[bytes]] = []
    with socket.socket(fileno=int(control)) as stream:
        for request in requests(Frames(stream)):
            if request[0] is None:
                _, texts, seconds = request
                patterns = [re.compile(text) for text in texts]
                signal.setitimer(signal.ITIMER_PROF, seconds)  # SIGPROF ends this process; 0 disarms the timer
                continue
            block, first, last = request
            for _, line, value, unit in search(patterns, block, first, last):
                stream.sendall(pack(line, value, unit))


def requests(frames: Frames) -> Iterator[Setup | Search]:
    """Yield the requests until the stream ends."""
    while True:
        try:
            for request in frames.receive():
                block, first, last = decode(request)
                yield block, first, last
        except EndOfStream:
            return
