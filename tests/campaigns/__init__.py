"""Long random runs: ``python -m tests.campaigns [--seed S] [--count N] [NAME ...]``.

Each module of this package with a `CAMPAIGN` is a campaign. Ordinary tests run a small number of each.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

import attrs


@attrs.frozen
class Campaign:
    """A test with random input, run many times."""

    name: str
    question: str
    """What the campaign tests, as a question in one line."""
    count: int
    """The default number of runs."""
    run: Callable[[int, int], str]
    """Runs the campaign with a seed and a count. Returns the result in one line; raises at the first violation."""
    lacks: Callable[[], str | None] = lambda: None
    """Returns what this machine lacks for the campaign; `None`: nothing."""


def campaigns() -> dict[str, Campaign]:
    """Return all campaigns, by name."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            campaign = getattr(importlib.import_module(f"{__name__}.{module.name}"), "CAMPAIGN", None)
            if isinstance(campaign, Campaign):
                found[campaign.name] = campaign
    return found
