from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.verdict import FailingLine, Judgement, LogFollower, lines
from runtime.verdict.combined import CombinedEngine
from runtime.verdict.engine import Engine, PythonEngine
from runtime.verdict.file import judge_text, read_tail
from runtime.verdict.judge import LogJudge, LogPatterns
from runtime.verdict.linear import LinearEngine
from runtime.verdict.prefilter import PrefilterEngine
from runtime.verdict.worker import WorkerEngine, Workers
from tests.verdict.definition import CUTS, LOGS, TIME, blocks_of, judge_blocks, line_by_line, parts_of

Make = Callable[[Sequence[re.Pattern[bytes]], Workers], Engine]

# Each by itself, so that no engine hides the faults of another: a worker for all, RE2 for all, Hyperscan from byte 0.
ENGINES: dict[str, Make] = {
    "re": lambda patterns, workers: PythonEngine(patterns),
    "RE2": lambda patterns, workers: LinearEngine(patterns),
    "worker": lambda patterns, workers: WorkerEngine(patterns, workers, 10.0),
    "combined": lambda patterns, workers: CombinedEngine(patterns, workers, 10.0),
    "prefilter": lambda patterns, workers: PrefilterEngine(patterns, LinearEngine(patterns), 0),
}


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with closing(Workers()) as found:
        yield found


def judged(log: bytes, patterns: LogPatterns, cuts: Sequence[int] = (), engine: Make = ENGINES["re"]) -> Judgement:
    with closing(Workers()) as none_needed:
        return judged_with(none_needed, log, patterns, cuts, engine)


def judged_with(
    workers: Workers, log: bytes, patterns: LogPatterns, cuts: Sequence[int], engine: Make = ENGINES["re"]
) -> Judgement:
    with closing(LogJudge(patterns, lambda compiled: engine(compiled, workers))) as judge:
        return judge_blocks(judge, log, cuts, raw=patterns.raw_lines)


@pytest.mark.parametrize("engine", list(ENGINES))
@given(log=LOGS, cuts=CUTS, raw=st.booleans(), size=st.sampled_from([4, 16, 64, lines.MAX_BLOCK]))
@example(log=b"\n" * 20 + b"x\n", cuts=[], raw=False, size=lines.MAX_BLOCK)  # which builds since 0.7.23 miss
def test_any_chunking_gives_what_line_by_line_gives(
    workers: Workers, engine: str, log: bytes, cuts: list[int], raw: bool, size: int
) -> None:
    patterns = LogPatterns(["^PASS", "x$"], ["ERROR$", "(?i)^error", "ER{2}OR"], TIME, raw_lines=raw)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "MAX_BLOCK", size)
        assert judged_with(workers, log, patterns, cuts, ENGINES[engine]) == line_by_line(log, patterns)


@given(LOGS, st.integers(1, 60), st.booleans())
def test_any_chunking_gives_the_same_for_lines_that_are_too_long(log: bytes, size: int, raw: bool) -> None:
    patterns = LogPatterns(["gab", "^$"], ["xE", "RO"], raw_lines=raw)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "MAX_LINE", 8)
        patch.setattr(lines, "MAX_SEQUENCE", 64)
        assert judged(log, patterns, range(0, len(log), size)) == judged(log, patterns)


