"""`KeptRecords`: passes records on to a journal, and keeps them, for results that need no journal that can be read."""

from __future__ import annotations

from collections.abc import Iterable

from runtime.journal.recorder import RecordSink
from runtime.journal.records import Record
from runtime.journal.replay import RunState, replay


class KeptRecords:
    """Takes the records of a segment, and passes them on.

    What a disk that is full has not taken is here all the same.

    Args:
        journal: takes the records, too.
        before: the records of the segments before this one.
    """

    def __init__(self, journal: RecordSink, before: Iterable[Record] = ()) -> None:
        self._journal = journal
        self._records = list(before)
        self._before = len(self._records)
        self._last: tuple[int, str, RunState] | None = None
        """The number of records, the run directory and the state of the last call of `state`."""

    @property
    def is_empty(self) -> bool:
        """Whether the segment has no record yet."""
        return len(self._records) == self._before

    def state(self, run_dir: str) -> RunState:
        """Return what the records so far say of the run, which is not to be changed. For any thread.

        Takes time in proportion to them, unless there was no record since the last call: at its end a run is asked
        several times.
        """
        records = list(self._records)  # a copy: more may come meanwhile
        last = self._last  # read once: another thread may replace it
        if last is None or last[:2] != (len(records), run_dir):
            self._last = last = (len(records), run_dir, replay(records, run_dir))
        return last[2]

    def append(self, record: Record) -> None:
        """Append a record. Never blocks, and never raises."""
        self._records.append(record)
        self._journal.append(record)

    def note(self, record: Record) -> None:
        """Keep a record that the journal has already."""
        self._records.append(record)

    async def written(self) -> bool:
        """Wait until all that was appended so far is written; return whether it is."""
        return await self._journal.written()

    async def durable(self) -> bool:
        """Wait until all that was appended so far is on disk; return whether it is."""
        return await self._journal.durable()
