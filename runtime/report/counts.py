"""How many jobs of a run are counted as what, for people: see `runtime.job.counting`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from runtime.job.counting import INFRASTRUCTURE, KNOWN, NEVER_RAN

STYLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "passed": "green",
        "failed": "bold red",
        "killed": "yellow",
        INFRASTRUCTURE: "magenta",
        KNOWN: "cyan",
        NEVER_RAN: "yellow",
    }
)
"""The styles of `COUNTED_AS`, in the same order."""

_ALWAYS: Final = frozenset({"passed", "failed", "killed"})
"""Those that are shown although there are none."""


def count_pieces(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return the counts as pieces of a line, with their styles: ``3 passed``, ``0 failed`` and so on.

    What few runs have, such as failures of the infrastructure, is left out if there is none.
    """
    return [
        (f"{counts.get(key, 0)} {key.replace('_', ' ')}", style if counts.get(key) else "")
        for key, style in STYLES.items()
        if key in _ALWAYS or counts.get(key)
    ]
