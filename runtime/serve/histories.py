"""`Histories`: what the runs of a directory say together of a test or a job. It blocks, and writes nothing."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from functools import cache
from typing import Final

from runtime.history.database import CAN_BE_KEPT, DamagedIndexError
from runtime.history.history_lines import histories_sections
from runtime.history.index import Index
from runtime.history.index_file import follow_journals, read_content
from runtime.history.overview import histories
from runtime.report.screen_fit import Section
from runtime.roots import RootedPath

logger: Final = logging.getLogger("runtime.serve")

LAST: Final = 50
"""Runs of a test that are shown. Arbitrary: two months of nights, and some screens."""
_MAX_ROWS: Final = 500
"""Lines of a part. Arbitrary: nobody reads more."""
_AGE: Final = 10.0
"""Seconds for which journals are not looked at again. Arbitrary: as for the list of runs."""


class Histories:
    """An index of the runs of a directory, kept in memory: the file that ``history`` keeps is read, and not written.

    Args:
        out: the directory of runs.
    """

    def __init__(self, out: RootedPath) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._content: bytes | None = None
        self._is_new = True
        """Whether the file of the index was not read yet."""
        self._followed: float | None = None
        """When journals were looked at, on the monotonic clock."""

    def sections(self, job: str) -> Sequence[Section]:
        """Return what is known of a job, a test, or all tests that match a pattern; if it is empty, an overview.

        Empty if no run has such a job.

        Raises:
            OSError: if the directory cannot be read.
        """
        with self._lock:  # two at a time would read each journal twice
            try:
                return self._sections(job)
            except DamagedIndexError:
                self._content, self._followed = None, None
                return self._sections(job)

    def _sections(self, job: str) -> Sequence[Section]:
        if self._is_new:
            self._is_new = False
            self._content = self._read_file()
        index = Index(self._content)
        try:
            if self._followed is None or time.monotonic() - self._followed > _AGE or not CAN_BE_KEPT:
                if follow_journals(index, self._out, logger.info) and CAN_BE_KEPT:
                    self._content = index.content()
                self._followed = time.monotonic()
            found = histories(index, job or None)
            return [_cut(part) for part in histories_sections(found, job or None, cache(index.span), last=LAST)]
        finally:
            index.close()

    def _read_file(self) -> bytes | None:
        """Return the file that ``history`` keeps, if there is one; what is wrong with it, the index finds."""
        try:
            return read_content(self._out) if CAN_BE_KEPT else None
        except OSError:
            return None


def _cut(section: Section) -> Section:
    return Section(section.title, section.items[:_MAX_ROWS])
