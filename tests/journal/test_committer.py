"""What is written and synced when, in virtual time and on a disk in memory; and what is left after each error."""

from __future__ import annotations

import errno
import logging
from collections.abc import Sequence

import pytest

from runtime.job.status import PASSED
from runtime.journal.columns import Repeated
from runtime.journal.committer import Committer
from runtime.journal.frames import encode
from runtime.journal.reader import read_blocks
from runtime.journal.records import Ended, Jobs, Record, to_text
from runtime.journal.replay import replay
from tests.journal.disks import FakeDisk, Hook, SmallDisk, failing, job, numbers, readable

INTERVAL = 0.1


def frame(number: int) -> bytes:
    return encode(to_text(job(number)))


def opened(disk: FakeDisk) -> Committer:
    committer = Committer(disk, INTERVAL)
    committer.open()
    return committer


def commit(committer: Committer, records: Sequence[Record], now: float, *, sync: bool) -> float | None:
    """Write, and sync if that is wanted or due, as the two threads do; return the seconds until a sync is due."""
    if records:
        committer.write(records, now)
    if committer.failure is None and (sync or committer.seconds_to_sync(now) == 0):
        committer.sync()
    return committer.seconds_to_sync(now)


def test_a_thousand_appends_in_an_interval_cost_one_sync() -> None:
    disk = FakeDisk()
    committer = opened(disk)
    for number in range(1000):
        wait = commit(committer, [job(number)], now=number * INTERVAL / 1000, sync=False)
        assert wait is not None
        assert 0 < wait <= INTERVAL
    assert commit(committer, [], now=INTERVAL, sync=False) is None
    committer.close()
    assert numbers(readable(disk.synced)) == list(range(1000))
    assert disk.calls.count("write") == 1000  # each at once: a SIGKILL loses nothing that was written
    assert disk.calls.count("datasync") == 1


def test_a_steady_stream_is_synced_once_in_an_interval() -> None:
    disk = FakeDisk()
    committer = opened(disk)
    for number in range(1000):
        commit(committer, [job(number)], now=number / 100, sync=False)
    assert disk.calls.count("datasync") == pytest.approx(1000 / 11, abs=1)  # ten seconds; due with each 11th write


def test_what_comes_together_is_written_together() -> None:
    disk = FakeDisk()
    committer = opened(disk)
    commit(committer, [job(number) for number in range(1000)], now=0, sync=False)
    assert disk.calls == ["open", "read", "write"]
    assert committer.written == 1000


def test_a_sync_on_demand_is_at_once_and_none_is_made_for_nothing() -> None:
    disk = FakeDisk()
    committer = opened(disk)
    assert commit(committer, [], now=0, sync=True) is None
    assert commit(committer, [job(0)], now=0, sync=True) is None
    assert commit(committer, [], now=0, sync=True) is None
    assert committer.synced == 1
    committer.close()
    assert disk.calls == ["open", "read", "write", "datasync", "close"]


def test_the_first_unsynced_write_counts_for_the_interval() -> None:
    disk = FakeDisk()
    committer = opened(disk)
    assert commit(committer, [job(0)], now=5, sync=False) == pytest.approx(INTERVAL)
    assert commit(committer, [job(1)], now=5.06, sync=False) == pytest.approx(0.04)
    assert commit(committer, [], now=5.06 + 0.04, sync=False) is None
    assert committer.synced == 2


def test_what_is_written_while_a_sync_is_made_is_synced_by_the_next_one() -> None:
    def write_another(name: str, count: int) -> None:
        if (name, count) == ("datasync", 0):
            assert committer.write([job(1)], now=1)

    disk = FakeDisk(before=write_another)
    committer = opened(disk)
    assert committer.write([job(0)], now=0)
    committer.sync()
    assert committer.synced == 1
    assert committer.seconds_to_sync(now=1) == pytest.approx(INTERVAL)
    committer.sync()
    assert committer.synced == 2


