"""`KeptRecords`: the state of the run is that of all records, and is computed once for those that there are."""

from __future__ import annotations

from runtime.journal.kept_records import KeptRecords
from runtime.journal.records import Begin, End, Record


class Sink:
    """Takes records."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def append(self, record: Record) -> None:
        self.records.append(record)

    async def room(self) -> None: ...

    async def written(self) -> bool:
        return True

    async def durable(self) -> bool:
        return True


BEGIN = Begin(token="t", incarnation=0, at=1, epoch=0, host="h", boot="b", pid=1, start=1)


def test_the_state_is_that_of_all_records_and_is_made_once_for_these() -> None:
    sink = Sink()
    records = KeptRecords(sink, [BEGIN])
    before = records.state("/out/run")
    assert records.state("/out/run") is before
    assert not before.is_complete
    assert records.state("/elsewhere").run_dir == "/elsewhere"
    end = End(at=2)
    records.append(end)
    assert records.state("/out/run").is_complete
    assert not before.is_complete
    assert sink.records == [end]
