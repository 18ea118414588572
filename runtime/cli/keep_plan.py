"""`KeepPlan`: what becomes of each job of a run that keeps results, of its own earlier segments or of another run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import attrs

from runtime.job import JobCompletionEvent
from runtime.journal.completions import shifted
from runtime.journal.recorder import Origin
from runtime.journal.replay import RunState
from runtime.journal.resume import Decision
from runtime.report.summary import Line, Piece
from runtime.report.text import printable


@attrs.frozen(kw_only=True)
class KeepPlan:
    """What becomes of each job of today's run."""

    decisions: Mapping[str, Decision]
    """By id, in the order of the jobs."""
    state: RunState
    """Of the run whose results are kept."""
    title: str
    """What the run is, for its first line: ``resumed``, or ``of RUN``."""
    note: str | None = None
    """What is to be said about it before it begins, in a line; `None` for nothing."""
    first_attempts: Mapping[str, int] = attrs.field(factory=dict)
    """By id: the number of the first attempt of this segment, if that is not 1. A job of a batch system that is still
    in flight has the number of that attempt, and is adopted."""
    earlier: Mapping[str, Sequence[JobCompletionEvent]] = attrs.field(factory=dict)
    """By id of a job that runs: the attempts after which it was to be tried again."""
    origins: Mapping[str, Origin] = attrs.field(factory=dict)
    """By id: where the result of a kept job is from, if that is another run."""
    links: Mapping[str, str] = attrs.field(factory=dict)
    """Path in the run directory to the directory of another run that the link there leads to."""
    directories: Collection[str] = ()
    """The directories of the other runs that `links` lead into."""
    places: Sequence[str] = ()
    """The output directories of the jobs that run, from which links are removed that an earlier segment has made."""

    removed: Mapping[str, str | None] = attrs.field(factory=dict)
    """By id of a job of this run whose output directory was removed, or was about to be: its path, if it is still there
    as it was."""

    def kept_without_output(self) -> set[str]:
        """Return the ids of the jobs that are kept, and whose output directories were removed."""
        state = self.state
        return {
            job_id
            for job_id, decision in self.decisions.items()
            if decision.keep and state.is_removed(state.numbers[job_id])
        }

    def to_continue(self, epoch: float) -> Iterator[JobCompletionEvent]:
        """Yield the completions in `earlier`; `epoch` as for `kept`."""
        begun = self.state.segments[-1].begin.epoch
        return (shifted(event, begun - epoch) for events in self.earlier.values() for event in events)

    def kept(self, epoch: float) -> Iterator[JobCompletionEvent]:
        """Yield the completions that are kept.

        Args:
            epoch: the wall time, in seconds since 1970, of second 0 of this process's clock, for the times of all.
        """
        for job_id, decision in self.decisions.items():
            if decision.keep:
                number = self.state.numbers[job_id]
                event, then = self.state.result(number), self.state.epoch(number)
                assert event is not None and then is not None  # noqa: PT018 - a job that is kept has ended
                yield shifted(event, then - epoch)

    def lines(self) -> Iterator[Line]:
        """Yield a line for each job: what becomes of it, and why; then one with their numbers."""
        width = max(map(len, self.decisions), default=0)
        for job_id, decision in self.decisions.items():
            what: Piece = ("keep", "green") if decision.keep else ("run ", "bold")
            yield what, (f"  {printable(job_id):{width}}  {printable(decision.reason)}", "")
        if self.note is not None:
            yield ((printable(self.note), "yellow"),)
        yield ((self.summary(), ""),)

    def summary(self) -> str:
        """Return how many jobs are kept and run."""
        kept = sum(decision.keep for decision in self.decisions.values())
        return f"{kept} kept, {len(self.decisions) - kept} to run"
