"""Runs as letters, for the tests of this package: ``PPF`` is a test that passed in two runs and failed in the third."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from runtime.history.judgements import Entry
from runtime.history.outcomes import Outcome, RememberedRun, RunHead, Standing

LETTERS = {
    "P": Standing.PASSED,
    "F": Standing.FAILED,
    "K": Standing.KNOWN,
    "I": Standing.INFRASTRUCTURE,
    "N": Standing.NEVER_RAN,
    "U": Standing.UNFINISHED,
}


def head(number: int, **fields: Any) -> RunHead:
    """The run of a number; a later one has a higher number."""
    return RunHead(**{"name": f"run{number}", "began": float(number), "suite": "fifo", **fields})


def outcome(letter: str, test: str = "t", seed: int | None = None, **fields: Any) -> Outcome:
    """An outcome; a small letter is a result that was kept of another run."""
    standing = LETTERS[letter.upper()]
    bucket = "it failed" if letter.upper() in "FKI" else None
    return Outcome(test, seed, standing, **{"bucket": bucket, "kept": letter.islower(), **fields})


def series(letters: str) -> list[Entry]:
    """A test in many runs: a letter each, or several in brackets for its seeds; ``.`` is a run without it."""
    entries = []
    for number, jobs in enumerate(split(letters), 1):
        if jobs != ".":
            seeds = [None] if len(jobs) == 1 else range(len(jobs))
            entries.append(
                Entry(head(number), [outcome(job, seed=seed) for job, seed in zip(jobs, seeds, strict=True)])
            )
    return entries


def split(letters: str) -> list[str]:
    found: list[str] = []
    rest = letters
    while rest:
        if rest[0] == "(":
            inner, _, rest = rest[1:].partition(")")
            found.append(inner)
        else:
            found.append(rest[0])
            rest = rest[1:]
    return found


def run(number: int, outcomes: Sequence[Outcome], **fields: Any) -> RememberedRun:
    return RememberedRun(head(number, **fields), outcomes)


def evolve(entry: Entry, **fields: Any) -> Entry:
    """The same entry, with other fields of its run."""
    return Entry(attrs.evolve(entry.run, **fields), entry.outcomes)
