"""The records of a journal, and each of them as a line of JSON. Pure.

A batch of jobs or events is one record, with a *column* for each field: a sequence with a value for each job, in the
same order. That takes a fraction of the time, and less than half of the space, of a record for each job. Jobs are
referred to by their *number* in the run: 0, 1, 2, … in the order of all `Jobs` records of a journal.

Times are seconds, as they are everywhere; they are written as whole microseconds. `at` and `epoch` of `Begin` are wall
times since 1970. All others are times of the monotonic clock of their segment, whose second 0 is `epoch`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

import attrs

from runtime.errors import JournalVersionError
from runtime.job.kinds import Kind
from runtime.job.status import JobStatus
from runtime.journal.columns import (
    COUNTED,
    DETAILS,
    ENDS,
    FLAGS,
    INTEGERS,
    KINDS,
    LINES,
    LISTS_OF_TEXTS,
    MOVES,
    NUMBERS,
    TEXTS,
    TIMES,
    WORDS,
    Codec,
    Repeated,
    as_list,
    or_none,
)
from runtime.journal.json_text import JSON, dumps, loads
from runtime.journal.requirements import split_requirements

VERSION: Final = 1
"""The version of the format. It is increased when an older reader would misunderstand it, not when a type of record, a
field or a kind of failure is added: a reader skips those that it does not know."""


def _each(codec: Codec) -> Mapping[str, Codec]:
    """Return the metadata of a field that is a column."""
    return {"column": codec}


def _one(codec: Codec) -> Mapping[str, Codec]:
    """Return the metadata of a field that is one value for the record."""
    return {"value": codec}


def _check_lengths(record: Record) -> None:
    """Raise `ValueError` if the columns of a record are not all as long as the first one."""
    first, *others = _COLUMNS[type(record)]
    count = len(getattr(record, first))
    for name in others:
        length = len(getattr(record, name))
        if length != count:
            msg = f"{name} has {length} values; expected {count}, as {first} has"
            raise ValueError(msg)


def _none_for_each(record: Jobs | Progress | Ended) -> Repeated[None]:
    return Repeated(None, len(record.ids if isinstance(record, Jobs) else record.jobs))


_NONE: Final = attrs.Factory(_none_for_each, takes_self=True)


@attrs.frozen(kw_only=True)
class Begin:
    """The first record of a segment: which process runs the run from now on. Nothing in it is secret."""

    version: int = attrs.field(default=VERSION, metadata=_one(INTEGERS))
    """The version of the format of this segment."""
    token: str = attrs.field(metadata=_one(TEXTS))
    """The run token."""
    incarnation: int = attrs.field(metadata=_one(INTEGERS))
    """How many segments were there before."""
    at: float = attrs.field(metadata=_one(TIMES))
    """The wall time, in seconds since 1970."""
    epoch: float = attrs.field(metadata=_one(TIMES))
    """The wall time, in seconds since 1970, of second 0 of the clock of all other times of the segment."""
    host: str = attrs.field(metadata=_one(TEXTS))
    """The name of the machine."""
    boot: str = attrs.field(metadata=_one(TEXTS))
    """The boot id of the machine."""
    pid: int = attrs.field(metadata=_one(INTEGERS))
    """The process."""
    start: int = attrs.field(metadata=_one(INTEGERS))
    """When the process started, in clock ticks since the boot: with `boot` and `pid`, no other process has it."""
    details: Mapping[str, JSON] = attrs.field(factory=dict, metadata=_one(DETAILS))
    """Whatever else is to be known: command line, job file, seed base, versions. Nothing secret; digests of that."""


@attrs.frozen
class Jobs:
    """More jobs of the run, which get the next numbers. One whose id is known replaces the job of that id.

    The optional columns describe a job, as far as it is a `JobSpec`. `descriptions.jobs_records` makes them.
    """

    ids: Sequence[str] = attrs.field(metadata=_each(TEXTS))
    digests: Sequence[str] = attrs.field(metadata=_each(TEXTS))
    """Of all that the other columns, and the dependencies, do not tell of a specification and that can change the
    result; ``""`` for a job that is no `JobSpec`. With these it says whether two specifications are the same."""
    names: Sequence[str | None] = attrs.field(default=_NONE, metadata=_each(or_none(TEXTS)))
    """`None` if it is the id."""
    qual_names: Sequence[str | None] = attrs.field(default=_NONE, metadata=_each(or_none(TEXTS)))
    """`None` if it is the id."""
    seeds: Sequence[int | None] = attrs.field(default=_NONE, metadata=_each(or_none(INTEGERS)))
    tags: Sequence[Sequence[str] | None] = attrs.field(default=_NONE, metadata=_each(LISTS_OF_TEXTS))
    """`None` for no tags."""
    commands: Sequence[str | Sequence[str] | None] = attrs.field(default=_NONE, metadata=_each(WORDS))
    """`JobSpec.cmd`; `None` if it may have secret values."""
    secret_cmds: Sequence[str | None] = attrs.field(default=_NONE, metadata=_each(or_none(TEXTS)))
    """The digest of its command if that may have secret values; otherwise `None`."""
    shells: Sequence[str | Sequence[str] | None] = attrs.field(default=_NONE, metadata=_each(WORDS))
    """`JobSpec.shell`; `None` for the default."""
    cwds: Sequence[str | None] = attrs.field(default=_NONE, metadata=_each(or_none(TEXTS)))
    odirs: Sequence[str | None] = attrs.field(default=_NONE, metadata=_each(or_none(TEXTS)))
    logs: Sequence[str | None] = attrs.field(default=_NONE, metadata=_each(or_none(TEXTS)))
    """`JobSpec.log_path`."""
    exports: Sequence[str | None] = attrs.field(default=_NONE, metadata=_each(or_none(TEXTS)))
    """The names of its variables, joined by ``=``, which no name contains. Values may be secret, and are not here."""
    requirements: Sequence[tuple[int, Mapping[str, JSON]]] | None = attrs.field(default=None, metadata=_one(COUNTED))
    """What they need, and how much they may use: see `requirements`. No column, as those that follow each other have
    the same. `None` if they need nothing, and if an older version has written it."""

    __attrs_post_init__ = _check_lengths


@attrs.frozen
class Starting:
    """Intent: a backend is about to be asked to launch these jobs. It may have refused, or launched, any of them."""

    at: float = attrs.field(metadata=_one(TIMES))
    """Seconds of the clock of the segment."""
    backend: str = attrs.field(metadata=_one(TEXTS))
    """The backend's name."""
    jobs: Sequence[int] = attrs.field(metadata=_each(INTEGERS))
    attempts: Sequence[int] = attrs.field(metadata=_each(INTEGERS))
    """Which attempt at the job it is, from 1. Those of a segment continue those of the segments before."""
    queued: bool | None = attrs.field(default=None, metadata=_one(FLAGS))
    """Whether the backend has a queue in which they may wait; otherwise they run at once, and no `Progress` says so."""

    __attrs_post_init__ = _check_lengths


