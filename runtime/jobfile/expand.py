"""Makes job specifications of job tables: matrices, seeds, placeholders, dependencies.

The number of jobs is computed, and bounded, before the first is made.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from runtime.backend.job_paths import job_paths
from runtime.job import JobSpec
from runtime.jobfile.cells import Cells
from runtime.jobfile.doubtful import doubtful_defaults, doubtful_jobserver, doubtful_placeholders
from runtime.jobfile.errors import InputError, Mistakes, shown, suggestion
from runtime.jobfile.place import Place
from runtime.jobfile.references import resolve
from runtime.jobfile.regression import JobEntry, Regression
from runtime.jobfile.schema import JobTable
from runtime.jobfile.table_specs import TableSpecs
from runtime.jobfile.values import Seeds

logger: Final = logging.getLogger("runtime.cli")

MAX_JOBS: Final = 1_000_000
"""Jobs of one run. Arbitrary: ten times as many specifications might not fit in memory."""
MAX_EDGES: Final = 20_000_000
"""Dependencies of all jobs together. Arbitrary: 1,000 jobs that each need 20,000 others. Each takes 8 bytes or more."""

RESERVED: Final = frozenset(
    {
        "running",
        "passed",
        "failed",
        "killed",
        "results.json",
        "exports.sh",
        "crash.txt",
        "journal.jsonl",
        "journal.lock",
        "journal.secrets",
        "ctl.requests",
    }
)
"""Names of the run directory's own files, which no job's directory may have."""


@attrs.frozen(kw_only=True)
class Expansion:
    """The options of a run that change the jobs of its files."""

    run_dir: Path
    """The run directory, absolute. It need not exist."""
    seed_base: int
    """The number from which all seeds are drawn."""
    reseed: int | None = None
    """How many seeds to draw for each job that has seeds; `None` for its own."""
    fixed_seed: int | None = None
    """The only seed of each job that has seeds; `None` for its own. Goes before `reseed`."""
    timeout_multiplier: float = 1
    """The factor for the `timeout` of each job."""

    def seeds(self, table: JobTable) -> Seeds | None:
        """Return the seeds of a table, or how many to draw, with the options of this run; `None` for no seed."""
        if table.seeds is None:
            return None
        if self.fixed_seed is not None:
            return (self.fixed_seed,)
        return table.seeds if self.reseed is None else self.reseed


def expand(regression: Regression, expansion: Expansion, *, warn: bool = True) -> list[JobSpec]:
    """Return all jobs, in the order of the tables.

    Args:
        regression: what the job files say.
        expansion: the options of the run.
        warn: whether to log what is doubtful in the job files.

    Raises:
        InputError: for too many jobs, two jobs with one id or one log, a need that names no job, a variable without a
            value, a value of the command line that no job uses, or one that `JobSpec` refuses.
    """
    _check_size(regression, expansion)
    where: dict[str, JobEntry] = {}
    ids_of: dict[str, Sequence[str]] = {}
    all_cells = []
    for entry in regression.entries:
        cells = Cells(entry.name, entry.matrix, expansion.seeds(entry.table), expansion.seed_base)
        before = len(where)
        for job_id in cells.ids:
            # A table ``"a.n=1"`` and the cell n=1 of a table ``a`` have one id.
            if (first := where.setdefault(job_id, entry)) is not entry:
                raise InputError(f"{entry.where}: makes the job {shown(job_id)}, and so does {first.where}")
            if job_id in RESERVED:  # the name of a directory is one of these only if the id is
                msg = f"{entry.where}: a job cannot be called {shown(job_id)}: the run directory uses that name itself"
                raise InputError(msg)
        # Found by the ids, and not by the values: 1 and "1" are written alike.
        if len(where) - before < len(cells.ids):
            raise InputError(f"{entry.where.at('matrix')}: matrix has a value twice")
        ids_of[entry.name] = cells.ids
        all_cells.append(cells)
    needs = _Needs(ids_of, where)
    parameters = {name for entry in regression.entries for name in entry.matrix}
    # Those of all tables before the first job is made: making a million of them takes a while.
    mistakes = Mistakes()
    references = []
    for entry in regression.entries:
        with mistakes.collected():
            references.append(resolve(entry.table, regression.variables, entry.where))
    mistakes.check()
    regression.variables.check_definitions()
    for sentence in doubtful_defaults(regression.variables) if warn else ():
        logger.warning("%s", sentence)
    variables = {name.removeprefix("var.") for name in regression.variables.names()}
    jobs: list[JobSpec] = []
    for entry, cells, referred in zip(regression.entries, all_cells, references, strict=True):
        specs = TableSpecs(
            entry,
            run_dir=str(expansion.run_dir),
            timeout_multiplier=expansion.timeout_multiplier,
            references=referred,
            kinds=regression.kinds,
            resolve=needs.resolve,
        )
        with mistakes.collected():
            jobs += specs.make(cells)
        doubts = [*doubtful_placeholders(entry.table, parameters, variables), *doubtful_jobserver(entry.table)]
        for sentence in doubts if warn else ():
            logger.warning("%s: %s", entry.where, sentence)
    mistakes.check()
    _check_logs(jobs, where, expansion.run_dir)
    return jobs


def _check_size(regression: Regression, expansion: Expansion) -> None:
    # By arithmetic: to count jobs by making their cells would take as long, and as much memory, as to make them.
    total = 0
    for entry in regression.entries:
        seeds = expansion.seeds(entry.table)
        repeats = 1 if seeds is None else seeds if isinstance(seeds, int) else _length(seeds)
        count = math.prod(len(values) for values in entry.matrix.values()) * repeats
        total += count
        if total > MAX_JOBS:
            raise InputError(f"{entry.where}: stands for {count} jobs; expected at most {MAX_JOBS} in a run")


def _length(seeds: range | Sequence[int]) -> int:
    """Return the number of seeds. (`len` raises for a range that is longer than `sys.maxsize`.)"""
    return seeds.stop - seeds.start if isinstance(seeds, range) else len(seeds)


def _check_logs(jobs: Sequence[JobSpec], where: Mapping[str, JobEntry], run_dir: Path) -> None:
    """Raise `InputError` if two jobs write to one log: each would be judged by the other's output."""
    if all(job.odir is None and job.log_path is None for job in jobs):
        return  # each job has the directory of its id, and ids differ
    first: dict[str, JobSpec] = {}
    for job in jobs:
        log = job_paths(job, str(run_dir)).log
        if (other := first.setdefault(log, job)) is not job:
            raise InputError(
                f"{where[job.id].where}: the log of job {shown(job.id)} is that of job {shown(other.id)}, {log};"
                ' expected an odir or a log_path of its own, such as log_path = "{id}.log"'
            )


class _Needs:
    """Maps the names in `needs` to ids of jobs."""

    def __init__(self, ids_of: Mapping[str, Sequence[str]], ids: Mapping[str, object]) -> None:
        self._ids_of = ids_of
        self._ids = ids
        self._edges = 0

    def resolve(self, needs: Iterable[str], where: Place) -> tuple[str, ...]:
        found: list[str] = []
        for name in needs:
            if name in self._ids_of:
                found += self._ids_of[name]
            elif name in self._ids:
                found.append(name)
            else:
                msg = f"{where}: needs {shown(name)}, which is no job{suggestion(name, self._ids_of, what='there are')}"
                raise InputError(msg)
            self._edges += len(found)
            if self._edges > MAX_EDGES:
                msg = f"{where}: needs {shown(name)}: more than {MAX_EDGES} dependencies in all; put a job in between"
                raise InputError(msg)
        return tuple(found)
