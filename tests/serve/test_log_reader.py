"""What is shown of a log, whatever is in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.roots import RootedPath, Roots
from runtime.serve import log_reader
from runtime.serve.log_reader import MAX_FOUND, MAX_LINE, MAX_LINES, MAX_TAIL, last_lines, search


@pytest.fixture
def log(tmp_path: Path) -> Iterator[RootedPath]:
    roots = Roots(str(tmp_path))
    roots.open()
    yield roots.run.below("job.log")
    roots.close()


def write(log: RootedPath, content: bytes) -> None:
    Path(str(log)).write_bytes(content)


def test_the_last_lines_have_their_numbers(log: RootedPath) -> None:
    write(log, b"a\nb\nc\n")
    assert last_lines(log, 2).lines == ((2, "b"), (3, "c"))
    assert last_lines(log, 9).lines == ((1, "a"), (2, "b"), (3, "c"))
    assert (last_lines(log, 9).note, last_lines(log, 2).note, last_lines(log, 9).size) == ("", "the last 2 lines", 6)


def test_an_empty_log_and_a_line_without_an_end(log: RootedPath) -> None:
    write(log, b"")
    assert last_lines(log, 5).lines == ()
    write(log, b"a\nb")
    assert last_lines(log, 5).lines == ((1, "a"), (2, "b"))


def test_of_a_long_log_only_the_end_is_read(log: RootedPath) -> None:
    write(log, b"x" * 99 + b"\n" + b"0123456789\n" * MAX_TAIL)
    found = last_lines(log, 10**9)
    assert len(found.lines) == MAX_LINES
    assert set(found.lines) == {(None, "0123456789")}


def test_a_log_with_a_hole_of_any_size_is_read_at_its_end(log: RootedPath) -> None:
    write(log, b"")
    os.truncate(str(log), 1 << 40)
    found = last_lines(log, 10)
    assert [len(text) for _, text in found.lines] == [len(r"\x00") * MAX_LINE + 1]


def test_control_characters_are_escaped(log: RootedPath) -> None:
    write(log, b"\x1b[31m\xff\ttab\r\n")
    assert last_lines(log, 1).lines == ((1, "\\x1b[31m\\xff\ttab"),)


def test_a_search_finds_each_line_once(log: RootedPath) -> None:
    write(log, b"one two two\nthree\ntwo")
    assert search(log, "two").lines == ((1, "one two two"), (3, "two"))
    assert search(log, "TWO").lines == ()
    assert search(log, "").lines == ()


@pytest.mark.parametrize("block", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("lines", [["a needle", "", "b", "needle needle", "need", "le", "x" * 50 + "needle"]])
def test_blocks_make_no_difference(
    log: RootedPath, lines: list[str], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "_BLOCK", block)
    write(log, "\n".join(lines).encode())
    expected = [number for number, line in enumerate(lines, 1) if "needle" in line]
    assert [number for number, _ in search(log, "needle").lines] == expected


def test_a_search_has_limits(log: RootedPath, monkeypatch: pytest.MonkeyPatch) -> None:
    write(log, b"needle\n" * 2 * MAX_FOUND)
    found = search(log, "needle")
    assert (len(found.lines), found.note) == (MAX_FOUND, f"the first {MAX_FOUND} lines that have it")
    write(log, b"x" * 10_000_000 + b"needle" + b"x" * 10_000_000)
    ((number, text),) = search(log, "needle").lines
    assert (number, "needle" in text, len(text)) == (1, True, MAX_LINE + 1)
    monkeypatch.setattr(log_reader, "SEARCH_TIME", -1)
    assert search(log, "needle").note.startswith("searched up to line 1: a search ends after")


def test_what_is_no_regular_file_is_not_read(log: RootedPath) -> None:
    os.mkfifo(str(log))
    with pytest.raises(OSError, match="no regular file"):
        last_lines(log, 1)
    with pytest.raises(OSError, match="no regular file"):
        search(log, "a")
