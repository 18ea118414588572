"""What earlier runs tell of a run, for its page and its summary: from the index of the directory that it is in."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import trio

from runtime.cli.past_runs import PastRun, load_run, opened
from runtime.history.index_file import ask_index
from runtime.history.news import news_of
from runtime.history.outcomes import RememberedRun, remembered
from runtime.journal.replay import RunState
from runtime.process import in_thread
from runtime.report.news import History

logger: Final = logging.getLogger("runtime.cli")

NEWS_TIMEOUT: Final = 10.0
"""Seconds for asking what earlier runs tell, after which the summary is shown without that. Arbitrary: journals that no
index has yet are read then, some 100,000 jobs in ten seconds; ten times more, and the end seems to hang."""


async def news_in_time(directory: Path, state: Callable[[], RunState], scope: trio.CancelScope) -> History | None:
    """Return what earlier runs tell of a run that has ended; `None` if that takes too long, or cannot be found out.

    An error is a warning, whatever it is: the run has ended, and must say so.

    Args:
        directory: of the runs.
        state: returns the state of the run; for any thread.
        scope: is cancelled if the user does not want to wait. Not entered yet.
    """

    def read() -> History | None:
        return history_in(directory, state(), is_live=False, tell=logger.warning)

    scope.deadline = trio.current_time() + NEWS_TIMEOUT
    with scope:
        try:
            return await in_thread(read, limiter=trio.CapacityLimiter(1))
        except Exception as exc:  # noqa: BLE001 - the run has ended, and must say so whatever is wrong with others
            logger.warning("nothing is said of earlier runs: %r", exc)
            return None
    if trio.current_time() >= scope.deadline:
        logger.warning("earlier runs were not read within %.0f s; job-runtime compare tells them", NEWS_TIMEOUT)
    return None


def history_of(run: PastRun, base: Path | None, tell: Callable[[str], None]) -> History | None:
    """Return what the runs in the directory of a run tell of it; `None` if they cannot be asked. Blocks.

    Args:
        run: the run.
        base: the run that it is compared with; `None` for the one before it.
        tell: is called with each line for the user.

    Raises:
        InputError: if `base` is no run.
    """
    if run.is_exported and base is None:
        return None  # the runs before it are elsewhere
    other = None if base is None else load_run(base)
    before = None if other is None else remembered(other.state, is_live=other.is_live)
    return history_in(run.path.parent, run.state, is_live=run.is_live, base=before, tell=tell)


def history_in(
    directory: Path,
    state: RunState,
    *,
    is_live: bool,
    tell: Callable[[str], None],
    base: RememberedRun | None = None,
) -> History | None:
    """Return what the runs of a directory tell of a run in it; `None` if they cannot be asked, or there are no others.

    It blocks, and writes the index if it has changed.

    Args:
        directory: of the runs.
        state: of the run.
        is_live: whether a process runs it.
        tell: is called with each line for the user.
        base: the run that it is compared with; `None` for the one before it.
    """
    try:
        if base is None and not _has_others(directory, state.run_dir.rpartition("/")[2]):
            return None  # the index would take as long as the page
        with opened(directory) as out:
            return ask_index(out, partial(news_of, remembered(state, is_live=is_live), base), tell)
    except OSError as exc:
        tell(f"{directory} cannot be read, so nothing is said of earlier runs: {exc.strerror}")
        return None


def _has_others(directory: Path, name: str) -> bool:
    """Whether there is anything in a directory that may be a run of another name."""
    with os.scandir(directory) as entries:
        return any(entry.is_dir(follow_symlinks=False) and entry.name != name for entry in entries)
