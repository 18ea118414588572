"""`prepare`: from options to a run that can start: job files read, jobs, backends and scheduler made and checked.

Nothing is started or written, so all wrong input is reported before anything has happened.
"""

from __future__ import annotations

import argparse
import inspect
import os
import re
import secrets
import sys
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

import attrs

from runtime.backend.contract.backend import RuntimeBackend
from runtime.backend.registry import BUILT_IN, DEFAULT_VARIABLE, BackendRegistry, LauncherFactory, backends, foreign
from runtime.cli.options import check_out
from runtime.cli.past_runs import find_run
from runtime.cli.resuming import Earlier, Resumption, plan_resumption
from runtime.cli.run_journal import RunJournal
from runtime.cli.select import DrawnSeeds, select
from runtime.errors import GraphError, RegistryError, ResourceError
from runtime.job import JobSpec
from runtime.jobfile.errors import InputError, shown, suggestion
from runtime.jobfile.expand import Expansion, expand
from runtime.jobfile.regression import JobEntry, Regression, load
from runtime.jobfile.variables import Variables
from runtime.roots import Roots
from runtime.scheduler.run import Scheduler

_UNKNOWN_OPTION: Final = re.compile(r"unexpected keyword argument '(\w+)'")

_NOT_KEYS: Final = frozenset({"name", "run_dir", "terminal", "launcher_cls", "view", "system", "policy"})
"""Arguments of backends that are not keys of a job file: the command line passes them, or they are objects."""
_OLDER_KEYS: Final = {"grace": "visibility_timeout", "patience": "stall_timeout"}
"""Keys of backends' tables that have another name now, to that name. Job files with the older one are still read."""
_OF_LOCAL: Final = ("containment", "leftovers")
"""Keys of jobs that only a backend with options of these names has."""


@attrs.frozen(kw_only=True)
class Prepared:
    """A run that can start."""

    run: str
    """Its name: the time in UTC and random digits."""
    run_dir: Path
    """Its directory; absolute. Not made yet, unless the run is resumed."""
    roots: Roots
    """The directories of its files; not opened yet, unless the run is resumed."""
    token: str
    """The run token."""
    seed_base: int
    draws_seeds: bool
    """Whether the id of some job depends on the seed base."""
    regression: Regression
    jobs: Sequence[JobSpec]
    backends: Mapping[str, RuntimeBackend]
    default_backend: str
    journal: RunJournal
    resumption: Resumption | None
    """What becomes of each job, if the run is resumed."""
    scheduler: Scheduler[JobSpec]

    def backend_of(self, job: JobSpec) -> RuntimeBackend:
        """Return the backend of one of `jobs`."""
        return self.backends[job.backend or self.default_backend]


def prepare(options: argparse.Namespace, stdin: BinaryIO | None = None) -> Prepared:
    """Return all parts of a run, checked.

    Raises:
        InputError: for any wrong input.
    """
    add_pythonpath(options.pythonpath)
    regression = load(options.file, stdin, Variables(dict(options.define), os.environ))
    out = check_out(options.out)
    if options.rerun is not None:
        with closing(Earlier(find_run(options.rerun, out), lock=False)) as again:
            return _prepare(options, regression, out, None, again)
    if options.resume is None:
        return _prepare(options, regression, out, None)
    # A dry run takes no lock: it may look at a run that lives.
    earlier = Earlier(find_run(options.resume, out), lock=not options.dry_run)
    try:
        if not earlier.has_begun and not options.dry_run:
            earlier.close()
            # A new one, because what is in its directories is not known, and may be of another night.
            return _prepare(options, regression, out, None)
        return _prepare(options, regression, out, earlier)
    except BaseException:
        earlier.close()
        raise


