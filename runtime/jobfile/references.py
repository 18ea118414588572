"""`resolve`: the values of all variables that a job table refers to, before the first job of it is made. Pure.

`replaced`: the options of a backend, in which nothing but variables is replaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Final

import attrs

from runtime.jobfile.errors import InputError
from runtime.jobfile.place import Place
from runtime.jobfile.schema import TEXT_KEYS, JobTable
from runtime.jobfile.template import substitute, variables_in
from runtime.jobfile.variables import Variables

MAX_TEXT: Final = 16 << 20
"""Characters of the variables of a key, once they are replaced. Arbitrary: a hundred of the longest."""

_WITHOUT: Final = ("shell", "target", "job_type", "backend", "resources", "soft_stop", "matrix")
"""The keys that have text, in which placeholders are not replaced."""
_given: Final = attrgetter(*_WITHOUT)
_values_of: Final = attrgetter(*TEXT_KEYS)


@attrs.frozen
class References:
    """What the variables in a job table stand for."""

    values: Mapping[str, str]
    """By names such as ``var.name`` and ``env.NAME``."""
    is_secret_in_cmd: bool
    """Whether one of those in ``cmd`` may be secret."""


def resolve(table: JobTable, variables: Variables, where: Place) -> References:
    """Return the values of all variables in `table`.

    Args:
        table: of jobs.
        variables: of the run.
        where: the file and the table, for messages.

    Raises:
        InputError: for a variable without a value, or in a key in which it is not replaced.
    """
    for key, given in zip(_WITHOUT, _given(table), strict=True):
        for text in _texts_in(given) if given else ():
            if found := variables_in(text):
                msg = f"{key} has {{{found[0]}}}, which is not replaced there, but in {', '.join(TEXT_KEYS)}"
                raise InputError(f"{where.at(key)}: {msg}")
    values: dict[str, str] = {}
    is_secret_in_cmd = False
    for keys, text in texts(table):
        if not (used := variables_in(text)):
            continue
        place = where.key(*keys)
        length = 0
        for name in used:
            value = variables.value(name, place)
            values[name] = value.text
            is_secret_in_cmd |= value.is_secret and keys == ("cmd",)
            length += len(value.text)
        _check_length(length, place)
    return References(values, is_secret_in_cmd)


def replaced(value: object, variables: Variables, where: Place) -> object:
    """Return an option of a backend with the variables in all its texts replaced.

    Args:
        value: as the job file has it: text, or a list or a table, of any depth that a file may have.
        variables: of the run.
        where: the file, the table and the key, for messages.

    Raises:
        InputError: for a variable without a value, or values that are too long all together.
    """
    if isinstance(value, str):
        used = variables_in(value)
        values = {name: variables.value(name, where).text for name in used}
        _check_length(sum(len(values[name]) for name in used), where)
        return substitute(value, values)
    if isinstance(value, dict):
        return {key: replaced(item, variables, where.inner(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [replaced(item, variables, where) for item in value]
    return value


def _check_length(length: int, where: Place) -> None:
    # Before the text is made, which could fill the memory.
    if length > MAX_TEXT:
        raise InputError(f"{where} has variables of {length} characters; expected at most {MAX_TEXT}")


def texts(table: JobTable) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each key whose value has a brace, and may have placeholders: the keys that lead to it, and its text."""
    for key, value in zip(TEXT_KEYS, _values_of(table), strict=True):
        if not value:
            continue
        if isinstance(value, dict):
            yield from (((key, name), text) for name, text in value.items() if "{" in text)
        elif "{" in (text := value if isinstance(value, str) else "\n".join(value)):
            yield (key,), text


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _texts_in(item)
    elif isinstance(value, tuple):
        for item in value:
            yield from _texts_in(item)
