"""The tests of which there is something to tell, and one test run by run: answers from the index."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

import attrs

from runtime.history.index import Index
from runtime.history.judgements import RECENT, Entry, Judgement, is_told, judge
from runtime.history.outcomes import RememberedRun, RunHead
from runtime.report.seeds import split_seed

_DEPTH: Final = 3 * RECENT
"""Runs of all jobs of which a test is read at first. Arbitrary: a test that is in a third of them has `RECENT`."""

_SEED: Final = re.compile(r".*\.seed=([0-9]{1,19})", re.DOTALL)


@attrs.frozen(kw_only=True)
class JobHistory:
    """A test, or one job of it, in all runs that have it."""

    id: str
    """The test, or the id of the job."""
    suite: str
    """The name of its job file."""
    entries: Sequence[Entry]
    """The runs that have it, the oldest first; at least the newest ones."""
    first_seen: RunHead | None
    """The oldest run that has it."""
    judgement: Judgement

    @property
    def last_seen(self) -> RunHead:
        """The newest run that has it."""
        return self.entries[-1].run


def overview(index: Index) -> list[JobHistory]:
    """Return the tests that fail, are flaky or slower, as far as the newest runs of their suites have them."""
    found = []
    for suite, runs in _suites(index).items():
        whole = _whole(runs)
        for test in index.suspects(suite, whole[-RECENT:][0]):
            history = _history(index, suite, test, _series(index, suite, test, whole))
            # One that the newest run of the whole suite does not have is gone, and no concern of anybody.
            if history.last_seen.order >= whole[-1].order and is_remarkable(history.judgement):
                found.append(history)
    return found


def is_remarkable(judgement: Judgement) -> bool:
    """Whether a test fails, is flaky, or is slower than it was."""
    return bool(judgement.failing) or judgement.flaky is not None or judgement.slower is not None


def histories(index: Index, job: str | None) -> list[JobHistory]:
    """Return what is known of a job, a test or all tests that match a pattern; of each suite that has it.

    Args:
        index: of the runs.
        job: the id of a job; a test, which is an id without its seed; or else a pattern, as of ``--select``. `None`
            for an `overview`.
    """
    if job is None:
        return overview(index)
    suites = _suites(index)
    found = _of_tests(index, suites, lambda test: test == job) or _of_job(index, suites, job)
    return found or _of_tests(index, suites, lambda test: fnmatchcase(test, job))


def known_tests(index: Index) -> set[str]:
    """Return the names of all tests."""
    return {test for suite in _suites(index) for test in index.tests(suite)}


def run_before(index: Index, run: RunHead) -> RememberedRun | None:
    """Return the newest run of the same suite that began before `run`; one of all its jobs, if there is any."""
    # The index may have the run itself, with its beginning as it was written, which is rounded.
    runs = [each for each in index.runs() if each.suite == run.suite and each.name != run.name]
    earlier = [each for each in runs if each.order < run.order]
    whole = [each for each in earlier if not each.partial]
    return index.run((whole or earlier)[-1].name) if earlier else None


def series_for(index: Index, run: RunHead, base: RunHead) -> dict[str, Sequence[Entry]]:
    """Return the runs of the tests that a comparison of these two runs has to know."""
    whole = _whole([each for each in index.runs() if each.suite == run.suite and each.order <= run.order])
    oldest = min([*whole[-RECENT:][:1], base], key=lambda each: each.order)
    return {test: _series(index, run.suite, test, whole, base) for test in index.suspects(run.suite, oldest)}


def _whole(runs: Sequence[RunHead]) -> Sequence[RunHead]:
    """Return the runs that had all jobs of their job file; if there is none, all runs."""
    return [run for run in runs if not run.partial] or runs


def _series(
    index: Index, suite: str, test: str, whole: Sequence[RunHead], base: RunHead | None = None
) -> Sequence[Entry]:
    """Return as many of the newest runs of a test as its judgement needs: reading all runs takes much longer.

    Args:
        index: of the runs.
        suite: of the test.
        test: its name.
        whole: runs of the suite, the oldest first; the judgement is one at the time of the last one.
        base: a run that is looked at as well.
    """
    newest = [*whole[-_DEPTH:][:1], *([] if base is None else [base])]
    since = min(newest, key=lambda run: run.order, default=None)
    entries = index.series(suite, test, since)
    until = [entry for entry in entries if not whole or entry.run.order <= whole[-1].order]
    return entries if is_told(until) else index.series(suite, test)


def _suites(index: Index) -> Mapping[str, Sequence[RunHead]]:
    """Return the runs of each suite, the oldest first; the suite whose newest run is the newest comes first."""
    found: dict[str, list[RunHead]] = {}
    for run in index.runs():
        found.setdefault(run.suite, []).append(run)
    return dict(sorted(found.items(), key=lambda item: item[1][-1].order, reverse=True))


def _of_tests(index: Index, suites: Iterable[str], matches: Callable[[str], bool]) -> list[JobHistory]:
    found = ((suite, test) for suite in suites for test in index.tests(suite) if matches(test))
    return [_history(index, suite, test, index.series(suite, test)) for suite, test in found]


def _of_job(index: Index, suites: Iterable[str], job: str) -> list[JobHistory]:
    """Return what is known of the job of this id; empty if that has no seed, or no run has it."""
    seed = _SEED.fullmatch(job)
    test, number = split_seed(job, int(seed[1]) if seed else None)
    found = []
    for suite in suites if number is not None else ():
        entries = [
            Entry(entry.run, own)
            for entry in index.series(suite, test)
            if (own := [outcome for outcome in entry.outcomes if outcome.seed == number])
        ]
        if entries:
            first = entries[0].run
            found.append(JobHistory(id=job, suite=suite, entries=entries, first_seen=first, judgement=judge(entries)))
    return found


def _history(index: Index, suite: str, test: str, entries: Sequence[Entry]) -> JobHistory:
    first = index.first_run(suite, test)
    return JobHistory(id=test, suite=suite, entries=entries, first_seen=first, judgement=judge(entries))
