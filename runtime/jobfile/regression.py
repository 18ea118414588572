"""`Regression`: the contents of job files, with their includes, in one checked value; not yet expanded to jobs."""

from __future__ import annotations

import io
import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import BinaryIO, Final

import attrs

from runtime.job import Kinds
from runtime.job.known import KnownFailure
from runtime.jobfile.errors import InputError, Mistakes, bare, shown
from runtime.jobfile.failures import KindsTable, all_kinds, bucket_rules, check_retry, kinds_table, known_failure
from runtime.jobfile.limits import CommandLimit, Limit
from runtime.jobfile.matrix import Matrices
from runtime.jobfile.place import KeyLines, Place
from runtime.jobfile.read import is_json, parse_file, read_file, read_lines
from runtime.jobfile.references import replaced
from runtime.jobfile.schema import JOB_KEYS, RUN_IF_KEYS, FileTable, JobTable, structure, wrong_keys
from runtime.jobfile.values import Scalar
from runtime.jobfile.variables import Variables

MAX_FILES: Final = 10_000
"""Files of one run. Arbitrary: a glob that matches a whole file system fails after seconds instead of hours."""

STANDARD_INPUT: Final = "-"


@attrs.frozen
class JobEntry:
    """One job table, and where it was found."""

    name: str
    table: JobTable
    """Its keys, completed with the defaults of its file."""
    directory: Path
    """The directory of its file; absolute."""
    where: Place
    """The file and the table, for messages."""
    matrix: Mapping[str, tuple[Scalar, ...]] = attrs.field(factory=dict)
    """The values of each parameter in the table's matrix, those that are listed in files included."""


@attrs.frozen(kw_only=True)
class RecordedFiles:
    """Job files as they were when a run was made of them."""

    texts: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """Path of each file to its text, in the order in which they were read; ``-`` for standard input."""
    lists: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """What the lists held that matrices name: see `Matrices.lists`."""
    directory: Path = Path("/")
    """The directory to which paths in JSON lines are relative."""


@attrs.frozen
class Regression:
    """What is to be run, as the job files say it."""

    name: str
    entries: tuple[JobEntry, ...]
    """In the order of the files."""
    resources: Mapping[str, Limit]
    """Limits by name."""
    backends: Mapping[str, tuple[Mapping[str, object], Place]]
    """Name of a backend to its options, and to their place for messages."""
    source: str
    """The file that the user named, for messages."""
    kinds: Kinds | None = None
    """Which lines of logs show failures of the infrastructure; `None` for none."""
    known: tuple[KnownFailure, ...] = ()
    """In the order of the files."""
    buckets: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    """Named rules that put failures in buckets: patterns by name, in the order of the files."""
    waves: tuple[str, ...] = ()
    """The options with which ``rerun`` runs a job so that it writes waves; empty if that is not known."""
    variables: Variables = attrs.field(factory=Variables)
    """What the variables in it stand for."""
    recorded: RecordedFiles = attrs.field(factory=RecordedFiles, repr=False)
    """What was read, so that the same can be made of it later."""

    @property
    def directory(self) -> Path:
        """The directory of its first file; where there is none, that of `recorded`."""
        return self.entries[0].directory if self.entries else self.recorded.directory


def load(file: str, stdin: BinaryIO | None = None, variables: Variables | None = None) -> Regression:
    """Return what a job file and its includes say; ``-`` stands for JSON lines, a job each, from `stdin`.

    Args:
        file: the path of the job file.
        stdin: standard input, if there is one.
        variables: those of the command line and of the environment, to which the defaults of the files are added;
            without it, those of the environment of this process.

    Raises:
        InputError: for all that is wrong in the files, and where two contradict each other.
    """
    variables = Variables(environment=os.environ) if variables is None else variables
    loader = _Loader(variables)
    if file == STANDARD_INPUT:
        loader.read_lines(stdin, _real(Path()))
        name = source = "standard input"
    else:
        path = Path(file)
        name = loader.read(path, ())
        source = file
    loader.mistakes.check()
    if not loader.entries:
        expected = "a JSON object a line" if file == STANDARD_INPUT else "a table [jobs.NAME]"
        raise InputError(f"{source}: has no jobs; expected {expected} with a cmd for each")
    return loader.regression(name, source)


