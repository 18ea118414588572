"""The records of a journal that grows while it is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from runtime.journal.disk import JournalFile
from runtime.journal.follower import Follower, follow
from runtime.journal.frames import encode
from runtime.journal.lock import acquire
from runtime.journal.records import End, Record, to_text
from runtime.journal.writer import JournalWriter
from runtime.roots import Roots
from tests.journal.disks import job, numbers
from tests.journal.test_committer import frame


class Live:
    """A journal that a test writes; it is live until `steps` have been made, one before each look at it."""

    def __init__(self, roots: Roots, *steps: Callable[[Path], object]) -> None:
        self.path = Path(roots.run_dir) / "journal.jsonl"
        self._steps = list(steps)
        self.follower = follow(roots.run, interval=0, is_live=self.is_live)

    def is_live(self) -> bool:
        if not self._steps:
            return False
        self._steps.pop(0)(self.path)
        return True

    async def records(self) -> list[Record]:
        return [record async for record in self.follower]


def append(data: bytes) -> Callable[[Path], object]:
    def step(path: Path) -> None:
        with path.open("ab") as file:
            file.write(data)

    return step


async def test_old_and_new_records_come_in_order(roots: Roots) -> None:
    live = Live(roots, append(frame(0) + frame(1)), append(b""), append(frame(2)), append(frame(3)))
    assert numbers(await live.records()) == [0, 1, 2, 3]
    assert live.follower.note is None


async def test_a_hole_of_any_size_is_not_read(roots: Roots) -> None:
    live = Live(roots, append(frame(0)), lambda path: os.truncate(path, 1 << 40))
    assert numbers(await live.records()) == [0]
    assert live.follower.note is not None
    assert live.follower.note.endswith(f"; {(1 << 40) - len(frame(0))} bytes from there on cannot be read")


async def test_a_frame_that_is_written_in_pieces_comes_when_it_is_whole(roots: Roots) -> None:
    pieces = [append(bytes([byte])) for byte in frame(0) + frame(1)]
    assert numbers(await Live(roots, *pieces).records()) == [0, 1]


async def test_a_run_that_has_not_begun_has_no_records(roots: Roots) -> None:
    assert await Live(roots).records() == []
    live = Live(roots, lambda _: None, lambda _: None, append(frame(0)))
    assert numbers(await live.records()) == [0]


async def test_what_its_writer_wrote_just_before_it_ended_is_read(roots: Roots) -> None:
    """Whether it lives is asked before the file is read, not after."""
    live = Live(roots, append(frame(0)))
    real = live.is_live

    def is_live() -> bool:
        answer = real()
        if not answer and live.path.stat().st_size == len(frame(0)):
            append(frame(1))(live.path)
        return answer

    live.follower = follow(roots.run, interval=0, is_live=is_live)
    assert numbers(await live.records()) == [0, 1]


async def test_it_ends_behind_the_end_of_a_segment_unless_another_follows(roots: Roots) -> None:
    end = encode(to_text(End(at=1.0)))
    live = Live(roots, append(frame(0) + end + frame(1) + end), *[lambda _: None] * 5)
    records = await live.records()
    assert numbers(records) == [0, 1]
    assert isinstance(records[-1], End)


async def test_the_torn_end_of_a_killed_process_is_noted_and_what_its_successor_writes_is_read(roots: Roots) -> None:
    torn = frame(1)[:-3]

    def cut(path: Path) -> None:
        os.truncate(path, len(frame(0)))

    killed = Live(roots, append(frame(0) + torn))
    assert numbers(await killed.records()) == [0]
    assert (
        killed.follower.note == f"byte {len(frame(0))}: a frame of {len(frame(1))} bytes is cut off after {len(torn)}"
    )
    live = Live(roots, lambda _: None, lambda _: None, cut, append(frame(2)))
    assert numbers(await live.records()) == [0, 2]
    assert live.follower.note is None


async def test_what_is_no_frame_is_noted(roots: Roots) -> None:
    live = Live(roots, append(frame(0)), append(b"what is this?" + frame(1)), append(frame(2)))
    assert numbers(await live.records()) == [0]
    assert live.follower.note is not None
    assert live.follower.note.startswith(f"byte {len(frame(0))}: no frame begins here")


async def test_records_of_an_unknown_type_are_skipped(roots: Roots) -> None:
    live = Live(roots, append(encode('{"type":"weather"}')), append(frame(0)))
    assert numbers(await live.records()) == [0]


async def test_a_cancelled_step_loses_no_record(roots: Roots) -> None:
    live = Live(roots, *[append(frame(number)) for number in range(40)])
    seen: list[Record] = []

    async def step() -> None:
        seen.append(await anext(live.follower))

    for turns in range(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(step)
            for _ in range(turns):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    seen += await live.records()
    assert numbers(seen) == list(range(40))


@pytest.mark.parametrize("plant", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
async def test_what_a_job_puts_in_its_place_is_an_error_and_not_waited_for(
    roots: Roots, plant: Callable[[Path], object]
) -> None:
    live = Live(roots, lambda _: None)
    plant(live.path)
    with pytest.raises(OSError, match=r"journal\.jsonl"):
        await live.records()


async def test_a_run_of_this_process_is_followed_until_its_lock_is_released(roots: Roots) -> None:
    seen: list[Record] = []

    async def read() -> None:
        with trio.CancelScope(shield=True):
            async for record in follower:
                seen.append(record)  # noqa: PERF401 - it is looked at meanwhile

    follower: Follower = follow(roots.run, interval=0)
    async with trio.open_nursery() as nursery:
        with acquire(roots.run):
            nursery.start_soon(read)
            async with JournalWriter(JournalFile(roots.run)) as journal:
                for number in range(100):
                    journal.append(job(number))
                    if number % 10 == 0:
                        assert await journal.durable()
                    await trio.lowlevel.checkpoint()
            while len(seen) < 100:
                await trio.lowlevel.checkpoint()
            await wait_all_tasks_blocked()
            assert nursery.child_tasks  # it waits for more while the lock is held
    assert numbers(seen) == list(range(100))
