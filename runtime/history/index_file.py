"""``history.sqlite``: the file of the index, and how it follows the journals of a directory.

The file is read as a whole and replaced as a whole, below the opened directory. So no link that a job has put there is
followed, nobody sees half of it, nothing is ever locked, which network file systems do not do reliably, and of two
processes that write it at the same time the later one wins: each has an index that the other one's readers complete.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Final, TypeVar

from runtime.errors import JournalVersionError
from runtime.history.database import CAN_BE_KEPT, DamagedIndexError
from runtime.history.index import Index
from runtime.history.outcomes import remembered
from runtime.journal.disk import JOURNAL_NAME
from runtime.journal.lock import holder_of
from runtime.journal.run_directory import read_run
from runtime.report.result_files import write_atomically
from runtime.roots import RootedPath

logger: Final = logging.getLogger("runtime.history")

INDEX_NAME: Final = "history.sqlite"
"""The name of the file in the directory of the run directories."""

MAX_SIZE: Final = 1 << 30
"""Bytes of a file that is read. Arbitrary: some 20 million results. Of a larger one the index is made again; ten times
more would fill the memory of a small machine."""
MAX_READ: Final = 1 << 20
"""Bytes of journals that are read for the display of a run. Arbitrary: of some 20,000 jobs, which takes 0.7 s; ten
times more would slow the run, and with a tenth most runs would know nothing of the one before them."""

_T = TypeVar("_T")


def ask_index(out: RootedPath, question: Callable[[Index], _T], tell: Callable[[str], None]) -> _T:
    """Return the answer to a question about the runs of a directory, after the index has followed their journals.

    Only journals that have changed are read. Blocks.

    Args:
        out: the directory of the run directories.
        question: returns the answer; may be asked twice, and may raise.
        tell: is called with a line for the user if the index had to be made again, or cannot be written.

    Raises:
        OSError: if the directory cannot be read.
    """
    if not CAN_BE_KEPT:
        tell(
            f"this SQLite is too old to keep an index ({sqlite3.sqlite_version}; expected 3.36): all journals are read"
        )
        return _answer(None, out, question, tell)
    path = out.below(INDEX_NAME)
    content = None
    try:
        content = read_content(out)
    except FileNotFoundError:
        pass
    except OSError as exc:
        tell(f"{path} cannot be read ({exc.strerror}); all journals are read again")
    if content is not None:
        try:
            return _answer(content, out, question, tell)
        except DamagedIndexError as exc:
            tell(f"{path}: {exc}; it is made again from the journals")
    return _answer(None, out, question, tell)


def look_up(out: RootedPath, question: Callable[[Index], _T], *, leave_out: str) -> _T:
    """Return the answer to a question about the newest runs of a directory, and write nothing. Blocks.

    For a run that goes on: of journals that the index has not followed, it reads at most `MAX_READ` bytes.

    Args:
        out: the directory of the run directories.
        question: returns the answer; may be asked twice.
        leave_out: the name of that run.

    Raises:
        OSError: if the directory cannot be read.
    """

    def answer(content: bytes | None) -> _T:
        with closing(Index(content)) as index:
            follow_journals(index, out, logger.info, leave_out=leave_out, budget=MAX_READ)
            return question(index)

    content = None
    if CAN_BE_KEPT:
        with suppress(OSError):
            content = read_content(out)
    if content is not None:
        try:
            return answer(content)
        except DamagedIndexError as exc:
            logger.info("%s: %s", out.below(INDEX_NAME), exc)
    return answer(None)


def read_content(out: RootedPath) -> bytes:
    """Return what an `Index` is made of again: the file of the index in a directory. Blocks.

    Raises:
        OSError: if it cannot be read, or there is none.
    """
    with open(out.below(INDEX_NAME).open_regular(), "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        # What is larger is damaged, and its first byte is as good as all of it.
        return file.readall() if size <= MAX_SIZE else file.read(1)


def _answer(content: bytes | None, out: RootedPath, question: Callable[[Index], _T], tell: Callable[[str], None]) -> _T:
    index = Index(content)
    try:
        if follow_journals(index, out, tell) and CAN_BE_KEPT:
            try:
                write_atomically(out.below(INDEX_NAME), 0o666, [index.content()])
            except OSError as exc:
                why = exc.strerror or str(exc)
                tell(f"{exc.filename or INDEX_NAME} cannot be written ({why}); the next time, journals are read again")
        return question(index)
    finally:
        index.close()


def follow_journals(
    index: Index,
    out: RootedPath,
    tell: Callable[[str], None],
    *,
    leave_out: str | None = None,
    budget: int | None = None,
) -> bool:
    """Read the journals of a directory that have changed into the index; return whether any had. Blocks.

    Args:
        index: it is changed.
        out: the directory of the run directories.
        tell: as for `ask_index`.
        leave_out: the name of a run that is not read.
        budget: bytes of journals that are read, of the newest runs first, the others staying as they were; `None` for
            all.

    Raises:
        OSError: if the directory cannot be read.
    """
    known = index.journals()
    gone = set(known)
    changed = False
    for name in sorted(out.names(), reverse=budget is not None):
        if name.startswith(".") or name == leave_out:  # the first is a run that is being removed
            continue
        directory = out.below(name)
        try:
            journal = _identity(directory.below(JOURNAL_NAME))
            if journal is None:
                continue
            if name in known and known[name][0] == journal and _has_state(directory, known[name][1]):
                gone.discard(name)
                continue
            if budget is not None and (budget := budget - _size(journal)) < 0:
                gone.discard(name)
                continue
            found = read_run(directory)
        except (OSError, JournalVersionError) as exc:
            logger.info("%s: %s", directory, exc)
            if isinstance(exc, JournalVersionError):
                tell(f"{exc}; the run is left out")
            continue
        index.put(journal, remembered(found.state, is_live=found.is_live, note=found.note))
        gone.discard(name)
        changed = True
    if gone:
        index.forget(gone)
    return changed or bool(gone)


def _identity(path: RootedPath) -> str | None:
    """Return what is another text when a journal has changed; `None` if there is none. Asked before it is read."""
    found = path.status()
    return f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}" if stat.S_ISREG(found.st_mode) else None


def _size(identity: str) -> int:
    """Return the bytes of the journal that has this identity."""
    return int(identity.split("-")[1])


def _has_state(directory: RootedPath, state: str) -> bool:
    """Whether a run whose journal has not changed still has this state: its process may have been killed."""
    return state == "ended" or (state == "running") is (holder_of(directory) is not None)
