"""The values of a measurement: who is measured (`Contender`), what is asked of them (`Question`), what came of it.

A *sample* is one run of a contender's program in a fresh process. The program checks its own results, and its last line
of output is a JSON object of measures: name to number. The harness adds ``peak_mb``, the largest resident set of the
process, in MB, so that it is taken in the same way for everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Literal

import attrs

OURS: Final = "ours"
PEAK: Final = "peak_mb"
"""The measure that the harness itself takes."""

Better = Literal["higher", "lower"]


class BenchmarkError(Exception):
    """A measurement cannot be made: a peer is missing, or a sample failed. The message says what to do."""


@attrs.frozen
class Contender:
    """A program that is measured."""

    name: str
    """What tables call it; unique in its question."""
    command: Sequence[str]
    """Its argument list."""
    tree: str | None = None
    """The checkout of this project whose `runtime` the program imports; `None` if it imports none."""


@attrs.frozen
class Figure:
    """One line of the table: a measure of one contender beside the same measure of others."""

    name: str
    measure: str
    """The key in the sample's output."""
    unit: str
    better: Better
    ours: str
    """The name of a contender."""
    peers: Mapping[str, str]
    """What the peer is called in this figure, to the name of its contender."""


@attrs.frozen
class Question:
    """What is asked, of whom, and which figures are the answer."""

    name: str
    contenders: Sequence[Contender]
    """In the order of the first round."""
    figures: Sequence[Figure]
    """Their names are the question's name, or begin with it."""
    surroundings: Callable[[], AbstractContextManager[Mapping[str, str]]] = lambda: nullcontext({})
    """What is there while the question is asked, such as a cluster, and the environment variables that say where."""


Measures = Mapping[str, float]
"""What one sample says."""

Samples = Mapping[str, Sequence[Measures]]
"""Contender to what its samples say, in the order of the rounds."""


@attrs.frozen
class Answer:
    """A figure with its numbers."""

    figure: Figure
    ours: float
    """The median."""
    peers: Mapping[str, float]
    """The medians."""
    ratios: Mapping[str, float]
    """Ours as a multiple of the peer, from the medians; above 1 ours is better, whatever the unit."""
    spreads: Mapping[str, tuple[float, float]]
    """The smallest and the largest of the ratios of single rounds."""
    values: Mapping[str, Sequence[float]]
    """`OURS` and peers to the values of all samples."""
