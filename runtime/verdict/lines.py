r"""`read_blocks`: reads a log as blocks of lines, as patterns see them. It defines what a line is.

A tool that draws a progress bar ends its lines with ``\r`` alone, and a tool that takes its output for a terminal
colours it. So, unless the raw bytes are asked for (`JobSpec.raw_lines`):

* ``\n`` ends a line, and so does a run of ``\r``, with the ``\n`` after it if there is one. Lines are *numbered* by
  ``\n`` alone, as ``grep -n`` does, so several lines may have one number.
* Escape sequences, which a terminal does not show, are removed (`_SEQUENCE`). A sequence that is cut off by the end of
  its line, or is longer than `MAX_SEQUENCE`, stays: an unfinished sequence must not hide the text after it.
* Of the lines with one number, people are shown the last that is not empty, as on a terminal.

With `raw_lines`, ``\n`` ends a line, and all other bytes belong to it.

A line longer than `MAX_LINE` comes in pieces of that size, each as if it were a line, all with the line's number. A
sequence at the edge of two pieces belongs to the first of them as a whole.

The lines do not depend on how much is read at once. A block of lines that need no change is the text that was read, and
no copy of it: the line that it cuts off is read once more, with the next block.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Final

import attrs

from runtime.verdict.log import Log

MAX_LINE: Final = 1 << 20
"""Bytes of a line that are judged at once. Arbitrary: far longer than any line that a tool writes on purpose; ten times
more is that much more memory for each log that is judged."""

MAX_BLOCK: Final = 1 << 19
"""Bytes that are read at once, but for long lines. Measured: with half as many, the cost of each block makes judging a
long log a tenth slower; twice as many do not fit into the processor's cache, which makes it a third slower."""

MAX_SEQUENCE: Final = 4096
"""Bytes of the longest escape sequence that is removed. Arbitrary: longer than any title or link; pictures are longer.
Ten times more, and more text is held back at the edge of a piece; ten times less, and long links would stay."""

_PIECES_OF_A_HOLE: Final = 3
"""Pieces that stand for a long hole. Arbitrary: all have the same NUL bytes."""

_CR: Final = 13
_NEWLINE: Final = re.compile(rb"\n")
_LINE_END: Final = re.compile(rb"\r+\n?|\n")
_CR_RUN: Final = re.compile(rb"\r[\r\n]")

_SEQUENCE: Final = re.compile(
    rb"\x1b(?:"
    rb"\[[0-?]{0,1000}+[ -/]{0,1000}+[@-~]"  # CSI: colours, cursor movement
    rb"|[\]PX^_][^\x07\x1b\r\n]{0,4000}+(?:\x07|\x1b\\)"  # OSC (titles, links), DCS, SOS, PM, APC: up to BEL or ST
    rb"|[ -/]{1,1000}+[0-~]"  # nF: character sets, as `tput sgr0` says
    rb"|[0-OQ-WYZ\\`-~]"  # Fp, Fe, Fs: two bytes, but for those that begin one of the above
    rb")"
)
"""ECMA-48's control functions in seven bits. The bounds keep each below `MAX_SEQUENCE`; the repetitions are possessive,
so nothing that a job writes makes the search backtrack."""


@attrs.frozen
class Position:
    """Where a block begins."""

    offset: int = 0
    """In the log."""
    continues: bool = False
    """Whether the line there has the number of the line before it."""
    in_piece: bool = False
    """Whether it is a further piece of the line before it."""


@attrs.frozen
class Block:
    r"""Consecutive lines of a log."""

    text: bytes
    r"""Up to `end` the lines as they are in the log, with ``\n`` before each. What comes after it is not part of it."""
    end: int
    begin: Position = Position()
    """Where the first line begins. A further piece of a line is the only one in its block."""
    next: Position = Position()
    """Where the next block begins."""
    raw: bool = False
    """Whether patterns see the lines as they are."""

    @staticmethod
    def of(lines: bytes) -> Block:
        r"""Return a block of lines with ``\n`` between them."""
        return Block(b"\n" + lines, len(lines) + 1)

    @property
    def source(self) -> bytes:
        r"""The lines as they are in the log; there is a ``\n`` only between *numbered* lines."""
        return self.text[1 : self.end]

    @property
    def lines(self) -> bytes:
        r"""What patterns see, with ``\n`` between lines."""
        return self.clean().source

    def clean(self) -> Block:
        r"""Return the block as patterns see it, with ``\n`` before each line."""
        # `in` runs at the speed of memory. Letting Hyperscan look for these bytes as well would take twice the time.
        if self.raw or (b"\r" not in self.text and b"\x1b" not in self.text):
            return self
        lines = self.source
        if b"\r" in lines:  # most often a single CR, for which `replace` is faster than the pattern
            lines = lines.rstrip(b"\r").replace(b"\r\n", b"\n")
            lines = _LINE_END.sub(b"\n", lines) if _CR_RUN.search(lines) else lines.replace(b"\r", b"\n")
        return attrs.evolve(Block.of(_SEQUENCE.sub(b"", lines)), raw=True)

    def offset(self, line: int) -> int:
        """Return the number of the line at index `line`, less that of the first line."""
        if self.raw or b"\r" not in self.source:
            return line
        # Counted only where a pattern has matched: keeping a number for each line would cost more than the search.
        ends = itertools.islice(_LINE_END.finditer(self.source), line)
        return sum(end[0].endswith(b"\n") for end in ends)


