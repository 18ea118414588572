r"""The program of a worker: searches line by line, in a process that may be killed at any time.

Run by `runtime.helper.boot`. Requests come on standard input, answers go to standard output; each is
a length of four bytes and a value in the format of `marshal`. A request is either ``(None, patterns, seconds)``, the
patterns and the processor time for all blocks that follow; or ``(block, first, last)`` as for `Engine.scan`, which is
answered pattern by pattern with ``(line, value, unit)``, where the line is -1 if there is no hit. So the number of
answers tells which pattern was being searched when the kernel ended this process. It exits at the end of its input.
"""

from __future__ import annotations

import marshal
import re
import resource
import signal
import sys
from collections.abc import Iterable
from typing import Any, Final

_MEMORY: Final = 2 << 30
"""Bytes of address space. Arbitrary: backtracking over a line of a megabyte may take some hundred megabytes, so ten
times less would fail good logs; ten times more, and a bad pattern could fill the memory of the machine."""


def main() -> None:
    """Answer requests until the input ends."""
    # A user may send SIGTERM to every process of the run. This one ends with its input, or at its limit, so all other
    # signals are blocked. SIGPROF enforces the limit; the process that started this one may have it blocked or ignored.
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals() - {signal.SIGPROF})
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    patterns: list[re.Pattern[bytes]] = []
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while head := source.read(4):
        block, first, last = marshal.loads(source.read(int.from_bytes(head, "little")))
        if block is None:
            patterns = [re.compile(pattern) for pattern in first]
            signal.setitimer(signal.ITIMER_PROF, last)  # SIGPROF ends this process; 0 disarms the timer
            continue
        lines = block.split(b"\n")
        backwards = range(len(lines) - 1, -1, -1)
        for numbers, order in ((first, range(len(lines))), (last, backwards)):
            for number in numbers:
                answer = marshal.dumps(find(patterns[number], lines, order))
                sink.write(len(answer).to_bytes(4, "little") + answer)
                sink.flush()


def find(pattern: re.Pattern[bytes], lines: list[bytes], order: Iterable[int]) -> tuple[int, Any, Any]:
    """Return the index of the first of `lines`, in `order`, that matches, and what its groups hold; -1 if none does."""
    search = pattern.search
    for index in order:
        if (match := search(lines[index])) is not None:
            groups = match.groupdict()
            return index, groups.get("value"), groups.get("unit")
    return -1, None, None