def load_recorded(recorded: RecordedFiles, variables: Variables) -> Regression:
    """Return what job files said when they were recorded, whatever has become of them. Reads nothing.

    Args:
        recorded: the files.
        variables: those of the command line and of the environment then.

    Raises:
        InputError: if they are not what `load` has read without an error.
    """
    loader = _Loader(variables, recorded)
    name = ""
    for file, text in recorded.texts.items():
        if file == STANDARD_INPUT:
            loader.read_lines(io.BytesIO(text.encode("utf-8", "surrogatepass")), recorded.directory)
            name = name or "standard input"
        else:
            path = Path(file)
            of_file = loader.add(path, path, text, parse_file(text, path)).name
            name = name or of_file or path.stem
    loader.mistakes.check()  # a job could write what is recorded; and a job file that is made was never read
    if not loader.entries:
        raise InputError("the recorded job files have no jobs")
    return loader.regression(name, next(iter(recorded.texts)))


class _Loader:
    """Reads files, and holds their contents so far."""

    def __init__(self, variables: Variables, recorded: RecordedFiles | None = None) -> None:
        self.variables = variables
        self.mistakes = Mistakes()
        self._recorded = recorded
        self.entries: dict[str, JobEntry] = {}
        self.resources: dict[str, Limit] = {}
        self.backends: dict[str, tuple[Mapping[str, object], Place]] = {}
        self.known: dict[str, tuple[KnownFailure, Place]] = {}
        """Name to a known failure, and to its place for messages."""
        self.buckets: dict[str, tuple[tuple[str, ...], Place]] = {}
        """Name of a rule to its patterns, and to its place for messages."""
        self.waves: tuple[str, ...] = ()
        self.texts: dict[str, str] = {}
        self._kinds: dict[Place, KindsTable] = {}
        """Each file to its table of kinds."""
        self._owner: dict[str, str] = {}
        """Name of a resource to the file that set its limit."""
        self._read: set[Path] = set()
        self._directory = Path("/")
        """That of JSON lines."""

    def regression(self, name: str, source: str) -> Regression:
        """Return all that was read. To be called when that are all files.

        Raises:
            InputError: for all that is wrong in them.
        """
        self.mistakes.check()
        matrices = Matrices(self.variables, None if self._recorded is None else self._recorded.lists)
        entries = self._complete_entries(matrices)
        backends = self._complete_backends()
        recorded = RecordedFiles(texts=self.texts, lists=matrices.lists, directory=self._directory)
        kinds = all_kinds(self._kinds)
        for entry in entries:
            with self.mistakes.collected():
                check_retry(entry.table.retry, kinds, entry.where)
        self.mistakes.check()
        known = tuple(each for each, _ in self.known.values())
        return Regression(
            name,
            entries,
            self.resources,
            backends,
            source,
            kinds,
            known,
            {name: patterns for name, (patterns, _) in self.buckets.items()},
            waves=self.waves,
            variables=self.variables,
            recorded=recorded,
        )

    def add(self, path: Path, real: Path, text: str, tables: dict[str, object]) -> FileTable:
        """Add the tables of a file, without those of its includes.

        Args:
            path: of the file, for messages.
            real: its path without symbolic links.
            text: of the file.
            tables: what `text` says.
        """
        self.texts[str(real)] = text
        self._read.add(real)
        where = Place(str(path), KeyLines(text, is_json=is_json(path)))
        wrong = wrong_keys(tables, FileTable, where)
        self.mistakes.add(*wrong.values())
        file = structure({key: value for key, value in tables.items() if key not in wrong}, FileTable, where)
        self._add_jobs(file, where, real.parent)
        self._add_settings(file, where, real.parent)
        return file

    def read(self, path: Path, including: tuple[Path, ...]) -> str:
        """Read a file, then its includes, each file once; return its name."""
        text, tables = read_file(path)
        real = _real(path)
        file = self.add(path, real, text, tables)
        for pattern in file.include:
            with self.mistakes.collected():
                self._include(pattern, path, (*including, real), text)
        return file.name or path.stem

    def _include(self, pattern: str, path: Path, including: tuple[Path, ...], text: str) -> None:
        """Read the files that the file `path`, the last of those `including` each other, includes by `pattern`."""
        lines = KeyLines(text, is_json=is_json(path))
        where = Place(str(path), lines, ("include",), (f"include {shown(pattern)}",))
        for found in _matching(pattern, path.parent, where):
            real = _real(found)
            # Checked before `_read`: a file of a cycle has been read, and would be skipped.
            if real in including:
                cycle = " -> ".join(str(each) for each in (*including, real))
                raise InputError(f"{where} closes a cycle of files: {cycle}")
            if real not in self._read:
                if len(self._read) >= MAX_FILES:
                    raise InputError(f"{where}: more than {MAX_FILES} files")
                with self.mistakes.collected():
                    self.read(found, including)

    def read_lines(self, stdin: BinaryIO | None, directory: Path) -> None:
        """Read JSON lines, in which paths are relative to `directory`."""
        where = "<stdin>"
        self._directory = directory
        lines = []
        for number, line, table in read_lines(stdin, where) if stdin is not None else ():
            lines.append(f"{line}\n")
            with self.mistakes.collected():
                self._add_line(table, f"{where}:{number}", directory)
        self.texts[STANDARD_INPUT] = "".join(lines)

    def _add_line(self, table: dict[str, object], line: str, directory: Path) -> None:
        name = table.pop("name", None)
        if not isinstance(name, str) or not name:
            given = "missing" if name is None else shown(name)
            raise InputError(f"{line}: name is {given}; expected the job's name, text that is not empty")
        place = Place(f"{line}: job {bare(name)}")
        self._add(JobEntry(name, structure(table, JobTable, place), directory, place))

    def _complete_entries(self, matrices: Matrices) -> tuple[JobEntry, ...]:
        """Return all job tables with the values of their matrices.

        A variable in the name of a list may have its default in a file that comes later.
        """
        complete = []
        for entry in self.entries.values():
            with self.mistakes.collected():
                if entry.table.matrix:
                    matrix = matrices.values(entry.table.matrix, entry.directory, entry.where)
                    complete.append(attrs.evolve(entry, matrix=matrix))
                else:
                    complete.append(entry)
        return tuple(complete)

    def _complete_backends(self) -> dict[str, tuple[Mapping[str, object], Place]]:
        """Return the options of all backends with the variables in them replaced."""
        complete: dict[str, tuple[Mapping[str, object], Place]] = {}
        for name, (options, where) in self.backends.items():
            with self.mistakes.collected():
                given = {key: replaced(value, self.variables, where.key(key)) for key, value in options.items()}
                complete[name] = (given, where)
        return complete

    def _add_jobs(self, file: FileTable, where: Place, directory: Path) -> None:
        # A mistake in the defaults is one of theirs, and of no job: that none has a `cmd` would follow from it.
        wrong = wrong_keys(file.defaults, JobTable, where.table("defaults"))
        self.mistakes.add(*wrong.values())
        defaults = {key: value for key, value in file.defaults.items() if key not in wrong}
        if "cmd" in wrong:
            defaults["cmd"] = ""
        for name, own in file.jobs.items():
            with self.mistakes.collected():
                place = where.table("jobs", name)
                self._add(JobEntry(name, _job_table(name, own, defaults, place), directory, place))

    def _add(self, entry: JobEntry) -> None:
        if entry.table.cmd is None:
            raise InputError(f"{entry.where}: has no cmd; expected text, for a shell, or a list of texts, for no shell")
        if (first := self.entries.setdefault(entry.name, entry)) is not entry:
            raise InputError(f"{entry.where}: the job is defined twice; first in {first.where}")

    def _add_settings(self, file: FileTable, where: Place, directory: Path) -> None:
        with self.mistakes.collected():
            self.variables.add_defaults(file.vars, where, str(directory))
        with self.mistakes.collected():
            self._add_resources(file, where, directory)
        with self.mistakes.collected():
            self._kinds[where] = kinds_table(file.kinds, where)
        for name, table in file.known.items():
            with self.mistakes.collected():
                self._add_known(name, known_failure(name, table, where), where.table("known", name))
        with self.mistakes.collected():
            self._add_buckets(bucket_rules(file.buckets, where), where.table("buckets"))
        with self.mistakes.collected():
            self._add_waves(file.waves, where)
        for name, options in file.backends.items():
            with self.mistakes.collected():
                self._add_backend(name, options, where.table("backends", name))

    def _add_resources(self, file: FileTable, where: Place, directory: Path) -> None:
        for name, given in file.resources.items():
            limit = attrs.evolve(given, directory=directory) if isinstance(given, CommandLimit) else given
            if name in self.resources and self.resources[name] != limit:
                place = where.table("resources").at(name)
                raise InputError(f"{place} {bare(name)} has another limit than in {self._owner[name]}")
            self.resources[name] = limit
            self._owner[name] = where.text

    def _add_known(self, name: str, known: KnownFailure, where: Place) -> None:
        if (first := self.known.setdefault(name, (known, where)))[0] != known:
            raise InputError(f"{where}: is another one than {first[1]}")

    def _add_buckets(self, rules: Mapping[str, tuple[str, ...]], where: Place) -> None:
        for name, patterns in rules.items():
            if (first := self.buckets.setdefault(name, (patterns, where.at(name))))[0] != patterns:
                raise InputError(f"{where.at(name)} {bare(name)}: has other patterns than {first[1]} {bare(name)}")

    def _add_waves(self, waves: tuple[str, ...], where: Place) -> None:
        if waves and self.waves not in ((), waves):
            own, other = shlex.join(waves), shlex.join(self.waves)
            raise InputError(f"{where}: waves is {shown(own)}, and {shown(other)} in another file; expected the same")
        self.waves = waves or self.waves

    def _add_backend(self, name: str, options: Mapping[str, object], where: Place) -> None:
        first = self.backends.setdefault(name, (options, where))  # messages name the first place
        if first[0] != options:
            raise InputError(f"{where}: has other options than {first[1]}")


