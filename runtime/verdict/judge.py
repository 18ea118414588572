"""`LogJudge`: makes the judgement of a log in one pass over its blocks.

The judgement does not depend on how the log is cut into blocks, and memory is bounded for any log:

* Patterns see one line at a time; `lines` defines what a line is. A last line without an end counts.
* A line that comes in pieces is judged piece by piece, so a match across the edge of two pieces is not found, and ``^``
  matches at the beginning of each.
* Of a line that is shown to people, only the first `MAX_SHOWN` bytes are kept.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

import attrs

from runtime.job import JobSpec, Kinds, compile_pattern
from runtime.job.numbers import SECONDS_PER_UNIT
from runtime.verdict.engine import Engine, Hit, PythonEngine
from runtime.verdict.lines import Block, visible_part
from runtime.verdict.log import LineNumbers

MAX_SHOWN: Final = 2000
"""Bytes of a line that are shown to people. Arbitrary: ten times more, and the results of a bad night have gigabytes;
ten times less, and long messages of tools are cut."""

TAIL_LINES: Final = 10
"""Lines of the end of a log that are kept. Arbitrary: ten times more hide the message that matters; with one, the cause
is often missing."""

LINES_BEFORE: Final = 4
"""Lines that are kept before a failing one. In a simulation they often have the cause, such as the time and the place
of a failed assertion. Arbitrary: as many as after it; must be less than `TAIL_LINES`, from which they are taken."""

LINES_AFTER: Final = 4
"""Lines that are kept after a failing one: the rest of its message. As many as DVSim keeps."""


@attrs.frozen(cache_hash=True)
class LogPatterns:
    """What to look for in a log: regular expressions, as in a `JobSpec`."""

    passing: Sequence[str] = ()
    """Each must match at least one line."""
    failing: Sequence[str] = ()
    """None may match any line."""
    runtime: str | None = None
    """Finds the run time that the tool reports: groups ``value`` and ``unit``."""
    simulated_time: str | None = None
    """Finds the simulated time that the tool reports: groups ``value`` and ``unit``."""
    raw_lines: bool = False
    """Whether patterns see the bytes of a line as they are: see `lines`."""
    explaining: bool = False
    """Whether the line that explains a failure is looked for as well: see `explaining_judge`."""

    @staticmethod
    def of(spec: JobSpec) -> LogPatterns:
        """Return the patterns of a job."""
        passing, failing = tuple(spec.pass_patterns), tuple(spec.fail_patterns)
        return _patterns(passing, failing, spec.runtime_pattern, spec.simulated_time_pattern, spec.raw_lines)

    @staticmethod
    def of_kinds(spec: JobSpec, *, explaining: bool = False) -> LogPatterns:
        """Return the patterns of a job that show which kind of failure it was: as failing ones."""
        kinds = spec.kinds.all() if isinstance(spec.kinds, Kinds) else ()
        return _patterns((), kinds, None, None, spec.raw_lines, explaining)

    def all(self) -> tuple[str, ...]:
        """Return all of them but for those that explain, which are fast with any engine."""
        times = (self.runtime, self.simulated_time)
        return (*self.passing, *self.failing, *(pattern for pattern in times if pattern is not None))

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self.passing or self.failing or self.runtime or self.simulated_time or self.explaining)


_patterns: Final = lru_cache(maxsize=256)(LogPatterns)  # one object for many jobs: its hash is computed once
"""Makes a `LogPatterns`."""


@attrs.frozen
class FailingLine:
    """The first line that a fail pattern matches."""

    pattern: str
    """The pattern that matches, as it was given."""
    line: int
    """The number of the line, from 1."""
    text: str
    """The line itself; of a line that is judged in pieces, the piece that matches."""
    before: tuple[str, ...] = ()
    """The lines before it, up to `LINES_BEFORE`."""
    after: tuple[str, ...] = ()
    """The lines after it, up to `LINES_AFTER`."""

    def numbered(self) -> dict[int, str]:
        """Return this line and those around it, by their numbers."""
        return dict(enumerate((*self.before, self.text, *self.after), self.line - len(self.before)))


@attrs.frozen
class Judgement:
    r"""What a log says. Text is decoded as UTF-8; bytes that are not UTF-8 are shown as ``\xNN``."""

    failure: FailingLine | None = None
    """The first line that a fail pattern matches; of several patterns that match it, the one that was given first."""
    missing: tuple[str, ...] = ()
    """The pass patterns that match no line."""
    tail: tuple[str, ...] = ()
    """The last lines, up to `TAIL_LINES`."""
    lines: int | None = None
    """How many lines there are; `None` if they were not counted."""
    job_runtime: float | None = None
    """The run time that the tool reports, in seconds; of several reports the last."""
    simulated_time: float | None = None
    """The simulated time that the tool reports, in seconds; of several reports the last."""
    explanation: FailingLine | None = None
    """The line that explains a failure, if it was looked for, and there is one."""


def seconds(value: bytes | None, unit: bytes | None) -> float | None:
    """Return `value` of `unit`, in any case, in seconds.

    `None` if `value` is no finite number from 0, or `unit` not in `SECONDS_PER_UNIT`.
    """
    try:
        number = float(value or b"")
        result = number * SECONDS_PER_UNIT[(unit or b"").decode("ascii").lower()]
    except (ValueError, KeyError):
        return None
    return result if 0 <= result < math.inf else None


def to_text(line: bytes) -> str:
    """Return a line as text for people, cut after `MAX_SHOWN` bytes."""
    more = "…" if len(line) > MAX_SHOWN else ""
    return line[:MAX_SHOWN].decode("utf-8", "backslashreplace") + more


class LogJudge:
    """Makes a `Judgement`: let it `take` the blocks of a log, then `finish`.

    Args:
        patterns: what to look for.
        engine: makes an engine from the compiled patterns.

    Raises:
        SpecError: if a pattern is no valid regular expression.
    """

    def __init__(
        self, patterns: LogPatterns, engine: Callable[[Sequence[re.Pattern[bytes]]], Engine] = PythonEngine
    ) -> None:
        # Fail patterns come first: below, a number from `failing` on is that of a pass pattern or of a reported time.
        self._texts = (*patterns.failing, *patterns.passing)
        compiled = [compile_pattern(text) for text in self._texts]
        failing = len(patterns.failing)
        self._failing = list(range(failing))
        self._missing = list(range(failing, len(compiled)))
        self._times: dict[int, float | None] = {}
        self._runtime = self._simulated = -1
        if patterns.runtime is not None:
            self._runtime = len(compiled)
            compiled.append(compile_pattern(patterns.runtime, groups=("value", "unit")))
        if patterns.simulated_time is not None:
            self._simulated = len(compiled)
            compiled.append(compile_pattern(patterns.simulated_time, groups=("value", "unit")))
        self._reporting = [number for number in (self._runtime, self._simulated) if number >= 0]
        self._engine = engine(compiled)
        self._raw = patterns.raw_lines
        self._shown: deque[str] = deque(maxlen=TAIL_LINES)  # the last lines, but for those in `_unshown`
        self._unshown: bytes | None = None  # `TAIL_LINES` lines after them, as almost all of these are never shown
        self._failure: FailingLine | None = None  # without the lines after it, and with its number in its block
        self._failing_block = 0  # the offset of that block
        self._after: deque[str] = deque()
        self._line = 0  # the number of the first line of a block, less that of the failing line

    def close(self) -> None:
        """Release what the engine holds. `take` and `finish` must not be called after it."""
        self._engine.close()

    @property
    def has_failed(self) -> bool:
        """Whether a fail pattern has matched so far."""
        return self._failure is not None

    def take(self, block: Block) -> None:
        """Judge the next lines of the log."""
        self._line += not block.begin.continues
        self._search(block)
        if self._failure is not None and self._line <= LINES_AFTER:
            self._keep_after(block)
        self._keep_last(block)

    def finish(self, numbers: LineNumbers, *, numbered: bool = True) -> Judgement:
        """Return the judgement of the whole log. Must be called once, after the last `take`.

        Args:
            numbers: of the lines of the log.
            numbered: whether to count all lines, which takes a pass over the log, where no verdict depends on it. They
                are counted where a pass pattern that is missing makes the job fail.

        Raises:
            OSError: as `LineNumbers`.
        """
        failure = self._failure
        if failure is not None:
            line = numbers.at(self._failing_block) + failure.line
            failure = attrs.evolve(failure, line=line, after=tuple(self._after))
        return Judgement(
            failure,
            tuple(self._texts[number] for number in self._missing),
            tuple(self._tail()),
            numbers.last() if numbered or (self._missing and failure is None) else None,
            self._times.get(self._runtime),
            self._times.get(self._simulated),
        )

    def _search(self, block: Block) -> None:
        """Search `block`. What is kept of the lines before it is as it was."""
        # What is known already is not searched for again: the first failure, and the pass patterns that have matched.
        failing: Sequence[int] = self._failing if self._failure is None else ()
        if not (failing or self._missing or self._reporting):
            return
        # An engine gives hits in any order, so the first failing line is known after the last hit only.
        failure: Hit | None = None
        for hit in self._engine.scan(block, [*failing, *self._missing], self._reporting):
            if hit.pattern in self._reporting:
                self._times[hit.pattern] = seconds(hit.value, hit.unit)
            elif hit.pattern >= len(self._failing):
                self._missing.remove(hit.pattern)
            elif failure is None or (hit.line, hit.pattern) < (failure.line, failure.pattern):
                failure = hit
        if failure is not None:
            line = block.lines.split(b"\n", failure.line + 1)[failure.line]
            index = block.offset(failure.line)
            self._failure = FailingLine(
                self._texts[failure.pattern], index, to_text(line), self._lines_before(block, index)
            )
            self._failing_block = block.begin.offset
            self._line = -index

    def _lines_before(self, block: Block, index: int) -> tuple[str, ...]:
        """Return the numbered lines before the one at `index` in `block`."""
        before = deque(self._tail(), LINES_BEFORE + 1)
        if index > 0:
            lines = block.source.split(b"\n", index)[:index]
            self._append(before, lines[-LINES_BEFORE:], block if index <= LINES_BEFORE else None)
        elif block.begin.continues:
            before.pop()  # the beginning of the failing line itself, in the block before
        return tuple(before)[-LINES_BEFORE:]

    def _keep_after(self, block: Block) -> None:
        """Keep the lines of `block` that come after the failing one."""
        source = block.source
        begin, end = max(0, 1 - self._line), LINES_AFTER + 1 - self._line
        self._append(self._after, source.split(b"\n", end)[begin:end], None if begin else block)
        self._line += source.count(b"\n")

    def _keep_last(self, block: Block) -> None:
        """Keep the last lines of `block`."""
        begin, left = block.end, TAIL_LINES
        while begin > 0 and left:
            begin, left = block.text.rfind(b"\n", 0, begin), left - 1
        if begin > 0:  # so none of them continues a line of the block before
            self._shown.clear()
            self._unshown = block.text[begin + 1 : block.end]
            return
        lines = block.source.rsplit(b"\n", TAIL_LINES)
        self._append(self._tail(), lines[-TAIL_LINES:], block if len(lines) <= TAIL_LINES else None)

    def _tail(self) -> deque[str]:
        """Return the last lines so far."""
        if self._unshown is not None:
            self._shown.extend(map(self._show, self._unshown.split(b"\n")))
            self._unshown = None
        return self._shown

    def _append(self, kept: deque[str], lines: Sequence[bytes], block: Block | None) -> None:
        """Append numbered lines to `kept`.

        If `block` is given, `lines` are the first ones of it, of which the very first may continue the last of `kept`.
        """
        if block is not None and block.begin.continues and lines:
            # As on a terminal, what comes after CR overwrites the line, unless it is empty. Of a line in pieces the
            # first piece is shown.
            if not block.begin.in_piece and (text := self._show(lines[0])):
                kept[-1] = text
            lines = lines[1:]
        kept.extend(map(self._show, lines))

    def _show(self, line: bytes) -> str:
        return to_text(line if self._raw else visible_part(line))
