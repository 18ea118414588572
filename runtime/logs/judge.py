r"""`LogJudge`: what the text of a log says about its job, in one pass over its bytes.

Whatever the sizes of the chunks that it is fed with, the answer is the same, and memory is bounded whatever the log:

* Patterns see one line at a time, without its ``\n`` and without one ``\r`` before that. A last line without ``\n``
  counts.
* A line longer than `MAX_LINE` is judged in pieces of that size, each as if it were a line (so a match across the edge
  of two pieces is not seen, and ``^`` matches at each); all pieces have the line's number.
* Of the lines that are kept for people, only the first `MAX_SHOWN` bytes are kept.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

import attrs

from runtime.job import compile_pattern
from runtime.logs.engine import Engine, Hit, PythonEngine
from runtime.logs.times import seconds

MAX_LINE: Final = 1 << 20
"""Bytes of a line that are judged at once. Out of the air: far above any line that somebody meant."""

MAX_BLOCK: Final = 1 << 18
"""Bytes that are taken from a chunk at once; an engine never sees more than `MAX_LINE` above this."""

MAX_SHOWN: Final = 2000
"""Bytes of a line that are kept for people."""

TAIL_LINES: Final = 10
"""Lines that are kept of the end."""

LINES_BEFORE: Final = 4
"""Lines that are kept before a failing one: in a simulation the cause stands there, the time and the place of a failed
assertion, say. As many as after it; out of the air, but less than `TAIL_LINES`, from which they are taken."""

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

    @classmethod
    def of(cls, spec: Any) -> Self:
        """Return the patterns of a `JobSpec`."""
        passing, failing = tuple(spec.pass_patterns), tuple(spec.fail_patterns)
        return cls(passing, failing, spec.runtime_pattern, spec.simulated_time_pattern)

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
        self._carry = bytearray()  # the line that has begun, without the pieces that were judged
        self._in_line = False  # whether a piece of that line was judged
        self._lines = 0  # lines that have begun and of which something was judged
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._failure: Failure | None = None  # without the lines after it
        self._after: list[str] = []

    def close(self) -> None:
        """Give back what the engine holds; after this, nothing can be fed."""
        self._engine.close()

    @property
    def has_failed(self) -> bool:
        """Whether a fail pattern has matched by now."""
        return self._failure is not None

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the log, any number of them."""
        for start in range(0, len(chunk), MAX_BLOCK):
            self._feed(chunk[start : start + MAX_BLOCK])

    def finish(self) -> Judgement:
        """Say what the log says, now that it has ended. Once."""
        if self._carry:
            self._end_lines()
        return Judgement(
            None if self._failure is None else attrs.evolve(self._failure, after=tuple(self._after)),
            tuple(self._texts[number] for number in self._missing),
            tuple(self._tail),
            self._lines,
            self._times.get(self._runtime),
            self._times.get(self._simulated),
        )

    def _feed(self, chunk: bytes) -> None:
        end = chunk.rfind(b"\n")
        if end >= 0:
            self._carry += chunk[:end]
            self._end_lines()
            self._carry += chunk[end + 1 :]
        else:
            self._carry += chunk
        while len(self._carry) > MAX_LINE:
            self._judge_piece(bytes(self._carry[:MAX_LINE]))
            del self._carry[:MAX_LINE]
            self._in_line = True

    def _end_lines(self) -> None:
        """Judge what is carried: whole lines. The first one may have been begun before."""
        block = bytes(self._carry)
        self._carry.clear()
        if len(block) <= MAX_LINE and not self._in_line:
            if b"\r" in block:
                block = block.replace(b"\r\n", b"\n").removesuffix(b"\r")
            self._judge(block)
            return
        for line in block.split(b"\n"):
            rest = line
            while len(rest) > MAX_LINE:
                self._judge_piece(rest[:MAX_LINE])
                rest = rest[MAX_LINE:]
                self._in_line = True
            self._judge_piece(rest.removesuffix(b"\r"))
            self._in_line = False

    def _judge_piece(self, piece: bytes) -> None:
        """Judge one line, or the next piece of the one that has begun."""
        if self._in_line:
            self._look(piece, self._lines)
        else:
            self._judge(piece)

    def _judge(self, block: bytes) -> None:
        """Judge a block of whole lines, all of them new, without carriage returns at their ends."""
        first = self._lines + 1
        self._lines += block.count(b"\n") + 1
        if self._failure is not None and len(self._after) < LINES_AFTER:
            wanted = LINES_AFTER - len(self._after)
            self._after += map(show, block.split(b"\n", wanted)[:wanted])
        self._look(block, first)
        self._tail.extend(map(show, block.rsplit(b"\n", TAIL_LINES)[-TAIL_LINES:]))

    def _look(self, block: bytes, first: int) -> None:
        """Find the patterns in `block`, whose lines are numbered from `first`. The tail is what was before them."""
        failing: Sequence[int] = self._failing if self._failure is None else ()
        if not (failing or self._missing or self._reporting):
            return
        failure: Hit | None = None
        for hit in self._engine.scan(block, [*failing, *self._missing], self._reporting):
            if hit.pattern in self._reporting:
                self._times[hit.pattern] = seconds(hit.value, hit.unit)
            elif hit.pattern >= len(self._failing):
                self._missing.remove(hit.pattern)
            elif failure is None or (hit.line, hit.pattern) < (failure.line, failure.pattern):
                failure = hit
        if failure is not None:
            end = failure.line + 1 + LINES_AFTER
            lines = block.split(b"\n", end)[:end]
            before = list(self._tail)[: -1 if self._in_line else None]  # the last one is the line that has begun
            before += map(show, lines[max(0, failure.line - LINES_BEFORE) : failure.line])
            text, number = self._texts[failure.pattern], first + failure.line
            self._failure = Failure(text, number, show(lines[failure.line]), tuple(before[-LINES_BEFORE:]))
            self._after += map(show, lines[failure.line + 1 :])