@attrs.frozen
class Progress:
    """Jobs moved between the queue and a machine: the fields of `JobProgressEvent`."""

    jobs: Sequence[int] = attrs.field(metadata=_each(INTEGERS))
    attempts: Sequence[int] = attrs.field(metadata=_each(INTEGERS))
    statuses: Sequence[JobStatus] = attrs.field(metadata=_each(MOVES))
    at: Sequence[float] = attrs.field(metadata=_each(TIMES))
    """Seconds of the clock of the segment."""
    notes: Sequence[str | None] = attrs.field(default=_NONE, metadata=_each(or_none(TEXTS)))

    __attrs_post_init__ = _check_lengths


@attrs.frozen
class Ended:
    """Jobs ended: the fields of `JobCompletionEvent` and of what it consists of. `completions.ended` makes one."""

    jobs: Sequence[int] = attrs.field(metadata=_each(INTEGERS))
    attempts: Sequence[int] = attrs.field(metadata=_each(INTEGERS))
    """0 for a job that was not submitted to a backend in this segment."""
    statuses: Sequence[JobStatus] = attrs.field(metadata=_each(ENDS))
    submitted: Sequence[float] = attrs.field(metadata=_each(TIMES))
    ended: Sequence[float] = attrs.field(metadata=_each(TIMES))
    started: Sequence[float | None] = attrs.field(default=_NONE, metadata=_each(or_none(TIMES)))
    messages: Sequence[str | None] = attrs.field(default=_NONE, metadata=_each(or_none(TEXTS)))
    """Why it did not pass; `None` if it has no reason, and then the five that follow are `None`, too."""
    kinds: Sequence[Kind | None] = attrs.field(default=_NONE, metadata=_each(KINDS))
    lines: Sequence[Sequence[int | tuple[int, int]] | None] = attrs.field(default=_NONE, metadata=_each(LINES))
    contexts: Sequence[Sequence[str] | None] = attrs.field(default=_NONE, metadata=_each(LISTS_OF_TEXTS))
    causes: Sequence[Kind | None] = attrs.field(default=_NONE, metadata=_each(KINDS))
    known: Sequence[str | None] = attrs.field(default=_NONE, metadata=_each(or_none(TEXTS)))
    cpu_seconds: Sequence[float | None] = attrs.field(default=_NONE, metadata=_each(or_none(TIMES)))
    peak_bytes: Sequence[int | None] = attrs.field(default=_NONE, metadata=_each(or_none(INTEGERS)))
    exit_codes: Sequence[int | None] = attrs.field(default=_NONE, metadata=_each(or_none(INTEGERS)))
    signals: Sequence[int | None] = attrs.field(default=_NONE, metadata=_each(or_none(INTEGERS)))
    job_runtimes: Sequence[float | None] = attrs.field(default=_NONE, metadata=_each(NUMBERS))
    simulated_times: Sequence[float | None] = attrs.field(default=_NONE, metadata=_each(NUMBERS))
    left_behind: Sequence[Sequence[str] | None] = attrs.field(default=_NONE, metadata=_each(LISTS_OF_TEXTS))
    odirs: Sequence[str | None] = attrs.field(default=_NONE, metadata=_each(or_none(TEXTS)))
    """The output directory, as `paths.relative` of the run directory; `None` if it has no `JobPaths`."""
    logs: Sequence[str | None] = attrs.field(default=_NONE, metadata=_each(or_none(TEXTS)))
    """The log, as `paths.relative` of the output directory: in most records the same for all jobs."""
    cwds: Sequence[str | None] = attrs.field(default=_NONE, metadata=_each(or_none(TEXTS)))
    """The directory that it ran in, as `paths.relative` of the output directory."""
    devices: Sequence[int | None] = attrs.field(default=_NONE, metadata=_each(or_none(INTEGERS)))
    """Of `OutputIdentity`, this and the two that follow; `None` if the output is not known."""
    inodes: Sequence[int | None] = attrs.field(default=_NONE, metadata=_each(or_none(INTEGERS)))
    log_sizes: Sequence[int | None] = attrs.field(default=_NONE, metadata=_each(or_none(INTEGERS)))
    again: bool | None = attrs.field(default=None, metadata=_one(FLAGS))
    """`True` if attempts at these jobs ended, and not the jobs: each waits for its next attempt, and so is QUEUED; its
    paths are those that its files have once that has begun."""

    __attrs_post_init__ = _check_lengths


