"""Which jobs are alike in what the columns of a `Jobs` do not tell of specifications, and its digest. Pure."""

from __future__ import annotations

import marshal
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Final

import attrs

from runtime.job import JobSpec
from runtime.journal.columns import runs
from runtime.journal.json_text import dumps

_DIGITS: Final = 16
"""Hexadecimal digits, 64 bits: a changed specification has the same digest once in 10^19 changes."""

_NAMES: Final = (
    *("target", "job_type", "backend", "resources", "run_if", "timeout", "timeout_from", "idle_timeout"),
    *("renew_odir", "pass_patterns", "fail_patterns", "runtime_pattern", "simulated_time_pattern", "max_log"),
    *("raw_lines", "dry_run", "interactive", "containment", "leftovers", "memory", "pre_launch", "post_finish"),
)
"""The fields that can change the result of a job that passed, that most jobs of a run share, and that the columns of a
`Jobs` do not tell; in the order of `_values`, which begins with them."""
_DEFAULTS: Final = [getattr(attrs.fields(JobSpec), name).default for name in _NAMES]
_SECONDS: Final = frozenset({"timeout", "idle_timeout"})
"""Fields in which a whole number means the same as the equal fraction."""
_UNORDERED: Final = frozenset({"pass_patterns", "fail_patterns"})
"""Fields whose order means nothing, and is another one in each process if they were given as sets."""

_MARSHAL_VERSION: Final = 0
"""The only format of `marshal` that depends on nothing but the values: the later ones also tell which of them are the
same object."""


def text_digest(text: str) -> str:
    """Return 16 hexadecimal digits of a text in ASCII."""
    return blake2b(text.encode("ascii"), digest_size=_DIGITS // 2).hexdigest()


Alike = tuple[Sequence[JobSpec], str]
"""Jobs that follow each other, and share all that a `Jobs` does not tell of each of them; and 16 hexadecimal digits,
which are the same if all of that is the same which can change the result."""


def alike(jobs: Sequence[JobSpec]) -> list[Alike]:
    """Return these jobs in groups of those that are alike.

    In the digest of a group a field that has its default adds nothing, so a field that a later version of this package
    adds changes no digest.
    """
    values = _values(jobs)
    found: list[Alike] = []
    last: tuple[object, ...] | None = None
    common = blake2b()
    for begin, end in runs(values):
        shared = values[begin][: len(_NAMES)]
        if shared != last:  # many differ in their variables alone
            last, common = shared, _hash_of_shared(shared)
        found.append((jobs[begin:end], _digest(common, jobs[begin].exports)))
    return found


def _values(jobs: Sequence[JobSpec]) -> list[tuple[object, ...]]:
    # The interpreter reads an attribute that is in the code in half of the time that `attrgetter` takes.
    return [
        (
            job.target,
            job.job_type,
            job.backend,
            job.resources,
            job.run_if,
            job.timeout,
            job.timeout_from,
            job.idle_timeout,
            job.renew_odir,
            job.pass_patterns,
            job.fail_patterns,
            job.runtime_pattern,
            job.simulated_time_pattern,
            job.max_log,
            job.raw_lines,
            job.dry_run,
            job.interactive,
            job.containment,
            job.leftovers,
            job.memory,
            job.pre_launch,
            job.post_finish,
            job.exports,
            # Their columns are made by group as well.
            job.secret_cmd,
            job.shell,
            job.tags,
        )
        for job in jobs
    ]


def _hash_of_shared(values: Sequence[object]) -> blake2b:
    parts = [
        (name, _plain(name, value))
        for name, default, value in zip(_NAMES, _DEFAULTS, values, strict=True)
        if value is not default and value != default
    ]
    # `ascii` and not JSON: it is faster, and distinguishes all texts and a text from a list of one.
    return blake2b(ascii(parts).encode("ascii"), digest_size=_DIGITS // 2)


def _digest(common: blake2b, exports: Mapping[str, str]) -> str:
    if not exports:
        return common.hexdigest()
    needs: list[str] = []  # they were here until the record told them
    own = (needs, sorted(exports.items()))
    try:
        data = marshal.dumps(own, _MARSHAL_VERSION)  # in half the time that `ascii` takes
    except ValueError:  # a text of a class that is derived from `str`
        data = dumps(own).encode("ascii")
    found = common.copy()
    found.update(data)
    return found.hexdigest()


def _plain(name: str, value: object) -> object:
    """Return the value of a field as one whose `repr` tells all that counts, and nothing else."""
    if isinstance(value, str):  # the usual case
        return value
    if isinstance(value, tuple):
        return sorted(value) if name in _UNORDERED else value
    if value.__class__ is int and name not in _SECONDS:
        return value
    if isinstance(value, Mapping):  # after the others, because it is slow to check
        return sorted(value.items())
    if name in _SECONDS and isinstance(value, int):
        return float(value)
    if callable(value):
        named = value if hasattr(value, "__qualname__") else type(value)
        return f"{named.__module__}.{named.__qualname__}"
    return value
