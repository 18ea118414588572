"""What the journal in a run directory says of the run, and whether a process runs it."""

from __future__ import annotations

import attrs

from runtime.journal.disk import JOURNAL_NAME
from runtime.journal.lock import holder_of
from runtime.journal.reader import Journal, read
from runtime.journal.replay import RunState, replay
from runtime.roots import RootedPath


@attrs.frozen
class FoundRun:
    """A run that has ended, has died, or runs in another process."""

    state: RunState
    is_live: bool
    """Whether a process runs it."""
    journal: Journal
    """What can be read of its journal."""
    note: str | None
    """What is missing at the end of its journal, in a line; `None` if nothing is."""


def read_run(directory: RootedPath) -> FoundRun:
    """Return what a run directory says. Blocks.

    Raises:
        OSError: if it has no journal that can be read.
        JournalVersionError: if a newer version of this package wrote it.
    """
    # Before the journal is read: a run that ends in between has its end in the journal.
    holder = holder_of(directory)
    journal: Journal = read(directory.below(JOURNAL_NAME))
    state = replay(journal.records, str(directory))
    is_live = holder is not None and not state.is_complete
    # Behind the last record of a live run there is the beginning of the next one, at most.
    return FoundRun(state, is_live, journal, None if is_live else journal.note)
