"""The list of runs, and which of them are removed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Final

import attrs

from runtime.job.shorten import shorten
from runtime.journal.replay import RunState
from runtime.report.counts import count_pieces
from runtime.report.results import run_state
from runtime.report.run_report import STATES
from runtime.report.run_results import UNFINISHED, count_ends
from runtime.report.summary import Line, Piece
from runtime.report.text import printable, short_age, short_size

NO_JOURNAL: Final = "unknown"
"""The state of a run directory without a journal that can be read."""

MAX_NAME: Final = 40
"""Characters of the name of a job file. Arbitrary: a line is a line."""

_OWN_BACKEND: Final = "local"
"""The backend whose jobs end with the process that runs the run, however that ends. Those of others may live on."""


@attrs.frozen(kw_only=True)
class RunSummary:
    """What a list shows of one run, and what decides whether it is removed."""

    name: str
    """The name of its directory."""
    state: str
    """``running``, ``ended``, ``died``; `NO_JOURNAL`."""
    began: float
    """When it began, in seconds since 1970."""
    suite: str = ""
    """The name of its job file, or of what else ran it."""
    counts: Mapping[str, int] = attrs.field(factory=dict)
    """As `count_ends` has them."""
    uses: Set[str] = frozenset()
    """The names of the runs whose directories it needs: their results are kept in it."""
    may_run_on: Set[str] = frozenset()
    """The names of the backends on which jobs of a run that died may still run."""


def run_summary(name: str, state: RunState, *, is_live: bool, began: float) -> RunSummary:
    """Return what a list shows of a run.

    Args:
        name: of its directory.
        state: as its journal tells.
        is_live: whether a process runs it.
        began: when it began, in seconds since 1970, for a journal that does not tell.
    """
    how = run_state(state, is_live=is_live)
    suite = state.segments[-1].begin.details.get("name") if state.segments else None
    return RunSummary(
        name=name,
        suite=suite if isinstance(suite, str) else "",
        state=how,
        began=state.segments[0].begin.at if state.segments else began,
        counts=count_ends(state, is_live=is_live),
        uses=frozenset(state.origins_by_id().values()),
        may_run_on=frozenset() if how == "ended" else {job.backend for job in state.in_flight()} - {_OWN_BACKEND},
    )


def run_line(run: RunSummary, now: float, size: int | None) -> Line:
    """Return the line of a run.

    Args:
        run: the run.
        now: the time, in seconds since 1970.
        size: bytes of its directory on disk; `None` if that is not known.
    """
    pieces: list[Piece] = []
    if run.counts:
        for piece in count_pieces(run.counts):
            pieces += [(", ", ""), piece]
        if run.counts.get(UNFINISHED):
            pieces += [(", ", ""), (f"{run.counts[UNFINISHED]} unfinished", STATES["running"])]
    return (
        (f"{printable(run.name):22}  ", "bold"),
        (f"{run.state:8}", STATES.get(run.state, "")),
        (f"{f'{short_age(now - run.began)} ago':>11}  {'?' if size is None else short_size(size):>8}  ", ""),
        (f"{printable(shorten(run.suite, MAX_NAME))}: " if run.suite else "", "bold"),
        *pieces[1:],
    )


def to_prune(
    runs: Iterable[RunSummary], *, keep: int | None, older_than: float | None, now: float
) -> tuple[list[RunSummary], Mapping[str, str]]:
    """Return the runs that are to be removed, the oldest first, and why others that are old enough stay, by name.

    A run stays if it runs, or has no journal; if another run that stays uses it; if jobs of it may still run; and the
    newest run stays in any case.

    Args:
        runs: all runs of a directory.
        keep: how many runs stay at least, the newest ones; `None` for no such number.
        older_than: seconds since the beginning of a run from which on it is old; `None` for no such age.
        now: the time, in seconds since 1970.
    """
    newest_first = sorted(runs, key=lambda run: (run.began, run.name), reverse=True)
    old = [
        run
        for index, run in enumerate(newest_first)
        if index >= max(1, keep or 0) and (older_than is None or now - run.began > older_than)
    ]
    reasons = {run.name: reason for run in old if (reason := _why_not(run)) is not None}
    staying: Sequence[RunSummary] = [run for run in newest_first if run not in old or run.name in reasons]
    while staying:  # a run that stays because it is used may use another one
        used = {name: run.name for run in staying for name in run.uses}
        staying = [run for run in old if run.name in used and run.name not in reasons]
        reasons |= {run.name: f"the run {used[run.name]} uses its directories" for run in staying}
    return [run for run in reversed(old) if run.name not in reasons], reasons


def _why_not(run: RunSummary) -> str | None:
    """Return why a run is not removed, whatever others do; `None` if it may be."""
    if run.state == NO_JOURNAL:
        return "it has no journal that can be read"
    if run.state == "running":
        return "it is running"
    if run.may_run_on:
        return f"its jobs may still run on {', '.join(sorted(run.may_run_on))}"
    return None
