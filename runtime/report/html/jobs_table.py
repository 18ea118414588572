"""The table of jobs, for the script of the page: a column for each property, and each text once. Pure."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from runtime.job import JobCompletionEvent, JobResult
from runtime.job.counting import COUNTED_AS, counted_as
from runtime.journal.columns import microseconds
from runtime.journal.json_text import JSON
from runtime.report.excerpts import excerpt
from runtime.report.html.log_links import log_below
from runtime.report.html.texts import NONE, Texts, one_line, template
from runtime.report.reported_job import ReportedJob
from runtime.report.reproduce import reproduce
from runtime.report.run_results import UNFINISHED, KnownResult
from runtime.report.text import printable

OUTCOMES: Final = (*COUNTED_AS, UNFINISHED)
"""What the page calls a job's outcome: what it is counted as."""

NOT_KNOWN: Final = -1
"""In a column of numbers, in place of one that is not known."""

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

_MAX_NUMBER: Final = 2**53
"""The largest whole number of a script. A job can write a journal, so a number in it may have any size."""


class Spans:
    """The times of attempts: a column for each property."""

    def __init__(self) -> None:
        self.started: Final = array("d")
        """Seconds since 1970."""
        self.ended: Final = array("d")
        self.submitted: Final = array("d")
        self.jobs: Final = array("l")
        """The index of the job in the table."""
        self.outcomes: Final = array("b")
        """The index in `OUTCOMES`; for an attempt that was tried again, that of ``failed``."""
        self.cpu_seconds: Final = array("d")
        """`NOT_KNOWN` if they are not known, as is `peak_bytes`."""
        self.peak_bytes: Final = array("d")

    def add(self, event: JobCompletionEvent, epoch: float, job: int, outcome: int) -> None:
        """Add an attempt, if it ran."""
        if event.started is None or not math.isfinite(epoch + event.started + event.ended + event.submitted):
            return
        self.started.append(epoch + event.started)
        self.ended.append(epoch + max(event.started, event.ended))
        self.submitted.append(epoch + min(event.submitted, event.started))
        self.jobs.append(job)
        self.outcomes.append(outcome)
        usage = event.usage
        cpu = None if usage is None else usage.cpu_seconds
        peak = None if usage is None else usage.peak_bytes
        self.cpu_seconds.append(NOT_KNOWN if cpu is None else cpu)
        self.peak_bytes.append(NOT_KNOWN if peak is None else peak)


class JobsTable:
    """The columns of the table, and the results that did not pass.

    Args:
        run_dir: the run directory.
        results: of all jobs.
        began: when the run began, in seconds since 1970.
    """

    def __init__(self, run_dir: str, results: Iterable[KnownResult], began: float) -> None:
        self.ids: Final[list[str]] = []
        """Printable."""
        self.bad: Final[list[JobResult[ReportedJob]]] = []
        """Those that have ended and did not pass."""
        self.outcomes: Final = array("b")
        self.spans: Final = Spans()
        self._run_dir = run_dir
        self._began = began
        self._bad_rows: list[int] = []
        self._columns: dict[str, array[int]] = {
            name: array("q")
            for name in ("kind", "message", "log", "attempt", "began", "waited", "ran", "cpu", "peak", "flags")
        }
        self._texts = {
            "kind": Texts(_MAX_WORDS),
            "message": Texts(_MAX_MESSAGES),
            "log": Texts(_MAX_LOGS),
            "command": Texts(_MAX_COMMANDS),
            "excerpt": Texts(_MAX_EXCERPTS),
        }
        for known in results:
            self._add(known)

    def as_json(self, buckets: Mapping[str, int], first: Iterable[str]) -> dict[str, JSON]:
        """Return the table.

        Args:
            buckets: id to the number of the bucket of a failure.
            first: ids of the failures that matter most: their excerpts and commands are there if any are.
        """
        columns: dict[str, JSON] = {name: _column(column) for name, column in self._columns.items()}
        columns["id"] = list(self.ids)
        columns["outcome"] = _column(self.outcomes)
        of_bad = self._columns_of_bad(buckets, frozenset(first))
        return {
            "count": len(self.ids),
            "outcomes": [name.replace("_", " ") for name in OUTCOMES],
            "columns": columns,
            "bad": {"rows": list(self._bad_rows), **{name: _column(column) for name, column in of_bad.items()}},
            "texts": {name: list(texts.values) for name, texts in self._texts.items()},
        }

    def _add(self, known: KnownResult) -> None:
        row, result = len(self.ids), known.result
        job_id = printable(known.job.id)
        self.ids.append(job_id)
        outcome = OUTCOMES.index(UNFINISHED if result is None else counted_as(result))
        self.outcomes.append(outcome)
        epoch = 0.0 if known.segment is None else known.segment.begin.epoch
        for event in known.earlier if result is not None and known.is_recorded else ():
            self.spans.add(event, epoch, row, OUTCOMES.index("failed"))
        flags = _REMOVED if known.removed else 0
        if result is None:
            self._append(0, 0, 0, known.attempt, *[NOT_KNOWN] * 5, flags)
            return
        began = waited = ran = NOT_KNOWN
        if known.is_recorded:
            self.spans.add(result.event, epoch, row, outcome)
            if result.started is not None:
                began = _milliseconds(epoch + result.started - self._began)
                ran = _milliseconds(result.ended - result.started)
                waited = NOT_KNOWN if result.submitted is None else _milliseconds(result.started - result.submitted)
        reason, usage = result.reason, result.usage
        message = NONE
        if reason is not None:
            message = self._texts["message"].index(template(one_line(reason.message, MAX_MESSAGE), job_id))
        kind = NONE if reason is None or reason.kind is None else self._texts["kind"].index(str(reason.kind.value))
        log = log_below(result.log_path, self._run_dir)
        self._append(
            kind,
            message,
            NONE if log is None else self._texts["log"].index(template(log, job_id)),
            known.attempt,
            began,
            waited,
            ran,
            NOT_KNOWN if usage is None or usage.cpu_seconds is None else _milliseconds(usage.cpu_seconds),
            NOT_KNOWN if usage is None or usage.peak_bytes is None else usage.peak_bytes // 1000,
            flags | (_FLAKY if result.is_flaky else 0),
        )
        if counted_as(result) != COUNTED_AS[0]:
            self.bad.append(result)
            self._bad_rows.append(row)

    def _append(self, *values: int) -> None:
        for column, value in zip(self._columns.values(), values, strict=True):
            column.append(max(NOT_KNOWN, min(value, _MAX_NUMBER)))

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


def command(result: JobResult[ReportedJob], run_dir: str) -> str:
    """Return the line that runs a job again; empty if it is not known, or could do something else than it shows."""
    again = reproduce(result, Path(run_dir))
    return again if again.isprintable() else ""


def json_text(value: JSON) -> str:
    """Return JSON for a script element of a page: nothing in it can end the element, or begin a comment."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _column(values: Sequence[int]) -> JSON:
    """Return a column, or its one value if all are equal."""
    return values[0] if values and min(values) == max(values) else list(values)


def _milliseconds(seconds: float) -> int:
    return max(0, microseconds(seconds) // 1000)
