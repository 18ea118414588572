"""The values of keys of a job file: a check for each kind, which returns the value, or says what is expected.

Nothing is converted silently: ``"5"`` is no number.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, Literal, TypeGuard

import attrs

from runtime.job import MIN_MEMORY, check_soft_stop
from runtime.job.command import has_options
from runtime.job.numbers import is_number
from runtime.job.secret import Secret
from runtime.job.sizes import SIZE, parse_size, size_text
from runtime.jobfile.errors import bare
from runtime.jobfile.template import NAME

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
DURATION_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
"""The units of durations, in seconds."""
_RANGE: Final = re.compile(r"([0-9]{1,20})\.\.([0-9]{1,20})")

WHOLE_VALUE: Final[object] = object()
"""Stands for the value of the key itself, where `None` would be a value."""


class ExpectedError(Exception):
    """A value is not what its key expects. `schema.structure` makes the message of it.

    Args:
        expected: what it expects, in words.
        keys: those inside of the value that lead to what is wrong; none for the value itself.
        given: the value of that.
    """

    def __init__(self, expected: str, *keys: str, given: object = WHOLE_VALUE) -> None:
        super().__init__(expected)
        self.keys = keys
        self.given: object = given

    @property
    def inner(self) -> str:
        """The `keys` as a message has them behind the key of the value."""
        return "".join(f".{bare(key)}" for key in self.keys)


def text(value: object) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ExpectedError("text that is not empty")
    return value


def any_text(value: object) -> str:
    """Return a text."""
    if not isinstance(value, str):
        raise ExpectedError("text")
    return value


def flag(value: object) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise ExpectedError("true or false")
    return value


def number(value: object) -> float:
    """Return a number."""
    if not is_number(value):
        raise ExpectedError("a number")
    return value


def texts(value: object) -> tuple[str, ...]:
    """Return a list of texts."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ExpectedError('a list of texts, ["…"]')
    return tuple(value)


def waves(value: object) -> tuple[str, ...]:
    """Return the options with which ``rerun`` runs a job so that it writes waves; none if the table is empty."""
    if not isinstance(value, dict) or not value.keys() <= {"with", "exports"}:
        raise ExpectedError('a table of with and exports, such as with = ["+waves"]')
    added, exported = value.get("with", []), value.get("exports", {})
    with _inside("with", added):
        words = texts(added)
        if any("\0" in word for word in words):
            raise ExpectedError("texts without NUL")
    with _inside("exports", exported):
        variables = exports(exported)
        for name, text in variables.items():
            if not name or "=" in name or "\0" in name + text:
                raise ExpectedError("a name without = and NUL, and text without NUL", name, given=Secret(text))
    options = ("--with", shlex.join(words)) if words else ()
    return (*options, *(word for each in variables.items() for word in ("--export", "=".join(each))))


@contextmanager
def _inside(key: str, value: object) -> Iterator[None]:
    """Add the key of a table to an `ExpectedError` about its value."""
    try:
        yield
    except ExpectedError as exc:
        given = value if exc.given is WHOLE_VALUE else exc.given
        raise ExpectedError(str(exc), key, *exc.keys, given=given) from exc


