"""From a job's `cmd` to the words that start it: the program, and its arguments. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from runtime.job.spec import JobSpec

_SOURCE: Final = frozenset({"csh", "tcsh", "fish"})
"""Shells that read commands from a file by ``source``; all others by ``.``, as POSIX has it."""


def command_words(spec: JobSpec) -> Sequence[str]:
    """Return the program of a job and its arguments, which are a shell and what it is given if `cmd` is text."""
    return spec.cmd if not isinstance(spec.cmd, str) else [*_shell(spec), spec.cmd]


def words_by_file(spec: JobSpec, path: str) -> Sequence[str]:
    """Return the same for a `cmd` that is text, and that the shell finds in the file `path`.

    It reads the file as its command instead of running it as a script: ``$0``, its input and its options are as ever.
    """
    shell = _shell(spec)
    name = shell[0].rpartition("/")[2]
    if name == "zsh":  # in a file it would call itself by the name of that
        return [*shell, f'eval "$(<{shlex.quote(path)})"']
    return [*shell, f"{'source' if name in _SOURCE else '.'} {shlex.quote(path)}"]


def _shell(spec: JobSpec) -> Sequence[str]:
    return [spec.shell, "-c"] if isinstance(spec.shell, str) else spec.shell
