"""The tables of a job file as checked values: the keys, and what each may be (`values`).

cattrs structures a table and reports all errors in it. Each becomes a message that names the file, the line, the table
and the key, what was given and what is expected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Literal, TypeVar

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from runtime.job import CONTAINMENTS, FLAKY, LEFTOVERS, RUN_IFS, Flaky, RunIf
from runtime.jobfile import values
from runtime.jobfile.errors import InputError, bare, shown, suggestion
from runtime.jobfile.limits import Limit, limits
from runtime.jobfile.place import Place
from runtime.jobfile.template import variables_in
from runtime.jobfile.values import KEEPS, Keep, Listing, Scalar, Seeds


def _key(check: Callable[[object], object], default: object = None) -> Any:
    return attrs.field(default=default, metadata={"check": check})


@attrs.frozen(kw_only=True)
class JobTable:
    """The keys of a job, as a file has them; `None` for one that is missing, for which `JobSpec` has a default."""

    cmd: str | tuple[str, ...] | None = _key(values.command)
    needs: tuple[str, ...] = _key(values.texts, ())
    """Names of job tables, or ids of jobs; may contain placeholders."""
    matrix: Mapping[str, tuple[Scalar, ...] | Listing] = _key(values.matrix, attrs.Factory(dict))
    seeds: Seeds | None = _key(values.seeds)  # noqa: RUF009 - it is `attrs.field`, as on every other line
    shell: str | tuple[str, ...] | None = _key(values.shell)
    target: str | None = _key(values.text)
    job_type: str | None = _key(values.any_text)
    backend: str | None = _key(values.text)
    resources: Mapping[str, int | None] | None = _key(values.amounts)
    run_if: RunIf | None = _key(values.OneOf(RUN_IFS))  # noqa: RUF009 - as for `seeds`
    needs_all_dependencies_passing: bool | None = _key(values.flag)
    """The former name of `run_if`; a table has at most one of the two."""
    weight: float | None = _key(values.number)
    timeout: float | None = _key(values.duration)
    """Seconds."""
    timeout_from: str | None = _key(values.text)
    queue_timeout: float | None = _key(values.duration)
    """Seconds."""
    idle_timeout: float | None = _key(values.duration)
    """Seconds."""
    slow: float | None = _key(values.duration)
    """Seconds."""
    soft_stop: str | Literal[False] | None = _key(values.soft_stop)
    """`False` for no soft stop, even if the backend has one."""
    soft_timeout: float | None = _key(values.duration)
    """Seconds."""
    exports: Mapping[str, str] | None = _key(values.exports)
    cwd: str | None = _key(values.text)
    odir: str | None = _key(values.text)
    renew_odir: bool | None = _key(values.flag)
    log_path: str | None = _key(values.text)
    pass_patterns: tuple[str, ...] | None = _key(values.texts)
    fail_patterns: tuple[str, ...] | None = _key(values.texts)
    runtime_pattern: str | None = _key(values.text)
    simulated_time_pattern: str | None = _key(values.text)
    max_log: int | None = _key(values.size)
    """Bytes."""
    memory: int | None = _key(values.memory)
    """Bytes."""
    raw_lines: bool | None = _key(values.flag)
    dry_run: bool | None = _key(values.flag)
    interactive: bool | None = _key(values.flag)
    tags: tuple[str, ...] | None = _key(values.texts)
    containment: str | None = _key(values.OneOf(CONTAINMENTS))
    leftovers: str | None = _key(values.OneOf(LEFTOVERS))
    jobserver: bool | Literal["fifo"] | None = _key(values.jobserver)
    retry: int | Mapping[str, int] | None = _key(values.retry)
    retry_delay: float | None = _key(values.delay)
    """Seconds; for a table with `retry`, as is `flaky`."""
    flaky: Flaky | None = _key(values.OneOf(FLAKY))  # noqa: RUF009 - as for `seeds`
    keep: Keep | None = _key(values.OneOf(KEEPS))  # noqa: RUF009 - as for `seeds`
    version: str | None = _key(values.text)
    """A command for ``/bin/sh``; the first line that it prints is recorded with the run."""


@attrs.frozen(kw_only=True)
class FileTable:
    """The keys of a job file."""

    name: str | None = _key(values.text)
    include: tuple[str, ...] = _key(values.texts, ())
    """Globs, relative to the file."""
    defaults: Mapping[str, object] = _key(values.table, attrs.Factory(dict))
    vars: Mapping[str, str] = _key(values.variables, attrs.Factory(dict))
    """Defaults of variables, by names such as ``var.name`` and ``env.NAME``."""
    resources: Mapping[str, Limit] = _key(limits, attrs.Factory(dict))
    """Limits of the run."""
    kinds: Mapping[str, object] = _key(values.table, attrs.Factory(dict))
    """Which lines of logs show failures of the infrastructure: see `runtime.jobfile.failures`."""
    known: Mapping[str, dict[str, object]] = _key(values.tables, attrs.Factory(dict))
    """Known failures: as above."""
    buckets: Mapping[str, object] = _key(values.table, attrs.Factory(dict))
    """Named rules that put failures in buckets: as above."""
    waves: tuple[str, ...] = _key(values.waves, ())
    """The options with which ``rerun`` runs a job so that it writes waves."""
    backends: Mapping[str, dict[str, object]] = _key(values.tables, attrs.Factory(dict))
    jobs: Mapping[str, dict[str, object]] = _key(values.tables, attrs.Factory(dict))


FOREIGN_KEYS: Final = {
    **dict.fromkeys(("after", "dependencies", "depend", "depends", "depends_on", "requires"), "needs"),
    **dict.fromkeys(("env", "environment", "variables"), "exports"),
    **dict.fromkeys(("command", "run", "script"), "cmd"),
    **dict.fromkeys(("dir", "directory", "workdir", "working_directory"), "cwd"),
    **dict.fromkeys(("log", "logfile", "log_file", "output"), "log_path"),
}
"""Names that other tools have for keys of a job, and the names here."""

RUN_IF_KEYS: Final = frozenset({"run_if", "needs_all_dependencies_passing"})
"""The two names of one setting."""

RETRY_KEYS: Final = ("retry", "retry_delay", "flaky")
"""The keys of a job that are one field of its specification."""

JOB_KEYS: Final = frozenset(field.name for field in attrs.fields(JobTable))

_PATTERN_KEYS: Final = ("pass_patterns", "fail_patterns", "runtime_pattern", "simulated_time_pattern", "timeout_from")
TEXT_KEYS: Final = ("cmd", "needs", "cwd", "odir", "log_path", "tags", *_PATTERN_KEYS, "exports")
"""The keys of a job whose values may have placeholders."""

T = TypeVar("T", JobTable, FileTable)


def _hook(check: Callable[[object], object]) -> Callable[[object, object], object]:
    return lambda value, _type: check(value)


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
    for cls in (JobTable, FileTable):
        hooks = {field.name: override(struct_hook=_hook(field.metadata["check"])) for field in attrs.fields(cls)}
        hook = make_dict_structure_fn(
            cls,
            converter,
            _cattrs_forbid_extra_keys=True,
            **hooks,  # type: ignore[arg-type]  # mypy takes their names for those of the function's own arguments
        )
        converter.register_structure_hook(cls, hook)
    return converter


_CONVERTER: Final = _converter()


def structure(table: Mapping[str, object], cls: type[T], where: Place) -> T:
    """Return the checked value of a raw `table`.

    Args:
        table: as it was read.
        cls: which table it is.
        where: its place, for messages.

    Raises:
        InputError: for each wrong key, with its place, what was given and what is expected.
    """
    # Not `wrong_keys` first, which structures the table as well: a regression may have 100,000.
    if not _has_both_names(table, cls):
        with suppress(cattrs.ClassValidationError):
            return _CONVERTER.structure(table, cls)
    raise InputError(*wrong_keys(table, cls, where).values())


def _has_both_names(table: Mapping[str, object], cls: type) -> bool:
    return cls is JobTable and table.keys() >= RUN_IF_KEYS


def wrong_keys(table: Mapping[str, object], cls: type[T], where: Place) -> dict[str, str]:
    """Return the keys of a raw `table` that are wrong, in its order, with messages. Without them it is right."""
    if _has_both_names(table, cls):
        place = where.at("needs_all_dependencies_passing")
        both = f"{place}: has both run_if and needs_all_dependencies_passing; expected run_if alone, which replaces it"
        others = {key: value for key, value in table.items() if key != "needs_all_dependencies_passing"}
        return {"needs_all_dependencies_passing": both, **wrong_keys(others, cls, where)}
    try:
        _CONVERTER.structure(table, cls)
    except cattrs.ClassValidationError as exc:
        found = _explained(exc, table, where)
        return {key: found[key] for key in table if key in found}
    return {}


def _hint(key: str, value: object, cls: type) -> str:
    """Return a suggestion for a `key` that a table of this class does not have."""
    if cls is FileTable and isinstance(value, dict) and not JOB_KEYS.isdisjoint(value):
        return f"; a job of this name is [jobs.{bare(key)}]"
    if cls is FileTable and key in JOB_KEYS:
        return "; it is a key of a job: expected below [jobs.NAME]"
    if cls is JobTable and key in FOREIGN_KEYS:
        return f"; did you mean {shown(FOREIGN_KEYS[key])}?"
    return suggestion(key, [field.name for field in attrs.fields(cls)], what="the keys are")


def _explained(error: cattrs.ClassValidationError, table: Mapping[str, object], where: Place) -> dict[str, str]:
    """Return what is wrong with each wrong key."""
    known, others = error.group_exceptions()
    found: dict[str, str] = {}
    for exc in others:
        if not isinstance(exc, cattrs.ForbiddenExtraKeysError):
            raise AssertionError(error)
        for key in exc.extra_fields:
            found[key] = f"{where.at(key)}: unknown key {shown(key)}{_hint(key, table[key], exc.cl)}"
    for exc, note in known:
        if not isinstance(exc, values.ExpectedError):
            raise AssertionError(error)
        given = table[note.name] if exc.given is values.WHOLE_VALUE else exc.given
        hint = "; no placeholder is replaced here" if isinstance(given, str) and variables_in(given) else ""
        place = where.at(note.name, *exc.keys)
        found[note.name] = f"{place}: {note.name}{exc.inner} is {shown(given)}; expected {exc}{hint}"
    return found
