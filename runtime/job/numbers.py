"""Numbers from outside: Python's integers have no bound, and what takes seconds or amounts does."""

from __future__ import annotations

import math
from typing import Final, TypeGuard

MAX_SHOWN: Final = 200
"""Characters of a value that a message shows. Arbitrary: enough to know it again."""


def is_number(value: object) -> TypeGuard[float]:
    """Return whether `value` is an integer or a float that is finite as a float. `True` and ``10**400`` are not."""
    if value.__class__ is not float and (not isinstance(value, int | float) or isinstance(value, bool)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def brief(value: object) -> str:
    """Return `value` as Python writes it, or the beginning of that; an integer of very many digits by its size."""
    if isinstance(value, int) and value.bit_length() > MAX_SHOWN:  # `repr` raises for more than 4300 digits
        return f"an integer of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"
