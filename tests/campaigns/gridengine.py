"""A real Grid Engine with thousands of jobs. How many commands does it take to run them, and to end them?"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from runtime.backend.batch.element import CANCEL_INTERVAL
from runtime.job import FailureKind, JobProgressEvent, JobSpec, JobStatus
from tests.backend.local_jobs import TOKEN, alive
from tests.campaigns import Campaign
from tests.gridengine.cluster import Cluster, check_machine, of_this_program
from tests.gridengine.jobs import PROGRAMS, on_grid_engine
from tests.slurm.cluster import ClusterError
from tests.slurm.jobs import Calls

POLL_INTERVAL = 1.0
TIME_LIMIT = 1800.0
"""Seconds for all jobs of a scene. Arbitrary: one node starts a dozen jobs in a second, and fewer on a busy machine."""

Scene = Callable[[Calls, Path, int], Coroutine[Any, Any, str]]


def run(_seed: int, count: int) -> str:
    """Raise if a job ends in another way than it should, or if it takes a command too many."""
    scenes: tuple[Scene, ...] = (run_all, kill_all)
    with tempfile.TemporaryDirectory(prefix="gridengine-") as name:
        for scene, jobs in zip(scenes, (count, count // 2), strict=True):
            directory = Path(name, scene.__name__)
            with Cluster.create(of_this_program()) as cluster, calls_of(cluster, directory) as calls:
                printed = trio.run(scene, calls, directory, jobs)
                assert cluster.jobs() == []
            sys.stdout.write(f"    {printed}\n")
            sys.stdout.flush()
    return "each job ended once, and as it should"


@contextmanager
def calls_of(cluster: Cluster, directory: Path) -> Iterator[Calls]:
    """Point clients at a cluster for a block, and record their calls."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        yield Calls(directory, patch, programs=PROGRAMS)


async def run_all(calls: Calls, directory: Path, jobs: int) -> str:
    """Run short jobs; return how many commands that took, in one line."""
    began = trio.current_time()
    async with on_grid_engine(directory / "run", time_limit=TIME_LIMIT, poll_interval=POLL_INTERVAL) as (_, session):
        handles = await session.submit([JobSpec(name=f"job{number}", cmd="true") for number in range(jobs)])
        assert len(handles) == jobs
    took = trio.current_time() - began
    assert [event.status for event in session.history.completions] == [JobStatus.PASSED] * jobs
    submits, questions, ends = (len(calls.of(name)) for name in ("qsub", "qstat", "qdel"))
    assert (submits, ends) == (1, 0), (submits, ends)
    assert questions <= took / POLL_INTERVAL + 1, questions
    return f"{jobs} short jobs: {submits} qsub, {questions} qstat in {took:.1f} s, with a tick each {POLL_INTERVAL:g} s"


async def kill_all(calls: Calls, directory: Path, jobs: int) -> str:
    """Kill many jobs at once, of which some run; return how many commands that took, in one line."""
    mark = f"campaign-{os.getpid()}"
    specs = [JobSpec(name=f"job{number}", cmd="exec sleep 10000", exports={TOKEN: mark}) for number in range(jobs)]
    options = {"time_limit": TIME_LIMIT, "poll_interval": POLL_INTERVAL}
    async with on_grid_engine(directory / "run", **options) as (backend, session):
        handles = await session.submit(specs)
        history = session.history

        def running() -> int:
            return sum(
                isinstance(event, JobProgressEvent) and event.status is JobStatus.RUNNING for event in history.events
            )

        await history.wait_until(lambda: running() >= jobs // 10)
        ran, began = running(), trio.current_time()
        await backend.kill_many(handles.values())
        took = trio.current_time() - began
        assert not alive(mark)
    kinds = Counter(event.reason.kind for event in session.history.completions if event.reason is not None)
    assert kinds == {FailureKind.CANCELLED: jobs}, kinds
    first, *again = calls.of("qdel")
    assert first.endswith(f".1-{jobs}"), first  # all of them
    assert len(again) <= took / CANCEL_INTERVAL, again  # for what the node has not ended by then
    repeated = f", again after {CANCEL_INTERVAL:g} s: {'; '.join(again)}" if again else ""
    return f"{jobs} elements, of which {ran} ran, killed by `qdel {first}`{repeated}; {took:.1f} s, none alive"


def lacks() -> str | None:
    """Return what this machine lacks for a cluster; `None`: nothing."""
    try:
        check_machine()
    except ClusterError as exc:
        return str(exc)
    return None


CAMPAIGN = Campaign("gridengine", "how many commands do thousands of jobs take?", 2000, run, lacks)
