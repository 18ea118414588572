"""What happened, for good? The journal of a run: records, the file that they are in, and what they say of the run."""

from runtime.journal.columns import Repeated
from runtime.journal.completions import completion, ended
from runtime.journal.digests import digest
from runtime.journal.frames import Scanner, encode
from runtime.journal.json_text import JSON
from runtime.journal.reader import Journal, read
from runtime.journal.records import (
    VERSION,
    Begin,
    End,
    Ended,
    Jobs,
    Kept,
    Output,
    Progress,
    Record,
    Starting,
    from_text,
    to_text,
)
from runtime.journal.replay import InFlight, RunState, Segment, replay
from runtime.journal.resume import Decision, JobToResume, changes, decide

__all__ = (
    "JSON",
    "VERSION",
    "Begin",
    "Decision",
    "End",
    "Ended",
    "InFlight",
    "JobToResume",
    "Jobs",
    "Journal",
    "Kept",
    "Output",
    "Progress",
    "Record",
    "Repeated",
    "RunState",
    "Scanner",
    "Segment",
    "Starting",
    "changes",
    "completion",
    "decide",
    "digest",
    "encode",
    "ended",
    "from_text",
    "read",
    "replay",
    "to_text",
)
