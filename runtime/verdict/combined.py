"""`CombinedEngine`: each pattern by the fastest engine that is safe for it.

RE2, where it is installed and has the pattern. Else Python's `re`: in this process for the beginning of a log, as long
as no search can take long; for everything else in a worker, which can be killed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from runtime.job import compile_pattern
from runtime.verdict.engine import Hit, PythonEngine
from runtime.verdict.judge import LogPatterns
from runtime.verdict.linear import LinearEngine, is_linear
from runtime.verdict.search_limits import harmless_length
from runtime.verdict.worker import WorkerEngine, Workers

IN_PROCESS: Final = 1 << 18
"""Bytes of a log that Python's `re` may search in this process. Arbitrary."""

_USUAL_LINE: Final = 100
"""Bytes. Arbitrary."""


class CombinedEngine:
    """See the module.

    Args:
        patterns: what to look for.
        workers: where processes come from, when a pattern needs one.
        budget: seconds of processor time that such a process has for all blocks together.
    """

    def __init__(self, patterns: Sequence[re.Pattern[bytes]], workers: Workers, budget: float) -> None:
        self._linear_ones = frozenset(number for number, pattern in enumerate(patterns) if is_linear(pattern))
        self._patterns = patterns
        self._linear = LinearEngine(patterns)
        self._python = PythonEngine(patterns)
        self._worker = WorkerEngine(patterns, workers, budget)
        self._in_process = IN_PROCESS

    def scan(self, block: bytes, first: Collection[int], last: Collection[int]) -> Iterator[Hit]:
        """See `Engine.scan`; raises what a worker raises."""
        linear = self._linear_ones
        yield from self._linear.scan(block, [n for n in first if n in linear], [n for n in last if n in linear])
        first, last = [n for n in first if n not in linear], [n for n in last if n not in linear]
        if not (first or last):
            return
        self._in_process -= len(block)
        if self._in_process >= 0:
            longest = max(map(len, block.split(b"\n")))
            here = {n for n in (*first, *last) if harmless_length(self._patterns[n]) >= longest}
            yield from self._python.scan(block, [n for n in first if n in here], [n for n in last if n in here])
            first, last = [n for n in first if n not in here], [n for n in last if n not in here]
        yield from self._worker.scan(block, first, last)

    def close(self) -> None:
        """See `Engine.close`."""
        self._worker.close()


def are_linear(patterns: LogPatterns) -> bool:
    """Whether RE2 has all of `patterns`, so that judging takes a time in proportion to the log. Does not block."""
    return all(map(is_linear, map(compile_pattern, patterns.all())))


def is_quick(patterns: LogPatterns) -> bool:
    """Whether a short log with lines of a usual length is judged without a worker. Does not block."""
    compiled = map(compile_pattern, patterns.all())
    return all(is_linear(pattern) or harmless_length(pattern) >= _USUAL_LINE for pattern in compiled)
