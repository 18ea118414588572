"""Tokens and names that identify the jobs of a run in a shared queue. Pure.

A token is a function of run token, job and attempt, and of nothing else. So a run that resumes another computes the
same tokens, and finds the jobs in the queue and their files in the run directory; no database is needed. Names contain
only ``[A-Za-z0-9-]``, whatever the ids contain, so they need no quoting in a shell, in a command's option, or in a
table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

PREFIX: Final = "jr"
"""How the name of each of our arrays begins, before a dash."""
_RUN_DIGITS: Final = 16
_ARRAY_DIGITS: Final = 16
_JOB_DIGITS: Final = 24
"""Hexadecimal digits: 64 bits for the runs and arrays of a cluster, 96 bits for the jobs of all runs. Arbitrary, and
far from a collision: of a billion jobs, two share a token with a probability below 1e-10."""


def job_token(run_token: str, job_id: str, attempt: int) -> str:
    """Return the token of one attempt at a job."""
    return _digest((run_token, job_id, str(attempt)), _JOB_DIGITS)


def run_prefix(run_token: str) -> str:
    """Return the prefix of the names of all arrays of a run."""
    return f"{PREFIX}-{_digest((run_token,), _RUN_DIGITS)}-"


def array_name(run_token: str, tokens: Iterable[str]) -> str:
    """Return the name of the array whose elements have these tokens, in this order."""
    return run_prefix(run_token) + _digest(tokens, _ARRAY_DIGITS)


def _digest(parts: Iterable[str], digits: int) -> str:
    hashed = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        hashed.update(b"%d:" % len(raw) + raw)  # the length keeps ("ab", "c") and ("a", "bc") apart
    return hashed.hexdigest()[:digits]
