"""`LogJudge`: what the text of a log says about its job, in one pass over its bytes.

Whatever the sizes of the chunks that it is fed with, the answer is the same, and memory is bounded whatever the log:

* Patterns see one line at a time; what a line is, `lines` says. A last line without an end counts.
* A line that comes in pieces is judged piece by piece, so a match across the edge of two is not seen, and ``^`` matches
  at each.
* Of the lines that are kept for people, only the first `MAX_SHOWN` bytes are kept.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

import attrs

from runtime.job import compile_pattern
from runtime.verdict.engine import Engine, Hit, PythonEngine
from runtime.verdict.lines import Block, LineSplitter, shown
from runtime.verdict.reported_times import seconds

MAX_SHOWN: Final = 2000
"""Bytes of a line that are kept for people."""

TAIL_LINES: Final = 10
"""Lines that are kept of the end."""

LINES_BEFORE: Final = 4
"""Lines that are kept before a failing one: in a simulation the cause stands there, the time and the place of a failed
assertion, say. As many as after it; arbitrary, but less than `TAIL_LINES`, from which they are taken."""

LINES_AFTER: Final = 4
"""Lines that are kept after a failing one, as DVSim does: the rest of a message."""


@attrs.frozen
class LogPatterns:
    """What to look for in a log: regular expressions, as in a `JobSpec`."""

    passing: Sequence[str] = ()
    """Each must match some line."""
    failing: Sequence[str] = ()
    """None may match a line."""
    runtime: str | None = None
    """Finds the run time that the tool reports: groups ``value`` and ``unit``."""
    simulated_time: str | None = None
    """Finds the simulated time that the tool reports: groups ``value`` and ``unit``."""
    raw_lines: bool = False
    """Whether they see the bytes of a line as they are: see `lines`."""

    @classmethod
    def of(cls, spec: Any) -> Self:
        """Return the patterns of a `JobSpec`."""
        passing, failing = tuple(spec.pass_patterns), tuple(spec.fail_patterns)
        return cls(passing, failing, spec.runtime_pattern, spec.simulated_time_pattern, spec.raw_lines)

    def all(self) -> tuple[str, ...]:
        """Return all of them."""
        times = (self.runtime, self.simulated_time)
        return (*self.passing, *self.failing, *(pattern for pattern in times if pattern is not None))

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self.passing or self.failing or self.runtime or self.simulated_time)


@attrs.frozen
class Failure:
    """The first line that a fail pattern matches."""

    pattern: str
    line: int
    """Its number, from 1."""
    text: str
    """The line itself; of one that is judged in pieces, the piece that matches."""
    before: tuple[str, ...] = ()
    """The lines before it, up to `LINES_BEFORE`."""
    after: tuple[str, ...] = ()
    """The lines after it, up to `LINES_AFTER`."""

    def numbered(self) -> dict[int, str]:
        """Return the lines around it, itself included, by their numbers."""
        return dict(enumerate((*self.before, self.text, *self.after), self.line - len(self.before)))


@attrs.frozen
class Judgement:
    r"""What a log says. Text is decoded as UTF-8; bytes that are none show as ``\xNN``."""

    failure: Failure | None = None
    """The first line that a fail pattern matches; of two patterns on one line, the one that was given first."""
    missing: tuple[str, ...] = ()
    """The pass patterns that match no line."""
    tail: tuple[str, ...] = ()
    """The last lines, up to `TAIL_LINES`."""
    lines: int | None = None
    """How many lines there are; `None` if only the end was read."""
    job_runtime: float | None = None
    """The run time that the tool reports, in seconds; of several the last."""
    simulated_time: float | None = None
    """The simulated time that the tool reports, in seconds; of several the last."""


def show(line: bytes) -> str:
    """Return a line as text for people."""
    more = "…" if len(line) > MAX_SHOWN else ""
    return line[:MAX_SHOWN].decode("utf-8", "backslashreplace") + more


class LogJudge:
    """Feed it with the bytes of a log, `finish`, and read the `Judgement`.

    Args:
        patterns: what to look for.
        engine: makes the engine from the compiled patterns.

    Raises:
        SpecError: for a pattern that is none.
    """

    def __init__(
        self,
        patterns: LogPatterns,
        engine: Callable[[Sequence[re.Pattern[bytes]]], Engine] = PythonEngine,
    ) -> None:
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
        self._splitter = LineSplitter(raw=patterns.raw_lines)
        self._lines = 0  # numbered lines that have begun and of which something was judged
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._failure: Failure | None = None  # without the lines after it
        self._after: deque[str] = deque()

    def close(self) -> None:
        """Give back what the engine holds; after this, nothing can be fed."""
        self._engine.close()

    @property
    def has_failed(self) -> bool:
        """Whether a fail pattern has matched by now."""
        return self._failure is not None

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the log, any number of them."""
        for block in self._splitter.feed(chunk):
            self._judge(block)

    def finish(self) -> Judgement:
        """Say what the log says, now that it has ended. Once."""
        for block in self._splitter.finish():
            self._judge(block)
        return Judgement(
            None if self._failure is None else attrs.evolve(self._failure, after=tuple(self._after)),
            tuple(self._texts[number] for number in self._missing),
            tuple(self._tail),
            self._lines,
            self._times.get(self._runtime),
            self._times.get(self._simulated),
        )

    def _judge(self, block: Block) -> None:
        first = self._lines if block.continues else self._lines + 1
        newlines = block.source.count(b"\n")
        self._lines = first + newlines
        self._look(block, first)
        if self._failure is not None:
            self._keep_after(block, first, self._failure.line)
        ends = block.source.rsplit(b"\n", TAIL_LINES)[-TAIL_LINES:]
        self._append(self._tail, ends, block if newlines < TAIL_LINES else None)

    def _look(self, block: Block, first: int) -> None:
        """Find the patterns in `block`, whose lines are numbered from `first`. The tail is what was before them."""
        failing: Sequence[int] = self._failing if self._failure is None else ()
        if not (failing or self._missing or self._reporting):
            return
        failure: Hit | None = None
        for hit in self._engine.scan(block.text, [*failing, *self._missing], self._reporting):
            if hit.pattern in self._reporting:
                self._times[hit.pattern] = seconds(hit.value, hit.unit)
            elif hit.pattern >= len(self._failing):
                self._missing.remove(hit.pattern)
            elif failure is None or (hit.line, hit.pattern) < (failure.line, failure.pattern):
                failure = hit
        if failure is not None:
            line = block.text.split(b"\n", failure.line + 1)[failure.line]
            index = block.offset(failure.line)
            self._failure = Failure(
                self._texts[failure.pattern], first + index, show(line), self._lines_before(block, index)
            )

    def _lines_before(self, block: Block, index: int) -> tuple[str, ...]:
        """Return the numbered lines before the one at `index` of `block`."""
        before = deque(self._tail, LINES_BEFORE + 1)
        if index > 0:
            lines = block.source.split(b"\n", index)[:index]
            self._append(before, lines[-LINES_BEFORE:], block if index <= LINES_BEFORE else None)
        elif block.continues:
            before.pop()  # it is the line that has begun
        return tuple(before)[-LINES_BEFORE:]

    def _keep_after(self, block: Block, first: int, failed: int) -> None:
        """Keep the lines after number `failed` that `block` has, whose lines are numbered from `first`."""
        begin, end = max(0, failed + 1 - first), failed + LINES_AFTER + 1 - first
        if end <= begin:
            return
        lines = block.source.split(b"\n", end)[begin:end]
        self._append(self._after, lines, None if begin else block)

    def _append(self, kept: deque[str], lines: Sequence[bytes], block: Block | None) -> None:
        """Add numbered lines to `kept`. With `block`, they are its first ones, and may go on with the last there."""
        if block is not None and block.continues and lines:
            if not block.is_piece and (text := self._show(lines[0])):
                kept[-1] = text
            lines = lines[1:]
        kept.extend(map(self._show, lines))

    def _show(self, line: bytes) -> str:
        return show(line if self._raw else shown(line))
