"""Long random runs: ``python -m tests.campaigns [--seed S] [--count N] [NAME ...]``.

Each module of this package with a `CAMPAIGN` is one. A few of each are run as ordinary tests as well.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

import attrs


@attrs.frozen
class Campaign:
    """A question that is asked with random input, many times."""

    name: str
    question: str
    """What is asked, in one line."""
    count: int
    """How many times, unless told."""
    run: Callable[[int, int], str]
    """From a seed and a count to what was seen, in one line; raises at the first violation."""
    lacks: Callable[[], str | None] = lambda: None
    """Says what this machine lacks for it, if anything."""


def campaigns() -> dict[str, Campaign]:
    """Find all campaigns, by name."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            campaign = getattr(importlib.import_module(f"{__name__}.{module.name}"), "CAMPAIGN", None)
            if isinstance(campaign, Campaign):
                found[campaign.name] = campaign
    return found
