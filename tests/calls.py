"""How many calls something takes: a measure of CPU time that is the same on any machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType


def calls_of(function: Callable[[], object]) -> int:
    """Call a function; return how many calls modules of ours make or get meanwhile."""
    calls = 0

    def trace(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"} and str(frame.f_globals.get("__name__")).startswith("runtime.")

    sys.setprofile(trace)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls
