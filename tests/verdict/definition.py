"""The lines of a log and their judgement, defined as simply as possible. The real code must give the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from hypothesis import strategies as st

from runtime.verdict import FailingLine, Judgement
from runtime.verdict.explaining_judge import ExplainingJudge
from runtime.verdict.judge import LogJudge, LogPatterns, seconds
from runtime.verdict.lines import Block, Position, read_blocks
from runtime.verdict.log import LineNumbers, LogText

TIME = r"^t (?P<value>\d+) (?P<unit>[a-z]+)"

_SEQUENCE = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]"
    rb"|\x1b[\]PX^_][^\x07\x1b\r\n]*(\x07|\x1b\\)"
    rb"|\x1b[ -/]+[0-~]"
    rb"|\x1b(?![\[\]PX^_])[0-~]"
)

PIECES = st.sampled_from(
    [
        *(b"\n", b"\r\n", b"\r", b"\r\r\n", b"ERROR", b"error", b"PASS", b"t 12 ns", b"t 5 x", b" ", b"x", b"\xff\0"),
        *(b"\xc3\xa4", b"\x1b[1;31m", b"\x1b[0m", b"\x1b", b"\x1b[", b"\x1b]0;ERROR", b"\x07", b"\x1b\\", b"\x1b(B"),
    ]
)
LOGS = st.lists(PIECES, max_size=40).map(b"".join)
CUTS = st.lists(st.integers(0, 10_000), max_size=8)


def blocks_of(log: bytes, cuts: Sequence[int] = (), *, raw: bool = False) -> Iterator[Block]:
    """Yield the blocks of a log that is read while it is written: up to each of `cuts`, and then to its end."""
    position = Position()
    for cut in (*sorted(cut % (len(log) + 1) for cut in cuts), None):
        for block in read_blocks(LogText(log[:cut]), position, raw=raw, ended=cut is None):
            position = block.next
            yield block


def judge_blocks(
    judge: LogJudge | ExplainingJudge, log: bytes, cuts: Sequence[int] = (), *, raw: bool = False
) -> Judgement:
    """Return the judgement of a log."""
    for block in blocks_of(log, cuts, raw=raw):
        judge.take(block)
    return judge.finish(LineNumbers(LogText(log)))


def parts_of(log: bytes, *, raw: bool) -> list[list[bytes]]:
    r"""Return the lines that patterns see, for each line that ``grep -n`` would number."""
    numbered = log.split(b"\n")
    if not numbered[-1]:
        numbered.pop()
    if raw:
        return [[line] for line in numbered]
    return [[_SEQUENCE.sub(b"", part) for part in re.split(rb"\r+", line.rstrip(b"\r"))] for line in numbered]


def line_by_line(log: bytes, patterns: LogPatterns) -> Judgement:
    """Return the judgement of a log that has no line longer than `MAX_LINE`."""
    numbered = parts_of(log, raw=patterns.raw_lines)
    shown = [_text([b"", *filter(None, parts)][-1]) for parts in numbered]
    failures = [
        FailingLine(pattern, number, _text(part), tuple(shown[:number][-5:-1]), tuple(shown[number : number + 4]))
        for number, parts in enumerate(numbered, 1)
        for part in parts
        for pattern in patterns.failing
        if re.search(pattern.encode(), part)
    ]
    parts = [part for parts in numbered for part in parts]
    missing = [p for p in patterns.passing if not any(re.search(p.encode(), part) for part in parts)]
    times = [match for part in parts if patterns.runtime and (match := re.search(patterns.runtime.encode(), part))]
    return Judgement(
        failures[0] if failures else None,
        tuple(missing),
        tuple(shown[-10:]),
        len(numbered),
        seconds(times[-1]["value"], times[-1]["unit"]) if times else None,
    )


def _text(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace")
