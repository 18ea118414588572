"""The writer in the event loop: it holds up nothing, whatever the disk does. No test waits for a clock."""

from __future__ import annotations

import errno
import logging
import os
import resource
import stat
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from runtime.journal import writer
from runtime.journal.disk import JournalFile
from runtime.journal.writer import JournalWriter
from runtime.process import threads
from runtime.roots import Roots
from tests.journal.disks import FakeDisk, HangingDisk, SmallDisk, failing, job, numbers, readable
from tests.journal.test_committer import POINTS, frame

LONG = 1e6
"""Seconds that no test takes: what ends before this does not end because of it."""


def patient(disk: FakeDisk) -> JournalWriter:
    """Return a writer that syncs only on demand, and waits for its disk."""
    return JournalWriter(disk, sync_interval=LONG, timeout=LONG)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


async def test_all_that_was_appended_is_on_disk_at_the_end_and_the_file_is_closed() -> None:
    disk = FakeDisk()
    async with patient(disk) as journal:
        for number in range(1000):
            journal.append(job(number))
    assert numbers(readable(disk.synced)) == list(range(1000))
    assert (disk.calls[0], disk.calls[-2:]) == ("open", ["datasync", "close"])
    assert disk.calls.count("datasync") == 1
    assert journal.failure is None
    assert await journal.durable()


async def test_what_is_appended_in_one_turn_of_the_loop_costs_few_writes() -> None:
    """While the thread writes, or waits to be run, it is not woken again."""
    disk = HangingDisk("write")
    async with patient(disk) as journal:
        journal.append(job(0))
        await trio.to_thread.run_sync(disk.hanging.wait)
        for number in range(1, 1001):
            journal.append(job(number))
        disk.answer.set()
    assert disk.calls.count("write") == 2  # 1,000 records are taken at once
    assert numbers(readable(disk.synced)) == list(range(1001))


async def test_durable_syncs_what_was_appended_before_and_waits_for_nothing_else() -> None:
    disk = FakeDisk()
    async with patient(disk) as journal:
        assert await journal.durable()  # nothing was appended
        assert "datasync" not in disk.calls
        for number in range(5):
            journal.append(job(number))
            assert await journal.durable()
            assert numbers(readable(disk.synced)) == list(range(number + 1))
        assert await journal.durable()
        assert disk.calls.count("datasync") == 5


async def test_callers_of_durable_share_a_sync() -> None:
    disk = HangingDisk("datasync")
    results: list[bool] = []

    async def submit(number: int) -> None:
        journal.append(job(number))
        results.append(await journal.durable())

    async with patient(disk) as journal, trio.open_nursery() as nursery:
        nursery.start_soon(submit, 0)
        await trio.to_thread.run_sync(disk.hanging.wait)
        for number in range(1, 50):
            nursery.start_soon(submit, number)
        await wait_all_tasks_blocked()
        disk.answer.set()
    assert results == [True] * 50
    assert disk.calls.count("datasync") <= 3


async def test_who_waits_for_a_write_waits_for_no_sync() -> None:
    """So no local job starts later because of the group commit."""
    disk = HangingDisk("datasync")
    async with patient(disk) as journal, trio.open_nursery() as nursery:
        journal.append(job(0))
        nursery.start_soon(journal.durable)
        await trio.to_thread.run_sync(disk.hanging.wait)
        for number in range(1, 10):
            journal.append(job(number))
            assert await journal.written()
        assert numbers(readable(bytes(disk.content))) == list(range(10))
        assert disk.calls.count("datasync") == 1
        disk.answer.set()
    assert numbers(readable(disk.synced)) == list(range(10))


async def test_the_thread_syncs_by_itself_when_the_interval_is_over() -> None:
    synced = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def before(name: str, _: int) -> None:
        if name == "datasync":
            token.run_sync_soon(synced.set)

    async with JournalWriter(FakeDisk(before=before), sync_interval=0, timeout=LONG) as journal:
        journal.append(job(0))
        await synced.wait()
        assert await journal.durable()


# ---------------------------------------------------------------------- failures