def command(value: object) -> str | tuple[str, ...]:
    """Return a command: text for a shell, or words."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise ExpectedError("text, for a shell, or a list of texts, for no shell")
    return tuple(value)


def shell(value: object) -> str | tuple[str, ...]:
    """Return a shell: its path, or words."""
    words = [value] if isinstance(value, str) and not has_options(value) else value
    if not (isinstance(words, list) and words and words[0] and all(isinstance(word, str) for word in words)):
        raise ExpectedError(
            'the path of a shell, or the words that cmd is added to, such as ["/bin/bash", "-eo", "pipefail", "-c"]'
        )
    return value if isinstance(value, str) else tuple(words)


MAX_DURATION_LENGTH: Final = 50
"""Characters below which a text may be a duration. Arbitrary: far more than one has. A text of 400 digits would be
infinite as a float."""


def duration(value: object) -> float:
    """Return the seconds that `value` stands for: a positive number, or text such as ``90s``, ``10m`` or ``1.5h``."""
    seconds: float = -1
    if isinstance(value, str) and len(value) < MAX_DURATION_LENGTH and (match := _DURATION.fullmatch(value.strip())):
        seconds = float(match[1]) * DURATION_UNITS[match[2]]
    elif is_number(value):
        seconds = value
    if not 0 < seconds <= MAX_DURATION:
        expected = f'a number of seconds, or text such as "90s", "10m" or "1.5h", above 0 and up to {MAX_DURATION} s'
        raise ExpectedError(expected)
    return float(seconds)


@attrs.frozen
class OneOf:
    """The check that a value is one of these words."""

    words: tuple[str, ...]

    def __call__(self, value: object) -> str:
        """Return the word."""
        if value not in self.words:
            raise ExpectedError(" or ".join(f'"{word}"' for word in self.words))
        return str(value)


def size(value: object) -> int:
    """Return a number of bytes."""
    try:
        return parse_size(value)
    except ValueError as exc:
        raise ExpectedError(SIZE) from exc


def memory(value: object) -> int:
    """Return a number of bytes that a program can begin with."""
    with suppress(ValueError):
        found = parse_size(value)
        if found >= MIN_MEMORY:
            return found
    raise ExpectedError(f'a number of bytes, or text such as "200MiB" or "4GiB", from {size_text(MIN_MEMORY)}')


def delay(value: object) -> float:
    """Return the seconds of a duration, which may be 0."""
    if (is_number(value) and value == 0) or value in ("0", "0s"):
        return 0.0
    return duration(value)


def retry(value: object) -> int | dict[str, int]:
    """Return how often a job is tried again, in all or by the kind of failure. Its kinds are checked later."""
    if isinstance(value, dict):
        for kind, number in value.items():
            if not _is_count(number):
                raise ExpectedError("a whole number of retries, from 0", kind, given=number)
        return value
    if _is_count(value):
        return value
    raise ExpectedError("a whole number of retries, or a table of kinds of failure, { licence = 5, node_failure = 2 }")


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def soft_stop(value: object) -> str | Literal[False]:
    """Return a signal, the name of a file, or `False`."""
    if value is False:
        return value
    try:
        if not isinstance(value, str) or not value:
            raise ValueError
        check_soft_stop(value)
    except ValueError as exc:
        raise ExpectedError('a signal such as "SIGINT", the name of a file to make, or false for neither') from exc
    return value


def jobserver(value: object) -> bool | Literal["fifo"]:
    """Return true, false, or ``"fifo"``."""
    if isinstance(value, bool):
        return value
    if value != "fifo":
        raise ExpectedError('true or false, or "fifo" for programs that know no other form')
    return "fifo"


def amounts(value: object) -> dict[str, int | None]:
    """Return what a job holds of each resource; `None` for all."""
    if not isinstance(value, dict):
        raise ExpectedError("a table of names and amounts")
    return {name: _amount(name, amount) for name, amount in value.items()}


def _amount(name: str, value: object) -> int | None:
    if not name:
        raise ExpectedError("a name that is not empty", name, given=value)
    if value == "all":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ExpectedError('a whole number from 0, or "all"', name, given=value)
    return value


def exports(value: object) -> dict[str, str]:
    """Return variables of the environment; no message has the value of one."""
    if not isinstance(value, dict):
        raise ExpectedError("a table of names and texts", given=Secret(value))
    for name, item in value.items():
        if not isinstance(item, str | int) or isinstance(item, bool):
            raise ExpectedError("text, or a whole number", name, given=item if isinstance(item, bool) else Secret(item))
    return {name: str(item) for name, item in value.items()}


def seeds(value: object) -> Seeds:
    """Return how many seeds to draw, or the seeds."""
    if isinstance(value, str) and (match := _RANGE.fullmatch(value)):
        first, last = int(match[1]), int(match[2])
        if first <= last <= MAX_SEED:
            return range(first, last + 1)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if isinstance(value, list) and value and all(_is_seed(item) for item in value):
        if len(set(value)) < len(value):
            raise ExpectedError("each seed once")
        return tuple(value)
    raise ExpectedError('a number of seeds to draw, a range such as "1..40", or a list of whole numbers')


def _is_seed(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SEED


_LIST: Final = 'a list of texts and numbers, { file = "tests.txt" } or { glob = "tests/*.sv" }'


def matrix(value: object) -> dict[str, tuple[Scalar, ...] | Listing]:
    """Return the values of each parameter, or where they are listed."""
    if not isinstance(value, dict):
        raise ExpectedError("a table of parameters, each with a list of values: { depth = [4, 8] }")
    for name, values in value.items():
        if not name.isidentifier() or not name.isascii() or name in PLACEHOLDERS:
            expected = f"a parameter named like a variable, and none of {', '.join(PLACEHOLDERS)}"
            raise ExpectedError(expected, name, given=values)
    return {name: _values(name, values) for name, values in value.items()}


def _values(name: str, values: object) -> tuple[Scalar, ...] | Listing:
    if isinstance(values, list) and values and all(isinstance(item, str | int | float) for item in values):
        return tuple(values)
    if not isinstance(values, dict) or len(values.keys() & {"file", "glob"}) != 1:
        raise ExpectedError(_LIST, name, given=values)
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
        raise ExpectedError(expected, name, key, given=item)
    kind: Literal["file", "glob"] = "file" if "file" in values else "glob"
    return Listing(kind, values[kind], values.get("value", "path"))


def scalar_text(value: Scalar) -> str:
    """Return a value as a placeholder inserts it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def variables(value: object) -> dict[str, str]:
    """Return the defaults of variables, by names such as ``var.name`` and ``env.NAME``."""
    if not isinstance(value, dict):
        raise ExpectedError('a table of names and values: [vars], then such as width = 8, or env.NAME = "text"')
    found: dict[str, str] = {}
    for name, item in value.items():
        if name == "env":
            if not isinstance(item, dict):
                raise ExpectedError(
                    "a table, of what variables of the environment are that are not set", name, given=item
                )
            found |= {f"env.{inner}": _variable(each, "env", inner) for inner, each in item.items()}
        else:
            found[f"var.{name}"] = _variable(item, name)
    return found


def _variable(value: object, *keys: str) -> str:
    if not NAME.fullmatch(keys[-1]):
        raise ExpectedError("a name of letters, digits and _, which does not begin with a digit", *keys, given=value)
    if not isinstance(value, str | int | float):
        raise ExpectedError("text, a number, or true or false", *keys, given=value)
    return scalar_text(value)


def tables(value: object) -> dict[str, dict[str, object]]:
    """Return tables by their names."""
    if not isinstance(value, dict):
        raise ExpectedError("tables, each with a name: [jobs.NAME], [backends.NAME], [known.NAME]")
    for name, item in value.items():
        if not isinstance(item, dict):
            raise ExpectedError("a table", name, given=item)
    return value


def table(value: object) -> dict[str, object]:
    """Return a table."""
    if not isinstance(value, dict):
        raise ExpectedError("a table")
    return value
