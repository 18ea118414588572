"""From job tables to job specifications: matrices, seeds, placeholders, dependencies.

How many jobs there will be is counted, and bounded, before the first is made. What is drawn from the base seed depends
on nothing but that and the job's name and parameters: the same base gives the same seeds, whatever else the file holds.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from runtime.backend.job_paths import JobPaths
from runtime.errors import SpecError
from runtime.job import JobSpec, safe_id
from runtime.jobfile.doubtful import doubtful_placeholders
from runtime.jobfile.errors import InputError, shown, suggestion
from runtime.jobfile.regression import Entry, Regression
from runtime.jobfile.schema import JobTable, Scalar, Seeds
from runtime.jobfile.template import substitute, substitute_in_shell

logger: Final = logging.getLogger("runtime.cli")

MAX_JOBS: Final = 1_000_000
"""Jobs of one run."""
MAX_EDGES: Final = 20_000_000
"""Dependencies of all jobs together: each of 1,000 that needs each of 20,000. Arbitrary."""

SHORTEST: Final = 0.001
"""Seconds of a timeout that was multiplied, at least. Arbitrary: no process starts in less."""

RESERVED: Final = frozenset({"running", "passed", "failed", "killed", "results.json", "exports.sh", "crash.txt"})
"""Names in the run directory that no job may have."""

# Fields that go into a specification as they are, unless the file says nothing.
_PLAIN: Final = (
    "shell",
    "target",
    "job_type",
    "backend",
    "resources",
    "run_if",
    "needs_all_dependencies_passing",
    "weight",
    "timeout",
    "queue_timeout",
    "renew_odir",
    "max_log",
    "raw_lines",
    "dry_run",
    "interactive",
    "containment",
    "leftovers",
)


@attrs.frozen(kw_only=True)
class Expansion:
    """What a run adds to what the files say."""

    run_dir: Path
    """The directory of the run; absolute. It need not exist."""
    seed_base: int
    """What seeds are drawn from."""
    reseed: int | None = None
    """How many seeds to draw for each job that has seeds, instead of its own."""
    fixed_seed: int | None = None
    """The one seed for each job that has seeds, instead of its own."""
    timeout_multiplier: float = 1
    dry_run: bool = False
    """Whether no job is to start anything."""

    def seeds(self, table: JobTable) -> Seeds | None:
        """Return the seeds of a table, as this run wants them."""
        if table.seeds is None:
            return None
        if self.fixed_seed is not None:
            return (self.fixed_seed,)
        return table.seeds if self.reseed is None else self.reseed


def expand(regression: Regression, expansion: Expansion) -> list[JobSpec]:
    """Return all jobs, in the order of the tables.

    Raises:
        InputError: for too many jobs, two of one id or with one log, a need that names no job, or what `JobSpec`
            refuses.
    """
    _check_size(regression, expansion)
    where: dict[str, Entry] = {}
    ids_of: dict[str, tuple[str, ...]] = {}
    cells: list[tuple[Entry, list[_Cell]]] = []
    for entry in regression.entries:
        of_entry = list(_cells(entry, expansion))
        for cell in of_entry:
            if (first := where.setdefault(cell.id, entry)) is not entry:
                msg = f"{entry.where}: makes the job {shown(cell.id)}, and so does {first.where}"
                raise InputError(msg)
            if safe_id(cell.id) in RESERVED:
                msg = f"{entry.where}: a job cannot be called {shown(cell.id)}: the run directory needs that name"
                raise InputError(msg)
        ids_of[entry.name] = tuple(cell.id for cell in of_entry)
        if len({cell.id for cell in of_entry}) < len(of_entry):
            msg = f"{entry.where}: matrix has a value twice"
            raise InputError(msg)
        cells.append((entry, of_entry))
    needs = _Needs(ids_of, where)
    parameters = {name for entry in regression.entries for name in entry.table.matrix}
    jobs = []
    for entry, of_entry in cells:
        maker = _Maker(entry, expansion, needs)
        jobs += [maker.make(cell) for cell in of_entry]
        for sentence in doubtful_placeholders(entry.table, parameters):
            logger.warning("%s: %s", entry.where, sentence)
    _check_logs(jobs, where, expansion.run_dir)
    return jobs


def draw_seeds(base: int, key: str, count: int) -> list[int]:
    """Return `count` different seeds from 1 to 2³¹-1, which every simulator takes; more of them begin with fewer."""
    seeds: dict[int, None] = {}
    for number in itertools.count():
        if len(seeds) == count:
            return list(seeds)
        text = f"{base}\0{key}\0{number}".encode("utf-8", "surrogatepass")
        seed = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") % (2**31 - 1) + 1
        seeds[seed] = None
    raise AssertionError


@attrs.frozen
class _Cell:
    """One job before it is made: its place in the matrix, and its seed."""

    id: str
    params: Mapping[str, str]
    seed: int | None


def _check_size(regression: Regression, expansion: Expansion) -> None:
    total = 0
    for entry in regression.entries:
        seeds = expansion.seeds(entry.table)
        repeats = 1 if seeds is None else seeds if isinstance(seeds, int) else len_of(seeds)
        count = math.prod(len(values) for values in entry.table.matrix.values()) * repeats
        total += count
        if total > MAX_JOBS:
            msg = f"{entry.where}: stands for {count} jobs; wanted: at most {MAX_JOBS} in a run"
            raise InputError(msg)


def len_of(seeds: range | Sequence[int]) -> int:
    """Return how many there are; `len` fails for a range beyond what a C integer holds."""
    return seeds.stop - seeds.start if isinstance(seeds, range) else len(seeds)


def _check_logs(jobs: Sequence[JobSpec], where: Mapping[str, Entry], run_dir: Path) -> None:
    """Two jobs that write to one log would be judged by each other's words."""
    if all(job.odir is None and job.log_path is None for job in jobs):
        return  # ids are different, and so are the directories that are called like them
    first: dict[str, JobSpec] = {}
    for job in jobs:
        log = JobPaths.of(job, str(run_dir)).log
        if (other := first.setdefault(log, job)) is not job:
            msg = (
                f"{where[job.id].where}: the log of job {shown(job.id)} is that of job {shown(other.id)}, {log};"
                ' wanted: an odir or a log_path of its own, such as log_path = "{id}.log"'
            )
            raise InputError(msg)


