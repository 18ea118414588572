from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.logs import Failure, Judgement, LogPatterns, judge_log, read_tail

PATTERNS = LogPatterns(["PASSED"], ["ERROR"])


def test_a_log_is_judged_to_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x\n" * 400_000 + b"ERROR\nPASSED\n")
    found = judge_log(str(log), PATTERNS)
    assert found.failure == Failure("ERROR", 400_001, ("ERROR", "PASSED"))
    assert found.missing == ()
    assert found.lines == 400_002


def test_a_log_is_judged_up_to_the_size_that_it_has_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"a\n" * 10)
    read = os.read

    def grow_and_read(fd: int, size: int) -> bytes:
        with log.open("ab") as file:
            file.write(b"a\n" * size)
        return read(fd, size)

    monkeypatch.setattr(os, "read", grow_and_read)
    assert judge_log(str(log), PATTERNS).lines == 10


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
    ("plant", "complaint"),
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
def test_what_is_no_log_is_refused_at_once(
    tmp_path: Path, plant: Callable[[Path], object], complaint: str, read: Callable[[str], object]
) -> None:
    plant(tmp_path / "log")
    with pytest.raises(OSError, match=complaint):
        read(str(tmp_path / "log"))
