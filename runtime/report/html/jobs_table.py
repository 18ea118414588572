"""The table of jobs, for the script of the page: a column for each property, and each text once. Pure."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from runtime.job import JobCompletionEvent, JobResult
from runtime.job.counting import COUNTED_AS, counted_as
from runtime.journal.json_text import JSON
from runtime.journal.paths import absolute
from runtime.journal.replay import RunState
from runtime.report.excerpts import excerpt
from runtime.report.html.ends import Ends, ends_of, last_ends
from runtime.report.html.log_links import is_plain, log_below
from runtime.report.html.numbers import NOT_KNOWN, milliseconds, whole_numbers
from runtime.report.html.spans import Spans, joined, spans_of
from runtime.report.html.texts import NONE, Texts, directory_of, in_directory, one_line, template
from runtime.report.reported_job import ReportedJob
from runtime.report.reproduce import reproduce
from runtime.report.run_results import UNFINISHED, KnownResult, known_result
from runtime.report.text import printable

OUTCOMES: Final = (*COUNTED_AS, UNFINISHED)
"""What the page calls a job's outcome: what it is counted as."""

MAX_MESSAGE: Final = 300
"""Characters of a message. Arbitrary: a message is a sentence, and quotes at most 200 characters of a line."""

# Bytes of the different texts of a column, so that a page has a limit whatever is in the logs. Arbitrary, but for the
# sum: with the charts' script and 20,000 jobs, it must be below 5 MB.
_MAX_EXCERPTS: Final = 1_000_000
_MAX_MESSAGES: Final = 500_000
_MAX_COMMANDS: Final = 300_000
_MAX_LOGS: Final = 200_000
_MAX_WORDS: Final = 50_000

_FLAKY: Final = 1
_REMOVED: Final = 2


