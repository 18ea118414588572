"""What jobs need before they run, and what they may use, as the `requirements` of a `Jobs`, and back. Pure.

Jobs that follow each other mostly have the same, so it is told once for them, and not in a column for each field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from runtime.job import JobSpec
from runtime.job.numbers import is_number
from runtime.job.spec import RUN_IFS
from runtime.journal.columns import runs
from runtime.journal.json_text import JSON

Counted = tuple[int, Mapping[str, JSON]]
"""How many jobs follow each other that have the same, and what that is: a key for each field without its default."""


@attrs.frozen
class Requirements:
    """The fields of a `JobSpec` that say when it runs, and how much it may use. See there for each."""

    dependencies: Sequence[str] = ()
    run_if: str = "passed"
    backend: str | None = None
    resources: Mapping[str, int | None] = attrs.field(factory=dict)
    timeout: float | None = None
    idle_timeout: float | None = None
    memory: float | None = None
    max_log: float | None = None


def requirements_to_json(groups: Iterable[Sequence[JobSpec]]) -> Sequence[Counted] | None:
    """Return what jobs require; `None` if none requires anything.

    Args:
        groups: the jobs, in groups that have the same requirements except for their dependencies.
    """
    found: list[Counted] = []
    for group in groups:
        needs = [job.dependencies for job in group]
        others = _table(group[0])
        for begin, end in runs(needs):
            table = {"dependencies": list(needs[begin]), **others} if needs[begin] else others
            if found and found[-1][1] == table:  # the groups differ in something else
                found[-1] = found[-1][0] + end - begin, table
            else:
                found.append((end - begin, table))
    return tuple(found) if any(table for _, table in found) else None


def _table(job: JobSpec) -> dict[str, JSON]:
    # One question for each field: that is faster than a loop, and most jobs have none of them.
    table: dict[str, JSON] = {}
    if job.run_if != "passed":
        table["run_if"] = job.run_if
    if job.backend is not None:
        table["backend"] = job.backend
    if job.resources:
        table["resources"] = dict(job.resources)
    if job.timeout is not None:
        table["timeout"] = job.timeout
    if job.idle_timeout is not None:
        table["idle_timeout"] = job.idle_timeout
    if job.memory is not None:
        table["memory"] = job.memory
    if job.max_log is not None:
        table["max_log"] = job.max_log
    return table


def split_requirements(told: Sequence[Counted], rows: int) -> tuple[Sequence[Counted], Sequence[Counted]]:
    """Return the requirements of the first `rows` jobs of a record, and those of the others."""
    first: list[Counted] = []
    for index, (count, table) in enumerate(told):
        if count > rows:
            return (*first, (rows, table)), ((count - rows, table), *told[index + 1 :])
        first.append((count, table))
        rows -= max(0, count)
    return tuple(first), ()


def requirements_of(row: int, told: Sequence[Counted] | None) -> Requirements:
    """Return what the job in a row of a record requires. A value that cannot be is left out: a job can write a journal.

    Args:
        row: of the record.
        told: its `requirements`.
    """
    for count, table in told or ():
        if row < count:
            return _requirements(table)
        row -= max(0, count)
    return Requirements()


def _requirements(table: Mapping[str, JSON]) -> Requirements:
    dependencies, resources, run_if = (table.get(name) for name in ("dependencies", "resources", "run_if"))
    amounts = resources if isinstance(resources, dict) else {}
    return Requirements(
        tuple(each for each in dependencies if isinstance(each, str)) if isinstance(dependencies, list) else (),
        run_if if isinstance(run_if, str) and run_if in RUN_IFS else "passed",
        _text(table.get("backend")),
        {name: amount for name, amount in amounts.items() if amount is None or type(amount) is int},
        _number(table.get("timeout")),
        _number(table.get("idle_timeout")),
        _number(table.get("memory")),
        _number(table.get("max_log")),
    )


def _number(value: JSON) -> float | None:
    return value if is_number(value) else None


def _text(value: JSON) -> str | None:
    return value if isinstance(value, str) else None
