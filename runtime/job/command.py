"""The program and the arguments that a job's `cmd` stands for. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Final, Protocol

SHELL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
"""The names of variables that a shell can export; any other variable is set by ``env``."""

_SOURCE: Final = frozenset({"csh", "tcsh", "fish"})
"""Shells that read commands from a file by ``source``; all others by ``.``, as POSIX has it."""

_NO_SHELL: Final = re.compile(r"(python|pypy|perl|raku|ruby|node|deno|lua|php|tclsh|Rscript|g?awk)[\d.]*")
"""Interpreters that a `shell` may name, although they are no shells: they have no command such as ``.``, which runs the
commands of a file. Every other program is taken for a shell. An interpreter that is missing here fails with a syntax
error, where one of these is refused because its command is too long."""

_OPTIONS: Final = re.compile(r"\S\s+-")
"""An option behind a program: ``bash -e``. A blank alone may be part of a path."""


class HasCommand(Protocol):
    """What has a command: a `JobSpec`, or what is known of one."""

    @property
    def cmd(self) -> str | Sequence[str]:
        """As `JobSpec.cmd`."""
        ...

    @property
    def shell(self) -> str | Sequence[str]:
        """As `JobSpec.shell`."""
        ...


def command_words(spec: HasCommand) -> Sequence[str]:
    """Return the program of a job and its arguments; if `cmd` is text, the shell, its options and the text."""
    return spec.cmd if not isinstance(spec.cmd, str) else [*_shell(spec), spec.cmd]


def is_read_by_shell(spec: HasCommand) -> bool:
    """Whether a `cmd` that is text is run by a shell, and not by an interpreter that `shell` names instead."""
    return not any(_NO_SHELL.fullmatch(word.rpartition("/")[2]) for word in _shell(spec))


def words_by_file(spec: HasCommand, path: str) -> Sequence[str]:
    """Return the same as `command_words` for a `cmd` that is text and that has been written to the file `path`.

    The shell gets a short command that reads the file.
    """
    shell = _shell(spec)
    name = shell[0].rpartition("/")[2]
    # Not as a script, `[shell, path]`: its `$0` would be another one.
    if name == "zsh":  # it sets `$0` to the file's name in a file that is read by `.`
        return [*shell, f'eval "$(<{shlex.quote(path)})"']
    return [*shell, f"{'source' if name in _SOURCE else '.'} {shlex.quote(path)}"]


def has_options(shell: object) -> bool:
    """Whether a `shell` is a program with options, such as ``bash -e``, and not the path of one."""
    return isinstance(shell, str) and _OPTIONS.search(shell) is not None


def _shell(spec: HasCommand) -> Sequence[str]:
    return [spec.shell, "-c"] if isinstance(spec.shell, str) else spec.shell
