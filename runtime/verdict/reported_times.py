"""The times that a tool reports in its log, in seconds."""

from __future__ import annotations

import math
from typing import Final

UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12, "fs": 1e-15}
"""Seconds per unit; case does not matter."""


def seconds(value: bytes | None, unit: bytes | None) -> float | None:
    """Return `value` of `unit` in seconds; `None` if `value` is no finite number from 0, or `unit` not in `UNITS`."""
    try:
        number = float(value or b"")
        result = number * UNITS[(unit or b"").decode("ascii").lower()]
    except (ValueError, KeyError):
        return None
    return result if 0 <= result < math.inf else None
