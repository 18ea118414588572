"""From a job's `cmd` to the words that start it: the program, and its arguments. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.job.spec import JobSpec


def command_words(spec: JobSpec) -> Sequence[str]:
    """Return the program of a job and its arguments, which are a shell and what it is given if `cmd` is text."""
    return spec.cmd if not isinstance(spec.cmd, str) else [*_shell(spec), spec.cmd]


def _shell(spec: JobSpec) -> Sequence[str]:
    return [spec.shell, "-c"] if isinstance(spec.shell, str) else spec.shell