def _prepare(
    options: argparse.Namespace,
    regression: Regression,
    out: Path,
    earlier: Earlier | None,
    again: Earlier | None = None,
) -> Prepared:
    """Return all parts of a run that goes on after `earlier`, or is a new one, of what did not pass in `again`."""
    run = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}" if earlier is None else earlier.run_dir.name
    run_dir = out / run if earlier is None else earlier.run_dir
    seed_base = options.seed_base
    if seed_base is None and (before := earlier or again) is not None:
        seed_base = before.seed_base
    is_drawn = seed_base is None
    if seed_base is None:
        seed_base = secrets.randbits(32)
    expansion = Expansion(
        run_dir=run_dir,
        seed_base=seed_base,
        reseed=options.reseed,
        fixed_seed=options.fixed_seed,
        timeout_multiplier=options.timeout_multiplier,
    )
    drawn = DrawnSeeds(
        frozenset(entry.name for entry in regression.entries if isinstance(expansion.seeds(entry.table), int)),
        seed_base,
        given=not is_drawn,
    )
    jobs = expand(regression, expansion)
    only = None if again is None else again.not_passed(jobs, each_bucket=options.each_bucket)
    jobs = select(jobs, options.select, drawn, exclude=options.exclude, only=only)
    default = options.backend or backends.default
    roots = Roots(str(run_dir)) if earlier is None else earlier.roots
    journal = RunJournal(roots, regression, jobs, earlier)
    token = earlier.token if earlier is not None and earlier.has_begun else secrets.token_hex(8)
    made = make_backends(jobs, default, regression, options, roots)
    resumption = None if earlier is None else plan_resumption(earlier, jobs, made)
    try:
        scheduler = Scheduler(
            jobs,
            made,
            default_backend=default if default in made else None,
            max_parallelism=options.max_parallel,
            resources={**regression.resources, **dict(options.resource)},
            on_missing_resource=options.on_missing_resource,
            max_failures=1 if options.fail_fast else options.max_failures,
            first_attempts=None if resumption is None else resumption.first_attempts,
            journal=journal.recorder,
            run_token=token,
        )
    except (GraphError, ResourceError) as exc:
        hint = "; expected a limit under [resources], or --resource NAME=N" if "has no limit" in str(exc) else ""
        raise InputError(f"{regression.source}: {exc}{hint}") from exc
    return Prepared(
        run=run,
        run_dir=run_dir,
        roots=roots,
        token=token,
        seed_base=seed_base,
        draws_seeds=any(job.name in drawn.names for job in jobs),
        regression=regression,
        jobs=jobs,
        backends=made,
        default_backend=default,
        journal=journal,
        resumption=resumption,
        scheduler=scheduler,
    )


def add_pythonpath(directories: Iterable[str]) -> None:
    """Put directories in front of `sys.path`, the first of them first.

    Raises:
        InputError: for one that does not exist.
    """
    for directory in directories:
        if not os.path.isdir(directory):  # `Path.is_dir` raises if the name is too long
            raise InputError(f"--pythonpath is {shown(directory)}; expected a directory")
    sys.path[:0] = [str(Path(directory).absolute()) for directory in directories]


def make_backends(
    jobs: Sequence[JobSpec], default: str, regression: Regression, options: argparse.Namespace, roots: Roots
) -> dict[str, RuntimeBackend]:
    """Return the backends that the jobs use, by name.

    Raises:
        InputError: for an unknown name, also of a table that no job uses, or an option that a backend does not have.
    """
    users: dict[str, JobSpec] = {}
    tables: dict[str, set[str]] = {}
    for job in jobs:
        name = job.backend or default
        users.setdefault(name, job)
        tables.setdefault(name, set()).add(job.name)
    for name, (unused, where) in regression.backends.items():
        _check_name(name, where)
        # A table that no job uses is checked if its backend is built in: others may not be installed on this machine.
        if name not in users and name in BUILT_IN:
            _make(name, unused, where, options, roots, ())
    whence = "--backend" if options.backend else f"the variable {DEFAULT_VARIABLE}"
    made = {}
    for name, job in users.items():
        user = f"{regression.source}: job {shown(job.id)}" if job.backend else whence
        _check_name(name, user)
        given, where = regression.backends.get(
            name, ({}, user if job.backend or options.backend else f"backend {name}")
        )
        entries = [entry for entry in regression.entries if entry.name in tables[name]]
        made[name] = _make(name, given, where, options, roots, entries)
    return made


def _check_name(name: str, where: str) -> None:
    try:
        backends.check(name)
    except RegistryError as exc:
        raise InputError(f"{where}: {exc}") from exc


