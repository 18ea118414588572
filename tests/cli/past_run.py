"""Run directories with a journal, as runs leave them, for tests of the commands about runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from runtime.job import JobResult, JobSpec
from runtime.journal import JSON, Record, acquire, encode, to_text
from runtime.roots import Roots
from tests.report.states import DETAILS, records

NAME = "20260102-030405-abcdef"


def write_journal(run_dir: Path, written: Sequence[Record], *, torn: bytes = b"") -> Path:
    """Make a run directory with a journal of these records, and `torn` at its end; return its path."""
    run_dir.mkdir(parents=True)
    (run_dir / "journal.jsonl").write_bytes(b"".join(encode(to_text(record)) for record in written) + torn)
    return run_dir


def write_run(
    out: Path,
    results: Sequence[JobResult[JobSpec]],
    *,
    name: str = NAME,
    ended: float | None = 5.5,
    more: Sequence[JobSpec] = (),
    torn: bytes = b"",
    details: Mapping[str, JSON] = DETAILS,
) -> Path:
    """Make the directory of a run in which these jobs ended; `None` for `ended` if it died. Point `latest` to it."""
    run_dir = out / name
    write_journal(run_dir, records(results, run_dir, ended=ended, more=more, details=details), torn=torn)
    (out / "latest").unlink(missing_ok=True)
    (out / "latest").symlink_to(name)
    return run_dir


@contextmanager
def held(run_dir: Path) -> Iterator[None]:
    """Hold the lock of a run directory, as the process does that runs the run."""
    roots = Roots(str(run_dir))
    roots.open()
    try:
        with acquire(roots.run):
            yield
    finally:
        roots.close()
