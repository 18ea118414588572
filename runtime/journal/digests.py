"""The digest of a specification: whether a job is still the one that a journal tells of. Pure."""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from hashlib import blake2b
from operator import attrgetter
from typing import Final

import attrs

from runtime.job import JobSpec

_DIGITS: Final = 16
"""Hexadecimal digits, 64 bits: a changed specification has the same digest once in 10^19 changes."""

_NO_PART: Final = frozenset({"weight", "tags", "queue_timeout", "slow", "soft_stop", "soft_timeout", "retry"}).union(
    {"jobserver", "kinds", "secret_cmd", "_needs_all"}
)
"""Fields that cannot change the result of a job that passed; see `digest`. `_needs_all` is a part of `run_if`."""
_SECONDS: Final = frozenset({"timeout", "idle_timeout"})
"""Fields in which a whole number means the same as the equal fraction."""
_UNORDERED: Final = frozenset({"dependencies", "pass_patterns", "fail_patterns"})
"""Fields whose order means nothing, and is another one in each process if they were given as sets."""

_OWN: Final = ("name", "full_name", "qual_name", "cmd", "dependencies", "seed", "exports", "odir", "log_path")
"""Fields that are mostly another one for each job."""

_FIELDS: Final = [field for field in attrs.fields(JobSpec) if field.name not in _NO_PART]
_SHARED: Final = [(field.name, field.default) for field in _FIELDS if field.name not in _OWN]
_own: Final = attrgetter(*_OWN)
_shared: Final = attrgetter(*(name for name, _ in _SHARED))

_last: tuple[tuple[object, ...], blake2b] = ((), blake2b())
"""The shared fields of the last specification, and the hash of them. Replaced as a whole, for threads."""
_MARSHAL_VERSION: Final = 0
"""The only format of `marshal` that depends on nothing but the values: the later ones also tell which of them are the
same object."""


def digest(spec: JobSpec) -> str:
    """Return 16 hexadecimal digits that are the same for equal specifications, in every process.

    Whatever may change the result of a job is a part of it, the values of `exports` included. No part are `weight` and
    `tags`, which decide when and whether it runs; `queue_timeout`, `soft_stop` and `soft_timeout`, which matter to a
    job that is killed, and so to none that passed; `slow`, which only names it; `retry`, which decides how often it
    runs; `jobserver`, which decides how many processes it has at once; `kinds`, which matter to none that passed,
    either; and `secret_cmd`, which decides where its command may be shown. A hook is known by its module and name, not
    by its code.

    A field that has its default adds nothing, so a field that a later version of this package adds changes no digest.
    """
    global _last  # noqa: PLW0603 - most jobs of a run share most fields: this saves two thirds of the time
    shared = _shared(spec)
    last, common = _last
    if shared != last:
        parts = [
            (name, _plain(name, value))
            for (name, default), value in zip(_SHARED, shared, strict=True)
            if value is not default and value != default
        ]
        # `ascii` and not JSON: it is faster, and distinguishes all texts and a text from a list of one.
        common = blake2b(ascii(parts).encode("ascii"), digest_size=_DIGITS // 2)
        _last = shared, common
    name, full_name, qual_name, cmd, dependencies, seed, exports, odir, log_path = _own(spec)
    needs = dependencies if len(dependencies) < 2 else tuple(sorted(dependencies))  # noqa: PLR2004 - one has its order
    values = sorted(exports.items()) if exports else None
    own = (name, full_name, qual_name, cmd, needs, seed, values, odir, log_path)
    try:
        data = marshal.dumps(own, _MARSHAL_VERSION)  # in half the time that `ascii` takes
    except ValueError:  # a text of a class that is derived from `str`
        data = ascii(own).encode("ascii")
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
