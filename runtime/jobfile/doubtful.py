"""Warnings about placeholders of a job table that are not replaced: misspelt ones, and those of other jobs. Pure.

A warning, not an error, because braces mean something to many programs. Text in braces that resembles no placeholder is
ignored.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from runtime.jobfile.schema import PLACEHOLDERS, TEXT_KEYS, JobTable
from runtime.jobfile.template import placeholders

MIN_SIMILARITY: Final = 0.75
"""The ratio of `difflib` from which a name is taken for a misspelt one. Arbitrary: one letter of four may be wrong.
With less, words of awk or of a shell would be warned about; with more, a misspelt ``seed`` would be missed."""


def doubtful_placeholders(table: JobTable, parameters: Collection[str]) -> Iterator[str]:
    """Yield a sentence for each placeholder in `table` that is not replaced, and probably should be.

    Args:
        table: the table of a job.
        parameters: the parameters of all matrices of the run.
    """
    known = {*PLACEHOLDERS, *table.matrix}
    if table.seeds is None:
        known.remove("seed")
    for key, text in _texts(table):
        for name in sorted(placeholders(text) - known):
            if why := _why(name, known, parameters):
                yield f"{key} has {{{name}}}, which stays as it is{why}"


def _why(name: str, known: Collection[str], parameters: Collection[str]) -> str:
    if name == "seed":
        return ", as the job has no seeds"
    if name in parameters:
        return f", as the job's matrix has no {name}"
    near = difflib.get_close_matches(name.lower(), [*known, "seed"], n=1, cutoff=MIN_SIMILARITY)
    return f"; did you mean {{{near[0]}}}?" if near else ""


def _texts(table: JobTable) -> Iterator[tuple[str, str]]:
    """Yield each key whose value may have placeholders, with all its text."""
    for key in TEXT_KEYS:
        value = getattr(table, key)
        if isinstance(value, Mapping):
            yield from ((f"{key}.{name}", text) for name, text in value.items())
        elif value:
            yield key, value if isinstance(value, str) else "\n".join(value)