def _make(
    name: str,
    given: Mapping[str, object],
    where: str,
    options: argparse.Namespace,
    roots: Roots,
    entries: Sequence[JobEntry],
) -> RuntimeBackend:
    """Return a backend.

    Args:
        name: of the backend.
        given: the keys of its table.
        where: what a message about it begins with.
        options: of the command line.
        roots: of the run.
        entries: the job tables whose jobs use it.
    """
    ours: dict[str, object] = {}
    if taken := next((key for key in given if key in _NOT_KEYS), None):
        raise InputError(f"{where}: {_unknown_key(name, taken)}")
    if name == "local" and options.max_parallel is not None and "max_parallelism" not in given:
        # Else the backend's own limit, the number of CPUs, would silently lower that of --max-parallel.
        ours["max_parallelism"] = options.max_parallel
    try:
        factory = backends.load(name)
        takes = parameters(factory)
        given = _with_present_names(given, takes, where)
        if options.max_odirs is not None and "max_output_dirs" in takes:
            ours["max_output_dirs"] = options.max_odirs
        if "run_dir" in takes:
            ours["run_dir"] = roots if getattr(factory, "shares_roots", False) else Path(roots)
        for entry in entries:
            table = entry.table
            if "soft_stop" not in takes and (table.soft_stop is not None or table.soft_timeout is not None):
                msg = f"{entry.where}: has soft_stop or soft_timeout; the backend {shown(name)} has no soft stop"
                raise InputError(msg)
            if key := next((key for key in _OF_LOCAL if key not in takes and getattr(table, key) is not None), None):
                msg = f"{entry.where}: has {key}, which is for local jobs; the backend {shown(name)} does not have it"
                raise InputError(msg)
        return backends.create(name, **{**given, **ours})
    except RegistryError as exc:
        missing = isinstance(exc.__cause__, ModuleNotFoundError)
        hint = "; expected it to be installed, or --pythonpath with its directory" if missing else ""
        raise InputError(f"{where}: {exc}{hint}") from exc
    except (TypeError, ValueError) as exc:
        unknown = _UNKNOWN_OPTION.search(str(exc))
        raise InputError(f"{where}: {exc if unknown is None else _unknown_key(name, unknown[1])}") from exc


def _with_present_names(given: Mapping[str, object], takes: Container[str], where: str) -> Mapping[str, object]:
    """Return the keys of a backend's table, with the older names replaced that the backend does not take."""
    older = [key for key in _OLDER_KEYS if key in given and key not in takes and _OLDER_KEYS[key] in takes]
    for key in older:
        if _OLDER_KEYS[key] in given:
            raise InputError(f"{where}: has both {key} and {_OLDER_KEYS[key]}, which replaces it; expected that alone")
    return {_OLDER_KEYS[key] if key in older else key: value for key, value in given.items()}


def _unknown_key(name: str, key: str) -> str:
    return f"unknown key {shown(key)}{suggestion(key, key_names(backends, name), what='it knows')}"


def parameters(factory: Callable[..., object]) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a factory; for a class that passes options on, those of its bases as well.

    Raises:
        RegistryError: if inspecting it raises anything.
    """
    found: dict[str, inspect.Parameter] = {}
    with foreign("what the factory of a backend takes cannot be found out", TypeError, ValueError):
        for each in factory.__mro__ if isinstance(factory, type) else (factory,):
            if isinstance(each, type) and "__init__" not in vars(each):
                continue
            own = inspect.signature(each).parameters
            found = {**found, **{name: parameter for name, parameter in own.items() if name not in found}}
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in own.values()):
                break
    return found


def key_names(registry: BackendRegistry, name: str) -> list[str]:
    """Return the keys of a backend's table in a job file, including those that every backend has.

    Raises:
        RegistryError: if its factory cannot be loaded.
    """
    factory: Callable[..., object] = registry.load(name)
    if isinstance(factory, LauncherFactory):  # it passes all options on to the adapter
        from runtime.backend.legacy import LegacyLauncherAdapter

        factory = LegacyLauncherAdapter
    found = {**parameters(factory), **parameters(RuntimeBackend)}
    return [
        each
        for each, parameter in found.items()
        if parameter.kind is not parameter.VAR_KEYWORD and each not in _NOT_KEYS
    ]
