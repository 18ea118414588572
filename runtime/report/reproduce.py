"""Where the files of a job are, and the shell line that runs it again alone. Pure."""

from __future__ import annotations

import shlex
from pathlib import Path

from runtime.backend.job_paths import COMMAND_FILE_ENDING, JobPaths, has_long_text
from runtime.job import JobSpec
from runtime.job.command import command_words, words_by_file
from runtime.report.variables import NAME, has_variables


def job_dir(job: JobSpec, run_dir: Path) -> Path:
    """Return the output directory of a job."""
    return Path(JobPaths.of(job, str(run_dir)).odir)


def log_path(job: JobSpec, run_dir: Path) -> Path:
    """Return the log of a job."""
    return Path(JobPaths.of(job, str(run_dir)).log)


def reproduce(job: JobSpec, run_dir: Path) -> str:
    """Return a line for a shell that runs the command of a job by itself, with its directory and its variables.

    The values of its variables are not in the line, but in a file: see `report.variables`. Nor is a text that is too
    long for an argument: its file is there if the job was started.
    """
    by_file = has_long_text(job)
    words = [*(words_by_file(job, f"{log_path(job, run_dir)}{COMMAND_FILE_ENDING}") if by_file else command_words(job))]
    if has_variables(job):
        words = ["sh", str(run_dir / NAME), job.id, *words]
    return f"cd {shlex.quote(JobPaths.of(job, str(run_dir)).cwd)} && {shlex.join(words)}"
