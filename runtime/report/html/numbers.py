"""Numbers of many jobs as arrays: those of a journal's columns, and those that the script of a page can read. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from runtime.journal.columns import Repeated

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

NOT_KNOWN: Final = -1
"""In whole numbers, in place of one that is not known. In floats that is nan."""

_MAX_NUMBER: Final = 2**53
"""The largest whole number of a script. A job can write a journal, so a number in it may have any size."""

_LARGEST: Final = 1e300
"""In place of a whole number that no float can be. Arbitrary: larger than any that there is."""


def floats(column: Sequence[float | None]) -> Floats:
    """Return a column of a journal, with nan in place of `None`."""
    if isinstance(column, Repeated):
        return np.repeat(floats([column.value]), len(column))
    try:
        return np.array(column, float)
    except OverflowError:  # of a whole number that no float can be
        return np.array([None if each is None else max(-_LARGEST, min(each, _LARGEST)) for each in column], float)


def whole_numbers(values: Floats) -> Integers:
    """Return numbers for a script: rounded down, at least 0, and at most what a script can count."""
    known = np.clip(np.floor(values), 0, _MAX_NUMBER)
    return np.where(np.isnan(known), NOT_KNOWN, known).astype(np.int64)


def milliseconds(seconds: Floats) -> Integers:
    """Return seconds as whole milliseconds for a script: those of whole microseconds, as a journal has them."""
    with np.errstate(over="ignore"):
        return whole_numbers(np.rint(seconds * 1e6) / 1000)
