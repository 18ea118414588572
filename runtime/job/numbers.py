"""Numbers that users and tools give: their checks, as Python's integers have no bound, and the units of time."""

from __future__ import annotations

import math
from typing import Final, TypeGuard

from runtime.job.shorten import shorten

MAX_BRIEF: Final = 200
"""Characters of a value that a message shows. Arbitrary: enough to recognise it; ten times as many would hide the rest
of the message."""

SECONDS_PER_UNIT: Final = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12, "fs": 1e-15}
"""The units in which simulators and launchers report times."""


def is_number(value: object) -> TypeGuard[float]:
    """Whether `value` is an integer or a float, and finite as a float. `True` and ``10**400`` are not."""
    # Comparing the class is faster than `isinstance`, and is enough for a float.
    if value.__class__ is not float and (not isinstance(value, int | float) or isinstance(value, bool)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def brief(value: object) -> str:
    """Return the `repr` of `value`, cut to `MAX_BRIEF` characters; for an integer of very many digits, its size."""
    if isinstance(value, int) and value.bit_length() > MAX_BRIEF:  # `repr` raises for more than 4300 digits
        return f"an integer of {value.bit_length()} bits"
    return shorten(repr(value), MAX_BRIEF)
