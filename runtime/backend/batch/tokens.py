"""Tokens and names: what marks the work of a run in a queue that others use as well. Pure.

A token is a function of run token, job and attempt, and of nothing else: whoever knows these three, such as a run that
resumes another, finds the job in the queue and its files in the run directory. Names are made of ``[A-Za-z0-9-]``,
whatever the tokens and ids are, so that no queue, shell or table of columns is tempted by them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

_PREFIX: Final = "jr"
_RUN_DIGITS: Final = 16
_ARRAY_DIGITS: Final = 16
_JOB_DIGITS: Final = 24
"""Hexadecimal digits: 64 bits tell the runs of a cluster apart, and 96 bits the jobs of them all."""


def job_token(run_token: str, job_id: str, attempt: int) -> str:
    """Return the token of one attempt at a job."""
    return _digest((run_token, job_id, str(attempt)), _JOB_DIGITS)


def run_prefix(run_token: str) -> str:
    """Return how the names of all arrays of a run begin."""
    return f"{_PREFIX}-{_digest((run_token,), _RUN_DIGITS)}-"


def array_name(run_token: str, tokens: Iterable[str]) -> str:
    """Return the name of the array whose elements have these tokens, in this order."""
    return run_prefix(run_token) + _digest(tokens, _ARRAY_DIGITS)


def _digest(parts: Iterable[str], digits: int) -> str:
    hashed = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        hashed.update(b"%d:" % len(raw) + raw)  # so that no two lists run together
    return hashed.hexdigest()[:digits]
