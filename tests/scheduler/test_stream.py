"""The stream of status changes: dropped changes are counted, and a watcher never delays the run."""

from __future__ import annotations

import math

import pytest
import trio

from runtime.job import JobSpec, JobStatus
from runtime.scheduler.statuses import StatusChange
from runtime.scheduler.stream import StatusStream
from tests.scheduler.planning import job


def changes(*ids: int) -> list[StatusChange[JobSpec]]:
    return [StatusChange(job(f"j{i}"), f"j{i}", JobStatus.QUEUED, JobStatus.RUNNING, float(i)) for i in ids]


def stream(buffer: float) -> StatusStream[JobSpec]:
    return StatusStream(buffer, lambda _stream: None)


async def test_a_full_buffer_drops_the_oldest_and_counts_them() -> None:
    watcher = stream(3)
    watcher.put(changes(1, 2))
    watcher.put(changes(3, 4, 5))
    assert watcher.dropped == 2
    watcher.close()
    assert [change.id async for change in watcher] == ["j3", "j4", "j5"]


async def test_a_batch_larger_than_the_buffer_counts_all_that_is_lost() -> None:
    watcher = stream(2)
    watcher.put(changes(1))
    watcher.put(changes(2, 3, 4, 5, 6))
    assert watcher.dropped == 4
    assert [change.id for change in watcher.take_nowait()] == ["j5", "j6"]
    assert watcher.take_nowait() == []


async def test_one_without_a_bound_loses_nothing() -> None:
    watcher = stream(math.inf)
    for i in range(5000):
        watcher.put(changes(i))
    assert watcher.dropped == 0
    assert len(watcher.take_nowait()) == 5000


async def test_a_reader_waits_for_news_and_for_the_end(autojump_clock: trio.testing.MockClock) -> None:
    watcher = stream(3)
    seen = []

    async def read() -> None:
        async for change in watcher:
            seen.append(change.id)  # noqa: PERF401 - the test looks at it meanwhile

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        watcher.put(changes(1))
        await trio.testing.wait_all_tasks_blocked()
        assert seen == ["j1"]
        watcher.put(changes(2))
        watcher.close()
    assert seen == ["j1", "j2"]


async def test_closing_says_so_once() -> None:
    closed: list[StatusStream[JobSpec]] = []
    watcher = StatusStream(1, closed.append)
    with watcher:
        pass
    watcher.close()
    assert closed == [watcher]


@pytest.mark.parametrize("buffer", [0, -1, 1.5])
async def test_a_buffer_that_holds_nothing_is_refused(buffer: float) -> None:
    with pytest.raises(ValueError, match="expected a whole number from 1"):
        stream(buffer)