def test_a_short_write_is_continued() -> None:
    disk = FakeDisk()
    disk.most = 7
    committer = opened(disk)
    commit(committer, [job(0), job(1)], now=0, sync=True)
    assert numbers(readable(disk.synced)) == [0, 1]


@pytest.mark.parametrize("torn", [frame(9)[:1], frame(9)[:-1], b"\0" * 40, b"what is this?\n" + frame(9), frame(9)[1:]])
def test_what_a_previous_incarnation_left_at_the_end_is_cut_off(torn: bytes, caplog: pytest.LogCaptureFixture) -> None:
    whole = frame(0) + frame(1)
    disk = FakeDisk(whole + torn)
    committer = opened(disk)
    assert disk.content == whole
    (warning,) = caplog.messages
    assert warning.startswith(f"the journal fake.jsonl was cut to its first {len(whole)} bytes: byte {len(whole)}: ")
    commit(committer, [job(2)], now=0, sync=True)
    assert numbers(readable(disk.synced)) == [0, 1, 2]


def test_a_hole_at_the_end_is_cut_off_unread() -> None:
    disk = FakeDisk(frame(0) + bytes(3 << 20))
    opened(disk)
    assert disk.content == frame(0)
    assert disk.calls == ["open", "read", "truncate"]


def test_a_frame_that_is_no_record_is_cut_off_because_readers_stop_there() -> None:
    disk = FakeDisk(frame(0) + encode("[]") + frame(1))
    opened(disk)
    assert disk.content == frame(0)


def test_a_whole_journal_is_continued() -> None:
    disk = FakeDisk(frame(0))
    commit(opened(disk), [job(1)], now=0, sync=True)
    assert disk.calls == ["open", "read", "read", "write", "datasync"]
    assert numbers(readable(disk.synced)) == [0, 1]


def run(disk: FakeDisk) -> tuple[Committer, int]:
    """Open a disk, commit 20 records, every second with a sync, and close; return how many were acknowledged, too."""
    committer = opened(disk)
    acknowledged = 0
    for number in range(20):
        commit(committer, [job(number)], now=number, sync=number % 2 == 1)
        acknowledged = max(acknowledged, committer.synced)
    committer.close()
    return committer, acknowledged


POINTS = [("open", 0), ("read", 0), ("truncate", 0), *[(name, n) for name in ("write", "datasync") for n in range(10)]]