@attrs.frozen
class Kept:
    """These results are kept: of an earlier segment, in which each has its `Ended`, or of another run.

    Results of another run are written to this journal, so that it needs no other. Their `Ended` come after this record:
    if the process is killed in between, the jobs have not run. The other way round, they would be results of this run.
    """

    jobs: Sequence[int] = attrs.field(metadata=_each(INTEGERS))
    of: str | None = attrs.field(default=None, metadata=_one(or_none(TEXTS)))
    """The run that produced them; `None` for an earlier segment of this one."""
    revision: str | None = attrs.field(default=None, metadata=_one(or_none(TEXTS)))
    """With `of`: the git revision of the clean source tree that they were made of; `None` if it is not known, or the
    tree was not clean."""

    __attrs_post_init__ = _check_lengths


@attrs.frozen
class Removed:
    """Intent: the output directories of these jobs are about to be removed, as they passed. They may be gone, or not.

    It may follow the `End` of its segment.
    """

    jobs: Sequence[int] = attrs.field(metadata=_each(INTEGERS))


@attrs.frozen
class Stopping:
    """The run is being stopped: from now on no more jobs are started."""

    at: float = attrs.field(metadata=_one(TIMES))
    """Seconds of the clock of the segment."""
    by: str = attrs.field(metadata=_one(TEXTS))
    """The signal, or anything else, that ends the run early."""


