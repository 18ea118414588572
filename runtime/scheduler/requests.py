"""How a request of a caller stands in the journal of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from runtime.scheduler.facts import KillRequested, LimitRequested, PauseRequested, Request, StopRequested

if TYPE_CHECKING:  # a program without a journal does not load it
    from runtime.journal.recorder import Recorder


def record_request(recorder: Recorder, request: Request, at: float) -> None:
    """Record a request that was carried out, at a time in seconds of the clock of all events."""
    by = request.by
    match request:
        case KillRequested():
            recorder.requested(at, by, "kill", ids=dict.fromkeys(request.ids), force=request.force)
        case StopRequested():
            recorder.requested(at, by, "drain" if request.drain else "stop", force=request.force)
        case PauseRequested():
            recorder.requested(at, by, "pause" if request.paused else "resume")
        case LimitRequested():
            recorder.requested(at, by, "limit", resource=request.resource, limit=request.limit)
        case _:
            assert_never(request)
