"""``exports.sh``: the environment variables of a run's jobs, and secret commands, in a script for its owner alone.

The commands in ``results.json`` and on the screen may be seen by others, and variables may be secret. So a command
names this script, which sets the variables of one job and runs the rest of its arguments::

    cd /run/smoke@8 && sh /run/exports.sh smoke=8 ./sim +seed=1

Without these arguments it runs the command of the job, if that has values that may be secret: those of ``-D``, and of
the environment.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from runtime.backend.job_paths import COMMAND_FILE_ENDING, has_long_text, job_paths
from runtime.job import JobSpec
from runtime.job.command import SHELL_NAME, command_words, words_by_file
from runtime.report.reported_job import ReportedJob

SCRIPT_NAME: Final = "exports.sh"
"""The name of the script, in the run's directory."""

_HEAD: Final = """\
# The variables of jobs: sh exports.sh JOB COMMAND [ARGUMENT...]
case $1 in
"""
_TAIL: Final = """\
*) echo "exports.sh: it has nothing of the job $1" >&2; exit 64 ;;
esac
exec "$@"
"""


def needs_script(job: ReportedJob) -> bool:
    """Whether running the command of a job again takes the script."""
    return bool(job.exports) or job.secret_cmd


def render_variables(jobs: Iterable[JobSpec], run_dir: str = "") -> Iterator[bytes]:
    """Yield the bytes of the script for `jobs`, each of which needs it.

    Args:
        jobs: the jobs.
        run_dir: the run directory, where the file of a command is that is too long for an argument.
    """
    yield _HEAD.encode()
    for job in jobs:
        for_env = {name: value for name, value in job.exports.items() if not SHELL_NAME.fullmatch(name)}
        steps = [f"export {name}={shlex.quote(value)}" for name, value in job.exports.items() if name not in for_env]
        if job.secret_cmd:
            steps.append(f'[ "$#" -gt 0 ] || set -- {shlex.join(_words(job, run_dir))}')
        if for_env:
            words = shlex.join(f"{name}={value}" for name, value in for_env.items())
            steps.append(f'set -- env {words} "$@"')
        # A lone surrogate has no bytes, so such a job was never started; it must not cost the others their variables.
        text = f"{shlex.quote(job.id)}) shift; {'; '.join(steps)} ;;\n"
        yield text.encode("utf-8", "surrogateescape" if _has_bytes(text) else "backslashreplace")
    yield _TAIL.encode()


def _has_bytes(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _words(job: JobSpec, run_dir: str) -> Sequence[str]:
    """Return the words that run the command of a job; if that is too long for an argument, those that read its file."""
    if not has_long_text(job):
        return command_words(job)
    return words_by_file(job, f"{job_paths(job, run_dir).log}{COMMAND_FILE_ENDING}")
