"""How many jobs of a run ended in which way. Jobs that never ran are counted apart from killed ones. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from runtime.job import JobResult

NEVER_RAN: Final = "never_ran"

ENDS: Final[Mapping[str, str]] = {"passed": "green", "failed": "bold red", "killed": "yellow", NEVER_RAN: "yellow"}
"""The ways in which a job can end, and their styles."""


def end_of(result: JobResult[object]) -> str:
    """Return the key of `ENDS` that a result has."""
    return NEVER_RAN if result.never_ran else result.status.name.lower()


def count_pieces(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return the counts as pieces of a line, with their styles: ``3 passed``, ``0 failed`` and so on.

    The piece of the jobs that never ran is left out if there are none.
    """
    return [
        (f"{counts.get(end, 0)} {end.replace('_', ' ')}", style if counts.get(end) else "")
        for end, style in ENDS.items()
        if end != NEVER_RAN or counts.get(end)
    ]
