"""`Regression`: all that job files say, includes followed, in one checked value; nothing expanded yet."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any, BinaryIO, Final

import attrs

from runtime.jobfile.errors import InputError, bare, shown
from runtime.jobfile.read import read_file, read_lines
from runtime.jobfile.schema import JOB_KEYS, RUN_IF_KEYS, FileTable, JobTable, structure

MAX_FILES: Final = 10_000
"""How many files one run may include. Arbitrary."""

STANDARD_INPUT: Final = "-"


@attrs.frozen
class Entry:
    """One job table."""

    name: str
    table: JobTable
    """Its keys, with the file's defaults where it says nothing."""
    directory: Path
    """The directory of its file; absolute."""
    where: str
    """The file and the table, for messages."""


@attrs.frozen
class Regression:
    """What is to be run, as it was written."""

    name: str
    entries: tuple[Entry, ...]
    """In the order of the files."""
    resources: Mapping[str, int | None]
    """Limits by name; `None`: unlimited."""
    backends: Mapping[str, tuple[Mapping[str, Any], str]]
    """Options by name of backend, and where they stand."""
    source: str
    """The file that was named, for messages."""


def load(file: str, stdin: BinaryIO | None = None) -> Regression:
    """Read a job file and what it includes; ``-`` reads JSON lines, a job each, from `stdin`.

    Raises:
        InputError: for all that can be wrong with a file by itself, and for what two files say twice.
    """
    loader = _Loader()
    if file == STANDARD_INPUT:
        loader.read_stdin(stdin)
        name = source = "standard input"
    else:
        path = Path(file)
        name = loader.read(path, ())
        source = file
    if not loader.entries:
        wanted = "a JSON object a line" if file == STANDARD_INPUT else "a table [jobs.NAME]"
        msg = f"{source}: has no jobs; wanted: {wanted} with a cmd for each"
        raise InputError(msg)
    return Regression(name, tuple(loader.entries.values()), loader.resources, loader.backends, source)


class _Loader:
    """What has been read so far."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.resources: dict[str, int | None] = {}
        self.backends: dict[str, tuple[Mapping[str, Any], str]] = {}
        self._owner: dict[str, str] = {}
        """The file of each resource."""
        self._read: set[Path] = set()

    def read(self, path: Path, including: tuple[Path, ...]) -> str:
        """Read one file, and then what it includes, each file once; return its name."""
        file = structure(read_file(path), FileTable, str(path))
        real = _real(path)
        self._read.add(real)
        self._add_jobs(file, path)
        self._add_settings(file, path)
        for pattern in file.include:
            for found in _matching(pattern, path):
                found_real = _real(found)
                if found_real in (*including, real):
                    cycle = " -> ".join(str(each) for each in (*including, real, found_real))
                    msg = f"{path}: include {shown(pattern)} closes a cycle of files: {cycle}"
                    raise InputError(msg)
                if found_real not in self._read:
                    if len(self._read) >= MAX_FILES:
                        msg = f"{path}: include {shown(pattern)}: more than {MAX_FILES} files"
                        raise InputError(msg)
                    self.read(found, (*including, real))
        return file.name or path.stem

    def read_stdin(self, stdin: BinaryIO | None) -> None:
        where = "<stdin>"
        directory = _real(Path())
        for number, table in read_lines(stdin, where) if stdin is not None else ():
            place = f"{where}:{number}"
            name = table.pop("name", None)
            if not isinstance(name, str) or not name:
                given = "missing" if name is None else shown(name)
                msg = f"{place}: name is {given}; wanted: the job's name, text that is not empty"
                raise InputError(msg)
            place = f"{place}: job {bare(name)}"
            self._add(Entry(name, structure(table, JobTable, place), directory, place))

    def _add_jobs(self, file: FileTable, path: Path) -> None:
        directory = _real(path).parent
        structure(file.defaults, JobTable, f"{path}: [defaults]")  # so that what is wrong is said to be wrong there
        for name, own in file.jobs.items():
            where = f"{path}: [jobs.{bare(name)}]"
            if not name:
                msg = f"{where}: wanted: a name that is not empty"
                raise InputError(msg)
            if not JOB_KEYS.isdisjoint(own) or not any(isinstance(value, dict) for value in own.values()):
                table = structure({**_defaults_for(own, file.defaults), **own}, JobTable, where)
            else:  # [jobs.a.b] where a name with a dot was meant
                inner = next(key for key, value in own.items() if isinstance(value, dict))
                msg = f'{where}: unknown key {shown(inner)}; for a name with a dot, write [jobs."{name}.{inner}"]'
                raise InputError(msg)
            self._add(Entry(name, table, directory, where))

    def _add(self, entry: Entry) -> None:
        if entry.table.cmd is None:
            msg = f"{entry.where}: has no cmd; wanted: text, for a shell, or a list of texts, for no shell"
            raise InputError(msg)
        if (first := self.entries.setdefault(entry.name, entry)) is not entry:
            msg = f"{entry.where}: the job is defined twice; first in {first.where}"
            raise InputError(msg)

    def _add_settings(self, file: FileTable, path: Path) -> None:
        for name, limit in file.resources.items():
            if name in self.resources and self.resources[name] != limit:
                msg = f"{path}: [resources] {bare(name)} has another limit than in {self._owner[name]}"
                raise InputError(msg)
            self.resources[name] = limit
            self._owner[name] = str(path)
        for name, options in file.backends.items():
            where = f"{path}: [backends.{bare(name)}]"
            if name in self.backends and self.backends[name][0] != options:
                msg = f"{where}: has other options than {self.backends[name][1]}"
                raise InputError(msg)
            self.backends.setdefault(name, (options, where))


def _defaults_for(own: Mapping[str, Any], defaults: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `defaults` without what a job's `own` keys replace under another name."""
    if RUN_IF_KEYS.isdisjoint(own):
        return defaults
    return {key: value for key, value in defaults.items() if key not in RUN_IF_KEYS}


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _matching(pattern: str, path: Path) -> Iterable[Path]:
    """Return the files that `pattern` matches, relative to the file at `path`, sorted."""
    where = f"{path}: include {shown(pattern)}"
    if not PurePath(pattern).parts:  # "" and "./", on which `Path.glob` fails in a way of its own
        msg = f"{where} names no file; expected: a path relative to the file, which may have * and ?"
        raise InputError(msg)
    try:
        # The names in messages are relative to where the person is, as the file's own name was.
        found = sorted(path.parent.glob(pattern))
    except (OSError, ValueError, NotImplementedError, IndexError, RecursionError) as exc:
        msg = f"{where}: {exc}; wanted: a path relative to the file, which may have * and ?"
        raise InputError(msg) from exc
    if not found:
        msg = f"{where} matches no file in {path.parent}"
        raise InputError(msg)
    if (directory := next(filter(Path.is_dir, found), None)) is not None:
        msg = f"{where}: {directory} is a directory; expected: files, such as {shown(f'{pattern}/*.toml')}"
        raise InputError(msg)
    return found
