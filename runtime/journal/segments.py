"""What a journal tells of one process that ran the run, and of an attempt of which no end is known. Pure."""

from __future__ import annotations

import attrs

from runtime.journal.records import Begin, End, Requested, Sampled, Stopping


@attrs.define
class Segment:
    """One incarnation of the runtime in a run."""

    begin: Begin
    end: End | None = None
    """`None` if it is still running, or was killed."""
    stopped_by: str | None = None
    """What ends, or ended, it early; `None` if nothing does."""
    kept: int = 0
    """Results that it kept."""
    requests: list[Requested] = attrs.field(factory=list)
    """What somebody asked for while it ran."""
    samples: list[Sampled] = attrs.field(factory=list)
    """What was in use while it ran, now and then."""

    @property
    def paused_by(self) -> str | None:
        """Who paused launching last; `None` if it goes on."""
        last = next((each for each in reversed(self.requests) if each.action in ("pause", "resume")), None)
        return last.by if last is not None and last.action == "pause" else None

    def apply(self, record: Stopping | Requested | Sampled | End) -> None:
        """Add what a record of the segment says."""
        match record:
            case Requested():
                self.requests.append(record)
            case Sampled():
                self.samples.append(record)
            case Stopping():
                self.stopped_by = self.stopped_by or record.by  # the first counts
            case End():
                self.end = record
                self.stopped_by = self.stopped_by or record.stopped_by


@attrs.frozen
class InFlight:
    """An attempt that was to be started, and of which no end is known. It may be alive, or may never have begun."""

    number: int
    id: str
    attempt: int
    backend: str
    """The name of the backend; ``""`` if it is not known."""
    replaced: bool
    """Whether the job has another specification by now."""
