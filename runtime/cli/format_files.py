"""`FormatFiles`: the files for other programs that a user named, each written as a whole or not at all.

A path is resolved before a job runs, through the user's own links, and its directory is held open: what a job puts in
the place of the file, or of a directory above it, leads nowhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final, Protocol

from runtime.cli.timed_calls import call_each_with_timeout
from runtime.jobfile.errors import InputError, shown
from runtime.journal.replay import RunState
from runtime.report.junit import junit_lines
from runtime.report.metrics import metrics_lines
from runtime.report.result_files import write_atomically
from runtime.report.step_summary import step_summary_lines
from runtime.report.trace import trace_lines
from runtime.roots import Root, RootedPath

_MODE: Final = 0o666


class Lines(Protocol):
    """Makes the text of a format."""

    def __call__(self, state: RunState, *, is_live: bool = ...) -> Iterator[str]:
        """Yield the text."""
        ...


LINES: Final[Mapping[str, Lines]] = MappingProxyType(
    {"junit": junit_lines, "metrics": metrics_lines, "trace": trace_lines, "step-summary": step_summary_lines}
)
"""The function of each of `FORMATS`."""


class FormatFiles:
    """The files of one run.

    Args:
        given: the path that the user gave for each format, by its name.
        events: the path of a file that is written besides while the run goes on; `None` for none.
    """

    def __init__(self, given: Mapping[str, str], *, events: str | None = None) -> None:
        self._given = given
        self._events = events
        self._files: dict[str, RootedPath] = {}

    def open(self) -> None:
        """Look where the files are to be, before any job runs. Blocks for a limited time.

        Raises:
            InputError: if one cannot be written there.
        """
        names: dict[str, str] = {}

        def add_events(path: str) -> None:
            names[os.path.realpath(path)] = "events"

        if self._given and self._events is not None:
            call_each_with_timeout(add_events, [self._events], what="--events: the file")
        for name, path in self._given.items():
            call_each_with_timeout(partial(self._open, name), [path], what=f"--{name}: the file")
            other = names.setdefault(self._files[name].real, name)
            if other != name:
                raise InputError(f"--{other} and --{name} are both {path}; expected a file for each")

    def _open(self, name: str, path: str) -> None:
        self._files[name] = file_of(f"--{name}", path)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self._given

    def write(self, lines: Callable[[str], Iterator[str]]) -> list[str]:
        """Write all files; return a line for each that could not be written. Blocks.

        Args:
            lines: returns the text of a format.
        """
        failures = []
        for name, file in self._files.items():
            try:
                write_atomically(file, _MODE, (line.encode() for line in lines(name)))
            except OSError as exc:
                failures.append(f"--{name} {self._given[name]} cannot be written: {exc.strerror}")
        return failures

    def close(self) -> None:
        """Close the directories. Blocks. Idempotent."""
        for file in self._files.values():
            file.root.close()


def file_of(option: str, path: str) -> RootedPath:
    """Return the file that the user means, and hold its directory open. Blocks.

    Args:
        option: that it was given with.
        path: may lead through symbolic links, also to the file itself.

    Raises:
        InputError: if it is no regular file, and none can be made.
    """
    if "\0" in path or path.endswith("/") or path in ("", "-"):
        raise InputError(f"{option} is {shown(path)}; expected the path of a file")
    real = os.path.realpath(path)
    directory, _, name = real.rpartition("/")
    directory = directory or "/"
    try:
        if os.path.lexists(real) and not os.path.isfile(real):
            raise InputError(f"{option} is {shown(path)}, which is no regular file; expected the path of a file")
        fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise InputError(f"{option} is {shown(path)}: {exc.strerror}; expected a directory that exists") from exc
    if not os.access(f"/proc/self/fd/{fd}", os.W_OK):
        os.close(fd)
        raise InputError(f"{option} is {shown(path)}; expected a directory that can be written to")
    return RootedPath(Root(fd, directory, 0), name, real)
