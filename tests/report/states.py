"""States of runs, for the tests of this package: made of records, as a run makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from runtime.job import JobResult, JobSpec
from runtime.journal import JSON, Record, Recorder, RunState, from_text, replay, to_text
from tests.journal.sink import Sink

EPOCH = 1_000_000_000.0
"""The wall time of second 0 of the clock of the results in `tests.report.results`."""

DETAILS: Mapping[str, JSON] = {
    "name": "fifo",
    "command": ["job-runtime", "run", "fifo.toml"],
    "directory": "/here",
    "seed_base": 7,
}


def records(
    results: Sequence[JobResult[JobSpec]],
    run_dir: Path | str,
    *,
    ended: float | None = 5.5,
    stopped_by: str | None = None,
    more: Sequence[JobSpec] = (),
    details: Mapping[str, JSON] = DETAILS,
) -> list[Record]:
    """Return the records of a run in which these jobs ended, and then the run, if it did. `more` have not begun."""
    sink = Sink()
    recorder = Recorder(sink, str(run_dir), details=details)
    recorder.begin("token", EPOCH)
    recorder.add([*(result.job for result in results), *more])
    for result in results:
        if result.attempt:
            for event in result.earlier:
                recorder.starting("local", [result.id], [event.attempt], 1.0)
                recorder.ended([event], again=True)
            recorder.starting("local", [result.id], [result.attempt], 1.0)
    recorder.ended([result.event for result in results])
    if ended is not None:
        recorder.end(ended, stopped_by)
    return sink.records


def in_a_file(written: Sequence[Record]) -> list[Record]:
    """Return what a reader of a journal with these records gets."""
    read = [from_text(to_text(record)) for record in written]
    return [record for record in read if record is not None]


def state_of(written: Sequence[Record], run_dir: Path | str) -> RunState:
    return replay(written, str(run_dir))
