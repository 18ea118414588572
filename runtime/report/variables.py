"""``exports.sh``: the environment variables of a run's jobs, in a script that only its owner can read.

The commands in ``results.json`` and on the screen may be seen by others, and variables may be secret. So a command
names this script, which sets the variables of one job and runs the rest of its arguments::

    cd /run/smoke@8 && sh /run/exports.sh smoke=8 ./sim +seed=1
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from typing import Final

from runtime.job import JobSpec
from runtime.job.command import SHELL_NAME

SCRIPT_NAME: Final = "exports.sh"
"""The name of the script, in the run's directory."""

_HEAD: Final = """\
# The variables of jobs: sh exports.sh JOB COMMAND [ARGUMENT...]
case $1 in
"""
_TAIL: Final = """\
*) echo "exports.sh: no variables of the job $1" >&2; exit 64 ;;
esac
exec "$@"
"""


def render_variables(jobs: Iterable[JobSpec]) -> Iterator[bytes]:
    """Yield the bytes of the script for `jobs`, all of which have variables."""
    yield _HEAD.encode()
    for job in jobs:
        for_env = {name: value for name, value in job.exports.items() if not SHELL_NAME.fullmatch(name)}
        steps = [f"export {name}={shlex.quote(value)}" for name, value in job.exports.items() if name not in for_env]
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
