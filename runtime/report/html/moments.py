"""What was in use of the machine and of resources, for the charts: a few points of the samples of a journal. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from runtime.journal.replay import RunState
from runtime.report.html.series import MAX_POINTS

MAX_RESOURCES: Final = 7
"""Resources of the chart. Arbitrary: there are so many colours, and ten times more lines are not told apart."""
_MAX_VALUE: Final = 1e18
"""Arbitrary: more than any machine has, and a number that each reader of JSON has."""


@attrs.frozen
class Moment:
    """What was in use at a moment."""

    at: float
    """Seconds since the run began."""
    cpus: float
    """How many CPUs all programs of the machine kept busy."""
    memory: float
    """Bytes of the machine that were in use."""
    held: Mapping[str, float]
    """Resource to the amount that jobs held."""


def moments_of(state: RunState) -> Sequence[Moment]:
    """Return what the samples of a run tell; of many samples, some that are as far from each other as they were."""
    began = state.segments[0].begin.at if state.segments else 0.0
    samples = [(segment.begin.epoch - began + each.at, each) for segment in state.segments for each in segment.samples]
    step = -(-len(samples) // MAX_POINTS) or 1
    return [
        Moment(
            _limited(at),
            _limited(each.cpus or 0),
            _limited(each.memory or 0),
            {name: _limited(amount) for name, (amount, _) in each.held().items()},
        )
        for at, each in samples[::step]
    ]


def _limited(value: float) -> float:
    """Return a value that can be drawn, whatever a job has written into the journal."""
    return float(min(max(0, value), _MAX_VALUE))
