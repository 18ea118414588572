"""What earlier runs tell of a run: from the index of the directory that it is in. Reads nothing but that."""

from __future__ import annotations

from collections.abc import Set
from typing import Final

from runtime.history.comparison import Change, Compared, Comparison, compare
from runtime.history.comparison_lines import failing_text, flaky_text, revision_text, slower_text
from runtime.history.index import Index
from runtime.history.outcomes import RememberedRun, RunHead
from runtime.history.overview import run_before, series_for
from runtime.report import news

_RUNS: Final = 20
"""Runs in the trend. Arbitrary: some weeks of nights; ten times more are too many bars for a chart."""

# In the order in which they are shown. Others, such as known failures, are shown in places of their own.
_TITLES: Final = {
    Change.NEW: "newly failing",
    Change.STILL_FAILING: "still failing",
    Change.FIXED: "fixed",
    Change.FLAKY: "flaky",
    Change.SLOWER: "slower",
    Change.ADDED: "added",
    Change.GONE: "gone",
}


def news_of(run: RememberedRun, base: RememberedRun | None, index: Index) -> news.History:
    """Return what earlier runs tell of a run.

    Args:
        run: the run.
        base: the run that it is compared with; `None` for the one before it.
        index: of the runs.
    """
    before = run_before(index, run.head) if base is None else base
    runs = _trend(run.head, index)
    if before is None:
        return news.History(runs=runs)
    comparison = compare(run, before, series_for(index, run.head, before.head))
    return news.History(
        compared_with=before.head.name,
        changes=_changes(comparison),
        runs=runs,
        revisions=_revisions(run.head, before.head),
        new_messages=_messages(run) - _messages(before),
    )


def _revisions(run: RunHead, before: RunHead) -> str:
    if run.revision is None and before.revision is None:
        return ""
    now, then = revision_text(run), revision_text(before)
    return f"both of {now}" if now == then else f"then {then}, now {now}"


def _messages(run: RememberedRun) -> Set[str]:
    return {outcome.bucket for outcome in run.outcomes if outcome.bucket is not None}


def _changes(comparison: Comparison) -> list[news.Change]:
    return [
        news.Change(title, [news.Changed(each.id, _note(change, each)) for each in comparison.changes[change]])
        for change, title in _TITLES.items()
    ]


def _note(change: Change, compared: Compared) -> str:
    if change is Change.FLAKY:
        return flaky_text(compared.judgement.flaky)
    if change is Change.SLOWER:
        return slower_text(compared.judgement.slower)
    now = compared.now
    if change not in (Change.NEW, Change.STILL_FAILING) or now is None:
        return ""
    notes = [f"{len(now.failed)} of {len(now.outcomes)} jobs"] if len(now.outcomes) > 1 else []
    if change is Change.STILL_FAILING:
        notes.append(failing_text(compared.judgement))
    if compared.judgement.flaky is not None:
        notes.append("flaky")
    return ", ".join(notes)


def _trend(run: RunHead, index: Index) -> list[tuple[str, dict[str, int]]]:
    """Return the outcomes of the last runs of all jobs of a job file, up to this one."""
    runs = [
        each for each in index.runs() if each.suite == run.suite and (each.order <= run.order or each.name == run.name)
    ]
    names = [each.name for each in runs if not each.partial or each.name == run.name][-_RUNS:]
    standings = index.standings(names)
    return [(name, {standing.word: count for standing, count in standings.get(name, {}).items()}) for name in names]
