"""`Again`: the commands that run a job of a run again, for people to copy. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from runtime.job import JobResult
from runtime.report.reported_job import ReportedJob
from runtime.report.reproduce import reproduce
from runtime.report.text import shell_word

DEFAULT_OUT: Final = "results"
"""The default of ``--out``."""

WAVES: Final = "waves"
"""The key of the options of ``rerun`` with which jobs write waves, in the details of a journal."""


class Again:
    """Makes the commands for the jobs of one run. Each is one printable line, whatever the id of the job is.

    ``job-runtime rerun`` runs a job with its seed, its environment and its build in a new run, so that nothing of the
    failure is overwritten. A run without job files, of a program that embeds the library, has the command of the job.

    Args:
        run_dir: the run directory.
        relative_to: the directory that the commands are for.
        details: of the journal of the run.
    """

    def __init__(self, run_dir: Path, relative_to: Path, details: Mapping[str, object]) -> None:
        self._run_dir = run_dir
        out = run_dir.parent
        self._out: Sequence[str] = () if out == relative_to / DEFAULT_OUT else ("--out", _relative(out, relative_to))
        self._has_files = bool(details.get("files"))
        waves = details.get(WAVES)  # a job can write a journal, so each word is quoted
        self._waves = [word for word in waves if isinstance(word, str)] if isinstance(waves, list | tuple) else []

    def command(self, result: JobResult[ReportedJob]) -> str | None:
        """Return the command that runs a job again; `None` if none is known."""
        if self._has_files:
            return self.rerun(result.id)
        command = reproduce(result, self._run_dir)
        return f"bash -c {shell_word(command)}" if not command.isprintable() else command or None

    def rerun(self, job_id: str) -> str | None:
        """Return the ``job-runtime rerun`` of a job, whether it has ended or not; `None` if the run has no job file."""
        return self._rerun(job_id, self._out) if self._has_files else None

    def with_waves(self, job_id: str) -> str | None:
        """Return that command with waves; `None` if there is none, or the job file does not say how to write them."""
        return self._rerun(job_id, (*self._out, *self._waves)) if self._waves and self._has_files else None

    def _rerun(self, job_id: str, options: Sequence[str]) -> str:
        # An id that begins with "-" would be an option, but for the "--" before it, behind which there are none.
        words = (*options, "--", job_id) if job_id.startswith("-") else (job_id, *options)
        return " ".join(map(shell_word, ("job-runtime", "rerun", self._run_dir.name, *words)))


def _relative(path: Path, relative_to: Path) -> str:
    return str(path.relative_to(relative_to) if path.is_relative_to(relative_to) else path)