@pytest.mark.parametrize(("name", "nth"), POINTS)
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
async def test_after_an_error_nothing_blocks_or_raises_and_it_is_told_once(
    name: str, nth: int, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    disk = FakeDisk(b"torn", failing(name, nth, number))
    acknowledged = 0
    async with JournalWriter(disk, sync_interval=LONG, timeout=LONG) as journal:
        for each in range(20):
            journal.append(job(each))
            if await journal.durable():
                acknowledged = each + 1
        assert journal.failure == await journal.wait_failed()
        journal.append(job(99))
        assert not await journal.durable()
        assert not await journal.written()
    assert acknowledged == (nth if name in {"write", "datasync"} else 0)
    assert numbers(readable(disk.synced)) == list(range(acknowledged))
    assert errors(caplog) == [journal.failure]
    assert disk.calls.count("close") == 1


async def test_a_full_disk_is_told_once_and_leaves_whole_frames(caplog: pytest.LogCaptureFixture) -> None:
    disk = SmallDisk(size=10 * len(frame(0)) + 20)
    async with patient(disk) as journal:
        for number in range(100, 200):
            journal.append(job(number))
        assert not await journal.durable()
    (told,) = errors(caplog)
    assert told.startswith("the journal fake.jsonl cannot be written (No space left on device); the run goes on")
    found = numbers(readable(bytes(disk.content)))
    assert found == list(range(100, 100 + len(found)))
    assert len(disk.content) == disk.size


async def test_a_failure_wakes_those_who_wait() -> None:
    disk = HangingDisk("write")
    async with patient(disk) as journal, trio.open_nursery() as nursery:
        nursery.start_soon(journal.wait_failed)
        journal.append(job(0))
        nursery.start_soon(journal.durable)
        await trio.to_thread.run_sync(disk.hanging.wait)
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 2
        disk.before = failing("write", 1)
        disk.most = 10
        disk.answer.set()


# ---------------------------------------------------------------------- hung disks


async def has_begun(disk: HangingDisk) -> None:
    """Wait until the thread has written, or hangs; it tells nobody that it has written."""
    while not (disk.hanging.is_set() or disk.content):
        await trio.lowlevel.checkpoint()


HANGS = [("open", 0), ("read", 0), ("write", 0), ("write", 1), ("datasync", 0), ("close", 0)]


@pytest.mark.parametrize(("name", "nth"), HANGS)
async def test_a_hung_disk_holds_up_neither_the_loop_nor_a_cancel(name: str, nth: int) -> None:
    disk = HangingDisk(name, nth)
    async with patient(disk) as journal:
        journal.append(job(0))
        if name != "close":
            await has_begun(disk)  # else one write may take all records, and the second one never comes
            for _ in range(2):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(journal.durable)
                    nursery.start_soon(journal.wait_failed)
                    await wait_all_tasks_blocked()
                    nursery.cancel_scope.cancel()
                journal.append(job(1))
            assert await trio.to_thread.run_sync(disk.hanging.wait, 60)
            assert journal.failure is None
        disk.answer.set()
    assert numbers(readable(disk.synced))[:2] == ([0] if name == "close" else [0, 1])


@pytest.mark.parametrize(("name", "nth"), HANGS)
async def test_a_hung_disk_holds_up_the_end_until_the_timeout(
    name: str, nth: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread is left alone. When its call returns after all, it writes nothing more."""
    disk = HangingDisk(name, nth)
    async with JournalWriter(disk, sync_interval=LONG, timeout=0.01) as journal:
        journal.append(job(0))
        await has_begun(disk)
        if (name, nth) == ("write", 1):
            journal.append(job(1))
            assert await trio.to_thread.run_sync(disk.hanging.wait, 60)
    (told,) = errors(caplog)
    assert "did not end in time" in told
    assert told == journal.failure
    assert not await journal.durable() or name == "close"
    calls = disk.calls.copy()
    disk.answer.set()
    await trio.to_thread.run_sync(disk.closed.wait, 60)
    after = disk.calls[len(calls) :]
    assert "write" not in after
    assert errors(caplog) == [told]


async def test_a_disk_that_does_not_answer_fails_the_journal_for_those_who_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk = HangingDisk("datasync")
    async with JournalWriter(disk, sync_interval=LONG, timeout=0.01) as journal:
        journal.append(job(0))
        assert not await journal.durable()
        assert errors(caplog) == [journal.failure]
        assert "has had no answer from its disk for 0.01 s" in caplog.text
        disk.answer.set()
    assert len(errors(caplog)) == 1


# ---------------------------------------------------------------------- how a block ends


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(3)])
async def test_an_exception_leaves_the_block_unwrapped_and_everything_is_written(error: BaseException) -> None:
    disk = FakeDisk()
    with pytest.raises(type(error)) as caught:
        async with patient(disk) as journal:
            journal.append(job(0))
            raise error
    assert caught.value is error
    assert numbers(readable(disk.synced)) == [0]


async def test_a_cancelled_block_writes_everything_and_stays_cancelled() -> None:
    disk = FakeDisk()
    with trio.CancelScope() as scope:
        async with patient(disk) as journal:
            journal.append(job(0))
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert numbers(readable(disk.synced)) == [0]


async def test_what_is_appended_before_the_block_is_written_and_what_comes_after_it_is_dropped() -> None:
    disk = FakeDisk()
    journal = patient(disk)
    journal.append(job(0))
    async with journal:
        pass
    assert await journal.written()
    assert await journal.durable()
    journal.append(job(1))
    assert not await journal.written()
    assert not await journal.durable()
    assert numbers(readable(disk.synced)) == [0]
    assert await journal.wait_failed() is None


async def test_no_thread_is_left() -> None:
    """Threads of trio wait for more work; none of them is in a journal."""
    await no_journal_runs()  # of an earlier test, whose disk has just answered
    async with patient(FakeDisk()) as journal:
        journal.append(job(0))
        await journal.durable()
        assert running_journals() == 2
    assert running_journals() == 0


def running_journals() -> int:
    frames = [frame for thread, frame in sys._current_frames().items() if thread != threading.get_ident()]
    return sum(
        any("runtime/journal" in each.f_code.co_filename for each, _ in traceback.walk_stack(frame)) for frame in frames
    )


async def no_journal_runs() -> None:
    with trio.fail_after(60):
        while running_journals():
            await trio.lowlevel.checkpoint()


async def test_if_one_of_the_threads_cannot_be_started_the_other_one_is_not_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = threads.in_thread

    async def in_thread(function: Callable[[], None], **options: Any) -> None:
        if getattr(function, "__qualname__", "").startswith("_WriteThread"):
            await trio.sleep_forever()  # as it waits for a thread
        await real(function, **options)

    monkeypatch.setattr(writer, "in_thread", in_thread)
    async with JournalWriter(FakeDisk(), timeout=0.05) as journal:
        journal.append(job(0))
    assert journal.failure is not None
    await no_journal_runs()


async def test_records_wait_until_a_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    real = trio.to_thread.run_sync
    refusals = iter([RuntimeError("can't start new thread"), MemoryError()])

    async def run_sync(*args: object, **options: object) -> object:
        for error in refusals:
            raise error
        return await real(*args, **options)  # type: ignore[arg-type] # they are passed on

    monkeypatch.setattr(trio.to_thread, "run_sync", run_sync)
    disk = FakeDisk()
    async with patient(disk) as journal:
        journal.append(job(0))
    assert numbers(readable(disk.synced)) == [0]


# ---------------------------------------------------------------------- a real file


async def test_a_real_file_is_appended_to_and_only_ours(roots: Roots, caplog: pytest.LogCaptureFixture) -> None:
    path = Path(roots.run_dir) / "journal.jsonl"
    for segment in range(3):
        async with JournalWriter(JournalFile(roots.run)) as journal:
            journal.append(job(segment))
            assert await journal.durable()
            assert numbers(readable(path.read_bytes())) == list(range(segment + 1))
        with path.open("ab") as file:
            file.write(frame(9)[:-1])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [text.partition(": ")[0] for text in caplog.messages] == [
        f"the journal {path} was cut to its first {n * len(frame(0))} bytes" for n in (1, 2)
    ]


PLANTED: dict[str, Callable[[Path, Path], object]] = {
    "a symbolic link": lambda path, other: path.symlink_to(other),
    "a link to nothing": lambda path, other: path.symlink_to(other.with_name("new")),
    "a hard link": lambda path, other: path.hardlink_to(other),
    "a FIFO": lambda path, _: os.mkfifo(path),
    "a directory": lambda path, _: path.mkdir(),
}


@pytest.mark.parametrize("kind", PLANTED)
async def test_what_a_job_puts_in_its_place_is_neither_followed_nor_waited_for(
    kind: str, roots: Roots, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = tmp_path / "precious"
    other.write_text("precious")
    PLANTED[kind](Path(roots.run_dir) / "journal.jsonl", other)
    async with patient_file(roots) as journal:
        journal.append(job(0))
        assert not await journal.durable()
    assert other.read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["precious", "run"]
    (told,) = errors(caplog)
    assert "cannot be opened" in told


def patient_file(roots: Roots) -> JournalWriter:
    return JournalWriter(JournalFile(roots.run), timeout=LONG)


async def test_the_directory_is_synced_once(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its name, the file would be gone after a power cut."""
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    async with patient_file(roots) as journal:
        for number in range(3):
            journal.append(job(number))
            await journal.durable()
    assert synced == [roots.run_dir]


@pytest.mark.parametrize(("code", "fails"), [(errno.EINVAL, False), (errno.EIO, True)])
async def test_a_directory_that_cannot_be_synced(
    roots: Roots, monkeypatch: pytest.MonkeyPatch, code: int, fails: bool
) -> None:
    def fsync(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    async with patient_file(roots) as journal:
        journal.append(job(0))
        assert await journal.durable() is not fails
    assert (journal.failure is not None) is fails


async def test_a_file_that_grows_beyond_the_limit_of_the_process_fails_like_a_full_disk(roots: Roots) -> None:
    """A real short write: what fits under ``ulimit -f`` is written, and the next call fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        async with patient_file(roots) as journal:
            for number in range(100, 200):
                journal.append(job(number))
            assert not await journal.durable()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    content = (Path(roots.run_dir) / "journal.jsonl").read_bytes()
    assert len(content) == 1000
    found = numbers(readable(content))
    assert found == list(range(100, 100 + 1000 // len(frame(100))))
    assert journal.failure is not None
    assert "(File too large)" in journal.failure


async def test_progress_between_the_look_and_the_wait_is_not_missed(autojump_clock: MockClock) -> None:
    progress = writer._Progress()
    ready: list[bool] = []

    def done() -> bool:
        answer = bool(ready)
        ready.append(True)
        progress.note()  # as the thread does, just after we have looked
        return answer

    began = autojump_clock.current_time()
    assert await progress.wait(done, 10)
    assert autojump_clock.current_time() == began
