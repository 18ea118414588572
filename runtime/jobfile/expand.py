"""Makes job specifications of job tables: matrices, seeds, placeholders, dependencies.

The number of jobs is computed, and bounded, before the first is made. A drawn seed depends on the seed base and on the
job's name and parameters only: the same base gives the same seeds, whatever else the file contains.
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

from runtime.backend.job_paths import job_paths, usual_odir
from runtime.errors import SpecError
from runtime.job import JobSpec, Kinds, Retry, safe_id
from runtime.job.retry import FIRST_RETRY_DELAY
from runtime.jobfile.doubtful import doubtful_defaults, doubtful_jobserver, doubtful_placeholders
from runtime.jobfile.errors import InputError, Mistakes, shown, suggestion
from runtime.jobfile.place import Place, first_key
from runtime.jobfile.references import References, resolve
from runtime.jobfile.regression import JobEntry, Regression
from runtime.jobfile.schema import JOB_KEYS, RETRY_KEYS, TEXT_KEYS, JobTable
from runtime.jobfile.template import substitute, substitute_in_shell
from runtime.jobfile.values import Seeds, scalar_text

logger: Final = logging.getLogger("runtime.cli")

MAX_JOBS: Final = 1_000_000
"""Jobs of one run. Arbitrary: ten times as many specifications might not fit in memory."""
MAX_EDGES: Final = 20_000_000
"""Dependencies of all jobs together. Arbitrary: 1,000 jobs that each need 20,000 others. Each takes 8 bytes or more."""

MIN_TIMEOUT: Final = 0.001
"""Seconds of a timeout after it was multiplied, at least. Arbitrary: no process starts in less."""

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

_COPIED: Final = JOB_KEYS - {*TEXT_KEYS, *RETRY_KEYS, "matrix", "seeds", "keep", "version"}
"""The keys that are copied into a specification, if the file has them."""


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
    ids_of: dict[str, tuple[str, ...]] = {}
    cells: list[tuple[JobEntry, list[_Cell]]] = []
    for entry in regression.entries:
        of_entry = list(_cells(entry, expansion))
        for cell in of_entry:
            # A table ``"a.n=1"`` and the cell n=1 of a table ``a`` have one id.
            if (first := where.setdefault(cell.id, entry)) is not entry:
                raise InputError(f"{entry.where}: makes the job {shown(cell.id)}, and so does {first.where}")
            if safe_id(cell.id) in RESERVED:
                msg = f"{entry.where}: a job cannot be called {shown(cell.id)}: the run directory uses that name itself"
                raise InputError(msg)
        ids_of[entry.name] = tuple(cell.id for cell in of_entry)
        # Found by the ids, and not by the values: 1 and "1" are written alike.
        if len({cell.id for cell in of_entry}) < len(of_entry):
            raise InputError(f"{entry.where.at('matrix')}: matrix has a value twice")
        cells.append((entry, of_entry))
    needs = _Needs(ids_of, where)
    parameters = {name for entry in regression.entries for name in entry.matrix}
    # Those of all tables before the first job is made: making a million of them takes a while.
    mistakes = Mistakes()
    references = []
    for entry, _ in cells:
        with mistakes.collected():
            references.append(resolve(entry.table, regression.variables, entry.where))
    mistakes.check()
    regression.variables.check_definitions()
    for sentence in doubtful_defaults(regression.variables) if warn else ():
        logger.warning("%s", sentence)
    variables = {name.removeprefix("var.") for name in regression.variables.names()}
    jobs = []
    for (entry, of_entry), referred in zip(cells, references, strict=True):
        builder = _SpecBuilder(entry, expansion, needs, referred, regression.kinds)
        with mistakes.collected():
            jobs += [builder.build(cell) for cell in of_entry]
        doubts = [*doubtful_placeholders(entry.table, parameters, variables), *doubtful_jobserver(entry.table)]
        for sentence in doubts if warn else ():
            logger.warning("%s: %s", entry.where, sentence)
    mistakes.check()
    _check_logs(jobs, where, expansion.run_dir)
    return jobs


def draw_seeds(base: int, key: str, count: int) -> list[int]:
    """Return `count` different seeds from 1 to 2³¹-1, which every simulator takes. A larger `count` appends seeds."""
    # A hash, because `random` may draw other numbers in another version of Python: old reports must stay repeatable.
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
    """One job before its specification is made: its parameters and its seed."""

    id: str
    params: Mapping[str, str]
    seed: int | None


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


def _cells(entry: JobEntry, expansion: Expansion) -> Iterator[_Cell]:
    names = list(entry.matrix)
    given = expansion.seeds(entry.table)
    for values in itertools.product(*entry.matrix.values()):
        params = {name: scalar_text(value) for name, value in zip(names, values, strict=True)}
        base_id = entry.name + "".join(f".{name}={value}" for name, value in params.items())
        if given is None:
            yield _Cell(base_id, params, None)
            continue
        seeds = draw_seeds(expansion.seed_base, base_id, given) if isinstance(given, int) else given
        for seed in seeds:
            yield _Cell(f"{base_id}.seed={seed}", params, seed)


class _Needs:
    """Maps the names in `needs` to ids of jobs."""

    def __init__(self, ids_of: Mapping[str, tuple[str, ...]], ids: Mapping[str, object]) -> None:
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


class _SpecBuilder:
    """Makes the specifications of one table's jobs."""

    def __init__(
        self, entry: JobEntry, expansion: Expansion, needs: _Needs, references: References, kinds: Kinds | None
    ) -> None:
        table = entry.table
        self._entry = entry
        self._needs = needs
        self._variables = references.values
        self._run_dir = str(expansion.run_dir)
        self._fixed: dict[str, Any] = {
            name: getattr(table, name) for name in _COPIED if getattr(table, name) is not None
        }
        if "timeout" in self._fixed:
            # A tiny factor must not round the timeout to 0, which `JobSpec` refuses.
            self._fixed["timeout"] = max(self._fixed["timeout"] * expansion.timeout_multiplier, MIN_TIMEOUT)
        if kinds is not None:
            self._fixed["kinds"] = kinds
        if references.is_secret_in_cmd:
            self._fixed["secret_cmd"] = True
        if table.retry:
            delay = FIRST_RETRY_DELAY if table.retry_delay is None else table.retry_delay
            self._fixed["retry"] = Retry(table.retry, delay, table.flaky or "pass")
        self._dependencies: dict[tuple[str, ...], tuple[str, ...]] = {}

    def build(self, cell: _Cell) -> JobSpec:
        """Return the specification of one cell."""
        entry, table = self._entry, self._entry.table
        try:
            values = self._values(cell)
            # A value matches itself in a pattern, whatever characters it has.
            in_patterns = {name: re.escape(value) for name, value in values.items()}
            texts: dict[str, Any] = {
                "pass_patterns": _substitute_each(table.pass_patterns, in_patterns),
                "fail_patterns": _substitute_each(table.fail_patterns, in_patterns),
                "runtime_pattern": _substitute_in(table.runtime_pattern, in_patterns),
                "simulated_time_pattern": _substitute_in(table.simulated_time_pattern, in_patterns),
                "timeout_from": _substitute_in(table.timeout_from, in_patterns),
                "tags": _substitute_each(table.tags, values),
            }
            return JobSpec(
                name=entry.name,
                full_name=cell.id,
                qual_name=cell.id,
                cmd=self._command(values),
                seed=cell.seed,
                dependencies=self._resolve(_substitute_each(table.needs, values) or ()),
                exports={name: substitute(value, values) for name, value in (table.exports or {}).items()},
                cwd=self._cwd(cell, values),
                odir=values["odir"] if table.odir is not None else None,
                log_path=self._log_path(cell, values),
                **{name: value for name, value in texts.items() if value is not None},
                **self._fixed,
            )
        except (SpecError, ValueError) as exc:
            # A key that only the defaults have has no line.
            key = first_key(str(exc).removeprefix(f"job {entry.name!r}: "), JOB_KEYS)
            raise InputError(f"{entry.where.at(key)}: {exc}") from exc

    def _values(self, cell: _Cell) -> dict[str, str]:
        values = {
            **self._variables,
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
            return usual_odir(cell.id, self._run_dir)
        odir = self._path("odir", self._entry.table.odir, cell, values)
        return os.path.normpath(os.path.join(self._run_dir, odir))

    def _log_path(self, cell: _Cell, values: Mapping[str, str]) -> str | None:
        if self._entry.table.log_path is None:
            return None
        log_path = self._path("log_path", self._entry.table.log_path, cell, values)
        return os.path.normpath(Path(values["odir"]) / log_path)

    def _cwd(self, cell: _Cell, values: Mapping[str, str]) -> str:
        if self._entry.table.cwd is None:
            return str(self._entry.directory)
        return os.path.normpath(self._entry.directory / self._path("cwd", self._entry.table.cwd, cell, values))

    def _path(self, key: str, text: str, cell: _Cell, values: Mapping[str, str]) -> str:
        """Return a path: names and parameters in it become safe file names, which cannot lead out of a directory."""
        names = {"name": self._entry.name, "id": cell.id, **cell.params}
        path = substitute(text, {**values, **{name: safe_id(value) for name, value in names.items()}})
        if not path:
            raise ValueError(f"{key} is {shown(text)}, which is empty here; expected a path")
        return path

    def _command(self, values: Mapping[str, str]) -> str | tuple[str, ...]:
        cmd = self._entry.table.cmd
        if isinstance(cmd, str):
            return substitute_in_shell(cmd, values)
        return _substitute_each(cmd, values) or ()

    def _resolve(self, needs: tuple[str, ...]) -> tuple[str, ...]:
        # All cells of a table without placeholders in its needs have the same ones, and share one tuple.
        if needs not in self._dependencies:
            self._dependencies[needs] = self._needs.resolve(needs, self._entry.where.at("needs"))
        return self._dependencies[needs]


def _substitute_in(text: str | None, values: Mapping[str, str]) -> str | None:
    return None if text is None else substitute(text, values)


def _substitute_each(texts: Sequence[str] | None, values: Mapping[str, str]) -> tuple[str, ...] | None:
    return None if texts is None else tuple(substitute(text, values) for text in texts)
