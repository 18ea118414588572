"""The tables ``[kinds]``, ``[known]`` and ``[buckets]`` of a job file, which say what failures mean, checked."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Final

import attrs

from runtime.errors import SpecError
from runtime.job import DEFAULT_KINDS, RETRIED_KINDS, Kinds, compile_pattern
from runtime.job.kinds import kind_by_log
from runtime.job.known import MAX_MESSAGE, KnownFailure
from runtime.jobfile.errors import InputError, bare, shown, suggestion
from runtime.jobfile.place import Place
from runtime.report.bucket_rules import is_rule
from runtime.verdict.combined import is_fast

DEFAULTS: Final = "defaults"
"""The key of ``[kinds]`` that is no kind: whether the default ones count, too."""

_NO_KINDS: Final = Kinds({})
_DAY: Final = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
"""A day as TOML has it. Python reads others, such as ``2027-W04``, too."""


@attrs.frozen
class KindsTable:
    """``[kinds]`` of one file."""

    kinds: Kinds = _NO_KINDS
    defaults: bool | None = None
    """Whether `DEFAULT_KINDS` count, too; `None` if it does not say."""


def kinds_table(table: Mapping[str, object], where: Place) -> KindsTable:
    """Return the checked value of ``[kinds]``.

    Args:
        table: as it was read.
        where: the file, for messages.

    Raises:
        InputError: with the file, the key, what was given and what is expected.
    """
    place = where.table("kinds")
    defaults = table.get(DEFAULTS)
    if defaults is not None and not isinstance(defaults, bool):
        raise InputError(f"{place.at(DEFAULTS)}: {DEFAULTS} is {shown(defaults)}; expected true or false")
    patterns: dict[str, list[str]] = {}
    for name, given in table.items():
        if name == DEFAULTS:
            continue
        texts = _texts(given)
        if not texts:
            raise InputError(f'{place.at(name)}: {bare(name)} is {shown(given)}; expected a list of patterns, ["…"]')
        try:
            kind_by_log(name)
        except SpecError as exc:
            raise InputError(f"{place.at(name)}: {exc}") from exc
        for text in texts:
            _check_pattern(text, place.key(name))
        patterns[name] = texts
    return KindsTable(Kinds(patterns), defaults)


def all_kinds(tables: Mapping[Place, KindsTable]) -> Kinds | None:
    """Return the kinds of all files together; `None` for none.

    Args:
        tables: each file to its table.

    Raises:
        InputError: if one file wants the default kinds, and another one does not.
    """
    wants: dict[bool, Place] = {}
    kinds = _NO_KINDS
    for where, table in tables.items():
        if table.defaults is not None:
            wants.setdefault(table.defaults, where)
        kinds = kinds.joined(table.kinds)
    if len(wants) > 1:
        yes, no = (wants[want].table("kinds").at(DEFAULTS) for want in (True, False))
        raise InputError(f"{yes} has {DEFAULTS} = true, and {no} has {DEFAULTS} = false")
    if False not in wants:  # after those of the files, which are nearer to the tools of the site
        kinds = kinds.joined(DEFAULT_KINDS)
    return kinds or None


def check_retry(retry: int | Mapping[str, int] | None, kinds: Kinds | None, where: Place) -> None:
    """Check that the kinds of failure in a value of ``retry`` are kinds.

    Args:
        retry: the value.
        kinds: those that logs show.
        where: the file and the table, for messages.

    Raises:
        InputError: for one that is none.
    """
    known = (*RETRIED_KINDS, *([] if kinds is None else kinds.custom()))
    for kind in retry if isinstance(retry, Mapping) else ():
        if kind not in known:
            place = where.at("retry", kind)
            raise InputError(f"{place}: retry is {shown(kind)}; expected a kind of failure{suggestion(kind, known)}")


_KEYS: Final = ("jobs", "message", "issue", "expires")


def known_failure(name: str, table: Mapping[str, object], where: Place) -> KnownFailure:
    """Return the checked value of ``[known.NAME]``.

    Args:
        name: of the table.
        table: as it was read.
        where: the file, for messages.

    Raises:
        InputError: with the file, the table, the key, what was given and what is expected.
    """
    place = where.table("known", name)
    if not name:
        raise InputError(f"{place}: the name is empty; expected a name")
    for key in table:
        if key not in _KEYS:
            raise InputError(f"{place.at(key)}: unknown key {shown(key)}{suggestion(key, _KEYS, what='the keys are')}")
    for key in _KEYS:
        if key not in table:
            raise InputError(f"{place}: has no {key}; expected {', '.join(_KEYS)}")
    given = table["jobs"]
    jobs = [given] if isinstance(given, str) else _texts(given)
    if not jobs or not all(jobs):
        expected = "expected a glob of ids, names or tags of jobs, or a list of globs"
        raise InputError(f"{place.at('jobs')}: jobs is {shown(given)}; {expected}")
    message = _text(table, "message", place)
    _check_pattern(message, place.key("message"))
    if not is_fast(message, MAX_MESSAGE):
        raise InputError(
            f"{place.at('message')}: message is {shown(message)}, which may take very long to search for; expected"
            " no lookaround, no backreference and no repetition in a repetition, or the extra re2"
        )
    return KnownFailure(name, tuple(jobs), message, _text(table, "issue", place), _date(table["expires"], place))


def bucket_rules(table: Mapping[str, object], where: Place) -> dict[str, tuple[str, ...]]:
    """Return the checked value of ``[buckets]``: patterns by the names of the rules.

    Args:
        table: as it was read.
        where: the file, for messages.

    Raises:
        InputError: with the file, the name, what was given and what is expected.
    """
    rules: dict[str, tuple[str, ...]] = {}
    for name, given in table.items():
        place = where.table("buckets")
        if not name:
            raise InputError(f"{place.at(name)}: the name of a rule is empty; expected a name")
        texts = _texts(given)
        if not texts:
            raise InputError(f'{place.at(name)}: {bare(name)} is {shown(given)}; expected a list of patterns, ["…"]')
        for text in texts:
            _check_pattern(text, place.key(name))
            if not is_rule(text):
                raise InputError(
                    f"{place.at(name)}: {bare(name)} is {shown(text)}, which may take very long to search for;"
                    " expected no repetition in a repetition, and few of them"
                )
        rules[name] = tuple(texts)
    return rules


def _text(table: Mapping[str, object], key: str, place: Place) -> str:
    value = table[key]
    if not isinstance(value, str) or not value:
        raise InputError(f"{place.at(key)}: {key} is {shown(value)}; expected text that is not empty")
    return value


def _texts(value: object) -> list[str] | None:
    """Return a list of texts; `None` if it is none."""
    if not isinstance(value, list):
        return None
    texts = [each for each in value if isinstance(each, str)]
    return texts if len(texts) == len(value) else None


def _date(value: object, place: Place) -> dt.date:
    if isinstance(value, str) and _DAY.fullmatch(value):  # JSON has no dates
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            pass
    elif isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    raise InputError(f"{place.at('expires')}: expires is {shown(value)}; expected a day, such as 2027-01-31")


def _check_pattern(text: str, place: Place) -> None:
    try:
        compile_pattern(text)
    except SpecError as exc:
        raise InputError(f"{place}: {exc}") from exc
