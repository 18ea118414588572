"""The tables of the index, and how values become its rows, and rows values. Pure.

Every value that is read is checked: a job can write the file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from runtime.history.outcomes import Outcome, RunHead, Standing

VERSION: Final = 3
"""The version of the format. It is increased with every change of `SCHEMA`, and of what the values mean: what buckets
are, for example. An index of any other version is made again."""

# Texts are written as bytes that are cast: names may have bytes that are not UTF-8, which SQLite's own way refuses.
SCHEMA: Final = """
create table texts (number integer primary key, text text not null unique);
create table tests (number integer primary key, suite integer not null, name integer not null, unique (suite, name));
create table runs (
    number integer primary key, name text not null unique, journal text not null, began real not null,
    state text not null, suite integer not null, revision text, is_clean integer not null, partial integer not null,
    note text);
create table outcomes (
    test integer not null, run integer not null, seed integer not null, standing integer not null,
    attempt integer not null, flaky integer not null, kept integer not null, milliseconds integer, bucket integer,
    revision integer, command integer not null, primary key (test, run, seed)) without rowid;
create index outcomes_of_runs on outcomes (run);
create index outcomes_of_buckets on outcomes (bucket, run) where bucket is not null;
"""
_NO_SEED: Final = -1
_MILLI: Final = 1000
_STANDINGS: Final = {standing.value: standing for standing in Standing}
_STATES: Final = ("running", "ended", "died")

# What is selected of `runs`, and of `outcomes`.
RUN: Final = (
    "number, name, began, state, (select text from texts where number = runs.suite), revision, is_clean, partial, note"
)
OUTCOME: Final = "run, test, seed, standing, attempt, flaky, kept, milliseconds, bucket, revision, command"
NUMBER: Final = "(select number from texts where text = cast(? as text))"
"""The number of a text, which is given as `encoded` returns it."""


def outcome_values(
    outcome: Outcome, test: int, run: int, bucket: int | None, revision: int | None
) -> tuple[object, ...]:
    """Return the row of an outcome in `outcomes`.

    Args:
        outcome: what became of a job.
        test: the number of its test.
        run: that of its run.
        bucket: that of its bucket.
        revision: that of its revision.
    """
    seconds = outcome.seconds
    return (
        *(test, run, _NO_SEED if outcome.seed is None else outcome.seed, outcome.standing.value, outcome.attempt),
        *(outcome.flaky, outcome.kept, None if seconds is None else round(seconds * _MILLI), bucket, revision),
        outcome.command,
    )


def encoded(text: str | None) -> bytes | None:
    """Return a text as it is given to SQLite, which casts it; `None` for `None`."""
    return None if text is None else text.encode("utf-8", "surrogatepass")


def decoded(raw: bytes) -> str:
    """Return a text that SQLite has returned."""
    return raw.decode("utf-8", "surrogatepass")


def run_of(row: Sequence[Any]) -> tuple[int, RunHead]:  # `Any`: what SQLite returns
    """Return the run of a row of `RUN`, and its number.

    Raises:
        ValueError: if a value is none that this version writes.
    """
    number, name, began, state, suite, revision, is_clean, partial, note = row
    if type(began) is not float:
        raise ValueError(f"a time of the class {type(began).__name__}")
    if state not in _STATES:  # it is shown as it is
        raise ValueError(f"{state!r} in place of a state")
    return as_whole(number), RunHead(
        name=as_text(name),
        began=began,
        state=state,
        suite=as_text(suite),
        revision=None if revision is None else as_text(revision),
        is_clean=bool(as_whole(is_clean)),
        partial=bool(as_whole(partial)),
        note=None if note is None else as_text(note),
    )


def outcome_of(row: Sequence[Any], test: str, text_of: Callable[[object], str]) -> Outcome:
    """Return the outcome of a row of `OUTCOME`.

    Args:
        row: the row.
        test: its test.
        text_of: returns the text of a number.

    Raises:
        ValueError, LookupError: if a value is none that this version writes.
    """
    _, _, seed, standing, attempt, flaky, kept, milliseconds, bucket, revision, command = row
    return Outcome(
        test,
        None if seed == _NO_SEED else as_whole(seed),
        _STANDINGS[as_whole(standing)],
        as_whole(attempt),
        bool(as_whole(flaky)),
        bool(as_whole(kept)),
        None if milliseconds is None else as_whole(milliseconds) / _MILLI,
        None if bucket is None else text_of(bucket),
        None if revision is None else text_of(revision),
        as_whole(command),
    )


def as_text(value: object) -> str:
    """Return a value of the index that has to be a text."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} in place of a text")
    return value


def as_whole(value: object) -> int:
    """Return a value of the index that has to be a number from 0."""
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} in place of a number from 0")
    return value


def as_seconds(value: object) -> float:
    """Return a mean of milliseconds of the index, which has to be a number from 0, in seconds."""
    if type(value) is not float or not value >= 0:
        raise ValueError(f"{value!r} in place of a number from 0")
    return value / _MILLI
