"""`make_backends`: from the tables of a job file, and options, to the backends of a run, checked. None is opened."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Final

from runtime.backend.contract.backend import RuntimeBackend
from runtime.backend.registry import BUILT_IN, DEFAULT_VARIABLE, BackendRegistry, LauncherFactory, backends, foreign
from runtime.errors import RegistryError
from runtime.job import WATCHED_KEYS, JobSpec
from runtime.jobfile.errors import InputError, shown, suggestion
from runtime.jobfile.place import Place, first_key
from runtime.jobfile.regression import JobEntry, Regression
from runtime.roots import Roots

_UNKNOWN_OPTION: Final = re.compile(r"unexpected keyword argument '(\w+)'")

_NOT_KEYS: Final = frozenset({"name", "run_dir", "terminal", "launcher_cls", "view", "system", "policy"})
"""Arguments of backends that are not keys of a job file: the command line passes them, or they are objects."""
_ROOM: Final = ("mem_free", "disk_free")
"""Options of the command line that are options of backends as well."""
OLDER_KEYS: Final = {"grace": "visibility_timeout", "patience": "stall_timeout"}
"""Keys of backends' tables that have another name now, to that name. Job files with the older one are still read."""
_OF_LOCAL: Final = ("containment", "leftovers")
"""Keys of jobs that only a backend with options of these names has."""


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
        check_name(name, where)
        # A table that no job uses is checked if its backend is built in: others may not be installed on this machine.
        if name not in users and name in BUILT_IN:
            _make(name, unused, where, options, roots, ())
    whence = "--backend" if options.backend else f"the variable {DEFAULT_VARIABLE}"
    made = {}
    for name, job in users.items():
        user = f"{regression.source}: job {shown(job.id)}" if job.backend else whence
        check_name(name, Place(user))
        place = Place(user if job.backend or options.backend else f"backend {name}")
        given: Mapping[str, object] = {}
        if name in regression.backends:
            given, place = regression.backends[name]
        entries = [entry for entry in regression.entries if entry.name in tables[name]]
        made[name] = _make(name, given, place, options, roots, entries)
    for key in _ROOM:
        if getattr(options, key) is not None and not any(key in parameters(backends.load(name)) for name in made):
            names = ", ".join(map(shown, made))
            raise InputError(f"--{key.replace('_', '-')}: no backend of this run has {key}; they are: {names}")
    return made


def check_name(name: str, where: Place) -> None:
    """Raise an `InputError` that begins with `where` if there is no backend of this name."""
    try:
        backends.check(name)
    except RegistryError as exc:
        raise InputError(f"{where}: {exc}") from exc


