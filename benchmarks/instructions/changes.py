"""What has changed between the expected instruction counts and the new ones, and what is to be recorded. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import attrs

LIMIT: Final = 0.03
"""The part of a figure by which it may rise. The figures of one commit differ by less than a third of this; a limit ten
times smaller would fail without a cause, one ten times larger would let most regressions pass."""


@attrs.frozen
class Recorded:
    """A figure of the file."""

    instructions: int
    """Per job; of a log, per megabyte."""
    reason: str
    """Why it became what it is."""


@attrs.frozen
class Change:
    """One figure, as expected and as counted now."""

    name: str
    unit: str
    expected: float | None
    """Instructions per unit; `None` if there is no such figure yet."""
    now: float

    @property
    def rise(self) -> float:
        """By which part of the expected count it has risen; negative if it has fallen, 0 if nothing was expected."""
        return 0.0 if self.expected is None else self.now / self.expected - 1

    @property
    def kind(self) -> Literal["new", "rise", "fall", "same"]:
        """What it is; a difference of up to `LIMIT` is none."""
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
    """Whether a figure has risen, or is not recorded."""
    return any(change.kind in {"rise", "new"} for change in changes)


def updated(
    recorded: Mapping[str, Recorded], changes: list[Change], reason: str, *, keep_absent: bool
) -> dict[str, Recorded]:
    """Return the figures to record.

    A figure that has hardly changed stays as expected, with its reason: recorded anew each time, it could creep up.

    Args:
        recorded: the figures so far.
        changes: what was counted.
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
