"""`WatchedLog`: what a look tells about a log, and what a search finds, whatever the job has done to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runtime.backend import watched_log
from runtime.backend.watched_log import Searched, WatchedLog
from runtime.job import JobSpec
from runtime.verdict import JudgingError, LogFollower, LogPath, Verdicts

FOUND, NOT_YET = Searched(found=True), Searched(found=False)


@pytest.fixture
def verdicts() -> Iterator[Verdicts]:
    with closing(Verdicts()) as verdicts:
        yield verdicts


def log_of(path: Path, verdicts: Verdicts, pattern: str = "^begin$", **fields: object) -> WatchedLog:
    spec = JobSpec(name="a", cmd="true", timeout_from=pattern, **fields)  # type: ignore[arg-type]  # fields of any kind
    return WatchedLog(spec, str(path), verdicts.start_follower)


@pytest.mark.parametrize(
    ("error", "says_nothing"),
    [
        (OSError(5, "EIO"), True),
        (OSError(116, "ESTALE"), True),
        (OSError(24, "EMFILE"), True),
        (MemoryError(), True),
        (OSError(2, "ENOENT"), False),
        (OSError(40, "ELOOP"), False),
    ],
)
def test_only_some_errors_tell_that_there_is_no_log(
    tmp_path: Path, verdicts: Verdicts, monkeypatch: pytest.MonkeyPatch, error: BaseException, says_nothing: bool
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(watched_log, "log_status", fail)
    assert (log_of(tmp_path / "log", verdicts).look(with_last_line=True) is None) is says_nothing


def test_a_line_is_found_when_its_end_is_written(tmp_path: Path, verdicts: Verdicts) -> None:
    path = tmp_path / "log"
    log = log_of(path, verdicts)
    found = [log.search()]
    for text in ("waits\n", "begin", "\n", "more\n"):
        with path.open("a") as file:
            file.write(text)
        found.append(log.search())
    assert found == [NOT_YET, NOT_YET, NOT_YET, FOUND, FOUND]


def test_a_log_that_is_cut_or_replaced_is_read_from_its_beginning(tmp_path: Path, verdicts: Verdicts) -> None:
    path = tmp_path / "log"
    for replace in (False, True):
        log = log_of(path, verdicts)
        path.write_text("waits for a licence\nbeg")
        assert log.search() == NOT_YET
        if replace:
            path.unlink()
            path.write_text("in" + "\n" * 100)
        else:
            path.write_text("in\n")
        assert log.search() == NOT_YET, "no line has two parts of two files"
        with path.open("a") as file:
            file.write("begin\n")
        assert log.search() == FOUND


@pytest.mark.parametrize("put", ["fifo", "directory", "link", "loop", "missing"])
def test_nothing_in_the_place_of_a_log_is_waited_for_or_followed(tmp_path: Path, verdicts: Verdicts, put: str) -> None:
    path, other = tmp_path / "log", tmp_path / "other"
    other.write_text("begin\n")
    make: dict[str, Callable[[], object]] = {
        "fifo": lambda: os.mkfifo(path),
        "directory": path.mkdir,
        "link": lambda: path.symlink_to(other),
        "loop": lambda: path.symlink_to(path),
        "missing": lambda: None,
    }
    make[put]()
    log = log_of(path, verdicts)
    assert log.search() == NOT_YET
    look = log.look(with_last_line=True)
    assert look is not None
    assert (look.stamp, look.last_line) == (None, "")


def test_a_search_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    def expensive(_job: JobSpec, _path: LogPath) -> LogFollower:
        raise JudgingError("judging exceeded its budget")

    log = WatchedLog(JobSpec(name="a", cmd="true", timeout_from="x"), str(tmp_path / "log"), expensive)
    assert log.search() == Searched(found=False, given_up="judging exceeded its budget")


def test_escape_sequences_are_no_part_of_a_line_unless_it_is_raw(tmp_path: Path, verdicts: Verdicts) -> None:
    path = tmp_path / "log"
    path.write_text("\x1b[32mbegin\x1b[0m\n")
    assert log_of(path, verdicts).search() == FOUND
    assert log_of(path, verdicts, raw_lines=True).search() == NOT_YET


def test_closing_is_idempotent_and_may_come_before_the_search(tmp_path: Path, verdicts: Verdicts) -> None:
    path = tmp_path / "log"
    path.write_text("begin\n")
    for pattern in ("^begin$", r"(?=begin)begin"):  # the second one needs a process
        log = log_of(path, verdicts, pattern)
        log.close()
        log.search()
        log.close()
    log = log_of(path, verdicts, r"(?=begin)begin")
    assert log.search() == FOUND
    log.close()
    log.close()
