"""What happened, for good? The journal of a run: records, the file that they are in, and what they say of the run.

What writes and follows a journal needs trio, and is imported when it is first used: a program that only reads one
does without.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

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
    OutputIdentity,
    Progress,
    Record,
    Removed,
    Requested,
    Sampled,
    Starting,
    Stopping,
    from_text,
    to_text,
)
from runtime.journal.replay import RunState, replay
from runtime.journal.resume import Decision, JobToResume, decide, first_attempts
from runtime.journal.segments import InFlight, Segment

if TYPE_CHECKING:
    from runtime.journal.disk import Disk, JournalFile
    from runtime.journal.follower import Follower, follow
    from runtime.journal.lock import Holder, JournalLock, acquire, holder_of
    from runtime.journal.outputs import OutputFinder
    from runtime.journal.recorder import Origin, Recorder, RecordSink
    from runtime.journal.secret_values import SECRETS_NAME, SecretValues, append_secrets, read_secrets
    from runtime.journal.writer import JournalWriter
else:
    # The same names for the interpreter, as in `runtime`.
    _LAZY_IMPORTS = {
        "runtime.journal.disk": ("Disk", "JournalFile"),
        "runtime.journal.follower": ("Follower", "follow"),
        "runtime.journal.lock": ("Holder", "JournalLock", "acquire", "holder_of"),
        "runtime.journal.outputs": ("OutputFinder",),
        "runtime.journal.recorder": ("Origin", "RecordSink", "Recorder"),
        "runtime.journal.secret_values": ("SECRETS_NAME", "SecretValues", "append_secrets", "read_secrets"),
        "runtime.journal.writer": ("JournalWriter",),
    }

    def __getattr__(name: str) -> object:
        """Import a name from its module, and keep it."""
        for module, names in _LAZY_IMPORTS.items():
            if name in names:
                found = globals()[name] = getattr(importlib.import_module(module), name)
                return found
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)


__all__ = (
    "JSON",
    "SECRETS_NAME",
    "VERSION",
    "Begin",
    "Decision",
    "Disk",
    "End",
    "Ended",
    "Follower",
    "Holder",
    "InFlight",
    "JobToResume",
    "Jobs",
    "Journal",
    "JournalFile",
    "JournalLock",
    "JournalWriter",
    "Kept",
    "Origin",
    "OutputFinder",
    "OutputIdentity",
    "Progress",
    "Record",
    "RecordSink",
    "Recorder",
    "Removed",
    "Repeated",
    "Requested",
    "RunState",
    "Sampled",
    "Scanner",
    "SecretValues",
    "Segment",
    "Starting",
    "Stopping",
    "acquire",
    "append_secrets",
    "completion",
    "decide",
    "digest",
    "encode",
    "ended",
    "first_attempts",
    "follow",
    "from_text",
    "holder_of",
    "read",
    "read_secrets",
    "replay",
    "to_text",
)
