"""How many jobs passed, by test and by value of the matrix, so that what all failures have in common is seen. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from runtime.job.counting import COUNTED_AS, KNOWN
from runtime.job.shorten import some_of

_PARAMETER: Final = re.compile(r"\.([A-Za-z_]\w*)=")
_SEED: Final = "seed"

MAX_TESTS: Final = 6
"""Tests that are named in a line. Arbitrary: ten times more would wrap over several lines."""
WITH_VERDICT: Final = frozenset({*COUNTED_AS[:3], KNOWN})
"""What jobs are counted as that had a verdict: see `runtime.job.counting`. Of the others nothing is known."""


@attrs.frozen(order=True)
class Rate:
    """How many of some jobs passed."""

    passed: int
    total: int
    name: str
    """Of a test; or ``width=4`` of a value of the matrix."""

    @property
    def percent(self) -> int:
        """The share that passed, rounded down: 100 means all."""
        return 100 * self.passed // self.total

    @property
    def parameter(self) -> str:
        """Of a value of the matrix, the name of its parameter."""
        return self.name.partition("=")[0]


@attrs.frozen
class PassRates:
    """How many jobs passed, the worst first."""

    tests: Sequence[Rate] = ()
    """Of the tests of several jobs of which some did not pass."""
    values: Sequence[Rate] = ()
    """Of the values of those parameters of the matrix of which some jobs did not pass: all values of each, and first
    the parameter that tells most."""
    in_common: Sequence[str] = ()
    """The values that all jobs have which did not pass, and others have not: such as ``width=4``. Of one job that did
    not pass there are none."""


def pass_rates(jobs: Iterable[tuple[str, bool]]) -> PassRates:
    """Return how many jobs passed.

    Args:
        jobs: of each that had a verdict its id, as `runtime.jobfile.expand` makes it, and whether it passed.
    """
    tests: dict[str, list[int]] = {}
    values: dict[str, dict[str, list[int]]] = {}
    for (job_id, passed), count in Counter((_without_seed(job_id), passed) for job_id, passed in jobs).items():
        test, *words = _PARAMETER.split(job_id)
        _count(tests, test, passed * count, count)
        for name, value in zip(words[::2], words[1::2], strict=True):
            if name != _SEED:
                _count(values.setdefault(name, {}), f"{name}={value}", passed * count, count)
    failed = sum(total - passed for passed, total in tests.values())
    matrix = [rates for each in values.values() if len(rates := _rates(each)) > 1 and rates[0].passed < rates[0].total]
    matrix.sort(key=lambda rates: rates[0].percent - rates[-1].percent)
    flat = [rate for rates in matrix for rate in rates]
    return PassRates(
        [rate for rate in _rates(tests) if rate.passed < rate.total > 1],
        flat,
        [rate.name for rate in flat if rate.total - rate.passed == failed > 1],
    )


def _without_seed(job_id: str) -> str:
    """Return an id without the seed at its end: those of the jobs of a test are then one."""
    rest, _, seed = job_id.rpartition(".seed=")
    return rest if seed.isdecimal() else job_id


def place_of(ids: Iterable[str]) -> str:
    """Return what jobs have in common: their test and the values of the matrix that all have: ``fifo.width=4``.

    Of several tests it is the names of some of these, and then the values.

    Args:
        ids: of the jobs; at least one.
    """
    split = [_PARAMETER.split(job_id) for job_id in sorted(set(map(_without_seed, ids)))]
    tests = sorted({words[0] for words in split})
    values = [
        [f"{name}={value}" for name, value in zip(words[1::2], words[2::2], strict=True) if name != _SEED]
        for words in split
    ]
    shared = [value for value in values[0] if all(value in each for each in values)]
    if len(tests) == 1:
        return ".".join([*tests, *shared])
    return some_of(tests, MAX_TESTS) + (f", all with {', '.join(shared)}" if shared else "")


def _count(counts: dict[str, list[int]], name: str, passed: int, total: int) -> None:
    count = counts.setdefault(name, [0, 0])
    count[0] += passed
    count[1] += total


def _rates(counts: dict[str, list[int]]) -> list[Rate]:
    rates = [Rate(passed, total, name) for name, (passed, total) in counts.items()]
    return sorted(rates, key=lambda rate: (rate.passed / rate.total, -rate.total, rate.name))
