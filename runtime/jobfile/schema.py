"""The tables of a job file as checked values: the keys, and the values that each may have.

cattrs structures a table and reports all errors in it. The first one becomes a message that names the file, the table
and the key, what was given and what is expected. Nothing is converted silently: ``"5"`` is no number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeGuard, TypeVar

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from runtime.job import CONTAINMENTS, FLAKY, LEFTOVERS, RETRIED_KINDS, RUN_IFS, Flaky, RunIf, check_soft_stop
from runtime.job.command import has_options
from runtime.job.numbers import is_number
from runtime.job.secret import Secret
from runtime.job.sizes import SIZE, parse_size
from runtime.jobfile.errors import InputError, bare, shown, suggestion
from runtime.jobfile.template import NAME, variables_in

MAX_SEED: Final = 2**64 - 1
"""Simulators take at most 64 bits."""
MAX_DURATION: Final = 10**9
"""Seconds. Arbitrary: 30 years, so that a number in a wrong unit is an error."""

PLACEHOLDERS: Final = ("seed", "name", "id", "odir", "run_dir", "file_dir")
"""The names of placeholders that every job has, which no parameter of a matrix may have."""

Scalar = str | int | float | bool


@attrs.frozen
class Listing:
    """The values of a parameter that stand in a file, or are the names of files."""

    kind: Literal["file", "glob"]
    text: str
    """The path of the file, or the glob; relative to the job file. It may have variables."""
    value: Literal["path", "name", "stem"] = "path"
    """Which part of the names of files is a value: for ``a/b.sv``, all of it, ``b.sv`` or ``b``."""


Keep = Literal["all", "failed"]
"""Which output directories stay when their jobs have ended."""
KEEPS: Final[tuple[Keep, ...]] = ("all", "failed")

Seeds = int | range | tuple[int, ...]
"""How many seeds to draw, or the seeds themselves."""

_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}  # seconds
_RANGE: Final = re.compile(r"([0-9]{1,20})\.\.([0-9]{1,20})")

_WHOLE_VALUE: Final[object] = object()
"""Stands for the value of the key itself, where `None` would be a value."""


class _ExpectedError(Exception):
    """A value is not what its key expects.

    Args:
        expected: what it expects, in words.
        inner: the key inside of the value that is wrong; `None` for the value itself.
        given: the value of that.
    """

    def __init__(self, expected: str, inner: str | None = None, given: object = _WHOLE_VALUE) -> None:
        super().__init__(expected)
        self.inner = "" if inner is None else f".{bare(inner)}"
        self.given = given


# ---------------------------------------------------------------------- checks of values


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _ExpectedError("text that is not empty")
    return value


def _any_text(value: object) -> str:
    if not isinstance(value, str):
        raise _ExpectedError("text")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _ExpectedError("true or false")
    return value


def _number(value: object) -> float:
    if not is_number(value):
        raise _ExpectedError("a number")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _ExpectedError('a list of texts, ["…"]')
    return tuple(value)


def _command(value: object) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise _ExpectedError("text, for a shell, or a list of texts, for no shell")
    return tuple(value)


def _shell(value: object) -> str | tuple[str, ...]:
    words = [value] if isinstance(value, str) and not has_options(value) else value
    if not (isinstance(words, list) and words and words[0] and all(isinstance(word, str) for word in words)):
        raise _ExpectedError(
            'the path of a shell, or the words that cmd is added to, such as ["/bin/bash", "-eo", "pipefail", "-c"]'
        )
    return value if isinstance(value, str) else tuple(words)


_MAX_DURATION_LENGTH: Final = 50
"""Characters below which a text may be a duration. Arbitrary: far more than one has. A text of 400 digits would be
infinite as a float."""


def duration(value: object) -> float:
    """Return the seconds that `value` stands for: a positive number, or text such as ``90s``, ``10m`` or ``1.5h``."""
    seconds: float = -1
    if isinstance(value, str) and len(value) < _MAX_DURATION_LENGTH and (match := _DURATION.fullmatch(value.strip())):
        seconds = float(match[1]) * _UNITS[match[2]]
    elif is_number(value):
        seconds = value
    if not 0 < seconds <= MAX_DURATION:
        expected = f'a number of seconds, or text such as "90s", "10m" or "1.5h", above 0 and up to {MAX_DURATION} s'
        raise _ExpectedError(expected)
    return float(seconds)


def _one_of(*known: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if value not in known:
            raise _ExpectedError(" or ".join(f'"{word}"' for word in known))
        return str(value)

    return check


def _size(value: object) -> int:
    try:
        return parse_size(value)
    except ValueError as exc:
        raise _ExpectedError(SIZE) from exc


def _delay(value: object) -> float:
    """Return the seconds of a duration, which may be 0."""
    if (is_number(value) and value == 0) or value in ("0", "0s"):
        return 0.0
    return duration(value)


def _retry(value: object) -> int | dict[str, int]:
    if isinstance(value, dict):
        for kind, number in value.items():
            if kind not in RETRIED_KINDS:
                raise _ExpectedError(f"a kind of failure{suggestion(kind, RETRIED_KINDS)}", given=kind)
            if not _is_count(number):
                raise _ExpectedError("a whole number of retries, from 0", kind, number)
        return value
    if _is_count(value):
        return value
    raise _ExpectedError("a whole number of retries, or a table of kinds of failure, { licence = 5, node_failure = 2 }")


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _soft_stop(value: object) -> str | Literal[False]:
    if value is False:
        return value
    try:
        if not isinstance(value, str) or not value:
            raise ValueError
        check_soft_stop(value)
    except ValueError as exc:
        raise _ExpectedError('a signal such as "SIGINT", the name of a file to make, or false for neither') from exc
    return value


def _amounts(value: object) -> dict[str, int | None]:
    if not isinstance(value, dict):
        raise _ExpectedError("a table of names and amounts")
    return {name: _amount(name, amount, "all") for name, amount in value.items()}


def _limits(value: object) -> dict[str, int | None]:
    if not isinstance(value, dict):
        raise _ExpectedError("a table of names and limits")
    return {name: _amount(name, limit, "unlimited") for name, limit in value.items()}


def _amount(name: str, value: object, unlimited: str) -> int | None:
    if not name:
        raise _ExpectedError("a name that is not empty", name, value)
    if value == unlimited:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _ExpectedError(f'a whole number from 0, or "{unlimited}"', name, value)
    return value


def _exports(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _ExpectedError("a table of names and texts", given=Secret(value))
    for name, item in value.items():
        if not isinstance(item, str | int) or isinstance(item, bool):
            raise _ExpectedError("text, or a whole number", name, item if isinstance(item, bool) else Secret(item))
    return {name: str(item) for name, item in value.items()}


def _seeds(value: object) -> Seeds:
    if isinstance(value, str) and (match := _RANGE.fullmatch(value)):
        first, last = int(match[1]), int(match[2])
        if first <= last <= MAX_SEED:
            return range(first, last + 1)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if isinstance(value, list) and value and all(_is_seed(item) for item in value):
        if len(set(value)) < len(value):
            raise _ExpectedError("each seed once")
        return tuple(value)
    raise _ExpectedError('a number of seeds to draw, a range such as "1..40", or a list of whole numbers')


def _is_seed(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SEED


_LIST: Final = 'a list of texts and numbers, { file = "tests.txt" } or { glob = "tests/*.sv" }'


def _matrix(value: object) -> dict[str, tuple[Scalar, ...] | Listing]:
    if not isinstance(value, dict):
        raise _ExpectedError("a table of parameters, each with a list of values: { depth = [4, 8] }")
    for name, values in value.items():
        if not name.isidentifier() or not name.isascii() or name in PLACEHOLDERS:
            expected = f"a parameter named like a variable, and none of {', '.join(PLACEHOLDERS)}"
            raise _ExpectedError(expected, name, values)
    return {name: _values(name, values) for name, values in value.items()}


def _values(name: str, values: object) -> tuple[Scalar, ...] | Listing:
    if isinstance(values, list) and values and all(isinstance(item, str | int | float) for item in values):
        return tuple(values)
    if not isinstance(values, dict) or len(values.keys() & {"file", "glob"}) != 1:
        raise _ExpectedError(_LIST, name, values)
    for key, item in values.items():
        expected = "text that is not empty"
        if key == "value" and "glob" in values:
            expected = '"path", "name" or "stem"'
            if item in ("path", "name", "stem"):
                continue
        elif key not in ("file", "glob"):
            expected = f"no such key; {_LIST}"
        elif isinstance(item, str) and item:
            continue
        error = _ExpectedError(expected, given=item)
        error.inner = f".{name}.{bare(key)}"
        raise error
    kind: Literal["file", "glob"] = "file" if "file" in values else "glob"
    return Listing(kind, values[kind], values.get("value", "path"))


def scalar_text(value: Scalar) -> str:
    """Return a value as a placeholder inserts it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _variables(value: object) -> dict[str, str]:
    """Return the defaults of variables, by names such as ``var.name`` and ``env.NAME``."""
    if not isinstance(value, dict):
        raise _ExpectedError('a table of names and values: [vars], then such as width = 8, or env.NAME = "text"')
    found: dict[str, str] = {}
    for name, item in value.items():
        if name == "env":
            if not isinstance(item, dict):
                raise _ExpectedError("a table, of what variables of the environment are that are not set", name, item)
            found |= {f"env.{inner}": _variable(f"env.{bare(inner)}", inner, each) for inner, each in item.items()}
        else:
            found[f"var.{name}"] = _variable(bare(name), name, item)
    return found


