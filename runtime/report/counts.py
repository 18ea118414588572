"""How did the jobs of a run end, in numbers? Jobs that never ran are counted apart from killed ones. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from runtime.job import JobResult

NEVER_RAN: Final = "never_ran"

ENDS: Final[Mapping[str, str]] = {"passed": "green", "failed": "bold red", "killed": "yellow", NEVER_RAN: "yellow"}
"""The ends that a job can have, and their styles."""


def end_of(result: JobResult) -> str:
    """Return which of `ENDS` a result is."""
    return NEVER_RAN if result.never_ran else result.status.name.lower()


def count_pieces(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return the counts of ends as pieces of a line, with their styles: ``3 passed``, ``0 failed`` and so on.

    Jobs that never ran are left out where there are none.
    """
    return [
        (f"{counts.get(end, 0)} {end.replace('_', ' ')}", style if counts.get(end) else "")
        for end, style in ENDS.items()
        if end != NEVER_RAN or counts.get(end)
    ]
