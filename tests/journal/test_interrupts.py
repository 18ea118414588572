"""Ctrl-C at every line of ours that the main thread executes while a journal is written."""

from __future__ import annotations

import signal

import pytest
import trio

from runtime.journal.writer import JournalWriter
from tests.campaigns.interrupts import Line, Tracer
from tests.journal.disks import FakeDisk, HangingDisk, job, numbers, readable


class Program:
    """Writes three records, and interrupts itself at a line."""

    def __init__(self, at: Line | None = None, disk: FakeDisk | None = None) -> None:
        self.tracer = Tracer(at)
        self.disk = disk or FakeDisk()
        self.acknowledged = -1
        self.interrupted = False

    async def main(self) -> None:
        async with JournalWriter(self.disk, sync_interval=1e6, timeout=1e6) as journal:
            for number in range(3):
                journal.append(job(number))
                if await journal.durable():
                    self.acknowledged = number

    def play(self) -> None:
        try:
            with self.tracer.tracing():
                trio.run(self.main)
        except KeyboardInterrupt:
            self.interrupted = True


def lines() -> list[Line]:
    """The lines that the program executes."""
    program = Program()
    program.play()
    assert program.acknowledged == 2
    return sorted(line for line in program.tracer.seen if "/journal/" in line[0] or "/interrupts" in line[0])


def test_at_every_line_it_leaves_the_block_unwrapped_with_the_file_closed() -> None:
    played = lines()
    assert len(played) > 50
    missed = 0
    for at in played:
        program = Program(at)
        program.play()
        if program.tracer.raised is None:
            missed += 1  # whether a line is executed depends on the thread
            continue
        disk = program.disk
        assert program.interrupted, at
        found = numbers(readable(disk.synced))
        assert found == list(range(len(found))), at
        assert len(found) > program.acknowledged, at
        assert disk.calls == [] or disk.calls[-1] == "close", at
    assert missed < len(played) // 4


@pytest.mark.parametrize("name", ["write", "datasync"])
def test_a_ctrl_c_while_a_hung_disk_holds_up_the_end_shortens_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.journal.writer._HURRY", 0.01)
    disk = HangingDisk(name)

    async def press_ctrl_c() -> None:
        await trio.to_thread.run_sync(disk.hanging.wait)
        signal.raise_signal(signal.SIGINT)

    async def main() -> None:
        trio.lowlevel.spawn_system_task(press_ctrl_c)
        async with JournalWriter(disk, sync_interval=1e6, timeout=1e6) as journal:
            journal.append(job(0))

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    disk.answer.set()
    assert disk.closed.wait(60)