class JobsTable:
    """The columns of the table, and the results that did not pass.

    Args:
        state: of the run.
        is_live: whether a process runs it.
    """

    def __init__(self, state: RunState, *, is_live: bool) -> None:
        self.began: Final = state.segments[0].begin.at if state.segments else 0.0
        """When the run began, in seconds since 1970."""
        self.ids: Final = [*map(printable, state.numbers)]
        """Printable."""
        self.bad: Final[list[JobResult[ReportedJob]]] = []
        """Those that have ended and did not pass."""
        self.outcomes: Final = array("b", bytes(len(self.ids)))
        self._run_dir = state.run_dir
        self._bad_rows: list[int] = []
        self._texts = {
            "kind": Texts(_MAX_WORDS),
            "message": Texts(_MAX_MESSAGES),
            "log": Texts(_MAX_LOGS),
            "command": Texts(_MAX_COMMANDS),
            "excerpt": Texts(_MAX_EXCERPTS),
        }
        last = last_ends(state)
        ends = last.ends
        self._kinds, self._messages = (array("q", [NONE]) * len(self.ids) for _ in range(2))
        self._logs = array("q", map(self._log_of, self.ids, last.logs))
        self._flags = array("q", (_REMOVED * state.is_removed(number) for number in state.numbers.values()))
        earlier: list[tuple[JobCompletionEvent, float, int]] = []
        for row, number in enumerate(state.numbers.values()):
            if not last.only_passed[row]:
                known = known_result(state, number, is_live=is_live)
                self._add(row, known)
                if known.is_recorded:
                    epoch = 0.0 if known.segment is None else known.segment.begin.epoch
                    earlier += [(event, epoch, row) for event in known.earlier]
        self.spans: Final = _spans(ends, self.outcomes, earlier)
        with np.errstate(over="ignore"):
            began = ends.epochs + ends.started - self.began
        self._numbers = {
            "attempt": last.attempts,
            "began": milliseconds(began),
            "waited": milliseconds(ends.started - ends.submitted),
            "ran": milliseconds(ends.ended - ends.started),
            "cpu": milliseconds(ends.cpu_seconds),
            "peak": whole_numbers(ends.peak_bytes / 1000),
        }

    def as_json(self, buckets: Mapping[str, int], first: Iterable[str]) -> dict[str, JSON]:
        """Return the table.

        Args:
            buckets: id to the number of the bucket of a failure.
            first: ids of the failures that matter most: their excerpts and commands are there if any are.
        """
        columns: dict[str, JSON] = {name: _column(values.tolist()) for name, values in self._numbers.items()}
        others = {"kind": self._kinds, "message": self._messages, "log": self._logs, "flags": self._flags}
        columns |= {name: _column(column) for name, column in (*others.items(), ("outcome", self.outcomes))}
        columns["id"] = list(self.ids)
        of_bad = self._columns_of_bad(buckets, frozenset(first))
        return {
            "count": len(self.ids),
            "outcomes": [name.replace("_", " ") for name in OUTCOMES],
            "columns": columns,
            "bad": {"rows": list(self._bad_rows), **{name: _column(column) for name, column in of_bad.items()}},
            "texts": {name: list(texts.values) for name, texts in self._texts.items()},
        }

    def _log_of(self, job_id: str, paths: tuple[str, str] | None) -> int:
        """Return the index of the log of a job that has ended; see `LastEnds.logs`."""
        if paths is None:
            return NONE
        odir, log = paths
        if odir == directory_of(job_id) and is_plain(odir) and is_plain(log):  # as of most jobs: the same, but quicker
            return self._texts["log"].index(in_directory(log))
        return self._log(absolute(log, absolute(odir, self._run_dir)), job_id)

    def _log(self, path: str | None, job_id: str) -> int:
        log = log_below(path, self._run_dir)
        return NONE if log is None else self._texts["log"].index(template(log, job_id))

    def _add(self, row: int, known: KnownResult) -> None:
        """Add what there is to tell of a job that did not simply pass."""
        result, job_id = known.result, self.ids[row]
        self.outcomes[row] = OUTCOMES.index(UNFINISHED if result is None else counted_as(result))
        if result is None:
            return
        reason = result.reason
        if reason is not None:
            self._messages[row] = self._texts["message"].index(template(one_line(reason.message, MAX_MESSAGE), job_id))
        if reason is not None and reason.kind is not None:
            self._kinds[row] = self._texts["kind"].index(str(reason.kind.value))
        if result.is_flaky:
            self._flags[row] |= _FLAKY
        if not known.is_recorded:
            self._logs[row] = self._log(result.log_path, job_id)
        if self.outcomes[row]:
            self.bad.append(result)
            self._bad_rows.append(row)

    def _columns_of_bad(self, buckets: Mapping[str, int], first: frozenset[str]) -> dict[str, array[int]]:
        count = len(self.bad)
        columns = {name: array("q", [NOT_KNOWN]) * count for name in ("bucket", "excerpt", "command")}
        # The texts of those that matter most come first, while there is room.
        for index in sorted(range(count), key=lambda index: self.bad[index].id not in first):
            result, row = self.bad[index], self._bad_rows[index]
            columns["bucket"][index] = buckets.get(result.id, NOT_KNOWN)
            columns["excerpt"][index] = self._texts["excerpt"].index_of_lines(excerpt(result.reason))
            again = command(result, self._run_dir)
            columns["command"][index] = self._texts["command"].index(template(again, self.ids[row]))
        return columns


def _spans(ends: Ends, outcomes: Sequence[int], earlier: Sequence[tuple[JobCompletionEvent, float, int]]) -> Spans:
    """Return the spans of the last attempts, and of some before: event, epoch and row of each."""
    last = spans_of(ends, np.arange(len(outcomes)), np.array(outcomes, np.int64))
    if not earlier:
        return last
    events, epochs, rows = zip(*earlier, strict=True)
    failed = np.full(len(rows), OUTCOMES.index("failed"))
    return joined(last, spans_of(ends_of(events, epochs), np.array(rows), failed))


def command(result: JobResult[ReportedJob], run_dir: str) -> str:
    """Return the line that runs a job again; empty if it is not known, or could do something else than it shows."""
    again = reproduce(result, Path(run_dir))
    return again if again.isprintable() else ""


def json_pieces(table: Mapping[str, JSON]) -> Iterator[str]:
    """Yield the JSON of a table for a script element, column by column: as a whole it is there several times."""
    begin = "{"
    for name, value in table.items():
        yield f"{begin}{json_text(name)}:"
        if isinstance(value, dict) and value:
            yield from json_pieces(value)
        else:
            yield json_text(value)
        begin = ","
    yield "}"


def json_text(value: JSON) -> str:
    """Return JSON for a script element of a page: nothing in it can end the element, or begin a comment."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _column(values: Sequence[int]) -> JSON:
    """Return a column, or its one value if all are equal."""
    return values[0] if values and min(values) == max(values) else list(values)
