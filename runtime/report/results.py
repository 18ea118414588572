"""``results.json``: all that is known of a run, for programs. It is written atomically: as a whole, or not at all."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import attrs

from runtime.errors import NO_FSYNC
from runtime.job import JobResult, JobSpec
from runtime.report import strict
from runtime.report.counts import ENDS, end_of
from runtime.report.reproduce import reproduce
from runtime.report.variables import SCRIPT_NAME, needs_script, render_variables
from runtime.roots import RootedPath

logger: Final = logging.getLogger("runtime.report")

VERSION: Final = 2
"""The version of the format. It is increased when a key is removed or changes its meaning, not when one is added."""


@attrs.frozen(kw_only=True)
class RunRecord:
    """What is known of the run as a whole."""

    run: str
    """The name of the run."""
    name: str
    """The name of the job file."""
    command: Sequence[str]
    """The command line that started it."""
    directory: str
    """The working directory of that command line."""
    seed_base: int
    """The seed from which the jobs' seeds are derived."""
    epoch: float
    """The wall time, in seconds since 1970, of second 0 on the scheduler's clock."""
    started: float
    """When the run began, in seconds on the scheduler's clock."""
    ended: float
    """When the run ended, in seconds on the scheduler's clock."""
    stopped_by: str | None = None
    """The signal, or anything else, that ended the run early; `None` if it was not stopped."""


def results_table(record: RunRecord, results: Sequence[JobResult[JobSpec]], run_dir: Path) -> dict[str, object]:
    """Return the content of ``results.json`` without its jobs: see `job_table`."""
    return {
        "version": VERSION,
        "run": record.run,
        "name": record.name,
        "command": list(record.command),
        "directory": record.directory,
        "run_dir": str(run_dir),
        "seed_base": record.seed_base,
        "started": wall_time(record.epoch + record.started),
        "ended": wall_time(record.epoch + record.ended),
        "seconds": round(record.ended - record.started, 6),
        "stopped_by": record.stopped_by,
        "counts": {**dict.fromkeys(ENDS, 0), **Counter(map(end_of, results))},
    }


def job_table(result: JobResult[JobSpec], epoch: float, run_dir: Path) -> dict[str, object]:
    """Return the entry of one job in ``results.json``."""
    job = result.job
    reason = result.reason
    started = result.started
    return {
        "id": result.id,
        "name": job.name,
        "status": result.status.name.lower(),
        "kind": reason.kind.value if reason is not None and reason.kind is not None else None,
        "message": None if reason is None else reason.message,
        "lines": None if reason is None or reason.lines is None else list(reason.lines),
        "context": None if reason is None or reason.context is None else list(reason.context),
        "seed": job.seed,
        "tags": list(job.tags),
        "never_ran": result.never_ran,
        "attempt": result.attempt,
        "submitted": None if result.submitted is None else wall_time(epoch + result.submitted),
        "started": None if started is None else wall_time(epoch + started),
        "ended": wall_time(epoch + result.ended),
        "queue_seconds": None if result.submitted is None or started is None else round(started - result.submitted, 6),
        "run_seconds": None if started is None else round(result.ended - started, 6),
        "usage": None if result.usage is None else attrs.asdict(result.usage),
        "odir": result.odir,
        "log": result.log_path,
        "command": reproduce(result, run_dir),
    }


def write_results(path: RootedPath, record: RunRecord, results: Sequence[JobResult[JobSpec]]) -> None:
    """Write ``results.json`` to `path`, in the run's directory, and next to it the script of the variables, if needed.

    Blocks: for threads.

    Raises:
        OSError: if it cannot be written; an older file stays as it was.
    """
    with_script = [result.job for result in results if needs_script(result.job)]
    if with_script:  # before the results: their commands name this script
        _write(path.with_name(SCRIPT_NAME), 0o600, render_variables(with_script))
    lines = _document(record, results, Path(str(path.parent)))
    _write(path, 0o666, (line.encode("ascii") for line in lines))


def _write(path: RootedPath, mode: int, lines: Iterable[bytes]) -> None:
    """Write a file atomically: others see it as a whole or not at all."""
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


def _document(record: RunRecord, results: Sequence[JobResult[JobSpec]], run_dir: Path) -> Iterator[str]:
    """Yield the text of the file, with one job per line: for ``grep`` and ``diff``, and never in memory as a whole."""
    head = strict.dumps(results_table(record, results, run_dir), indent=1)
    yield head.removesuffix("\n}") + ',\n "jobs": ['
    separator = "\n  "
    for result in results:
        yield separator + strict.dumps(job_table(result, record.epoch, run_dir))
        separator = ",\n  "
    yield "\n ]\n}\n"


def wall_time(seconds: float) -> str:
    """Return seconds since 1970 as ISO 8601, in UTC, with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