@given(LOGS, CUTS, st.booleans())
def test_a_log_that_grows_is_judged_line_by_line(
    tmp_path_factory: pytest.TempPathFactory, log: bytes, cuts: list[int], raw: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "log"
    path.write_bytes(b"")
    patterns = LogPatterns(failing=["ERROR$"], raw_lines=raw)
    edges = [0, *sorted(cut % (len(log) + 1) for cut in cuts), len(log)]
    with closing(Workers()) as workers, closing(LogFollower(str(path), patterns, workers)) as follower:
        for start, end in itertools.pairwise(edges):
            with path.open("ab") as file:
                file.write(log[start:end])
            whole = log[: max(log.rfind(b"\n", 0, end), -1 if raw else log.rfind(b"\r", 0, end)) + 1]
            seen = any(re.search(rb"ERROR$", part) for parts in parts_of(whole, raw=raw) for part in parts)
            assert follower.look() is seen


@given(LOGS, st.booleans())
def test_the_end_of_a_log_is_shown_as_the_judge_shows_it(
    tmp_path_factory: pytest.TempPathFactory, log: bytes, raw: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "log"
    path.write_bytes(log)
    patterns = LogPatterns(raw_lines=raw)
    tail = line_by_line(log, patterns).tail
    assert read_tail(str(path), raw=raw).tail == tail
    assert judge_text(log, patterns).tail == tail


@pytest.mark.parametrize(
    ("log", "found"),
    [
        (b"10%\r50%\rERROR: parity\nPASSED\n", [[b"10%", b"50%", b"ERROR: parity"], [b"PASSED"]]),
        (b"a\r\nb\r\r\nc\r", [[b"a"], [b"b"], [b"c"]]),
        (b"\x1b[1;31mERROR\x1b[0m: x\n", [[b"ERROR: x"]]),
        (b"\x1b[38:2::255:0:0mred\x1b(B\x1b[m \x1b7\x1b[2K\x1b[?25lx", [[b"red x"]]),
        (b"\x1b]0;a title\x07x\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\ \x1bP1$r\x1b\\y", [[b"xlink y"]]),
        (b"\x1b]0;never ended ERROR\nx\x1b[31\ny\x1b", [[b"\x1b]0;never ended ERROR"], [b"x\x1b[31"], [b"y\x1b"]]),
        (b"\x1b]0;" + b"z" * 5000 + b"\x07", [[b"\x1b]0;" + b"z" * 5000 + b"\x07"]]),
        (b"\r\x1b[K\n", [[b"", b""]]),
    ],
    ids=["progress", "crlf", "colour", "csi", "osc", "unfinished", "too-long", "erased"],
)
def test_lines_are_what_a_terminal_shows(log: bytes, found: list[list[bytes]]) -> None:
    for size in range(1, 20):
        numbered: list[list[bytes]] = []
        for block in blocks_of(log, range(0, len(log), size)):
            parts = block.lines.split(b"\n")
            for index, part in enumerate(parts):
                goes_on = block.offset(index) == block.offset(index - 1) if index else block.begin.continues
                if not goes_on:
                    numbered.append([])
                numbered[-1].append(part)
        assert numbered == found


def test_a_line_number_counts_newlines_alone() -> None:
    log = b"one\n10%\r50%\r" + b"x\r" * 300_000 + b"ERROR a\rmore\r\nnext\r\n"
    for size in (7, 1 << 16, len(log)):
        found = judged(log, LogPatterns((), ["^ERROR a$"]), range(0, len(log), size))
        assert found.failure == FailingLine("^ERROR a$", 2, "ERROR a", ("one",), ("next",))
        assert (found.lines, found.tail) == (3, ("one", "more", "next"))


def test_raw_lines_are_matched_byte_by_byte() -> None:
    log = b"\x1b[31mERROR\x1b[0m\r\n"
    assert judged(log, LogPatterns((), [r"^\x1b\[31mERROR"], raw_lines=True)).failure
    assert judged(log, LogPatterns([r"\r$", "^ERROR", "0m$"], raw_lines=True)).missing == ("^ERROR", "0m$")


def test_no_edge_of_a_piece_cuts_a_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE", 8)
    monkeypatch.setattr(lines, "MAX_SEQUENCE", 16)
    for before in range(12):
        log = b"x" * before + b"\x1b[1;31mERR\x1b[0m" + b"y" * 20
        for size in range(1, 12):
            blocks = list(blocks_of(log, range(0, len(log), size)))
            assert b"".join(block.lines for block in blocks) == b"x" * before + b"ERR" + b"y" * 20
            assert [block.begin.in_piece for block in blocks] == [False, *[True] * (len(blocks) - 1)]


def test_a_run_of_carriage_returns_is_one_line_end() -> None:
    log = b"\r" * (4 * lines.MAX_BLOCK) + b"\nx\n"
    for step in (100_000, len(log)):
        blocks = list(blocks_of(log, range(0, len(log), step)))
        assert [block.lines for block in blocks] == [b"", b"x"]
        assert not blocks[-1].begin.continues
