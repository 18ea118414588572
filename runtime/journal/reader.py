"""Reading the journal of a run, whatever state it is in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from runtime import rooted
from runtime.errors import JournalVersionError
from runtime.journal.frames import Scanner
from runtime.journal.records import Record, from_text
from runtime.roots import RootedPath

BLOCK: Final = 1 << 22
"""Bytes that are read at a time. Arbitrary: a tenth costs more calls, and ten times as much is held in memory."""


@attrs.frozen
class Journal:
    """What can be read of a journal."""

    records: Sequence[Record]
    """All records up to the first byte that is no part of a whole, valid one."""
    note: str | None
    """What is missing after them, and why, in one line; `None` if nothing is."""
    end: int
    """Where the last whole, valid record ends, in bytes."""
    skipped: int = 0
    """Records before that of types that this version does not know."""


def read(path: RootedPath | str | os.PathLike[str]) -> Journal:
    """Return what can be read of the journal `path`, which a job may have replaced by anything. Blocks: for threads.

    What is in the file never makes it raise, except for the version.

    Raises:
        OSError: if it cannot be opened or read, or is no regular file. No symbolic link is followed.
        JournalVersionError: if a newer version of this package has written it.
    """
    fd = open_journal(path)
    try:
        return read_blocks(iter(lambda: os.read(fd, BLOCK), b""), os.fstat(fd).st_size)
    except JournalVersionError as exc:
        msg = f"{path} is {exc}"
        raise JournalVersionError(msg) from None
    finally:
        os.close(fd)


def read_blocks(blocks: Iterable[bytes], size: int) -> Journal:
    """Return what can be read of a journal.

    Args:
        blocks: its bytes, from the first one on. Not taken are those behind a block with a flaw: a job can make a file
            with a hole of any size, which takes hours to read.
        size: of the journal, in bytes, for the note.

    Raises:
        JournalVersionError: if a newer version of this package has written it.
    """
    scanner = Scanner(from_text)
    records: list[Record] = []
    skipped = 0
    for block in blocks:
        for record in scanner.feed(block):
            if record is None:
                skipped += 1
            else:
                records.append(record)
        if scanner.is_broken:
            scanner.skip_to(size)
            break
    return Journal(records, scanner.note, scanner.end, skipped)


def open_journal(path: RootedPath | str | os.PathLike[str]) -> int:
    """Return a descriptor for reading a journal. Blocks.

    Raises:
        OSError: if it cannot be opened, or is no regular file. No symbolic link is followed.
    """
    if isinstance(path, RootedPath):
        return path.open_regular()
    directory, name = os.path.split(path)
    parent = os.open(directory or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return rooted.open_regular(parent, name)
    finally:
        os.close(parent)
