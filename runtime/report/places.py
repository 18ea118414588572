"""Where the files of a job are, and the shell line that runs it again alone. Pure."""

from __future__ import annotations

import shlex
from pathlib import Path

from runtime.backends.directories import Places
from runtime.job import JobSpec
from runtime.job.command import command_words
from runtime.report.variables import NAME, has_variables


def job_dir(job: JobSpec, run_dir: Path) -> Path:
    """Return the output directory of a job."""
    return Path(Places.of(job, str(run_dir)).odir)


def log_path(job: JobSpec, run_dir: Path) -> Path:
    """Return the log of a job."""
    return Path(Places.of(job, str(run_dir)).log)


def reproduce(job: JobSpec, run_dir: Path) -> str:
    """Return a line for a shell that runs the command of a job by itself, with its directory and its variables.

    The values of its variables are not in the line, but in a file: see `report.variables`.
    """
    words = list(command_words(job))
    if has_variables(job):
        words = ["sh", str(run_dir / NAME), job.id, *words]
    return f"cd {shlex.quote(Places.of(job, str(run_dir)).cwd)} && {shlex.join(words)}"
