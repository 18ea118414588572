"""The file of the index, and how it follows the journals of a directory, whatever a job has put there."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import pytest

from runtime.cli.past_runs import opened
from runtime.history import index_file
from runtime.history.index import Index
from runtime.history.index_file import INDEX_NAME, ask_index
from runtime.history.outcomes import RememberedRun, Standing
from runtime.job import FailureKind
from runtime.journal.run_directory import FoundRun, read_run
from runtime.roots import RootedPath
from tests.cli.past_run import held, write_run
from tests.report.results import result

NAMES = [f"2026010{day}-000000-abcdef" for day in range(1, 5)]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    directory = tmp_path / "results"
    for name in NAMES:
        write_run(directory, [result("a"), result("b", FailureKind.EXIT_CODE, "exit code 1")], name=name)
    return directory


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the runs whose journals are read."""
    names: list[str] = []

    def note_and_read(directory: RootedPath) -> FoundRun:
        names.append(directory.name)
        return read_run(directory)

    monkeypatch.setattr(index_file, "read_run", note_and_read)
    return names


def ask(out: Path, lines: list[str] | None = None) -> dict[str, RememberedRun | None]:
    """All that the index knows, by the names of the runs; without `lines`, it has nothing to tell the user."""
    told: list[str] = []
    with opened(out) as directory:
        found = ask_index(
            directory,
            lambda index: {run.name: index.run(run.name) for run in index.runs()},
            (told if lines is None else lines).append,
        )
    assert told == []
    return found


def test_only_journals_that_have_changed_are_read(out: Path, read: list[str]) -> None:
    found = ask(out)
    assert read == NAMES == list(found)
    read.clear()
    before = (out / INDEX_NAME).stat()
    assert ask(out) == found
    assert read == []
    assert (out / INDEX_NAME).stat() == before or (out / INDEX_NAME).stat().st_mtime_ns == before.st_mtime_ns
    write_run(out, [result("a")], name="20260105-000000-abcdef")
    assert len(ask(out)) == 5
    assert read == ["20260105-000000-abcdef"]


def test_a_run_that_was_removed_is_forgotten(out: Path, read: list[str]) -> None:
    import shutil

    ask(out)
    shutil.rmtree(out / NAMES[0])
    (out / NAMES[1]).rename(out / f".removed-{NAMES[1]}")  # as while it is removed
    assert list(ask(out)) == NAMES[2:]
    assert read == NAMES


def test_a_directory_with_another_name_has_the_same_index(out: Path, read: list[str]) -> None:
    found = ask(out)
    out.rename(out.with_name("elsewhere"))
    read.clear()
    assert ask(out.with_name("elsewhere")) == found
    assert read == []


def test_a_run_that_lives_is_read_again_when_it_grows_or_has_died(out: Path, read: list[str]) -> None:
    name = "20260105-000000-abcdef"
    run_dir = write_run(out, [result("a")], name=name, ended=None, more=[result("c").job])

    def standings() -> list[Standing]:
        run = ask(out)[name]
        assert run is not None
        return [outcome.standing for outcome in run.outcomes]

    with held(run_dir):
        assert standings() == [Standing.PASSED, Standing.UNFINISHED]
        read.clear()
        assert standings() == [Standing.PASSED, Standing.UNFINISHED]
        assert read == []
    assert standings() == [Standing.PASSED, Standing.NEVER_RAN]  # its process was killed: the journal is as it was
    assert read == [name]
    assert standings() == [Standing.PASSED, Standing.NEVER_RAN]
    assert read == [name]


def test_what_is_written_while_a_journal_is_read_is_read_the_next_time(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = out / NAMES[0] / "journal.jsonl"
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"\n", 0, -1) + 1])

    def read_and_write(directory: RootedPath) -> FoundRun:
        found = read_run(directory)
        if directory.name == NAMES[0]:
            path.write_bytes(content)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(index_file, "read_run", read_and_write)
        before = ask(out)[NAMES[0]]
    after = ask(out)[NAMES[0]]
    assert before is not None
    assert after is not None
    assert (before.head.state, after.head.state) == ("died", "ended")


def test_what_a_process_that_was_killed_has_not_observed_says_nothing_of_the_design(out: Path) -> None:
    from runtime.journal import Recorder, encode, to_text
    from tests.journal.sink import Sink

    sink = Sink()
    recorder = Recorder(sink, str(out / "died"))
    recorder.begin("token", 1.0)
    recorder.add([result("a").job])
    recorder.starting("local", ["a"], [1], 1.0)
    (out / "died").mkdir()
    (out / "died" / "journal.jsonl").write_bytes(b"".join(encode(to_text(record)) for record in sink.records))
    found = ask(out)["died"]
    assert found is not None
    assert [(each.standing, each.seconds) for each in found.outcomes] == [(Standing.INFRASTRUCTURE, None)]