@pytest.mark.parametrize(("name", "nth"), [*POINTS, ("close", 0)])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_after_an_error_nothing_is_written_and_what_was_acknowledged_is_there(
    name: str, nth: int, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    disk = FakeDisk(b"torn", before=failing(name, nth, number))
    committer, acknowledged = run(disk)
    (told,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert committer.failure == told.getMessage()
    assert "fake.jsonl cannot be" in committer.failure
    assert disk.calls.count(name) == nth + 1  # it is not repeated
    assert disk.calls[-1] == "close"
    failed_at = [n for n, call in enumerate(disk.calls) if call == name][nth]
    assert "write" not in disk.calls[failed_at + 1 :]
    assert acknowledged == (20 if name == "close" else {"write": nth // 2 * 2, "datasync": 2 * nth}.get(name, 0))
    assert numbers(readable(disk.synced))[:acknowledged] == list(range(acknowledged))


def test_after_a_failed_write_what_was_written_before_is_still_synced() -> None:
    disk = FakeDisk(before=failing("write", 3))
    committer, acknowledged = run(disk)
    assert (acknowledged, committer.synced) == (2, 3)
    assert numbers(readable(disk.synced)) == [0, 1, 2]


@pytest.mark.parametrize("size", range(0, 3 * len(frame(0)), 3))
def test_a_full_disk_leaves_the_longest_valid_prefix_and_nothing_behind_it(size: int) -> None:
    disk = SmallDisk(size)
    committer, _ = run(disk)
    assert committer.failure is not None
    assert "(No space left on device)" in committer.failure
    whole = size // len(frame(0))
    assert numbers(readable(bytes(disk.content))) == list(range(whole))
    assert len(disk.content) == size
    assert committer.written == whole
    # The next segment begins behind the last whole frame, when there is room again.
    disk.size = 1 << 20
    run(disk)
    assert numbers(readable(disk.synced)) == [*range(whole), *range(20)]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
def test_a_file_system_without_fsync_costs_one_warning(number: int, caplog: pytest.LogCaptureFixture) -> None:
    disk = FakeDisk(before=failing("datasync", 0, number))
    committer, acknowledged = run(disk)
    assert committer.failure is None
    assert acknowledged == 20
    (warning,) = caplog.messages
    assert "may not survive a power cut: it has no fsync" in warning
    assert disk.calls.count("datasync") == 1
    assert numbers(readable(bytes(disk.content))) == list(range(20))


def test_a_write_of_nothing_is_an_error() -> None:
    disk = FakeDisk()
    disk.most = 0
    committer, _ = run(disk)
    assert committer.failure is not None
    assert disk.calls.count("write") == 1


@pytest.mark.parametrize("error", [MemoryError(), TypeError("a bug")])
def test_a_bug_or_no_memory_is_a_failure_like_others(error: Exception) -> None:
    def before(name: str, _: int) -> None:
        if name == "write":
            raise error

    committer, _ = run(FakeDisk(before=before))
    assert committer.failure is not None
    assert repr(error) in committer.failure


def test_a_record_that_cannot_be_encoded_is_a_failure() -> None:
    disk = FakeDisk()
    committer = opened(disk)
    commit(committer, [job(0)], now=0, sync=False)
    commit(committer, [Jobs([object()], [""])], now=0, sync=False)  # type: ignore[list-item] # that is what is wrong
    committer.close()
    assert committer.failure is not None
    assert numbers(readable(disk.synced)) == [0]


def test_a_write_that_was_given_up_writes_nothing_more_when_it_returns() -> None:
    def give_up(name: str, count: int) -> None:
        if (name, count) == ("write", 1):
            committer.fail("it took too long")

    disk = FakeDisk(before=give_up)
    disk.most = 10
    committer = opened(disk)
    commit(committer, [job(0)], now=0, sync=True)
    committer.close()
    assert disk.calls.count("write") == 2
    assert committer.written == 0


def hooks() -> list[Hook]:
    return [failing(name, nth) for name, nth in POINTS]


@pytest.mark.parametrize("before", hooks())
def test_a_journal_that_failed_is_continued_by_the_next_segment(before: Hook) -> None:
    """Whatever failed, the next segment is read whole, behind all that was acknowledged."""
    disk = FakeDisk(frame(99) + b"torn", before)
    committer, acknowledged = run(disk)
    disk.before = lambda *_: None
    run(disk)
    found = numbers(readable(disk.synced))
    first = len(found) - 20
    assert found[first:] == list(range(20))
    assert found[:first] == [99, *range(first - 1)]
    assert first - 1 >= acknowledged == committer.synced or committer.synced >= acknowledged


def test_a_record_that_is_too_large_for_a_frame_is_written_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.journal.committer.MAX_TEXT", 300)
    disk = FakeDisk()
    committer = opened(disk)
    ids = [f"job {number}" for number in range(100)]
    written: list[Record] = [
        Jobs(ids, Repeated("", 100)),
        Ended(range(100), Repeated(1, 100), [PASSED] * 100, range(100), range(100)),
    ]
    commit(committer, written, 0, sync=True)
    records = read_blocks([bytes(disk.synced)], 0).records
    assert len(records) > 10
    assert replay(records).ids == ids
    assert [event.submitted for event in replay(records).results()] == [*range(100)]
    assert (committer.failure, committer.written) == (None, 2)


def test_a_job_that_is_too_large_for_a_frame_ends_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("committer", "frames"):
        monkeypatch.setattr(f"runtime.journal.{module}.MAX_TEXT", 300)
    committer = opened(FakeDisk())
    commit(committer, [Jobs(["x" * 300], [""])], 0, sync=True)
    assert "a record of 3" in str(committer.failure)
