"""What a journal tells of one process that ran the run, and of an attempt of which no end is known. Pure."""

from __future__ import annotations

import attrs

from runtime.journal.records import Begin, End


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

    def stop(self, by: str | None) -> None:
        """Take note of what ends it early, if anything does. The first counts."""
        self.stopped_by = self.stopped_by or by


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
