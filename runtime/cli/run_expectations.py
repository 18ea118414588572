"""What earlier runs let expect of a run that goes on, for its display."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Final

import trio

from runtime.cli.past_runs import opened
from runtime.history.index_file import look_up
from runtime.history.run_expectations import expectations
from runtime.process import in_thread
from runtime.report.expectations import Expectations

logger: Final = logging.getLogger("runtime.cli")


async def expectations_of(run_dir: Path, suite: str) -> Expectations:
    """Return what the other runs in the directory of a run let expect of it; nothing if that cannot be found out.

    Args:
        run_dir: the run directory; absolute.
        suite: the name of its job file.
    """
    # A cancel abandons it: a run that ends does not wait for what its display could have shown.
    return await in_thread(partial(_look_up, run_dir, suite), limiter=trio.CapacityLimiter(1))


def _look_up(run_dir: Path, suite: str) -> Expectations:
    try:
        with opened(run_dir.parent) as out:
            return look_up(out, partial(expectations, suite=suite), leave_out=run_dir.name)
    except Exception as exc:  # noqa: BLE001 - a job can write a journal, and a display must not end what it shows
        logger.info("nothing is known of the runs in %s: %r", run_dir.parent, exc)
        return Expectations()