def test_after_damage_at_random_bytes_it_is_made_again_and_a_line_says_so(out: Path, read: list[str]) -> None:
    expected = ask(out)
    chance = random.Random(7)
    for _ in range(20):
        content = bytearray((out / INDEX_NAME).read_bytes())
        content[chance.randrange(len(content))] ^= chance.randrange(1, 256)
        (out / INDEX_NAME).write_bytes(content[: chance.choice([None, None, chance.randrange(len(content))])])
        read.clear()
        lines: list[str] = []
        assert ask(out, lines) == expected
        assert read == NAMES
        (line,) = lines
        assert line.startswith(f"{out}/{INDEX_NAME}: ")
        assert line.endswith("; it is made again from the journals")
    assert ask(out) == expected


def test_damage_that_shows_only_in_a_question_is_repaired_as_well(out: Path) -> None:
    from tests.history.test_index import forged

    expected = ask(out)
    path = out / INDEX_NAME
    path.write_bytes(forged(path.read_bytes(), lambda connection: connection.execute("update outcomes set standing=9")))
    lines: list[str] = []
    assert ask(out, lines) == expected
    assert len(lines) == 1
    assert ask(out) == expected


@contextmanager
def in_place_of_index(out: Path, what: str) -> Iterator[None]:
    """Put what a job may put in the place of the index; check that what a link leads to stays as it is."""
    path, precious = out / INDEX_NAME, out.parent / "precious"
    precious.write_bytes(Index().content())
    before = precious.read_bytes(), precious.stat().st_mtime_ns
    if what == "link":
        path.symlink_to(precious)
    elif what == "dangling link":
        path.symlink_to(out.parent / "new")
    elif what == "hard link":
        path.hardlink_to(precious)
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "directory":
        path.mkdir()
    elif what == "hole":
        path.touch()
        os.truncate(path, 1 << 40)
    elif what == "empty":
        path.touch()
    yield
    assert (precious.read_bytes(), precious.stat().st_mtime_ns) == before
    assert not (out.parent / "new").exists()


@pytest.mark.parametrize("what", ["link", "dangling link", "hard link", "fifo", "directory", "hole", "empty"])
def test_what_a_job_puts_in_its_place_is_neither_followed_nor_waited_for(out: Path, what: str) -> None:
    with in_place_of_index(out, what):
        lines: list[str] = []
        assert list(ask(out, lines)) == NAMES
    assert len(lines) == (0 if what == "hard link" else 1)  # the content of that one is as good as any
    assert (out / INDEX_NAME).is_file()
    assert not (out / INDEX_NAME).is_symlink()
    assert list(ask(out)) == NAMES


def test_what_is_no_run_is_left_alone(out: Path, tmp_path: Path) -> None:
    (out / "file").touch()
    (out / "empty").mkdir()
    (out / "linked").symlink_to(out / NAMES[0])
    (out / "linked_journal").mkdir()
    (out / "linked_journal" / "journal.jsonl").symlink_to(out / NAMES[0] / "journal.jsonl")
    (out / "fifo").mkdir()
    os.mkfifo(out / "fifo" / "journal.jsonl")
    assert list(ask(out)) == NAMES


def test_a_directory_that_cannot_be_written_has_an_index_in_memory(
    out: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(out / INDEX_NAME))

    monkeypatch.setattr(index_file, "write_atomically", fail)
    for _ in range(2):
        lines: list[str] = []
        assert list(ask(out, lines)) == NAMES
        assert lines == [
            f"{out}/{INDEX_NAME} cannot be written (Permission denied); the next time, journals are read again"
        ]
    assert read == NAMES * 2
    assert not (out / INDEX_NAME).exists()


def test_without_a_call_of_sqlite_that_old_ones_lack_it_is_in_memory(
    out: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_file, "CAN_BE_KEPT", False)
    lines: list[str] = []
    assert list(ask(out, lines)) == NAMES
    assert len(lines) == 1
    assert "too old" in lines[0]
    assert not (out / INDEX_NAME).exists()


def test_a_journal_of_a_newer_version_is_left_out_and_a_line_says_so(out: Path) -> None:
    from runtime.journal import encode

    (out / NAMES[0] / "journal.jsonl").write_bytes(encode('{"type":"begin","version":99}'))
    lines: list[str] = []
    assert list(ask(out, lines)) == NAMES[1:]
    (line,) = lines
    assert "a journal of version 99" in line


def ask_often(out: str) -> int:
    """In another process: ask, while others do; return how many answers were not what they have to be."""
    wrong = 0
    for number in range(30):
        if number % 3 == 0:
            (Path(out) / INDEX_NAME).unlink(missing_ok=True)
        wrong += list(ask(Path(out))) != NAMES
    return wrong


def test_two_processes_at_once_get_all_runs_and_leave_a_whole_index(out: Path) -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as processes:
        assert list(processes.map(ask_often, [str(out)] * 2)) == [0, 0]
    ask(out)
    Index((out / INDEX_NAME).read_bytes()).close()
    assert [entry.name for entry in out.iterdir() if entry.name.startswith(".")] == []
