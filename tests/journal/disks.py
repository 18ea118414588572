"""Disks in memory, which fail or hang when a test says so."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable

from runtime.journal.frames import Scanner
from runtime.journal.records import Jobs, Record, from_text

Hook = Callable[[str, int], object]
"""Called before a call with its name and how many calls of this name came before; may raise or wait."""


def job(number: int) -> Jobs:
    """Return a record that has a number."""
    return Jobs([f"job-{number}"], [""])


def numbers(records: Iterable[Record | None]) -> list[int]:
    """Return the numbers of records that `job` has made."""
    return [int(record.ids[0].rpartition("-")[2]) for record in records if isinstance(record, Jobs)]


def readable(content: bytes) -> list[Record | None]:
    """Return the records of the longest valid prefix."""
    return Scanner(from_text).feed(content)


class FakeDisk:
    """A disk in memory.

    Args:
        content: what the file contains at first.
        before: called before each call.
    """

    name = "fake.jsonl"

    def __init__(self, content: bytes = b"", before: Hook = lambda *_: None) -> None:
        self.content = bytearray(content)
        self.synced = bytes(content)
        """What would be there after a power cut."""
        self.calls: list[str] = []
        self.most = 1 << 30
        """Bytes that one call writes, at most."""
        self.before = before

    def _call(self, name: str) -> None:
        self.calls.append(name)
        self.before(name, self.calls.count(name) - 1)

    def open(self) -> None:
        self._call("open")

    def read(self, offset: int, most: int) -> bytes:
        self._call("read")
        return bytes(self.content[offset : offset + most])

    def truncate(self, size: int) -> None:
        self._call("truncate")
        del self.content[size:]

    def write(self, data: bytes | memoryview) -> int:
        self._call("write")
        part = bytes(data[: self.most])
        self.content += part
        return len(part)

    def datasync(self) -> None:
        self._call("datasync")
        self.synced = bytes(self.content)

    def close(self) -> None:
        self._call("close")


def failing(name: str, nth: int = 0, number: int = errno.EIO) -> Hook:
    """Return a hook that makes the `nth` call of `name` fail."""

    def before(called: str, count: int) -> None:
        if (called, count) == (name, nth):
            raise OSError(number, os.strerror(number))

    return before


class SmallDisk(FakeDisk):
    """A disk with a size. What fits is written; then it is full."""

    def __init__(self, size: int, content: bytes = b"") -> None:
        super().__init__(content)
        self.size = size

    def write(self, data: bytes | memoryview) -> int:
        self.most = self.size - len(self.content)
        if self.most <= 0:
            self._call("write")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


class HangingDisk(FakeDisk):
    """A disk on which one call returns only after `answer` was set.

    Args:
        name: the call.
        nth: which of them, from 0.
    """

    def __init__(self, name: str, nth: int = 0) -> None:
        super().__init__(before=self._hang)
        self._hangs = (name, nth)
        self.hanging = threading.Event()
        self.answer = threading.Event()
        self.closed = threading.Event()

    def _hang(self, name: str, count: int) -> None:
        if (name, count) == self._hangs:
            self.hanging.set()
            assert self.answer.wait(60)

    def close(self) -> None:
        super().close()
        self.closed.set()