def _variable(key: str, name: str, value: object) -> str:
    error = _ExpectedError("text, a number, or true or false", given=value)
    error.inner = f".{key}"
    if not NAME.fullmatch(name):
        error.args = ("a name of letters, digits and _, which does not begin with a digit",)
    elif isinstance(value, str | int | float):
        return scalar_text(value)
    raise error


def _tables(value: object) -> dict[str, dict[str, object]]:
    if not isinstance(value, dict):
        raise _ExpectedError("tables, each with a name: [jobs.NAME], [backends.NAME]")
    for name, item in value.items():
        if not isinstance(item, dict):
            raise _ExpectedError("a table", name, item)
    return value


def _table(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _ExpectedError("a table")
    return value


# ---------------------------------------------------------------------- the tables


def _key(check: Callable[[object], object], default: object = None) -> Any:
    return attrs.field(default=default, metadata={"check": check})


@attrs.frozen(kw_only=True)
class JobTable:
    """The keys of a job, as a file has them; `None` for one that is missing, for which `JobSpec` has a default."""

    cmd: str | tuple[str, ...] | None = _key(_command)
    needs: tuple[str, ...] = _key(_texts, ())
    """Names of job tables, or ids of jobs; may contain placeholders."""
    matrix: Mapping[str, tuple[Scalar, ...] | Listing] = _key(_matrix, attrs.Factory(dict))
    seeds: Seeds | None = _key(_seeds)  # noqa: RUF009 - it is `attrs.field`, as on every other line
    shell: str | tuple[str, ...] | None = _key(_shell)
    target: str | None = _key(_text)
    job_type: str | None = _key(_any_text)
    backend: str | None = _key(_text)
    resources: Mapping[str, int | None] | None = _key(_amounts)
    run_if: RunIf | None = _key(_one_of(*RUN_IFS))  # noqa: RUF009 - as for `seeds`
    needs_all_dependencies_passing: bool | None = _key(_flag)
    """The former name of `run_if`; a table has at most one of the two."""
    weight: float | None = _key(_number)
    timeout: float | None = _key(duration)
    """Seconds."""
    queue_timeout: float | None = _key(duration)
    """Seconds."""
    soft_stop: str | Literal[False] | None = _key(_soft_stop)
    """`False` for no soft stop, even if the backend has one."""
    soft_timeout: float | None = _key(duration)
    """Seconds."""
    exports: Mapping[str, str] | None = _key(_exports)
    cwd: str | None = _key(_text)
    odir: str | None = _key(_text)
    renew_odir: bool | None = _key(_flag)
    log_path: str | None = _key(_text)
    pass_patterns: tuple[str, ...] | None = _key(_texts)
    fail_patterns: tuple[str, ...] | None = _key(_texts)
    runtime_pattern: str | None = _key(_text)
    simulated_time_pattern: str | None = _key(_text)
    max_log: int | None = _key(_size)
    """Bytes."""
    raw_lines: bool | None = _key(_flag)
    dry_run: bool | None = _key(_flag)
    interactive: bool | None = _key(_flag)
    tags: tuple[str, ...] | None = _key(_texts)
    containment: str | None = _key(_one_of(*CONTAINMENTS))
    leftovers: str | None = _key(_one_of(*LEFTOVERS))
    retry: int | Mapping[str, int] | None = _key(_retry)
    retry_delay: float | None = _key(_delay)
    """Seconds; for a table with `retry`, as is `flaky`."""
    flaky: Flaky | None = _key(_one_of(*FLAKY))  # noqa: RUF009 - as for `seeds`
    keep: Keep | None = _key(_one_of(*KEEPS))  # noqa: RUF009 - as for `seeds`
    version: str | None = _key(_text)
    """A command for ``/bin/sh``; the first line that it prints is recorded with the run."""


@attrs.frozen(kw_only=True)
class FileTable:
    """The keys of a job file."""

    name: str | None = _key(_text)
    include: tuple[str, ...] = _key(_texts, ())
    """Globs, relative to the file."""
    defaults: Mapping[str, object] = _key(_table, attrs.Factory(dict))
    vars: Mapping[str, str] = _key(_variables, attrs.Factory(dict))
    """Defaults of variables, by names such as ``var.name`` and ``env.NAME``."""
    resources: Mapping[str, int | None] = _key(_limits, attrs.Factory(dict))
    """Limits of the run; `None`: unlimited."""
    backends: Mapping[str, dict[str, object]] = _key(_tables, attrs.Factory(dict))
    jobs: Mapping[str, dict[str, object]] = _key(_tables, attrs.Factory(dict))


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

_PATTERN_KEYS: Final = ("pass_patterns", "fail_patterns", "runtime_pattern", "simulated_time_pattern")
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


def structure(table: Mapping[str, object], cls: type[T], where: str) -> T:
    """Return the checked value of a raw `table`.

    Args:
        table: as it was read.
        cls: which table it is.
        where: the file and the table's name, for messages.

    Raises:
        InputError: with `where`, the first wrong key, what was given and what is expected.
    """
    if cls is JobTable and table.keys() >= RUN_IF_KEYS:
        msg = f"{where}: has both run_if and needs_all_dependencies_passing; expected run_if alone, which replaces it"
        raise InputError(msg)
    try:
        return _CONVERTER.structure(table, cls)
    except cattrs.ClassValidationError as exc:
        raise InputError(f"{where}: {_explain(exc, table)}") from None


def _hint(key: str, value: object, cls: type) -> str:
    """Return a suggestion for a `key` that a table of this class does not have."""
    if cls is FileTable and isinstance(value, dict) and not JOB_KEYS.isdisjoint(value):
        return f"; a job of this name is [jobs.{bare(key)}]"
    if cls is FileTable and key in JOB_KEYS:
        return "; it is a key of a job: expected below [jobs.NAME]"
    if cls is JobTable and key in FOREIGN_KEYS:
        return f"; did you mean {shown(FOREIGN_KEYS[key])}?"
    return suggestion(key, [field.name for field in attrs.fields(cls)], what="the keys are")


def _explain(error: cattrs.ClassValidationError, table: Mapping[str, object]) -> str:
    known, others = error.group_exceptions()
    for exc in others:
        if isinstance(exc, cattrs.ForbiddenExtraKeysError):
            # One message names one key: the first wrong one in the file, as `extra_fields` has no order.
            key = next(key for key in table if key in exc.extra_fields)
            return f"unknown key {shown(key)}{_hint(key, table[key], exc.cl)}"
    for exc, note in known:
        if isinstance(exc, _ExpectedError):
            given = table[note.name] if exc.given is _WHOLE_VALUE else exc.given
            hint = "; no placeholder is replaced here" if isinstance(given, str) and variables_in(given) else ""
            return f"{note.name}{exc.inner} is {shown(given)}; expected {exc}{hint}"
    raise AssertionError(error)
