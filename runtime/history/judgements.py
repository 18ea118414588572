"""What the runs of a test say together: failing for how long, flaky, slower than its median, never passed. Pure.

Only what says anything about the design counts: a failure of the infrastructure, a job that did not run and a result
that was kept of another run neither end a row of failures nor lengthen it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Final

import attrs

from runtime.history.outcomes import EVIDENCE, FAILING, Outcome, RunHead, Standing, combined

RECENT: Final = 20
"""Runs of a test that are looked at for flakiness and durations, the newest ones. Arbitrary: ten times more, and a test
that was repaired months ago is called flaky; ten times fewer never see the second result."""
SLOWER_FACTOR: Final = 1.5
"""How many times its median a slower test takes. Arbitrary: at 1.1 every busy machine makes all tests slower."""
SLOWER_SECONDS: Final = 5.0
"""Seconds that a slower test takes longer than its median, at least. Arbitrary: a job of 0.1 s that takes 0.2 s is
nobody's concern."""
MIN_PASSES: Final = 5
"""Earlier passes that a median needs. Arbitrary: that of two is one of chance."""


@attrs.frozen
class Entry:
    """A test in one run."""

    run: RunHead
    outcomes: Sequence[Outcome]
    """Of its jobs, at least one."""

    @property
    def standing(self) -> Standing:
        """The standing of the test in this run."""
        found = combined(self.outcomes)
        assert found is not None
        return found

    @property
    def failed(self) -> Sequence[Outcome]:
        """The outcomes that say that the design does not work."""
        return [outcome for outcome in self.outcomes if outcome.standing in FAILING]

    @property
    def buckets(self) -> Counter[str | None]:
        """The buckets of the jobs that have its standing, and how many jobs have each; `None` for those without one."""
        standing = self.standing
        return Counter(outcome.bucket for outcome in self.outcomes if outcome.standing is standing)

    @property
    def bucket(self) -> str | None:
        """The bucket that most of these jobs have, of several the first; `None` if none has one."""
        return next((bucket for bucket, _ in self.buckets.most_common() if bucket is not None), None)

    def evidence(self) -> Entry | None:
        """Return the part of it that says anything about the design and is of this run; `None` if there is none."""
        own = [outcome for outcome in self.outcomes if not outcome.kept]
        return Entry(self.run, own) if combined(own) in EVIDENCE else None


@attrs.frozen
class Flakiness:
    """Why a test is called flaky."""

    run: str
    """The newest run that shows it."""
    job: str
    """The id of the job that shows it."""
    revision: str | None
    """The revision for which it both passed and failed; `None` if its attempts in that run differ."""


@attrs.frozen
class Slowness:
    """Why a test is called slower."""

    seconds: float
    """What it took in its newest run: the median of its jobs that passed."""
    median: float
    """What it took before."""
    passes: int
    """How many passes that is the median of."""


@attrs.frozen(kw_only=True)
class Judgement:
    """What the runs of a test say together."""

    last_passed: RunHead | None
    """The newest run in which it passed; `None` if it never did."""
    failing: int
    """How many runs it has been failing for, the newest included; 0 if it passed in the newest one that tells."""
    failing_since: RunHead | None
    """The oldest of these runs."""
    never_passed: bool
    """Whether it has failed, and never passed."""
    flaky: Flakiness | None
    slower: Slowness | None


def judge(entries: Sequence[Entry]) -> Judgement:
    """Return what the runs of a test say together.

    Args:
        entries: the runs that have the test, the oldest first. Older runs change nothing if `is_told`.
    """
    telling = list(_telling(entries))
    failing = _row_of_failures(telling)
    last_passed = next((entry.run for entry in reversed(telling) if entry.standing is Standing.PASSED), None)
    return Judgement(
        last_passed=last_passed,
        failing=len(failing),
        failing_since=failing[-1].run if failing else None,
        never_passed=bool(telling) and last_passed is None,
        flaky=flakiness(entries[-RECENT:]),
        slower=slowness(telling[-RECENT:]),
    )


def is_told(entries: Sequence[Entry]) -> bool:
    """Whether these runs of a test, the newest ones, are enough to judge it: it passed in one of them."""
    return any(entry.standing is Standing.PASSED for entry in _telling(entries))


def _telling(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the runs that say anything about the design.

    A rerun of some of its seeds that pass says nothing about the others, so it is not taken for a pass of the test.
    """
    jobs = 0
    for entry in entries:
        found = entry.evidence()
        if not entry.run.partial:
            jobs = len(entry.outcomes)
        if found is not None and (len(found.outcomes) >= jobs or found.standing is not Standing.PASSED):
            yield found


def _row_of_failures(telling: Sequence[Entry]) -> Sequence[Entry]:
    """Return the runs in which the test failed since it passed last, the newest first."""
    found = []
    for entry in reversed(telling):
        if entry.standing is Standing.PASSED:
            break
        found.append(entry)
    return found


def flakiness(entries: Sequence[Entry]) -> Flakiness | None:
    """Return why a test is flaky: a job that passed and failed with the same revision and command; `None` if none did.

    Without a clean source tree, two runs may differ, and only the attempts of one run are compared.

    Args:
        entries: runs of the test, the oldest first.
    """
    found = None
    passed: dict[tuple[str, str, int], bool] = {}
    for entry, outcome in _own_results(entries):
        if outcome.flaky:
            found = Flakiness(entry.run.name, outcome.id, None)
        elif outcome.revision is not None:
            is_passed = outcome.standing is Standing.PASSED
            if passed.setdefault((outcome.id, outcome.revision, outcome.command), is_passed) is not is_passed:
                found = Flakiness(entry.run.name, outcome.id, outcome.revision)
    return found


def _own_results(entries: Iterable[Entry]) -> Iterator[tuple[Entry, Outcome]]:
    for entry in entries:
        for outcome in entry.outcomes:
            if outcome.standing in EVIDENCE and not outcome.kept:
                yield entry, outcome


def slowness(telling: Sequence[Entry]) -> Slowness | None:
    """Return why a test is slower in its newest run than it was; `None` if it is not, or too few passes tell.

    The median is not moved by a few passes on a busy machine.

    Args:
        telling: runs of the test that say anything about the design, the oldest first.
    """
    if not telling:
        return None
    *earlier, newest = telling
    now = _pass_seconds([newest])
    before = _pass_seconds(earlier)
    if not now or len(before) < MIN_PASSES:
        return None
    seconds, usual = median(now), median(before)
    if seconds <= usual * SLOWER_FACTOR or seconds <= usual + SLOWER_SECONDS:
        return None
    return Slowness(seconds, usual, len(before))


def _pass_seconds(entries: Iterable[Entry]) -> list[float]:
    return [
        outcome.seconds
        for _, outcome in _own_results(entries)
        if outcome.standing is Standing.PASSED and outcome.seconds is not None
    ]
