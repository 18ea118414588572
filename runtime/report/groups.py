"""All failures of a run in buckets, apart by who looks at them, and jobs that never ran. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence, Set

import attrs

from runtime.job import JobResult
from runtime.job.counting import INFRASTRUCTURE, KNOWN, NEVER_RAN, counted_as
from runtime.report.bucket_rules import NO_RULES, BucketRules
from runtime.report.buckets import BucketKey, bucket_of_result, headline, is_consequence
from runtime.report.normalise import normalise
from runtime.report.reported_job import ReportedJob

Result = JobResult[ReportedJob]


@attrs.frozen
class Group:
    """Failures with one message."""

    message: str
    """What they have in common."""
    members: Sequence[Result]
    """The one that ran the shortest time comes first."""
    is_rule: bool = False
    """Whether a named rule of the job file says what they have in common."""
    is_new: bool = False
    """Whether the run that this one is compared with had no failure with this message."""


@attrs.frozen
class Groups:
    """All failures of a run, each once. New groups come first, then the largest ones."""

    design: Sequence[Group]
    """Buckets of failures of the design."""
    infrastructure: Sequence[Group]
    """Buckets of failures of the infrastructure."""
    known: Sequence[Group]
    """Failures that are known, by their names."""
    never_ran: Sequence[Group]
    """Jobs that never ran, whatever they are counted as, and those that were stopped: by their reasons."""

    def numbered(self) -> Sequence[Group]:
        """Return all groups, those of the design first."""
        return (*self.design, *self.infrastructure, *self.known, *self.never_ran)


def groups_of(bad: Iterable[Result], rules: BucketRules = NO_RULES, new: Set[str] = frozenset()) -> Groups:
    """Return the groups of the results that did not pass.

    Args:
        bad: the results.
        rules: the named rules of the job file, which put failures in buckets.
        new: the messages of failures of the design that are new: see `news.History.new_messages`.
    """

    def bucket(result: Result) -> BucketKey:
        return bucket_of_result(result, rules) or BucketKey(normalise(headline(result)))  # a consequence is in none

    design: list[Result] = []
    infrastructure: list[Result] = []
    known: list[Result] = []
    never_ran: list[Result] = []
    for result in bad:
        counted = counted_as(result)
        if counted == KNOWN:
            known.append(result)
        elif is_consequence(result) or counted == NEVER_RAN:
            never_ran.append(result)
        else:
            (infrastructure if counted == INFRASTRUCTURE else design).append(result)
    return Groups(
        _grouped(design, bucket, new),
        _grouped(infrastructure, bucket),
        _grouped(known, lambda result: BucketKey(str(result.known))),
        _grouped(never_ran, bucket),
    )


def _grouped(
    results: Iterable[Result], key_of: Callable[[Result], BucketKey], new: Set[str] = frozenset()
) -> Sequence[Group]:
    found: dict[BucketKey, list[Result]] = {}
    for result in results:
        found.setdefault(key_of(result), []).append(result)
    groups = [
        Group(key.message, sorted(members, key=_run_time), key.rule is not None, key.message in new)
        for key, members in found.items()
    ]
    return sorted(groups, key=lambda group: (not group.is_new, -len(group.members)))


def _run_time(result: Result) -> tuple[float, str]:
    return math.inf if result.started is None else result.ended - result.started, result.id
