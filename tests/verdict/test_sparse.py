from __future__ import annotations

import errno
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.verdict import FailingLine, LogFollower, lines, sparse
from runtime.verdict.file import judge_log
from runtime.verdict.judge import LogPatterns
from runtime.verdict.log import LineNumbers
from runtime.verdict.worker import Workers

PATTERNS = LogPatterns([r"^PASSED$", r"\x00{9}x"], ["^ERROR", r"^\x00+y$"])
BLOCK = 4096
PARTS = st.sampled_from([b"PASSED\n", b"ERROR\n", b"x\n", b"y\n", b"x", b"\x1b]0;", b"\x07", b"\x1b[3", b"1m", b"\r"])


def write(path: Path, parts: list[tuple[int, bytes]], *, hollow: bool) -> None:
    """Write texts, each after a number of empty blocks: holes if `hollow`, otherwise NUL bytes."""
    with path.open("wb") as file:
        for blocks, text in parts:
            if hollow:
                file.seek(-(-file.tell() // BLOCK) * BLOCK + blocks * BLOCK)
            else:
                file.write(bytes(-file.tell() % BLOCK + blocks * BLOCK))
            file.write(text)
        file.truncate(max(file.tell(), os.fstat(file.fileno()).st_size))


@given(st.lists(st.tuples(st.integers(0, 40), st.lists(PARTS, max_size=3).map(b"".join)), max_size=5), st.booleans())
def test_a_hole_is_judged_as_the_nul_bytes_that_it_reads_as(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[int, bytes]], raw: bool
) -> None:
    hollow, full = (tmp_path_factory.getbasetemp() / name for name in ("hollow", "full"))
    write(hollow, parts, hollow=True)
    write(full, parts, hollow=False)
    patterns = LogPatterns(PATTERNS.passing, PATTERNS.failing, raw_lines=raw)
    with pytest.MonkeyPatch.context() as patch, closing(Workers()) as workers:
        patch.setattr(lines, "MAX_LINE", 2 * BLOCK)
        assert hollow.stat().st_size == full.stat().st_size
        assert judge_log(str(hollow), patterns) == judge_log(str(full), patterns)
        seen = [LogFollower(str(path), patterns, workers).look() for path in (hollow, full)]
        assert seen[0] is seen[1]


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    read, counts = os.pread, []

    def note(fd: int, size: int, start: int) -> bytes:
        counts.append(size)
        assert sum(counts) < 64 << 20
        return read(fd, size, start)

    monkeypatch.setattr(os, "pread", note)
    return counts


def test_a_hole_of_63_gigabytes_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    write(log, [(0, b"first"), (63 << 18, b"\nERROR\nPASSED\n")], hollow=True)
    count_reads(monkeypatch)
    found = judge_log(str(log), PATTERNS)
    assert found.failure == FailingLine("^ERROR", 2, "ERROR", ("first" + "\0" * 1995 + "…",), ("PASSED",))
    assert found.lines == 3
    with closing(Workers()) as workers, closing(LogFollower(str(log), PATTERNS, workers)) as follower:
        assert follower.look()


def test_a_hole_adds_nothing_to_the_budget(tmp_path: Path) -> None:
    log = tmp_path / "log"
    write(log, [(0, b"x" * BLOCK), (1 << 18, b"x" * BLOCK)], hollow=True)
    with log.open("rb") as file:
        status = os.fstat(file.fileno())
        assert status.st_size > 1 << 30
        assert sparse.LogFile(file.fileno(), status).data_size() == 2 * BLOCK


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP])
def test_without_reported_holes_all_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    log = tmp_path / "log"
    write(log, [(64, b"\nERROR\n")], hollow=True)

    def refuse(*_: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "lseek", refuse)
    reads = count_reads(monkeypatch)
    assert judge_log(str(log), PATTERNS).failure
    assert sum(reads) >= 64 * BLOCK


def test_a_log_that_shrinks_while_it_is_read_ends(tmp_path: Path) -> None:
    log = tmp_path / "log"
    write(log, [(64, b"x\n"), (64, b"y\n")], hollow=True)
    with log.open("r+b") as file:
        opened = sparse.LogFile(file.fileno(), os.fstat(file.fileno()))
        blocks = lines.read_blocks(opened)
        next(blocks)
        file.truncate(BLOCK)
        assert list(blocks) == []
        with pytest.raises(OSError, match="the log was cut while it was judged"):
            LineNumbers(opened).last()
