from __future__ import annotations

import errno
import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.verdict import FailingLine, Judgement, JudgingError, combined
from runtime.verdict.file import judge_log, judge_text, read_tail
from runtime.verdict.judge import LogPatterns

PATTERNS = LogPatterns(["PASSED"], ["ERROR"])


def test_a_log_is_judged_to_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x\n" * 400_000 + b"ERROR\nPASSED\n")
    found = judge_log(str(log), PATTERNS)
    assert found.failure == FailingLine("ERROR", 400_001, "ERROR", ("x",) * 4, ("PASSED",))
    assert found.missing == ()
    assert found.lines == 400_002


@pytest.mark.parametrize("text", [b"", b"PASSED", b"a\r\nERROR\n\nPASSED\n", b"\n" * 50 + b"a\n\r\n\xff\0ERROR"])
def test_a_text_is_judged_as_the_log_that_has_it(tmp_path: Path, text: bytes) -> None:
    log = tmp_path / "log"
    log.write_bytes(text)
    patterns = LogPatterns(("PASSED",), ("ERROR",))
    assert judge_text(text, patterns) == judge_log(str(log), patterns)
    assert judge_text(text, LogPatterns()) == read_tail(str(log))


def test_a_log_is_judged_up_to_the_size_that_it_has_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"a\n" * 10)
    read = os.pread

    def grow_and_read(fd: int, size: int, start: int) -> bytes:
        with log.open("ab") as file:
            file.write(b"ERROR\n" * size)
        return read(fd, size, start)

    monkeypatch.setattr(os, "pread", grow_and_read)
    found = judge_log(str(log), PATTERNS)
    assert (found.failure, found.lines) == (None, 10)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_log_that_cannot_be_read_for_a_moment_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"ERROR\n" + b"x\n" * 400_000 + b"PASSED\n")
    read, calls = os.pread, itertools.count(1)

    def fail_at_first(fd: int, size: int, start: int) -> bytes:
        if next(calls) in {2, 3}:
            raise OSError(number, os.strerror(number))
        return read(fd, size, start)

    monkeypatch.setattr(os, "pread", fail_at_first)
    found = judge_log(str(log), PATTERNS)
    assert found.failure == FailingLine("ERROR", 1, "ERROR", (), ("x",) * 4)
    assert found.lines == 400_002


def test_a_log_that_is_cut_while_it_is_judged_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"ERROR\n" + b"x\n" * 10)
    read = os.pread

    def read_and_cut(fd: int, size: int, start: int) -> bytes:
        text = read(fd, size, start)
        os.truncate(log, 0)
        return text

    monkeypatch.setattr(os, "pread", read_and_cut)
    assert judge_log(str(log), PATTERNS) == Judgement(None, ("PASSED",), (), 0)


@pytest.mark.parametrize(("number", "attempts"), [(errno.EIO, 3), (errno.ENOMEM, 1)])
def test_a_log_that_cannot_be_read_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, attempts: int
) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x")
    tried = []

    def fail(fd: int, size: int, start: int) -> bytes:
        tried.append(fd)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(OSError, match=os.strerror(number)):
        judge_log(str(log), PATTERNS)
    assert len(tried) == attempts


def test_a_pattern_that_takes_too_long_in_a_worker_is_an_error(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"a" * (1 << 20))
    with pytest.raises(JudgingError, match=r"exceeded its budget of 0\.6 s, pattern '\(\?=a\)\(a\+\)\+b'"):
        judge_log(str(log), LogPatterns((), ["(?=a)(a+)+b"]), budget=0.1)


def test_judging_in_this_process_has_a_budget_too(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"a\n" * (1 << 19))
    clock = itertools.count(0.0, 2.0)
    with pytest.raises(JudgingError, match=r"exceeded its budget of 1.5 s, 524288 bytes before the end"):
        judge_log(str(log), PATTERNS, budget=1.0, clock=lambda: next(clock))


def test_a_log_that_is_slow_to_read_is_an_error(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"a\n" * (1 << 23))  # 32 blocks
    slow = itertools.count(0.0, 4.9)
    with pytest.raises(JudgingError, match=r"took longer than 141 s, 1572864 bytes before the end: reading is slow"):
        judge_log(str(log), PATTERNS, budget=0.1, wall=lambda: next(slow))
    stopped = itertools.chain([0.0, 3600.0], itertools.repeat(3600.0))
    assert judge_log(str(log), PATTERNS, budget=0.1, wall=lambda: next(stopped)).lines == 1 << 23


@pytest.mark.parametrize("by", ["RE2", "a worker"])
def test_600_000_blank_lines_are_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    if by == "a worker":
        monkeypatch.setattr(combined, "is_linear", lambda pattern: False)
    log = tmp_path / "log"
    log.write_bytes(b"  \n" * 600_000 + b"Offending 'x'\n")
    pattern = r"^\s*Offending '.*'"
    # A search that is not linear would take minutes: the budget of processor time ends it, in this process or a worker.
    found = judge_log(str(log), LogPatterns((), [pattern]), budget=10.0, clock=time.thread_time)
    assert found.failure == FailingLine(pattern, 600_001, "Offending 'x'", ("  ",) * 4)


def test_random_bytes_are_judged(tmp_path: Path) -> None:
    log = tmp_path / "log"
    noise = os.urandom(1 << 20).replace(b"E", b"e") + bytes(1 << 16) + b"\xc3\n"
    log.write_bytes(noise * 2 + b"TEST PASSED\r\n")
    found = judge_log(str(log), LogPatterns(["^TEST PASSED$"], ["ERROR"]))
    assert (found.failure, found.missing) == (None, ())
    assert found.lines == 2 * noise.count(b"\n") + 1


def test_the_end_of_a_long_log_is_read_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"%d\r\n" % number for number in range(100_000)))
    assert read_tail(str(log)) == Judgement(tail=tuple(str(number) for number in range(99_990, 100_000)))
    log.write_bytes(b"x" * 200_000)
    assert read_tail(str(log)) == Judgement()
    log.write_bytes(b"one\ntwo")
    assert read_tail(str(log)).tail == ("one", "two")
    log.write_bytes(b"")
    assert read_tail(str(log)) == Judgement()


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


@pytest.mark.parametrize("read", [lambda path: judge_log(path, PATTERNS), read_tail], ids=["judge_log", "read_tail"])
@pytest.mark.parametrize(
    ("plant", "message"),
    [
        (lambda path: None, "No such file"),
        (os.mkfifo, "no regular file"),
        (Path.mkdir, "no regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "symbolic link"),
        (lambda path: path.symlink_to(__file__), "symbolic link"),
        (sparse, "1099511627776 bytes"),
    ],
    ids=["deleted", "fifo", "directory", "dev-zero", "symlink", "sparse"],
)
def test_a_file_that_is_no_log_is_an_error_at_once(
    tmp_path: Path, plant: Callable[[Path], object], message: str, read: Callable[[str], object]
) -> None:
    plant(tmp_path / "log")
    with pytest.raises(OSError, match=message):
        read(str(tmp_path / "log"))
