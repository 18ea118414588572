"""`display`: which part of a run's CPU time is its live display?"""

from __future__ import annotations

from benchmarks.environment import ours
from benchmarks.model import Figure, Question


def question(quick: bool) -> Question:
    """Return the question at its full size, or a tiny one."""
    jobs = 1_000 if quick else 100_000
    return Question(
        "display",
        [ours("display", "display.py", jobs)],
        [Figure("display", "display_percent", "% of the run's CPU", "lower", "display", {})],
    )
