"""The values of a benchmark: `Contender` (a program), `Question` (what to measure), `Answer` (the result).

A *sample* is one run of a contender's program in a fresh process. The program checks its own results, and the last line
of its output is a JSON object of measures, each a name and a number. The harness adds ``peak_mb``, the largest resident
set of the process in MB, which is so measured in the same way for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Literal

import attrs

OURS: Final = "ours"
PEAK: Final = "peak_mb"
"""The measure that the harness adds."""

Better = Literal["higher", "lower"]


class BenchmarkError(Exception):
    """A measurement failed: a peer is missing, or a sample failed. The message says what to do."""


@attrs.frozen
class Contender:
    """A program that is measured."""

    name: str
    """Its name in tables; unique in its question."""
    command: Sequence[str]
    """The program and its arguments."""
    tree: str | None = None
    """The checkout of this project whose `runtime` the program imports; `None` if it imports none."""


@attrs.frozen
class Figure:
    """One line of the table: a measure of one contender, next to the same measure of its peers."""

    name: str
    measure: str
    """The name of the measure in a sample's output."""
    unit: str
    better: Better
    ours: str
    """The name of our contender."""
    peers: Mapping[str, str]
    """Maps the name of a peer in this figure to the name of its contender."""


@attrs.frozen
class Question:
    """Contenders that are measured in turns, and the figures that are computed from their samples."""

    name: str
    contenders: Sequence[Contender]
    """In the order of the first round."""
    figures: Sequence[Figure]
    """The name of each is the question's name, or begins with it."""
    setup: Callable[[], AbstractContextManager[Mapping[str, str]]] = lambda: nullcontext({})
    """A context manager around all samples, such as one for a cluster. It yields environment variables for samples."""


Measures = Mapping[str, float]
"""The output of one sample: a number for each measure."""

Samples = Mapping[str, Sequence[Measures]]
"""The measures of each contender, by name, in the order of the rounds."""


@attrs.frozen
class Answer:
    """The numbers for a figure."""

    figure: Figure
    ours: float
    """The median of our samples."""
    peers: Mapping[str, float]
    """The median of each peer's samples."""
    ratios: Mapping[str, float]
    """The ratio of the medians for each peer. Above 1 ours is better, whatever the unit."""
    spreads: Mapping[str, tuple[float, float]]
    """The smallest and the largest ratio of a single round, for each peer."""
    values: Mapping[str, Sequence[float]]
    """The values of all samples, for `OURS` and each peer."""
