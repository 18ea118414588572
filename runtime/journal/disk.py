"""`Disk`: what a journal needs of a file, so that a simulation can give another; and `JournalFile`, a real one."""

from __future__ import annotations

import errno
import os
from typing import Final, Protocol

from runtime.errors import NO_FSYNC
from runtime.roots import RootedPath, Roots

JOURNAL_NAME: Final = "journal.jsonl"
"""The name of the journal in its run directory."""

_MODE: Final = 0o600
"""Of the journal: messages and log lines of jobs are nobody else's business."""


class Disk(Protocol):
    """The file of a journal. All methods but `name` block, are called by one thread, and may raise `OSError`."""

    @property
    def name(self) -> str:
        """The path of the file, for messages."""
        ...

    def open(self) -> None:
        """Open the file, which is made unless it exists. Called first, and once."""
        ...

    def read(self, offset: int, most: int) -> bytes:
        """Return at most `most` bytes from `offset` on; none at the end of the file."""
        ...

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""
        ...

    def write(self, data: bytes | memoryview) -> int:
        """Append a part of `data`, from its beginning; return how many bytes."""
        ...

    def datasync(self) -> None:
        """Return when what was written would survive a power cut. Errors of `NO_FSYNC`: it cannot be told."""
        ...

    def close(self) -> None:
        """Close the file. Called last, and once, also if `open` has failed.

        Raises:
            FileNotFoundError: if nobody can find it any more.
        """
        ...


class JournalFile:
    """The journal in a run directory. A job can reach it, so it is opened by the rules of `runtime.rooted`.

    Args:
        directory: the run directory; as `Roots`, it need not be open before the journal.
    """

    def __init__(self, directory: RootedPath | Roots) -> None:
        self._directory = directory
        self._fd = -1
        self._name_synced = False
        """Whether the entry in the directory is on disk: without it, the file would be gone after a power cut."""

    @property
    def name(self) -> str:
        """Its absolute path."""
        return f"{self._directory}/{JOURNAL_NAME}"

    def open(self) -> None:
        """Open it, or make it with mode 0600."""
        self._fd = self._run_directory.below(JOURNAL_NAME).open_to_append(_MODE)

    def read(self, offset: int, most: int) -> bytes:
        """Return at most `most` bytes from `offset` on; none at the end of the file."""
        return os.pread(self._fd, most, offset)

    def truncate(self, size: int) -> None:
        """Cut it to `size` bytes."""
        os.ftruncate(self._fd, size)

    def write(self, data: bytes | memoryview) -> int:
        """Append a part of `data`."""
        return os.write(self._fd, data)

    def datasync(self) -> None:
        """Sync the file and, the first time, its directory."""
        os.fdatasync(self._fd)
        if not self._name_synced:
            try:
                self._run_directory.sync()
            except OSError as exc:
                if exc.errno not in NO_FSYNC:  # some file systems can sync files, but no directories
                    raise
            self._name_synced = True

    @property
    def _run_directory(self) -> RootedPath:
        return self._directory.run if isinstance(self._directory, Roots) else self._directory

    def close(self) -> None:
        """Close it. Raises `FileNotFoundError` if it is not at its place, because a job has removed or replaced it."""
        if self._fd < 0:
            return
        try:
            if not self._is_at_its_place():
                raise FileNotFoundError(errno.ENOENT, "it was removed or replaced while it was written", self.name)
        finally:
            os.close(self._fd)

    def _is_at_its_place(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._fd), self._run_directory.below(JOURNAL_NAME).status())
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True  # nobody knows
