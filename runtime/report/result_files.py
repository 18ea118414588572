"""Writing the files of a report, each as a whole or not at all."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from runtime.errors import NO_FSYNC
from runtime.job import JobSpec
from runtime.report.exports_script import SCRIPT_NAME, needs_script, render_variables
from runtime.roots import RootedPath

logger: Final = logging.getLogger("runtime.report")


def write_results(path: RootedPath, lines: Iterable[str]) -> None:
    """Write ``results.json`` to `path`. Blocks: for threads.

    Raises:
        OSError: if it cannot be written; an older file stays as it was.
    """
    write_atomically(path, 0o666, (line.encode("ascii") for line in lines))


def write_variables(directory: RootedPath, jobs: Iterable[JobSpec]) -> None:
    """Write the script of the variables and secret commands of jobs to a run directory, if any job needs it. Blocks.

    Raises:
        OSError: if it cannot be written; an older file stays as it was.
    """
    with_script = [job for job in jobs if needs_script(job)]
    if with_script:
        write_atomically(directory.below(SCRIPT_NAME), 0o600, render_variables(with_script, str(directory)))


def write_atomically(path: RootedPath, mode: int, lines: Iterable[bytes]) -> None:
    """Write a file atomically: others see it as a whole or not at all. Blocks.

    Raises:
        OSError: if it cannot be written; an older file stays as it was.
    """
    # A unique name: if a write hangs in a thread, the last attempt to save the results writes at the same time.
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        with open(temporary.create(mode), "wb") as file:
            file.writelines(lines)
            file.flush()
            try:
                os.fsync(file.fileno())
            except OSError as exc:
                if exc.errno not in NO_FSYNC:  # such as EIO: the data is lost, so the older file must stay
                    raise
                logger.warning("%s may not survive a power cut: its file system has no fsync (%s)", path, exc.strerror)
        try:
            temporary.rename(path.name)
        except IsADirectoryError:  # made by a job; a rename replaces anything else
            aside = f"{temporary.name.removeprefix('.')}.moved"
            path.rename(aside)
            logger.warning("%s was a directory; it is renamed to %s", path, aside)
            temporary.rename(path.name)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