def read_blocks(log: Log, at: Position = Position(), *, raw: bool = False, ended: bool = True) -> Iterator[Block]:
    """Yield the lines of `log` from `at` to its end. The next call goes on at the `next` of the last block.

    Args:
        log: what to read; a log that has become shorter ends there.
        at: where to begin.
        raw: as `JobSpec.raw_lines`.
        ended: whether its last line needs no line end, as nothing will follow.
    """
    size = MAX_BLOCK
    while at.offset < log.size:
        at = _behind_hole(log, at)
        wanted = min(size, log.size - at.offset)
        text = _read(log, at.offset, wanted)
        is_last = at.offset + wanted >= log.size or len(text) <= wanted
        before = at
        if at.continues and not at.in_piece and not raw:
            text, at = _behind_line_end(text, at)
        block = None if text == b"\n" else _block(text, at, raw=raw, is_whole=ended and is_last)
        if block is not None:
            at = block.next
            yield block
        if at == before and is_last:  # a line without its end, or none: the log has become shorter
            return
        size = MAX_LINE + MAX_SEQUENCE if at == before or at.in_piece else MAX_BLOCK


def visible_part(line: bytes) -> bytes:
    """Return what a terminal would show of a numbered line: the last part that is not empty, without sequences."""
    if b"\r" not in line and b"\x1b" not in line:
        return line
    end = len(line)
    while True:
        start = line.rfind(b"\r", 0, end) + 1
        text = _SEQUENCE.sub(b"", line[start:end])
        if text or not start:
            return text
        end = start - 1


def _read(log: Log, offset: int, size: int) -> bytes:
    r"""Return `size` bytes, and a ``\n`` before them: so each line has one before it, the first one too."""
    text = log.read(offset - 1, size + 1) if offset else b"\n" + log.read(0, size)
    return text if text.startswith(b"\n") else b"\n" + text[1:]


def _behind_hole(log: Log, at: Position) -> Position:
    """Return `at`, or, in a long hole, a position that many pieces of NUL bytes later.

    Whole pieces are left out, so that everything after the hole is cut into pieces at the same places.
    """
    pieces = (log.hole_end(at.offset) - at.offset) // MAX_LINE - _PIECES_OF_A_HOLE
    return at if pieces <= 0 else attrs.evolve(at, offset=at.offset + pieces * MAX_LINE)


def _behind_line_end(text: bytes, at: Position) -> tuple[bytes, Position]:
    r"""Leave out what still belongs to the line end before `at`, which is a run of CR: CR, and the ``\n`` after it."""
    rest = text[1:].lstrip(b"\r")
    continues = not rest.startswith(b"\n")
    rest = rest if continues else rest[1:]
    return b"\n" + rest, Position(at.offset + len(text) - 1 - len(rest), continues)


def _block(text: bytes, at: Position, *, raw: bool, is_whole: bool) -> Block | None:
    """Return the lines of `text`, or a piece of the first one if that is long; `None` if none of them is whole."""
    end, stop = _last_end(text, raw=raw, is_whole=is_whole)
    if not end or at.in_piece or end - 1 > MAX_LINE:
        first = (_NEWLINE if raw else _LINE_END).search(text, 1) if end else None
        line, line_end = (text[1:], b"") if first is None else (text[1 : first.start()], first[0])
        return _piece(line, line_end, at, raw=raw, is_whole=is_whole or first is not None)
    continues = not raw and text[stop - 1] == _CR
    return Block(text, end, at, Position(at.offset + stop - 1, continues), raw)


def _last_end(text: bytes, *, raw: bool, is_whole: bool) -> tuple[int, int]:
    """Return the end of the last line that is whole, without its line end and with it; zeros if there is none."""
    if is_whole and not text.endswith(b"\n"):
        return len(text), len(text)
    newline = text.rfind(b"\n", 1)
    end = newline if newline > 0 or raw else text.rfind(b"\r")
    return (end, end + 1) if end > 0 else (0, 0)


def _piece(line: bytes, line_end: bytes, at: Position, *, raw: bool, is_whole: bool) -> Block | None:
    """Return the next piece of `line`; `None` if it has to be longer for that."""
    edge = MAX_LINE
    if len(line) <= edge:
        if not is_whole:
            return None
        following = Position(at.offset + len(line) + len(line_end), line_end.endswith(b"\r"))
        return Block(b"\n" + line, len(line) + 1, at, following, raw)
    if not raw and line.find(b"\x1b", max(0, edge - MAX_SEQUENCE), edge) >= 0:
        if not is_whole and len(line) < edge + MAX_SEQUENCE:
            return None  # the sequence may go on, and the edge depends on its end
        edge = _edge_behind_sequence(line, edge)
    following = Position(at.offset + edge, continues=True, in_piece=True)
    return Block(b"\n" + line[:edge], edge + 1, at, following, raw)


def _edge_behind_sequence(line: bytes, edge: int) -> int:
    """Return `edge`, or, if it is inside an escape sequence, the end of that."""
    for found in _SEQUENCE.finditer(line, 0, edge + MAX_SEQUENCE):
        if found.end() > edge:
            return found.end() if found.start() < edge else edge
    return edge
