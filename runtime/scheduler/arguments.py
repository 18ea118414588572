"""The arguments of a `Scheduler`, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping

from runtime.backend.contract.backend import RuntimeBackend
from runtime.job.numbers import brief, is_number
from runtime.scheduler.endings import KnownFailure
from runtime.scheduler.priorities import Priority


def check_arguments(
    *, run_token: str | None, priority: Priority | None, known: KnownFailure | None, busy_timeout: float
) -> None:
    """Raise `ValueError` for one that is not as `Scheduler` describes it."""
    if run_token is not None and not (isinstance(run_token, str) and run_token):
        raise ValueError(f"run_token is {brief(run_token)}; expected text that is not empty, or None")
    if priority is not None and not callable(priority):
        msg = f"priority is {priority!r}; expected a function of a job and the number of its dependents, or None"
        raise ValueError(msg)
    if known is not None and not callable(known):
        msg = f"known is {brief(known)}; expected a function of a job and the reason of its failure, or None"
        raise ValueError(msg)
    if busy_timeout != math.inf and not (is_number(busy_timeout) and busy_timeout >= 0):
        raise ValueError(f"busy_timeout is {brief(busy_timeout)}; expected seconds, from 0")


def backends_by_name(backends: Mapping[str, RuntimeBackend] | RuntimeBackend) -> Mapping[str, RuntimeBackend]:
    """Return the backends of a run by name. Raises `ValueError` if they are none."""
    named = {backends.name: backends} if isinstance(backends, RuntimeBackend) else backends
    if not isinstance(named, Mapping) or not all(isinstance(each, RuntimeBackend) for each in named.values()):
        raise ValueError(
            f"backends is {backends!r}; expected a backend, such as LocalBackend(), or a mapping from names to backends"
        )
    if not named:
        raise ValueError("backends is empty; expected at least one backend")
    return named


def checked_attempts(given: Mapping[str, int]) -> Mapping[str, int]:
    """Return ids of jobs to numbers of attempts. Raises `ValueError` if they are not."""
    expected = "expected a mapping from ids of jobs to whole numbers from 1"
    if not isinstance(given, Mapping):
        raise ValueError(f"first_attempts is {brief(given)}; {expected}")
    for job_id, number in given.items():
        if number.__class__ is not int or number < 1:
            raise ValueError(f"first_attempts has {brief(number)} for the job {job_id!r}; {expected}")
    return given


def limit_of(what: str, value: int | None) -> int | None:
    """Return a limit, `None` for none. Raises `ValueError` if it is no limit."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise ValueError(f"{what} is {brief(value)}; expected a whole number, or None or 0 for no limit")
    return value or None
