"""The paths of a job's files, and the shell command that runs the job again by itself. Pure."""

from __future__ import annotations

import shlex
from pathlib import Path

from runtime.backend.job_paths import COMMAND_FILE_ENDING, JobPaths, has_long_text
from runtime.job import JobSpec
from runtime.job.command import command_words, words_by_file
from runtime.report.variables import SCRIPT_NAME, has_variables


def job_dir(job: JobSpec, run_dir: Path) -> Path:
    """Return the path of a job's output directory."""
    return Path(JobPaths.of(job, str(run_dir)).odir)


def log_path(job: JobSpec, run_dir: Path) -> Path:
    """Return the path of a job's log."""
    return Path(JobPaths.of(job, str(run_dir)).log)


def reproduce(job: JobSpec, run_dir: Path) -> str:
    """Return a line for a shell that runs the command of a job by itself, in its directory and with its variables.

    The line does not contain the values of the variables, which may be secret: they are in a file, see
    `report.variables`. Nor does it contain a command that is too long for an argument: the line names the file that has
    it, which was written when the job was started.
    """
    by_file = has_long_text(job)
    words = [*(words_by_file(job, f"{log_path(job, run_dir)}{COMMAND_FILE_ENDING}") if by_file else command_words(job))]
    if has_variables(job):
        words = ["sh", str(run_dir / SCRIPT_NAME), job.id, *words]
    return f"cd {shlex.quote(JobPaths.of(job, str(run_dir)).cwd)} && {shlex.join(words)}"