def _job_table(name: str, own: Mapping[str, object], defaults: Mapping[str, object], where: Place) -> JobTable:
    """Return the table of a job with its `own` keys and the defaults of its file."""
    if not name:
        raise InputError(f"{where}: the name is empty; expected a name")
    if not JOB_KEYS.isdisjoint(own) or not any(isinstance(value, dict) for value in own.values()):
        return structure({**_defaults_for(own, defaults), **own}, JobTable, where)
    # ``[jobs.a.b]``, which TOML reads as a table in a table
    inner = next(key for key, value in own.items() if isinstance(value, dict))
    msg = f'{where.at(inner)}: unknown key {shown(inner)}; for a name with a dot, write [jobs."{name}.{inner}"]'
    raise InputError(msg)


def _defaults_for(own: Mapping[str, object], defaults: Mapping[str, object]) -> Mapping[str, object]:
    """Return `defaults` without the other name of a setting that a job's `own` keys have."""
    if RUN_IF_KEYS.isdisjoint(own):
        return defaults
    return {key: value for key, value in defaults.items() if key not in RUN_IF_KEYS}


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _matching(pattern: str, directory: Path, where: Place) -> Iterable[Path]:
    """Return the files that `pattern` matches, relative to `directory`, sorted."""
    if not PurePath(pattern).parts:  # ``""`` and ``"./"``, for which the errors of `Path.glob` are no help
        raise InputError(f"{where} names no file; expected a path relative to the file, which may have * and ?")
    try:
        # Not resolved, so that the names in messages begin as the name that the user gave.
        found = sorted(directory.glob(pattern))
    except (OSError, ValueError, NotImplementedError, IndexError, RecursionError) as exc:
        raise InputError(f"{where}: {exc}; expected a path relative to the file, which may have * and ?") from exc
    if not found:
        raise InputError(f"{where} matches no file in {directory}")
    if (inner := next(filter(Path.is_dir, found), None)) is not None:
        raise InputError(f"{where}: {inner} is a directory; expected files, such as {shown(f'{pattern}/*.toml')}")
    return found
