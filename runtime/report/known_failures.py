"""`KnownFailures`: which failures of a run are known, and what is to be said about those that were expected. No I/O."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache

from runtime.job import FailureClass, JobResult, JobStatus, JobStatusInfo
from runtime.job.known import MAX_MESSAGE, KnownFailure
from runtime.job.protocol import Job
from runtime.report.buckets import headline_of
from runtime.report.summary import Line
from runtime.report.text import printable
from runtime.verdict.file import judge_text
from runtime.verdict.judge import LogPatterns


class KnownFailures:
    """The known failures of a run.

    Args:
        entries: what is known. Each pattern `is_fast` for a line of `MAX_MESSAGE` bytes.
        today: the day; an entry that expired before it makes no failure known.
    """

    def __init__(self, entries: Iterable[KnownFailure], today: date) -> None:
        self._entries = [(entry, _Names(entry.jobs)) for entry in entries]
        self._today = today
        self._matched: Counter[str] = Counter()

    def name_of(self, job: Job, reason: JobStatusInfo) -> str | None:
        """Return the name of the known failure that this failure of a job is; `None` if it is none."""
        names = _names_of(job)
        found = None
        for entry, jobs in self._entries:
            if jobs.match(names) and _matches(entry.message, headline_of(reason)):
                self._matched[entry.name] += 1
                if found is None and entry.expires >= self._today:
                    found = entry.name
        return found

    def lines(self, results: Sequence[JobResult[Job]], *, is_selection: bool) -> list[Line]:
        """Return what is to be said at the end of the run: which entries have expired, and which matched nothing.

        An entry whose jobs had no verdict, as they did not run, or only the infrastructure failed, has matched nothing
        either, and that says nothing about it.

        Args:
            results: of all jobs of the run.
            is_selection: whether the job file has more jobs; if not, an entry that means none of them is wrong.
        """
        lines: list[Line] = []
        for entry, _ in self._entries:
            count = self._matched[entry.name]
            if count and entry.expires < self._today:
                failures = "a failure that counts" if count == 1 else f"{count} failures that count"
                what = f" expired on {entry.expires} and matches {failures}; issue: {printable(entry.issue)}"
                lines.append((("known failure ", "bold red"), (printable(entry.name), "bold"), (what, "")))
        unused = [
            printable(entry.name)
            for entry, jobs in self._entries
            if not self._matched[entry.name] and jobs.had_verdict(results, if_none=not is_selection)
        ]
        if unused:
            lines.append(((f"known failures that matched nothing: {', '.join(unused)}", "yellow"),))
        return lines


class _Names:
    """Which ids, names and tags are meant: text that is one of them as it is, or a glob."""

    def __init__(self, globs: Sequence[str]) -> None:
        self._exact = frozenset(globs)
        self._matches = [re.compile(fnmatch.translate(glob)).match for glob in globs]

    def match(self, names: Sequence[str]) -> bool:
        """Return whether any of `names` is meant."""
        return any(name in self._exact or any(matches(name) for matches in self._matches) for name in names)

    def had_verdict(self, results: Sequence[JobResult[Job]], *, if_none: bool) -> bool:
        """Return whether a job that is meant has passed, or failed by its design; `if_none` if none is meant."""
        meant = [result for result in results if self.match(_names_of(result.job))]
        return any(_has_verdict(result) for result in meant) if meant else if_none


def _has_verdict(result: JobResult[Job]) -> bool:
    if result.status is JobStatus.PASSED:
        return True
    return result.failure_class is FailureClass.DESIGN and not result.never_ran


def _names_of(job: Job) -> Sequence[str]:
    return (job.id, getattr(job, "name", job.id), *getattr(job, "tags", ()))


@lru_cache(maxsize=1024)  # a night has few different messages
def _matches(pattern: str, message: str) -> bool:
    text = message.encode("utf-8", "surrogatepass")[:MAX_MESSAGE]
    return judge_text(text, LogPatterns(failing=(pattern,), raw_lines=True)).failure is not None
