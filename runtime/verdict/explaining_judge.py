"""`ExplainingJudge`: judges a log as `LogJudge` does, and finds the line that explains a failure in one reading."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import attrs

from runtime.job import compile_pattern
from runtime.verdict.engine import Engine, PythonEngine
from runtime.verdict.explaining import COMPLAINTS, ERRORS, HINTS, MAX_SEARCHED, REMARKS
from runtime.verdict.ignoring import IgnoringEngine
from runtime.verdict.judge import Judgement, LogJudge, LogPatterns
from runtime.verdict.linear import LinearEngine, is_linear
from runtime.verdict.lines import Block
from runtime.verdict.log import LineNumbers

MakeEngine: TypeAlias = Callable[[Sequence[re.Pattern[bytes]]], Engine]
"""Makes an engine from the compiled patterns."""

_COMPLAINT: Final = re.compile("|".join(COMPLAINTS).encode())
_REMARK: Final = re.compile("|".join((*COMPLAINTS, *REMARKS)).encode())


class ExplainingJudge:
    """Judges a log, and finds what explains a failure: an error message, or else a hint.

    Args:
        patterns: what to look for besides.
        engine: makes an engine for them, and the others.
    """

    def __init__(self, patterns: LogPatterns, engine: MakeEngine) -> None:
        self._judge = LogJudge(patterns, engine)
        raw = patterns.raw_lines
        self._errors = LogJudge(
            LogPatterns(failing=ERRORS, raw_lines=raw), lambda found: IgnoringEngine(engine(found), _COMPLAINT)
        )
        self._hints = LogJudge(
            LogPatterns(failing=HINTS, raw_lines=raw), lambda found: IgnoringEngine(engine(found), _REMARK)
        )

    def close(self) -> None:
        """See `LogJudge.close`."""
        for judge in (self._judge, self._errors, self._hints):
            judge.close()

    def take(self, block: Block) -> None:
        """See `LogJudge.take`."""
        self._judge.take(block)
        self._errors.take(block)
        if not self._errors.has_failed:
            self._hints.take(block)

    def finish(self, numbers: LineNumbers, *, numbered: bool = True) -> Judgement:
        """See `LogJudge.finish`."""
        found = self._judge.finish(numbers, numbered=numbered)
        explaining = self._errors if self._errors.has_failed else self._hints
        return attrs.evolve(found, explanation=explaining.finish(numbers, numbered=False).failure)


def explaining_index(lines: Sequence[str]) -> int | None:
    """Return the index of the line that explains a failure, as an `ExplainingJudge` finds it; `None` if none does.

    Of each line `MAX_SEARCHED` bytes are searched.
    """
    block = b"\n".join(
        line[:MAX_SEARCHED].encode("utf-8", "surrogatepass")[:MAX_SEARCHED].replace(b"\n", b" ") for line in lines
    )
    for patterns, ignored in ((ERRORS, _COMPLAINT), (HINTS, _REMARK)):
        hits = IgnoringEngine(_engine(patterns), ignored).scan(Block.of(block), range(len(patterns)), ())
        if (index := min((hit.line for hit in hits), default=None)) is not None:
            return index
    return None


@functools.cache
def _engine(patterns: Sequence[str]) -> Engine:
    compiled = [compile_pattern(text) for text in patterns]
    return LinearEngine(compiled) if all(map(is_linear, compiled)) else PythonEngine(compiled)


def judge_for(patterns: LogPatterns, engine: MakeEngine) -> LogJudge | ExplainingJudge:
    """Return what judges a log with these patterns."""
    return ExplainingJudge(patterns, engine) if patterns.explaining else LogJudge(patterns, engine)
