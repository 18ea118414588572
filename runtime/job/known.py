"""`KnownFailure`: a failure that somebody works on, until a day. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

import attrs

MAX_MESSAGE: Final = 500
"""Bytes of a message that are searched. Arbitrary: most have fewer than half. With ten times as many, a pattern that
RE2 does not search could hold up the event loop; with ten times fewer, a long path hides what follows it."""


@attrs.frozen
class KnownFailure:
    """Failures of some jobs, with some messages, that are known."""

    name: str
    """What it is called in results."""
    jobs: Sequence[str]
    """Ids, names and tags of jobs, or globs for them."""
    message: str
    """A regular expression, as in `JobSpec.fail_patterns`, which matches the message of a failure."""
    issue: str
    """Where more is known: an address, a number, any text."""
    expires: date
    """The last day on which it counts."""
