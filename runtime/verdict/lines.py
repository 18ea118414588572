r"""`LineSplitter`: makes blocks of lines, as patterns see them, from the chunks of a log. It defines what a line is.

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

The result does not depend on the edges of the chunks.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Final

import attrs

MAX_LINE: Final = 1 << 20
"""Bytes of a line that are judged at once. Arbitrary: far longer than any line that a tool writes on purpose; ten times
more is that much more memory for each log that is judged."""

MAX_BLOCK: Final = 1 << 18
"""Bytes that are taken from a chunk at once; a block is at most as long as this, `MAX_LINE` and `MAX_SEQUENCE` added.
Not measured: ten times less, and the cost per block would show; ten times more is more memory for each log."""

MAX_SEQUENCE: Final = 4096
"""Bytes of the longest escape sequence that is removed. Arbitrary: longer than any title or link; pictures are longer.
Ten times more, and more text is held back at the edge of a piece; ten times less, and long links would stay."""

_LF, _CR = b"\n\r"
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
class Block:
    r"""Consecutive lines of a log."""

    text: bytes
    r"""What patterns see, with ``\n`` between lines."""
    source: bytes
    r"""What `text` was made from; it has ``\n`` only between *numbered* lines."""
    continues: bool
    """Whether the first line has the number of the last line of the block before."""
    is_piece: bool
    """Whether the first line is a further piece of the last line of the block before. Then it is the only one."""

    def offset(self, line: int) -> int:
        """Return the number of the line at index `line`, less that of the first line."""
        if self.source is self.text or b"\r" not in self.source:
            return line
        # Counted only where a pattern has matched: keeping a number for each line would cost more than the search.
        ends = itertools.islice(_LINE_END.finditer(self.source), line)
        return sum(end[0].endswith(b"\n") for end in ends)


class LineSplitter:
    """Splits a log: `feed` it the bytes, then `finish`.

    Args:
        raw: as `JobSpec.raw_lines`.
    """

    def __init__(self, *, raw: bool = False) -> None:
        self._raw = raw
        self._rest = bytearray()  # of a line that has begun, without the pieces that were yielded
        self._continues = False  # whether that line has the number of the one before it
        self._in_pieces = False  # whether a piece of that line was yielded

    def feed(self, chunk: bytes) -> Iterator[Block]:
        """Take the next bytes of the log, any number of them; yield the blocks that they complete."""
        for start in range(0, len(chunk), MAX_BLOCK):
            rest, piece = self._rest, chunk[start : start + MAX_BLOCK]
            if not self._raw and rest.endswith(b"\r"):  # an LF after it would belong to the same line end
                rest.pop()
                piece = b"\r" + piece
            end = _last_end(piece, raw=self._raw)
            if end:
                # Through a bytearray, though joining would copy less: this way glibc keeps its pages from block to
                # block. Measured on 100 MB: 500 page faults instead of 37,000, and half the time.
                rest += piece[: end - 1]
                source = bytes(rest)
                rest.clear()
                rest += piece[end:]
                yield from self._blocks(source)
                self._continues = piece[end - 1] == _CR
            else:
                rest += piece
            if not self._raw and rest.endswith(b"\r\r"):  # one stands for a run: an endless run takes no memory
                rest[:] = rest.rstrip(b"\r") + b"\r"
            if len(rest) > MAX_LINE:
                yield from self._pieces(rest)

    def finish(self) -> Iterator[Block]:
        """Yield what is left of the log, which has ended: its last line needs no line end."""
        if self._rest:
            source = bytes(self._rest)
            self._rest.clear()
            yield from self._blocks(source)

    def _blocks(self, source: bytes) -> Iterator[Block]:
        """Yield the lines of `source`, which are whole; the end of the last one is removed already."""
        if not self._raw and b"\r" in source:
            source = source.rstrip(b"\r").replace(b"\r\n", b"\n")
        if len(source) <= MAX_LINE and not self._in_pieces:
            yield self._block(source)
            return
        start = 0  # rare: the block may have a line that is too long, or has the end of one
        for end in itertools.chain((_NEWLINE if self._raw else _LINE_END).finditer(source), [None]):
            rest = bytearray(source[start : None if end is None else end.start()])
            yield from self._pieces(rest, is_whole=True)
            yield self._block(bytes(rest))
            self._in_pieces = False
            if end is not None:
                self._continues = not end[0].endswith(b"\n")
                start = end.end()

    def _pieces(self, line: bytearray, *, is_whole: bool = False) -> Iterator[Block]:
        """Yield the pieces of a line that is too long, and remove them from it."""
        waiting = not self._raw and not is_whole and line.endswith(b"\r")  # a CR that belongs to the end of the line
        while len(line) - waiting > MAX_LINE:
            edge = MAX_LINE
            if not self._raw and line.find(b"\x1b", max(0, edge - MAX_SEQUENCE), edge) >= 0:
                if not is_whole and len(line) < edge + MAX_SEQUENCE:
                    return  # the sequence may go on in the next chunk, and the edge depends on its end
                edge = _edge_behind_sequence(line, edge)
            yield self._block(bytes(line[:edge]))
            del line[:edge]
            self._continues = self._in_pieces = True

    def _block(self, source: bytes) -> Block:
        text = source
        if not self._raw:
            # `in` runs at the speed of memory; the patterns alone would cost a fifth of the time of judging.
            if b"\r" in text:  # most often a single CR, for which `replace` is faster than the pattern
                text = _LINE_END.sub(b"\n", text) if _CR_RUN.search(text) else text.replace(b"\r", b"\n")
            if b"\x1b" in text:
                text = _SEQUENCE.sub(b"", text)
        block = Block(text, source, self._continues, self._in_pieces)
        self._continues = False
        return block


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


def _last_end(chunk: bytes, *, raw: bool) -> int:
    """Return the end of the last line that is certainly whole; 0 if there is none."""
    newline = chunk.rfind(b"\n") + 1
    if raw or chunk.find(b"\r", newline) < 0:
        return newline
    # A run of CR at the end of the chunk may go on in the next one.
    return max(newline, chunk.rfind(b"\r", newline, len(chunk.rstrip(b"\r"))) + 1)


def _edge_behind_sequence(line: bytearray, edge: int) -> int:
    """Return `edge`, or, if it is inside an escape sequence, the end of that."""
    for found in _SEQUENCE.finditer(line, 0, edge + MAX_SEQUENCE):
        if found.end() > edge:
            return found.end() if found.start() < edge else edge
    return edge
