r"""The far side of `Workers`: patterns line by line, in a process that may be killed at any time.

Run as a file, with the standard library alone. Requests come on standard input, answers go to standard output; each is
four bytes of length and a value as `marshal` writes it. A request is ``(None, patterns, seconds)``: these patterns from
now on, and the processor time for all that follows; or ``(block, first, last)`` as for `Engine.scan`, which is answered
pattern by pattern with ``(line, value, unit)``, the line -1 for no hit. Whoever asks can so tell which pattern was at
work when the kernel ended this process. The end of input ends it too.
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
"""Bytes of addresses. Backtracking over a line of a megabyte may take some hundred megabytes. Arbitrary."""


def main() -> None:
    """Serve until the input ends."""
    # Some send SIGTERM to every process that they find. This one ends with its input, or at its limit, whatever was
    # blocked or ignored by whoever started the runtime.
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals() - {signal.SIGPROF})
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    patterns: list[re.Pattern[bytes]] = []
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while head := source.read(4):
        block, first, last = marshal.loads(source.read(int.from_bytes(head, "little")))
        if block is None:
            patterns = [re.compile(pattern) for pattern in first]
            signal.setitimer(signal.ITIMER_PROF, last)  # its signal ends the process
            continue
        lines = block.split(b"\n")
        backwards = range(len(lines) - 1, -1, -1)
        for numbers, order in ((first, range(len(lines))), (last, backwards)):
            for number in numbers:
                answer = marshal.dumps(find(patterns[number], lines, order))
                sink.write(len(answer).to_bytes(4, "little") + answer)
                sink.flush()


def find(pattern: re.Pattern[bytes], lines: list[bytes], order: Iterable[int]) -> tuple[int, Any, Any]:
    """Return which of `lines`, in this order, is the first that matches, and what the groups hold."""
    search = pattern.search
    for index in order:
        if (match := search(lines[index])) is not None:
            groups = match.groupdict()
            return index, groups.get("value"), groups.get("unit")
    return -1, None, None


if __name__ == "__main__":
    main()
