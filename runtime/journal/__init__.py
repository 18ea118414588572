"""What happened, for good? The journal of a run: records, and how they stand in a file."""

from runtime.journal.columns import Repeated
from runtime.journal.frames import Scanner, encode
from runtime.journal.json_text import JSON
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

__all__ = (
    "JSON",
    "VERSION",
    "Begin",
    "End",
    "Ended",
    "Jobs",
    "Kept",
    "Output",
    "Progress",
    "Record",
    "Repeated",
    "Scanner",
    "Starting",
    "encode",
    "from_text",
    "to_text",
)
