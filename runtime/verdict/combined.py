"""`CombinedEngine`: searches each pattern with the fastest engine that is safe for it.

RE2 where it is installed and supports the pattern. Otherwise Python's `re`: in this process for the beginning of a log,
as long as no search can take long; for everything else in a worker, which can be killed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from runtime.job import compile_pattern
from runtime.verdict.engine import Hit, PythonEngine
from runtime.verdict.judge import LogPatterns
from runtime.verdict.linear import LinearEngine, is_linear
from runtime.verdict.lines import Block
from runtime.verdict.search_limits import harmless_length
from runtime.verdict.worker import WorkerEngine, Workers

IN_PROCESS: Final = 1 << 18
"""Bytes of a log that Python's `re` may search in this process. Arbitrary: ten times more, and a log of many lines
would hold the interpreter for long; ten times less, and short logs would need a worker."""

_USUAL_LINE: Final = 100
"""Bytes of a usual line. Arbitrary: ten times more, and usual patterns would need a worker; ten times less, and
`is_quick` would promise what few lines keep."""


class CombinedEngine:
    """Searches each pattern with RE2, with Python's `re` in this process, or in a worker.

    Args:
        patterns: what to look for.
        workers: the pool of worker processes, from which one is taken when a pattern needs it.
        budget: seconds of processor time that the worker has for all blocks together.
    """

    def __init__(self, patterns: Sequence[re.Pattern[bytes]], workers: Workers, budget: float) -> None:
        self._linear_numbers = frozenset(number for number, pattern in enumerate(patterns) if is_linear(pattern))
        self._patterns = patterns
        self._linear = LinearEngine(patterns)
        self._python = PythonEngine(patterns)
        self._worker = WorkerEngine(patterns, workers, budget)
        self._in_process_left = IN_PROCESS

    def scan(self, block: Block, first: Collection[int], last: Collection[int]) -> Iterator[Hit]:
        """See `Engine.scan`; raises what `WorkerEngine.scan` raises."""
        linear = self._linear_numbers
        yield from self._linear.scan(block, [n for n in first if n in linear], [n for n in last if n in linear])
        first, last = [n for n in first if n not in linear], [n for n in last if n not in linear]
        if not (first or last):
            return
        # `harmless_length` bounds one search, not their number: so the bytes that are searched here are bounded, too.
        self._in_process_left -= block.end - 1
        if self._in_process_left >= 0:
            longest = max(map(len, block.lines.split(b"\n")))
            safe = {n for n in (*first, *last) if harmless_length(self._patterns[n]) >= longest}
            yield from self._python.scan(block, [n for n in first if n in safe], [n for n in last if n in safe])
            first, last = [n for n in first if n not in safe], [n for n in last if n not in safe]
        yield from self._worker.scan(block, first, last)  # of no patterns it starts no process

    def close(self) -> None:
        """See `Engine.close`."""
        self._worker.close()


def are_linear(patterns: LogPatterns) -> bool:
    """Whether RE2 supports all of `patterns`, so that judging takes time linear in the log. Does not block."""
    return all(map(is_linear, map(compile_pattern, patterns.all())))


def is_fast(pattern: str, longest: int) -> bool:
    """Whether a line of at most `longest` bytes is certainly searched fast, and without a worker. Does not block.

    Raises:
        SpecError: if it is no pattern.
    """
    compiled = compile_pattern(pattern)
    return is_linear(compiled) or harmless_length(compiled) >= longest


def is_quick(patterns: LogPatterns) -> bool:
    """Whether a short log with lines of usual length is judged without a worker. Does not block."""
    compiled = map(compile_pattern, patterns.all())
    return all(is_linear(pattern) or harmless_length(pattern) >= _USUAL_LINE for pattern in compiled)