def _cells(entry: Entry, expansion: Expansion) -> Iterator[_Cell]:
    names = list(entry.table.matrix)
    wanted = expansion.seeds(entry.table)
    for values in itertools.product(*entry.table.matrix.values()):
        params = {name: _written(value) for name, value in zip(names, values, strict=True)}
        base_id = entry.name + "".join(f".{name}={value}" for name, value in params.items())
        if wanted is None:
            yield _Cell(base_id, params, None)
            continue
        seeds = draw_seeds(expansion.seed_base, base_id, wanted) if isinstance(wanted, int) else wanted
        for seed in seeds:
            yield _Cell(f"{base_id}.seed={seed}", params, seed)


def _written(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Needs:
    """From what a table needs to the ids of jobs."""

    def __init__(self, ids_of: Mapping[str, tuple[str, ...]], ids: Mapping[str, object]) -> None:
        self._ids_of = ids_of
        self._ids = ids
        self._edges = 0

    def resolve(self, needs: Iterable[str], where: str) -> tuple[str, ...]:
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


class _Maker:
    """Makes the specifications of one table."""

    def __init__(self, entry: Entry, expansion: Expansion, needs: _Needs) -> None:
        table = entry.table
        self._entry = entry
        self._needs = needs
        self._run_dir = str(expansion.run_dir)
        self._fixed: dict[str, Any] = {
            name: getattr(table, name) for name in _PLAIN if getattr(table, name) is not None
        }
        if "timeout" in self._fixed:
            # However small the factor, it stays a time limit.
            self._fixed["timeout"] = max(self._fixed["timeout"] * expansion.timeout_multiplier, SHORTEST)
        if expansion.dry_run:
            self._fixed["dry_run"] = True
        self._dependencies: dict[tuple[str, ...], tuple[str, ...]] = {}

    def make(self, cell: _Cell) -> JobSpec:
        """Return the specification of one cell."""
        entry, table = self._entry, self._entry.table
        try:
            values = self._values(cell)
            in_patterns = {name: re.escape(value) for name, value in values.items()}
            texts: dict[str, Any] = {
                "pass_patterns": _each(table.pass_patterns, in_patterns),
                "fail_patterns": _each(table.fail_patterns, in_patterns),
                "runtime_pattern": _in(table.runtime_pattern, in_patterns),
                "simulated_time_pattern": _in(table.simulated_time_pattern, in_patterns),
                "tags": _each(table.tags, values),
            }
            return JobSpec(
                name=entry.name,
                full_name=cell.id,
                qual_name=cell.id,
                cmd=self._command(values),
                seed=cell.seed,
                dependencies=self._resolve(_each(table.needs, values) or ()),
                exports={name: substitute(value, values) for name, value in (table.exports or {}).items()},
                cwd=self._cwd(cell, values),
                odir=values["odir"] if table.odir is not None else None,
                log_path=self._log_path(cell, values),
                **{name: value for name, value in texts.items() if value is not None},
                **self._fixed,
            )
        except (SpecError, ValueError) as exc:
            msg = f"{entry.where}: {exc}"
            raise InputError(msg) from exc

    def _values(self, cell: _Cell) -> dict[str, str]:
        values = {
            **cell.params,
            "name": self._entry.name,
            "id": cell.id,
            "run_dir": self._run_dir,
            "file_dir": str(self._entry.directory),
        }
        if cell.seed is not None:
            values["seed"] = str(cell.seed)
        values["odir"] = self._odir(cell, values)
        return values

    def _odir(self, cell: _Cell, values: Mapping[str, str]) -> str:
        if self._entry.table.odir is None:
            return f"{self._run_dir}/{safe_id(cell.id)}"
        odir = substitute(self._entry.table.odir, self._in_paths(cell, values))
        return os.path.normpath(os.path.join(self._run_dir, odir))

    def _log_path(self, cell: _Cell, values: Mapping[str, str]) -> str | None:
        if self._entry.table.log_path is None:
            return None
        log_path = substitute(self._entry.table.log_path, self._in_paths(cell, values))
        return os.path.normpath(Path(values["odir"]) / log_path)

    def _cwd(self, cell: _Cell, values: Mapping[str, str]) -> str:
        if self._entry.table.cwd is None:
            return str(self._entry.directory)
        return os.path.normpath(self._entry.directory / substitute(self._entry.table.cwd, self._in_paths(cell, values)))

    def _in_paths(self, cell: _Cell, values: Mapping[str, str]) -> dict[str, str]:
        """Return the values with names made safe for a path: none of them can lead out of it."""
        names = {"name": self._entry.name, "id": cell.id, **cell.params}
        return {**values, **{name: safe_id(value) for name, value in names.items()}}

    def _command(self, values: Mapping[str, str]) -> str | tuple[str, ...]:
        cmd = self._entry.table.cmd
        if isinstance(cmd, str):
            return substitute_in_shell(cmd, values)
        return _each(cmd, values) or ()

    def _resolve(self, needs: tuple[str, ...]) -> tuple[str, ...]:
        if needs not in self._dependencies:
            self._dependencies[needs] = self._needs.resolve(needs, self._entry.where)
        return self._dependencies[needs]


def _in(text: str | None, values: Mapping[str, str]) -> str | None:
    return None if text is None else substitute(text, values)


def _each(texts: Sequence[str] | None, values: Mapping[str, str]) -> tuple[str, ...] | None:
    return None if texts is None else tuple(substitute(text, values) for text in texts)