def _make(
    name: str,
    given: Mapping[str, object],
    where: Place,
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
    ours = {"max_output_dirs": options.max_odirs, **{key: getattr(options, key) for key in _ROOM}}
    if name == "local" and "max_parallelism" not in given:
        # Else the backend's own limit, the number of CPUs, would silently lower that of --max-parallel.
        ours["max_parallelism"] = options.max_parallel
    made = make_backend(name, given, where, roots, {key: value for key, value in ours.items() if value is not None})
    _check_keys(name, entries)
    _check_abilities(made, name, entries)
    return made


def make_backend(
    name: str,
    given: Mapping[str, object],
    where: Place,
    run_dir: Roots | Path,
    ours: Mapping[str, object] | None = None,
) -> RuntimeBackend:
    """Return a backend.

    Args:
        name: of the backend, which exists.
        given: the keys of its table.
        where: what a message about it begins with.
        run_dir: the run directory.
        ours: further options, each of which is dropped if the backend has none of that name.

    Raises:
        InputError: if it cannot be made of these.
    """
    if taken := next((key for key in given if key in _NOT_KEYS), None):
        raise InputError(f"{where.at(taken)}: {_unknown_key(name, taken)}")
    try:
        factory = backends.load(name)
        takes = parameters(factory)
        given = _with_present_names(given, takes, where)
        further = {key: value for key, value in (ours or {}).items() if key in takes}
        if "run_dir" in takes:
            further["run_dir"] = run_dir if getattr(factory, "shares_roots", False) else Path(run_dir)
        return backends.create(name, **{**given, **further})
    except RegistryError as exc:
        missing = isinstance(exc.__cause__, ModuleNotFoundError)
        hint = "; expected it to be installed, or --pythonpath with its directory" if missing else ""
        raise InputError(f"{where}: {exc}{hint}") from exc
    except (TypeError, ValueError) as exc:
        unknown = _UNKNOWN_OPTION.search(str(exc))
        key = first_key(str(exc), given) if unknown is None else unknown[1]
        raise InputError(f"{where.at(key)}: {exc if unknown is None else _unknown_key(name, key)}") from exc


def _check_keys(name: str, entries: Sequence[JobEntry]) -> None:
    """Raise an error for a job table with a key for an option that its backend does not have."""
    takes = parameters(backends.load(name))
    for entry in entries:
        table = entry.table
        if "soft_stop" not in takes and (table.soft_stop is not None or table.soft_timeout is not None):
            msg = f"has soft_stop or soft_timeout; the backend {shown(name)} has no soft stop"
            raise InputError(f"{entry.where.at('soft_stop')}: {msg}")
        if key := next((key for key in _OF_LOCAL if key not in takes and getattr(table, key) is not None), None):
            msg = f"has {key}, which is for local jobs; the backend {shown(name)} does not have it"
            raise InputError(f"{entry.where.at(key)}: {msg}")


def _check_abilities(made: RuntimeBackend, name: str, entries: Sequence[JobEntry]) -> None:
    """Raise an error for a job table with a key that its backend cannot comply with."""
    for entry in entries:
        key = next((key for key in WATCHED_KEYS if getattr(entry.table, key) is not None), None)
        if key is not None and not made.watches_logs:
            msg = f"{entry.where.at(key)}: has {key}; the backend {shown(name)} does not see what its jobs write"
            raise InputError(msg)
        if entry.table.memory is not None and not made.limits_memory:
            msg = f"has memory; the backend {shown(name)} does not limit the memory of its jobs"
            raise InputError(f"{entry.where.at('memory')}: {msg}")


def _with_present_names(given: Mapping[str, object], takes: Container[str], where: Place) -> Mapping[str, object]:
    """Return the keys of a backend's table, with the older names replaced that the backend does not take."""
    older = [key for key in OLDER_KEYS if key in given and key not in takes and OLDER_KEYS[key] in takes]
    for key in older:
        if OLDER_KEYS[key] in given:
            raise InputError(f"{where}: has both {key} and {OLDER_KEYS[key]}, which replaces it; expected that alone")
    return {OLDER_KEYS[key] if key in older else key: value for key, value in given.items()}


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


def key_factory(registry: BackendRegistry, name: str) -> Callable[..., object]:
    """Return what takes the keys of a backend's table in a job file: its factory, or the adapter of its launcher.

    Raises:
        RegistryError: if its factory cannot be loaded.
    """
    factory: Callable[..., object] = registry.load(name)
    if not isinstance(factory, LauncherFactory):
        return factory
    from runtime.backend.legacy import LegacyLauncherAdapter

    return LegacyLauncherAdapter


def key_parameters(factory: Callable[..., object]) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a `key_factory` that are keys of job files, including those that every backend has.

    Raises:
        RegistryError: if inspecting it raises anything.
    """
    found = {**parameters(factory), **parameters(RuntimeBackend)}
    return {
        name: parameter
        for name, parameter in found.items()
        if parameter.kind is not parameter.VAR_KEYWORD and name not in _NOT_KEYS
    }


def key_names(registry: BackendRegistry, name: str) -> list[str]:
    """Return the keys of a backend's table in a job file.

    Raises:
        RegistryError: if its factory cannot be loaded.
    """
    return list(key_parameters(key_factory(registry, name)))
