"""Placeholders that stand for nothing in a job table: misspelt ones, and those of other jobs. Pure.

They are warned of, and stay as they are: braces mean something to many programs. What is like no placeholder is none.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from typing import Final

from runtime.jobfile.schema import PLACEHOLDERS, JobTable
from runtime.jobfile.template import placeholders

LIKENESS: Final = 0.75
"""Of two names that are taken for one, as `difflib` measures it. Arbitrary: one letter of four may be wrong."""


def doubtful_placeholders(table: JobTable, parameters: Collection[str]) -> Iterator[str]:
    """Yield a sentence for each placeholder in `table` that stands for nothing and probably was to stand for something.

    Args:
        table: of a job.
        parameters: those of all matrices of the run.
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
    near = difflib.get_close_matches(name.lower(), [*known, "seed"], n=1, cutoff=LIKENESS)
    return f"; did you mean {{{near[0]}}}?" if near else ""


def _texts(table: JobTable) -> Iterator[tuple[str, str]]:
    """Yield each key whose value may have placeholders, with all its text."""
    for key in ("cmd", "needs", "cwd", "odir", "log_path", "tags", "pass_patterns", "fail_patterns"):
        value = getattr(table, key)
        if value:
            yield key, value if isinstance(value, str) else "\n".join(value)
    for key in ("runtime_pattern", "simulated_time_pattern"):
        value = getattr(table, key)
        if value:
            yield key, value
    for name, value in (table.exports or {}).items():
        yield f"exports.{name}", value