@attrs.frozen(kw_only=True)
class Requested:
    """Somebody asked for a change of the run while it ran, and it was made."""

    at: float = attrs.field(metadata=_one(TIMES))
    """Seconds of the clock of the segment."""
    by: str = attrs.field(metadata=_one(TEXTS))
    """Who."""
    action: str = attrs.field(metadata=_one(TEXTS))
    """``kill``, ``stop``, ``drain``, ``pause``, ``resume`` or ``limit``; a later version may have more."""
    jobs: Sequence[int] = attrs.field(factory=list, metadata=_each(INTEGERS))
    """Those that were to be killed."""
    force: bool | None = attrs.field(default=None, metadata=_one(FLAGS))
    """`True` if soft stop and SIGTERM were to be skipped; otherwise `None`."""
    resource: str | None = attrs.field(default=None, metadata=_one(or_none(TEXTS)))
    """Of ``limit``: its name."""
    limit: int | None = attrs.field(default=None, metadata=_one(or_none(INTEGERS)))
    """Of ``limit``: the new one; `None` for unlimited."""


@attrs.frozen
class Sampled:
    """What was in use at a moment. The intervals between samples grow."""

    at: float = attrs.field(metadata=_one(TIMES))
    """Seconds of the clock of the segment."""
    cpus: float | None = attrs.field(default=None, metadata=_one(NUMBERS))
    """How many CPUs of the machine all programs together have kept busy since the sample before, on average."""
    memory: int | None = attrs.field(default=None, metadata=_one(or_none(INTEGERS)))
    """Bytes of the machine's memory that are in use."""
    resources: Mapping[str, JSON] = attrs.field(factory=dict, metadata=_one(DETAILS))
    """Of each resource of the run, a list: the amount that is held, and the limit, which is `None` for unlimited."""

    def held(self) -> Mapping[str, tuple[int, int | None]]:
        """Return `resources`, without what no run writes: a job can write a journal."""
        found: dict[str, tuple[int, int | None]] = {}
        for name, given in self.resources.items():
            amount, limit = given if isinstance(given, list | tuple) and len(given) == 2 else (None, None)  # noqa: PLR2004 - a pair
            if type(amount) is int and (limit is None or type(limit) is int):
                found[name] = amount, limit
        return found


@attrs.frozen
class End:
    """The last record of a segment that ended in order."""

    at: float = attrs.field(metadata=_one(TIMES))
    """Seconds of the clock of the segment."""
    stopped_by: str | None = attrs.field(default=None, metadata=_one(or_none(TEXTS)))
    """The signal, or anything else, that ended the run early; `None` if it was not stopped."""


Record: TypeAlias = Begin | Jobs | Starting | Progress | Ended | Kept | Removed | Stopping | Requested | Sampled | End


class OutputIdentity(NamedTuple):
    """What identifies the output of a job without reading it. A directory that was made again has another inode."""

    device: int
    """Of the file system of the output directory."""
    inode: int
    """Of the output directory."""
    log_size: int | None
    """Bytes of its log; `None` if there is none."""


class _Field(NamedTuple):
    """A field of a record."""

    name: str
    codec: Codec
    is_column: bool
    is_optional: bool


