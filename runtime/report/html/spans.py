"""`Spans`: when attempts ran, and what they used, as arrays. Pure."""

from __future__ import annotations

import attrs
import numpy as np

from runtime.report.html.ends import Ends
from runtime.report.html.numbers import Floats, Integers


@attrs.frozen(eq=False)
class Spans:
    """Attempts that ran: an item of each array for each."""

    submitted: Floats
    """Seconds since 1970, as the two that follow, none of which is before it."""
    started: Floats
    ended: Floats
    cpu_seconds: Floats
    """nan if they are not known, as is `peak_bytes`."""
    peak_bytes: Floats
    jobs: Integers
    """The index of the job in the table."""
    outcomes: Integers
    """The index in `OUTCOMES`; for an attempt that was tried again, that of ``failed``."""


def spans_of(ends: Ends, jobs: Integers, outcomes: Integers) -> Spans:
    """Return those attempts that ran, and whose times make sense."""
    with np.errstate(over="ignore", invalid="ignore"):  # whatever the times are
        started = ends.epochs + ends.started
        ended = ends.epochs + np.maximum(ends.started, ends.ended)
        submitted = ends.epochs + np.minimum(ends.submitted, ends.started)
        ran = np.isfinite(started + ended + submitted)
    return Spans(
        submitted[ran], started[ran], ended[ran], ends.cpu_seconds[ran], ends.peak_bytes[ran], jobs[ran], outcomes[ran]
    )


def joined(one: Spans, other: Spans) -> Spans:
    """Return the spans of both."""
    names = [field.name for field in attrs.fields(Spans)]
    return Spans(*(np.concatenate([getattr(one, name), getattr(other, name)]) for name in names))
