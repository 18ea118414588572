"""What changed from one run to another: new, fixed and still failing, flaky, slower, added and gone. Pure.

Jobs are compared by their ids. Those of a test that only one of the runs has, because seeds were drawn anew, are
compared as one: the test fails if any of its jobs does.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import attrs

from runtime.history.judgements import Entry, Judgement, is_told, judge
from runtime.history.outcomes import EVIDENCE, FAILING, Outcome, RememberedRun, RunHead, Standing


class Change(enum.StrEnum):
    """What can have changed, in the order in which it is shown. A job may be in several of them."""

    NEW = "new"
    """It fails, and did not before."""
    STILL_FAILING = "still_failing"
    FIXED = "fixed"
    """It passed, and failed before."""
    KNOWN = "known"
    """It fails, and somebody works on that."""
    FLAKY = "flaky"
    """It both passed and failed with one revision: in one of these runs, or before, and fails now."""
    SLOWER = "slower"
    """It passed, and took much longer than the median of its last passes."""
    INFRASTRUCTURE = "infrastructure"
    """It did not pass, which says nothing about the design."""
    NEVER_RAN = "never_ran"
    UNFINISHED = "unfinished"
    """Its run goes on."""
    ADDED = "added"
    """The earlier run did not have it."""
    GONE = "gone"
    """Only the earlier run had it."""


_BY_STANDING: Mapping[Standing, Change] = {
    Standing.KNOWN: Change.KNOWN,
    Standing.INFRASTRUCTURE: Change.INFRASTRUCTURE,
    Standing.NEVER_RAN: Change.NEVER_RAN,
    Standing.UNFINISHED: Change.UNFINISHED,
}


@attrs.frozen(kw_only=True)
class Compared:
    """A job that both runs have or only one; or the jobs of a test whose seeds only one of the runs has."""

    id: str
    """The id of the job, or the test."""
    test: str
    now: Entry | None
    """What it is in the run; `None` if that does not have it."""
    before: Entry | None
    """What it was in the earlier run; `None` if that did not have it."""
    judgement: Judgement
    """On all of its runs up to this one."""

    @property
    def bucket(self) -> str | None:
        """The bucket of its failure; `None` if it does not fail."""
        return None if self.now is None else self.now.bucket

    @property
    def has_new_bucket(self) -> bool:
        """Whether it failed before as well, and now also with a message that it had not then."""
        if self.now is None or self.before is None or self.before.standing not in FAILING:
            return False
        return bool(self.now.buckets.keys() - self.before.buckets.keys())


@attrs.frozen(kw_only=True)
class Comparison:
    """What changed from an earlier run to a run."""

    run: RunHead
    base: RunHead
    """The earlier run."""
    changes: Mapping[Change, Sequence[Compared]]
    """Each has a sequence, which may be empty. Failures of the largest bucket come first, then by their ids."""
    passed: int
    """How many jobs of the run passed."""
    jobs: int
    """How many jobs the run has."""


def compare(run: RememberedRun, base: RememberedRun, series: Mapping[str, Sequence[Entry]]) -> Comparison:
    """Return what changed from the run `base` to `run`.

    Args:
        run: the run that is looked at.
        base: the run that it is compared with.
        series: of tests, the runs that have them, the oldest first; of those that are not in it, these two runs are
            all that is known.
    """
    changes: dict[Change, list[Compared]] = {change: [] for change in Change}
    for job_id, now, before in _pairs(run.outcomes, base.outcomes):
        outcome = (now or before)[0]
        of_test = series.get(outcome.test, ())
        entries = _entries(run.head, base.head, now, before, _of_job(of_test, outcome, job_id == outcome.id))
        compared = Compared(
            id=job_id,
            test=outcome.test,
            now=Entry(run.head, now) if now else None,
            before=Entry(base.head, before) if before else None,
            judgement=_judgement(entries, [entry for entry in of_test if entry.run.order < run.head.order]),
        )
        for change in _changes_of(compared, run.head, base.head, entries):
            changes[change].append(compared)
    return Comparison(
        run=run.head,
        base=base.head,
        changes={change: _sorted(found) for change, found in changes.items()},
        passed=sum(outcome.standing is Standing.PASSED for outcome in run.outcomes),
        jobs=len(run.outcomes),
    )


def _judgement(entries: Sequence[Entry], of_test: Sequence[Entry]) -> Judgement:
    """Return the judgement on the runs of a job or a test, where `of_test` are earlier ones of its test.

    A seed that was drawn last night has never passed, which would be no news: it is said only if its test has not.
    """
    judgement = judge(entries)
    return attrs.evolve(judgement, never_passed=judgement.never_passed and not is_told(of_test))


def _pairs(
    now: Sequence[Outcome], before: Sequence[Outcome]
) -> Iterator[tuple[str, Sequence[Outcome], Sequence[Outcome]]]:
    """Yield what is compared with each other, and its name: jobs of one id, then jobs of one test that have no pair."""
    by_id = {outcome.id: outcome for outcome in before}
    alone: dict[str, tuple[list[Outcome], list[Outcome]]] = {}
    for outcome in now:
        same = by_id.pop(outcome.id, None)
        if same is not None:
            yield outcome.id, [outcome], [same]
        else:
            alone.setdefault(outcome.test, ([], []))[0].append(outcome)
    for outcome in by_id.values():
        alone.setdefault(outcome.test, ([], []))[1].append(outcome)
    for test, (added, gone) in alone.items():
        if added and gone:
            yield test, added, gone
        else:
            for outcome in added:
                yield outcome.id, [outcome], []
            for outcome in gone:
                yield outcome.id, [], [outcome]


def _of_job(entries: Sequence[Entry], outcome: Outcome, is_alone: bool) -> Iterator[Entry]:
    """Yield the runs of a test; if it is about one job alone, what is of its seed."""
    for entry in entries:
        own = [each for each in entry.outcomes if each.seed == outcome.seed] if is_alone else entry.outcomes
        if own:
            yield Entry(entry.run, own)


def _entries(
    run: RunHead, base: RunHead, now: Sequence[Outcome], before: Sequence[Outcome], others: Iterator[Entry]
) -> list[Entry]:
    """Return all runs of a job up to `run`, which is the last one whenever it began. Each is there once."""
    earlier = [entry for entry in others if entry.run.order < run.order and entry.run.name not in (run.name, base.name)]
    if before and base.name != run.name:  # both may be the same run
        earlier = sorted([*earlier, Entry(base, before)], key=lambda entry: entry.run.order)
    return [*earlier, Entry(run, now)] if now else earlier


def _changes_of(compared: Compared, run: RunHead, base: RunHead, entries: Sequence[Entry]) -> Iterator[Change]:
    now, before = compared.now, compared.before
    if now is None:
        if not run.partial:
            yield Change.GONE
        return
    if before is None and not base.partial:
        yield Change.ADDED
    earlier = _standing_then(before, base, entries[:-1])
    if now.standing is Standing.FAILED:
        yield Change.STILL_FAILING if earlier is Standing.FAILED else Change.NEW
    elif now.standing is Standing.PASSED:
        if earlier in FAILING:
            yield Change.FIXED
    else:
        yield _BY_STANDING[now.standing]
    flaky = compared.judgement.flaky
    if flaky is not None and (now.standing in FAILING or flaky.run in (run.name, base.name)):
        yield Change.FLAKY
    if compared.judgement.slower is not None and now.standing is Standing.PASSED:
        yield Change.SLOWER


def _standing_then(before: Entry | None, base: RunHead, earlier: Sequence[Entry]) -> Standing | None:
    """Return the standing of a job at the time of the earlier run; `None` if it is not known.

    If it did not run there, or failed for the infrastructure, it is what the runs before that say.
    """
    if before is not None and before.standing in EVIDENCE:
        return before.standing
    told = (entry.evidence() for entry in reversed(earlier) if entry.run.order <= base.order)
    return next((found.standing for found in told if found is not None), None)


def _sorted(compared: Sequence[Compared]) -> Sequence[Compared]:
    sizes = Counter(each.bucket for each in compared)
    return sorted(compared, key=lambda each: (-sizes[each.bucket], each.bucket or "", each.id))