class _Layout:
    """How the records of one type are written and read."""

    def __init__(self, cls: type[Record]) -> None:
        self.name: Final = cls.__name__.lower()
        self._make: Callable[..., Record] = cls
        self._fields = [
            _Field(
                field.name,
                field.metadata.get("column") or field.metadata["value"],
                "column" in field.metadata,
                field.default is not attrs.NOTHING,
            )
            for field in attrs.fields(cls)
        ]
        self._first = next((field for field in self._fields if field.is_column), None)

    def write(self, record: Record) -> str:
        """Return a record as JSON."""
        parts = [f'"type":"{self.name}"']
        for field in self._fields:
            value = getattr(record, field.name)
            if field is self._first:  # never one value for all: its length is that of all columns
                parts.append(f'"{field.name}":{dumps(as_list(value))}')
            elif value.__class__ is Repeated and value.value is None:
                pass  # quick, because most columns of most records are like that
            elif field.is_column:
                written = field.codec.column_to_json(value)
                if written is not None:
                    parts.append(f'"{field.name}":{dumps(written)}')
            elif value is not None:
                parts.append(f'"{field.name}":{dumps(field.codec.value_to_json(value))}')
        return f"{{{','.join(parts)}}}"

    def read(self, table: Mapping[str, object]) -> Record:
        """Return the record of a JSON table. Raises `ValueError` if it is none."""
        count = 0
        if self._first is not None:
            first = table.get(self._first.name)
            if not isinstance(first, list):
                msg = f"{self.name} has no {self._first.name}"
                raise ValueError(msg)
            count = len(first)
        values: dict[str, object] = {}
        for field in self._fields:
            if field.name not in table:
                if not field.is_optional:
                    msg = f"{self.name} has no {field.name}"
                    raise ValueError(msg)
                continue
            given = table[field.name]
            try:
                if field.is_column:
                    values[field.name] = field.codec.column_from_json(given, count)
                else:
                    values[field.name] = field.codec.value_from_json(given)
            except (ValueError, OverflowError) as exc:
                msg = f"{field.name} of {self.name} has {exc}"
                raise ValueError(msg) from None
        return self._make(**values)


_COLUMNS: Final[Mapping[type[Record], Sequence[str]]] = MappingProxyType(
    {
        cls: [field.name for field in attrs.fields(cls) if "column" in field.metadata]
        for cls in (Jobs, Starting, Progress, Ended, Kept, Removed, Requested)
    }
)
"""The names of the columns of the records that have some."""
_LAYOUTS: Final[Mapping[type[Record], _Layout]] = MappingProxyType(
    {
        cls: _Layout(cls)
        for cls in (Begin, Jobs, Starting, Progress, Ended, Kept, Removed, Stopping, Requested, Sampled, End)
    }
)
_BY_NAME: Final[Mapping[str, _Layout]] = MappingProxyType({layout.name: layout for layout in _LAYOUTS.values()})


def halves(record: Record) -> tuple[Record, Record]:
    """Return two records that say together what a record with columns says."""
    columns = {name: getattr(record, name) for name in _COLUMNS[type(record)]}
    half = len(next(iter(columns.values()))) // 2
    first = {name: column[:half] for name, column in columns.items()}
    second = {name: column[half:] for name, column in columns.items()}
    if isinstance(record, Jobs) and record.requirements is not None:
        first["requirements"], second["requirements"] = split_requirements(record.requirements, half)
    return attrs.evolve(record, **first), attrs.evolve(record, **second)


def to_text(record: Record) -> str:
    """Return a record as a line of JSON, in ASCII. `from_text` returns an equal record, with two exceptions.

    Times are rounded to microseconds. And a number that is not finite, which JSON does not have, becomes `None`; a time
    becomes 0.

    Raises:
        TypeError: if a value is of a class that JSON does not have.
        ValueError: if a status is none that such a record may have.
    """
    return _LAYOUTS[type(record)].write(record)


def from_text(text: str) -> Record | None:
    """Return the record of a text; `None` if it is of a type that this version does not know.

    Raises:
        ValueError: if it is no record.
        JournalVersionError: if it is the `Begin` of a newer version.
    """
    table = loads(text)
    name = table.get("type") if isinstance(table, dict) else None
    if not isinstance(table, dict) or not isinstance(name, str):
        msg = "it has no type"
        raise ValueError(msg)
    layout = _BY_NAME.get(name)
    if layout is None:
        return None
    version = table.get("version")
    if name == "begin" and isinstance(version, int) and version > VERSION:
        msg = f"a journal of version {version}; expected at most {VERSION}. A newer version of this package wrote it"
        raise JournalVersionError(msg)
    return layout.read(table)
