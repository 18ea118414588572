"""An exported run: one file with its journal, its results and the logs of its failures, which opens elsewhere.

It is a gzipped tar file, so that people can look into it without this package. Nothing is ever unpacked: members are
read by their names. The file of the secret values of a run, and the directories of its jobs, stay behind.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

import attrs

from runtime.journal.disk import JOURNAL_NAME
from runtime.journal.reader import BLOCK, Journal, read_blocks
from runtime.report.results import RESULTS_NAME

FORMAT: Final = 1
"""The version of the format. It is increased when an older reader would misunderstand it."""

MAX_LOG: Final = 16 << 20
"""Bytes of a log that are packed: its last ones. Arbitrary: ten times more, and a few hundred failures make a file that
nobody can send; a tenth would cut the log of a short simulation."""

_ABOUT: Final = "run.json"
_MAX_ABOUT: Final = 1 << 20
"""Bytes of `_ABOUT` that are read; ours has a few hundred."""
_MODE: Final = 0o600
"""As that of a journal: messages and log lines of jobs are nobody else's business."""


class ArchiveError(ValueError):
    """A file is no exported run. The caller's fault; the same file fails again."""


@attrs.frozen
class ExportedRun:
    """What an exported run holds."""

    run_dir: str
    """The run directory, where it was exported."""
    is_live: bool
    """Whether the run ran when it was exported."""
    journal: Journal


def write_archive(
    path: Path,
    run_dir: str,
    journal: tuple[IO[bytes], int],
    results: Iterable[str],
    logs: Iterable[tuple[str, bytes]],
    *,
    is_live: bool,
) -> None:
    """Write an exported run to `path`, atomically. Blocks.

    Args:
        path: an older file is replaced.
        run_dir: the run directory.
        journal: the journal, opened at its first byte, and where its last valid record ends.
        results: the text of ``results.json``.
        logs: name and content of each log.
        is_live: whether the run runs.

    Raises:
        OSError: if it cannot be written; an older file stays as it was.
    """
    temporary = path.with_name(f".{path.name[:200]}.{os.urandom(4).hex()}")
    top = run_dir.rpartition("/")[2]
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
    try:
        with open(fd, "wb") as file, tarfile.open(fileobj=file, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
            about = {"format": FORMAT, "run_dir": run_dir, "is_live": is_live}
            _add_bytes(archive, f"{top}/{_ABOUT}", json.dumps(about).encode("ascii"))
            _add(archive, f"{top}/{JOURNAL_NAME}", *journal)
            with tempfile.TemporaryFile(dir=path.parent) as text:
                text.writelines(line.encode("ascii") for line in results)
                size = text.tell()
                text.seek(0)
                _add(archive, f"{top}/{RESULTS_NAME}", text, size)
            for name, content in logs:
                _add_bytes(archive, f"{top}/logs/{name}", content)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _add(archive: tarfile.TarFile, name: str, file: IO[bytes], size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = _MODE
    archive.addfile(member, file)


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    _add(archive, name, io.BytesIO(content), len(content))


def read_archive(path: Path) -> ExportedRun:
    """Return what an exported run holds. Blocks.

    Raises:
        ArchiveError: if it is none, or of a newer format.
        OSError: if it cannot be read.
        JournalVersionError: if a newer version of this package wrote its journal.
    """
    run_dir, is_live, journal = "", False, None
    for name, size, file in _members(path):
        if name == _ABOUT:
            run_dir, is_live = _about(file.read(_MAX_ABOUT))
        elif name == JOURNAL_NAME and run_dir:
            blocks = iter(lambda file=file: file.read(BLOCK), b"")  # type: ignore[misc]  # bound at once
            journal = read_blocks(blocks, size)
            break
    if journal is None:
        raise ArchiveError("it is a tar file, but no exported run")
    return ExportedRun(run_dir, is_live, journal)


def read_log(path: Path, name: str) -> bytes | None:
    """Return a log of an exported run by its name; `None` if it has none of that name. Raises as `read_archive`."""
    for member, _, file in _members(path):
        if member == f"logs/{name}":
            return file.read(MAX_LOG)
    return None


def _members(path: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Yield name below the top directory, size in bytes, and content of each file of an archive."""
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None:
                    yield member.name.partition("/")[2], member.size, file
    except (tarfile.TarError, EOFError, zlib.error) as exc:
        raise ArchiveError("it is no exported run, or a part of one") from exc


def _about(content: bytes) -> tuple[str, bool]:
    try:
        table = json.loads(content)
        version, run_dir, is_live = table["format"], table["run_dir"], table["is_live"]
    except (ValueError, TypeError, LookupError, RecursionError):
        raise ArchiveError("it is a tar file, but no exported run") from None
    if type(version) is not int or not isinstance(run_dir, str) or not run_dir:
        raise ArchiveError("it is a tar file, but no exported run")
    if version > FORMAT:
        raise ArchiveError(f"it is of format {version}; expected at most {FORMAT}. A newer version exported it")
    return run_dir, is_live is True
