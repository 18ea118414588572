from __future__ import annotations

import itertools
from contextlib import closing
from pathlib import Path

import pytest

from runtime.verdict import LogFollower
from runtime.verdict.judge import LogPatterns
from runtime.verdict.worker import Workers


def test_a_line_counts_when_its_end_is_written(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"good\nERR")
    with (
        closing(Workers()) as workers,
        closing(LogFollower(str(log), LogPatterns(failing=["^ERROR$"]), workers)) as follower,
    ):
        assert not follower.look()
        for text, failed in ((b"", False), (b"OR", False), (b"\n", True), (b"more\n", True)):
            with log.open("ab") as file:
                file.write(text)
            assert follower.look() is failed


def test_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x\n" * 300_000)
    with (
        closing(Workers()) as workers,
        closing(LogFollower(str(log), LogPatterns(failing=["ERROR"]), workers)) as follower,
    ):
        assert not follower.look()
        log.write_bytes(b"ERROR\n" + b"x\n" * 300_000)  # in the part that was read already
        assert not follower.look()


def test_a_log_that_was_cut_is_read_from_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\ntwo")
    with (
        closing(Workers()) as workers,
        closing(LogFollower(str(log), LogPatterns(failing=["^ERROR"]), workers)) as follower,
    ):
        assert not follower.look()
        log.write_bytes(b"ERROR\n")  # shorter, but longer than the line that was whole
        assert follower.look()


def test_a_log_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with (
        closing(Workers()) as workers,
        closing(LogFollower(str(tmp_path / "log"), LogPatterns(failing=["E"]), workers)) as follower,
    ):
        with pytest.raises(FileNotFoundError):
            follower.look()


def test_a_worker_is_given_back(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"a\n")
    with closing(Workers()) as workers:
        follower = LogFollower(str(tmp_path / "log"), LogPatterns(failing=["(?=a)(a+)+b"]), workers)
        assert not follower.look()
        assert len(workers._busy) == 1
        follower.close()
        assert len(workers._idle) == 1


def test_a_look_that_takes_long_goes_on_with_the_next_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x\n" * (1 << 20) + b"ERROR\n")  # five blocks
    slow, patterns = itertools.count(0.0, 6.0), LogPatterns(failing=["ERROR"])
    with closing(Workers()) as workers:
        with closing(LogFollower(str(log), patterns, workers, wall=lambda: next(slow))) as follower:
            assert [follower.look() for _ in range(3)] == [False, False, True]
