"""The events of a run follow it, and nothing waits for who reads them."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from runtime.cli import events_file
from runtime.cli.events_file import EventsFile
from runtime.jobfile.errors import InputError
from runtime.journal import Record, encode, to_text
from runtime.roots import Roots
from tests.cli.conftest import Here
from tests.cli.program import Fifo, call, end_of, job_file, started, statuses
from tests.report.results import result
from tests.report.states import records


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
def test_events_are_there_while_the_run_goes_on_and_report_has_the_same(here: Here, tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    jobs = {"a": {"cmd": "true"}, "b": {"cmd": f"read x < {fifo.path}", "needs": ["a"]}}
    with started(tmp_path, "run", job_file(tmp_path, jobs), "--events", "-") as program:
        assert program.stdout is not None
        seen = ""
        for line in program.stdout:
            seen += line
            if json.loads(line)["type"] == "starting" and json.loads(line)["id"] == "b":
                break
        fifo.say()
        done = end_of(program)
    assert done.code == 0
    found = lines(seen + done.out)  # and nothing else
    assert [(each["type"], each.get("id")) for each in found] == [
        ("run_begun", None),
        ("job", "a"),
        ("job", "b"),
        ("starting", "a"),
        ("job_ended", "a"),
        ("starting", "b"),
        ("job_ended", "b"),
        ("run_ended", None),
    ]
    assert "2 jobs: 2 passed" in done.err  # what people read
    assert here("report", "--events", "-").out == seen + done.out


@pytest.mark.slow
def test_a_resumed_run_writes_its_events_from_the_first_on(tmp_path: Path) -> None:
    file = job_file(tmp_path, {"a": {"cmd": "true"}, "b": {"cmd": f"test -e {tmp_path}/good"}})
    (tmp_path / "events").write_text("something longer\n" * 1000)
    assert call(tmp_path, "run", file, "-q", "--events", "events").code == 1
    first = (tmp_path / "events").read_text()
    (tmp_path / "good").touch()
    assert call(tmp_path, "run", file, "-q", "--resume", "--events", "events").code == 0
    whole = (tmp_path / "events").read_text()
    assert whole.startswith(first)
    assert [each["type"] for each in lines(whole.removeprefix(first))] == [
        "run_begun",
        "kept",
        "starting",
        "job_ended",
        "run_ended",
    ]


@pytest.mark.slow
def test_a_reader_that_has_seen_enough_changes_nothing(tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    jobs = {"a": {"cmd": f"read x < {fifo.path}"}, "b": {"cmd": "true", "needs": ["a"]}}
    with started(tmp_path, "run", job_file(tmp_path, jobs), "--events", "-") as program:
        assert program.stdout is not None
        program.stdout.readline()
        program.stdout.close()
        fifo.say()
        program.wait(60)
        assert program.stderr is not None
        assert "2 jobs: 2 passed" in program.stderr.read()
    assert program.returncode == 0


def write_events(path: str | None, run: Path, *, standstill: float = 60.0) -> str | None:
    """Write the events of a run that has ended; return what `finish` returns."""
    file = EventsFile(path, interval=0.001, standstill=standstill)
    roots = Roots(str(run))
    roots.open()

    async def main() -> str | None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(file.run, roots.run)
            failure = await file.finish()
            nursery.cancel_scope.cancel()
        return failure

    try:
        file.open()
        return trio.run(main)
    finally:
        file.close()
        roots.close()


def run_with(directory: Path, count: int, *, torn: bytes = b"") -> Path:
    """Make the directory of a run of so many jobs; return it."""
    run = directory / "run"
    run.mkdir()
    written = records([result(f"{n:099}") for n in range(count)], run)
    (run / "journal.jsonl").write_bytes(b"".join(encode(to_text(record)) for record in written) + torn)
    return run


def test_a_reader_that_does_not_read_holds_up_nothing_and_that_is_said(tmp_path: Path) -> None:
    run = run_with(tmp_path, 1000)
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    try:
        path = str(tmp_path / "fifo")
        assert write_events(path, run, standstill=0.0) == (
            f"--events {path}: its reader does not read: the rest is not written (report --events has it)"
        )
    finally:
        os.close(reader)


def test_a_slow_reader_gets_all(tmp_path: Path) -> None:
    run = run_with(tmp_path, 1000)
    os.mkfifo(tmp_path / "fifo")
    with subprocess.Popen(["cat", tmp_path / "fifo"], stdout=subprocess.PIPE, text=True) as reader:
        # Until then there is no reader, which is an error.
        keep = os.open(tmp_path / "fifo", os.O_WRONLY)
        read: list[str] = []

        async def main() -> None:
            async def take() -> None:
                assert reader.stdout is not None
                read.append(await trio.to_thread.run_sync(reader.stdout.read))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(take)
                try:
                    assert await trio.to_thread.run_sync(write_events, str(tmp_path / "fifo"), run) is None
                finally:
                    os.close(keep)

        trio.run(main)
    assert len(lines(read[0])) == 3 * 1000 + 2


class Looks(AsyncIterator[Record]):
    """Stands for a follower: nothing is there at the first look, during which the run ends; then the records are."""

    note = None

    def __init__(self, written: Sequence[Record], at_first: Callable[[], object]) -> None:
        self._records = list(written)
        self._at_first: Callable[[], object] | None = at_first

    async def __anext__(self) -> Record:
        if self._at_first is not None:
            self._at_first()
            self._at_first = None
            await wait_all_tasks_blocked()
            raise StopAsyncIteration
        await trio.lowlevel.checkpoint()
        if not self._records:
            raise StopAsyncIteration
        return self._records.pop(0)


async def test_what_comes_during_the_look_in_which_the_run_ends_is_written(
    roots: Roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = EventsFile(str(tmp_path / "events"))
    file.open()
    async with trio.open_nursery() as nursery:
        looks = Looks(records([result("a")], "/run"), lambda: nursery.start_soon(file.finish))
        monkeypatch.setattr(events_file, "follow", lambda *_, **__: looks)
        await file.run(roots.run)
    file.close()
    assert len(lines((tmp_path / "events").read_text())) == 5


def test_a_full_disk_and_a_damaged_journal_are_said(tmp_path: Path) -> None:
    run = run_with(tmp_path, 10, torn=b"nonsense")
    assert write_events("/dev/full", run) == "--events /dev/full cannot be written: No space left on device"
    failure = write_events(str(tmp_path / "events"), run)
    assert failure is not None
    assert "the journal cannot be read to its end: byte " in failure
    assert len(lines((tmp_path / "events").read_text())) == 3 * 10 + 2


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("folder", 'is "folder": Is a directory; expected a file that can be written or a FIFO that is read'),
        ("none/x", 'is "none/x": No such file or directory; expected a file that can be written'),
        ("fifo", 'is "fifo": No such device or address; expected a file that can be written or a FIFO that is read'),
    ],
)
def test_a_path_of_no_file_is_refused_before_anything_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InputError) as error:
        EventsFile(path).open()
    assert str(error.value) == f"--events {why}"


@pytest.mark.slow
def test_a_run_whose_events_are_not_read_ends_and_has_its_results(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "events")
    reader = os.open(tmp_path / "events", os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)  # which a few events fill
    try:
        jobs = {"a": {"cmd": "true", "seeds": 40}}
        done = call(tmp_path, "run", job_file(tmp_path, jobs), "-q", "--events", "events")
    finally:
        os.close(reader)
    assert done.code == 74
    assert done.err == (
        "job-runtime: --events events: its reader does not read: the rest is not written (report --events has it)\n"
    )
    assert set(statuses(tmp_path).values()) == {"passed"}
