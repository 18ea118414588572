"""The shell command that runs a job again by itself. Pure."""

from __future__ import annotations

import shlex
from pathlib import Path

from runtime.backend.job_paths import COMMAND_FILE_ENDING, has_long_text
from runtime.job import JobResult
from runtime.job.command import command_words, words_by_file
from runtime.report.exports_script import SCRIPT_NAME, needs_script
from runtime.report.reported_job import ReportedJob


def reproduce(result: JobResult[ReportedJob], run_dir: Path) -> str:
    """Return a line for a shell that runs the command of a job by itself, in its directory and with its variables.

    The line does not contain the values of the variables, which may be secret, nor a command that has such values: they
    are in a file, see `report.variables`. Nor does it contain a command that is too long for an argument: the line
    names the file that has it, which was written when the job was started. It is empty if the command is not known.
    """
    job = result.job
    if not job.cmd and not job.secret_cmd:
        return ""
    paths = result.event.paths
    if paths is not None and has_long_text(job):
        words = [*words_by_file(job, f"{paths.log}{COMMAND_FILE_ENDING}")]
    else:
        words = [] if job.secret_cmd else [*command_words(job)]
    if needs_script(job):
        words = ["sh", str(run_dir / SCRIPT_NAME), job.id, *words]
    cwd = job.cwd if paths is None else paths.cwd
    return shlex.join(words) if cwd is None else f"cd {shlex.quote(cwd)} && {shlex.join(words)}"
