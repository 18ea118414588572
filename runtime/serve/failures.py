"""`FailureTable`: the failures of a run, and their buckets, kept up to date record by record. Pure."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator

import attrs

from runtime.job import JobResult
from runtime.job.status import PASSED, TERMINAL
from runtime.journal.records import Begin, Ended, Jobs, Record, Starting
from runtime.journal.replay import RunState
from runtime.report.bucket_rules import NO_RULES
from runtime.report.buckets import BucketKey, bucket_of_result
from runtime.report.results import rules_of_run

_Rank = tuple[float, str]
"""Run time and id: the first is the example of a bucket."""


class _Bucket:
    """The failures of a bucket."""

    def __init__(self) -> None:
        self.ranks: dict[int, _Rank] = {}
        """By the numbers of the jobs."""
        self._example: int | None = None

    def add(self, number: int, rank: _Rank) -> None:
        self.ranks[number] = rank
        if self._example is not None and rank < self.ranks[self._example]:
            self._example = number

    def remove(self, number: int) -> None:
        del self.ranks[number]
        if number == self._example:
            self._example = None  # the next one is looked for when somebody asks

    @property
    def example(self) -> int:
        if self._example is None:
            self._example = min(self.ranks, key=self.ranks.__getitem__)
        return self._example


@attrs.frozen
class ShownBucket:
    """What is shown of a bucket."""

    key: BucketKey
    count: int
    number: int
    """The job with the shortest run time, of several the first in the order of their ids."""


class FailureTable:
    """The failures of a run that are in a bucket: those that are no consequences.

    Args:
        state: of the run. Each record is applied to it first.
    """

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._rules = NO_RULES
        self._key_of: dict[int, BucketKey] = {}
        """By the numbers of the jobs, in the order in which they failed."""
        self._buckets: dict[BucketKey, _Bucket] = {}

    def apply(self, record: Record) -> None:
        """Add what a record says, which the state knows by now."""
        state = self._state
        match record:
            case Begin():
                self._rules = rules_of_run(state)
                self._look_again(list(self._key_of))  # a resume may come with other rules
            case Jobs() if self._key_of:
                self._look_again([each for each in self._key_of if state.numbers[state.ids[each]] != each])
            case Starting():
                self._look_again([number for number in record.jobs if number in self._key_of])
            case Ended():
                statuses, known = state.statuses, range(len(state.ids))
                self._look_again(
                    [
                        number
                        for number in record.jobs
                        if number in known and (statuses[number] is not PASSED or number in self._key_of)
                    ]
                )

    def newest(self, count: int) -> list[int]:
        """Return the numbers of the last failures, the newest first."""
        return list(itertools.islice(reversed(self._key_of), count))

    def largest(self, count: int) -> Iterator[ShownBucket]:
        """Yield the largest buckets, the largest first."""
        for key, bucket in heapq.nlargest(count, self._buckets.items(), key=lambda item: len(item[1].ranks)):
            yield ShownBucket(key, len(bucket.ranks), bucket.example)

    @property
    def bucket_count(self) -> int:
        """How many buckets there are."""
        return len(self._buckets)

    def _look_again(self, numbers: list[int]) -> None:
        state = self._state
        for number in numbers:
            self._remove(number)
            status = state.statuses[number]
            event = state.result(number) if status in TERMINAL and status is not PASSED else None
            if event is None or state.numbers[event.job_id] != number:
                continue
            key = bucket_of_result(JobResult(state.description(number), event), self._rules)
            if key is not None:
                self._key_of[number] = key
                took = math.inf if event.started is None else event.ended - event.started
                self._buckets.setdefault(key, _Bucket()).add(number, (took, event.job_id))

    def _remove(self, number: int) -> None:
        key = self._key_of.pop(number, None)
        if key is not None:
            self._buckets[key].remove(number)
            if not self._buckets[key].ranks:
                del self._buckets[key]
