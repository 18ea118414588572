"""Compares expected instruction counts with new ones, and computes the figures to record. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import attrs

LIMIT: Final = 0.03
"""The part of a figure by which it may rise. Counts of one commit differ by less than a third of this; a limit ten
times smaller would fail without a cause, one ten times larger would let most regressions pass."""


@attrs.frozen
class Recorded:
    """A figure in the file."""

    instructions: int
    """Per job; of a log, per megabyte."""
    reason: str
    """Why the figure was last changed."""


@attrs.frozen
class Change:
    """A figure, as expected and as counted now."""

    name: str
    unit: str
    expected: float | None
    """Instructions per unit; `None`: the figure is not recorded."""
    now: float

    @property
    def rise(self) -> float:
        """The rise as a part of the expected count; negative for a fall, 0 if no count was expected."""
        return 0.0 if self.expected is None else self.now / self.expected - 1

    @property
    def kind(self) -> Literal["new", "rise", "fall", "same"]:
        """The kind of change. A difference of up to `LIMIT` is `same`."""
        if self.expected is None:
            return "new"
        if abs(self.rise) <= LIMIT:
            return "same"
        return "rise" if self.rise > 0 else "fall"

    def __str__(self) -> str:
        counts = f"{self.name}: {self.now:,.0f} instructions per {self.unit}"
        if self.expected is None:
            return f"{counts}, and no figure is recorded"
        return f"{counts}, expected {self.expected:,.0f} ({100 * self.rise:+.1f} %)"


def fails(changes: list[Change]) -> bool:
    """Whether a figure has risen by more than `LIMIT`, or is not recorded."""
    return any(change.kind in {"rise", "new"} for change in changes)


def updated(
    recorded: Mapping[str, Recorded], changes: list[Change], reason: str, *, keep_absent: bool
) -> dict[str, Recorded]:
    """Return the figures to record.

    A figure that has changed by at most `LIMIT` stays as it was, with its reason. Otherwise it could rise in many small
    steps, none of which fails.

    Args:
        recorded: the figures in the file.
        changes: the figures that were counted.
        reason: why figures have changed.
        keep_absent: whether figures that were not counted stay.
    """
    figures = dict(recorded) if keep_absent else {}
    for change in changes:
        if change.kind == "same" and change.expected is not None:
            figures[change.name] = Recorded(round(change.expected), recorded[change.name].reason)
        else:
            figures[change.name] = Recorded(round(change.now), reason)
    return figures
