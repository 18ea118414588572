"""From a job's `cmd` to the words that start it: the program, and its arguments. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from runtime.job.spec import JobSpec

_SOURCE: Final = frozenset({"csh", "tcsh", "fish"})
"""Shells that read commands from a file by ``source``; all others by ``.``, as POSIX has it."""

_NO_SHELL: Final = re.compile(r"(python|pypy|perl|raku|ruby|node|deno|lua|php|tclsh|Rscript|g?awk)[\d.]*")
"""Programs that a `shell` may name, and that know no command by which a shell reads a file. Whatever else there is, is
taken for a shell: those that are not listed here fail by a syntax error, instead of as too long."""


_OPTIONS: Final = re.compile(r"\S\s+-")


def command_words(spec: JobSpec) -> Sequence[str]:
    """Return the program of a job and its arguments, which are a shell and what it is given if `cmd` is text."""
    return spec.cmd if not isinstance(spec.cmd, str) else [*_shell(spec), spec.cmd]


def is_read_by_shell(spec: JobSpec) -> bool:
    """Whether a `cmd` that is text is read by a shell, and not by an interpreter that `shell` names in its place."""
    return not any(_NO_SHELL.fullmatch(word.rpartition("/")[2]) for word in _shell(spec))


def words_by_file(spec: JobSpec, path: str) -> Sequence[str]:
    """Return the same for a `cmd` that is text, and that the shell finds in the file `path`.

    It reads the file as its command instead of running it as a script: ``$0``, its input and its options are as ever.
    """
    shell = _shell(spec)
    name = shell[0].rpartition("/")[2]
    if name == "zsh":  # in a file it would call itself by the name of that
        return [*shell, f'eval "$(<{shlex.quote(path)})"']
    return [*shell, f"{'source' if name in _SOURCE else '.'} {shlex.quote(path)}"]


def has_options(shell: object) -> bool:
    """Whether a `shell` is the text of a command, such as ``bash -e``, which no file is called."""
    return isinstance(shell, str) and _OPTIONS.search(shell) is not None


def _shell(spec: JobSpec) -> Sequence[str]:
    return [spec.shell, "-c"] if isinstance(spec.shell, str) else spec.shell
