"""A journal in a file: whatever is in it, and whatever stands in its place."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.errors import JournalVersionError
from runtime.journal import reader
from runtime.journal.frames import encode
from runtime.journal.reader import read, read_blocks
from runtime.journal.records import End, Jobs, Kept, Record, from_text, to_text
from runtime.journal.replay import replay
from runtime.roots import Roots
from tests.journal.journals import FAILED, PASSED, begin, ended, running, starting
from tests.journal.strategies import RECORDS


def fifty() -> list[Record]:
    """The records of a run that was resumed."""
    records: list[Record] = [begin(), Jobs([f"job\udce9 {number}" for number in range(15)], ["d"] * 15)]
    for number in range(15):
        records += [starting(number), running(number), ended(number, status=FAILED if number % 3 else PASSED)]
    return [*records[:47], begin(1), Kept([0, 3]), End(9.0)]


RECORDS_50 = fifty()
FRAMES = [encode(to_text(record)) for record in RECORDS_50]
WHOLE = b"".join(FRAMES)
ENDS = [sum(map(len, FRAMES[: number + 1])) for number in range(len(FRAMES))]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def test_all_records_are_read(path: Path) -> None:
    path.write_bytes(WHOLE)
    journal = read(path)
    assert len(RECORDS_50) == 50
    assert (journal.records, journal.note, journal.end, journal.skipped) == (RECORDS_50, None, len(WHOLE), 0)


def test_the_size_of_the_blocks_does_not_matter(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(WHOLE)
    monkeypatch.setattr(reader, "BLOCK", 100)
    assert read(path).records == RECORDS_50


def test_an_empty_journal_has_no_records(path: Path) -> None:
    path.touch()
    assert read(path) == reader.Journal([], None, 0)


DAMAGES: dict[str, Callable[[int], bytes]] = {
    "cut": lambda offset: WHOLE[:offset],
    "flipped": lambda offset: WHOLE[:offset] + bytes([WHOLE[offset] ^ 1 << offset % 8]) + WHOLE[offset + 1 :],
    "zeroed": lambda offset: WHOLE[:offset] + bytes(len(WHOLE) - offset),
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_each_byte_of_a_journal_of_50_records_is_damaged(damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "from_text", functools.cache(from_text))  # each record is parsed often otherwise
    whole = 0
    for offset in range(len(WHOLE)):
        while ENDS[whole] <= offset:
            whole += 1
        content = DAMAGES[damage](offset)
        journal = read_blocks([content], len(content))
        end = ENDS[whole - 1] if whole else 0
        assert len(journal.records) == whole
        assert journal.end == end
        if damage == "cut" and offset == end:
            assert journal.note is None
            replay(journal.records)
        else:
            assert journal.note is not None
            assert journal.note.startswith(f"byte {end}: ")
            assert journal.note.isprintable()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(RECORDS, st.binary(max_size=60))
def test_any_records_are_read_and_any_noise_is_left_out(path: Path, records: list[Record], noise: bytes) -> None:
    written = b"".join(encode(to_text(record)) for record in records)
    path.write_bytes(written + noise)
    journal = read(path)
    assert journal.records == records
    assert (journal.end, journal.note is None) == (len(written), not noise)


def test_a_hole_of_any_size_behind_the_records_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(WHOLE)
    os.truncate(path, 1 << 40)
    read_block = os.read
    sizes: list[int] = []

    def count(fd: int, size: int) -> bytes:
        sizes.append(size)
        assert len(sizes) == 1
        return read_block(fd, size)

    monkeypatch.setattr(os, "read", count)
    journal = read(path)
    assert (journal.records, journal.end) == (RECORDS_50, len(WHOLE))
    assert journal.note is not None
    assert journal.note.endswith(f"; {(1 << 40) - len(WHOLE)} bytes from there on cannot be read")


def test_types_of_a_later_version_are_counted(path: Path) -> None:
    path.write_bytes(encode('{"type":"weather"}') + encode(to_text(End(1.0))) + encode('{"type":"weather"}'))
    journal = read(path)
    assert (journal.records, journal.skipped, journal.note) == ([End(1.0)], 2, None)


def test_a_frame_that_is_no_record_ends_the_journal(path: Path) -> None:
    good = encode(to_text(End(1.0)))
    path.write_bytes(good + encode('{"type":"kept"}') + good)
    journal = read(path)
    assert (journal.records, journal.end) == ([End(1.0)], len(good))
    left = len(encode('{"type":"kept"}') + good)
    assert journal.note == (
        f"byte {len(good)}: a frame is no record: kept has no jobs; {left} bytes from there on cannot be read"
    )


def test_a_newer_version_is_an_error_that_names_the_file(path: Path) -> None:
    path.write_bytes(WHOLE + encode('{"type":"begin","version":2}'))
    with pytest.raises(JournalVersionError, match=r"journal\.jsonl is a journal of version 2; expected at most 1"):
        read(path)


def test_a_journal_below_a_root(path: Path) -> None:
    path.write_bytes(WHOLE)
    roots = Roots(str(path.parent))
    roots.open()
    try:
        assert read(roots.run.below(path.name)).records == RECORDS_50
    finally:
        roots.close()


def test_what_a_job_puts_in_its_place_is_not_followed_or_waited_for(path: Path) -> None:
    target = path.with_name("target")
    target.write_bytes(WHOLE)
    path.symlink_to(target)
    with pytest.raises(OSError, match=r"symbolic link|Not a directory"):
        read(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OSError, match="is no regular file"):
        read(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match="is no regular file"):
        read(path)


def test_a_missing_journal_is_named(path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="journal"):
        read(path)


def test_no_descriptor_is_left_open(path: Path) -> None:
    path.write_bytes(WHOLE + encode('{"type":"begin","version":2}'))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(JournalVersionError):
            read(path)
    assert len(os.listdir("/proc/self/fd")) == before
