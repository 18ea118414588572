from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import pytest
import trio

from runtime.cli import job_log
from runtime.cli.job_log import LogPrinter, follow_log
from runtime.job import JobSpec, JobStatus
from runtime.journal import End, Record, Starting, acquire, encode, to_text
from runtime.roots import Roots
from tests.cli.past_run import write_journal
from tests.journal.journals import ended
from tests.report.states import records


class Screen:
    """A stand-in for an output, which keeps what is written."""

    def __init__(self, *, is_terminal: bool) -> None:
        self.is_terminal = is_terminal
        self.gone = False
        self.text = ""
        self.content = b""

    def write(self, text: str) -> bool:
        self.text += text
        return not self.gone

    def write_bytes(self, content: bytes) -> bool:
        self.content += content
        return not self.gone


def printer(content: bytes, screen: Screen) -> LogPrinter:
    return LogPrinter(lambda: io.BytesIO(content), screen)  # type: ignore[arg-type]  # a stand-in


@pytest.mark.parametrize("size", [1, 3, 100])
def test_on_a_terminal_control_characters_are_escaped(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_log, "_BLOCK_SIZE", size)
    screen = Screen(is_terminal=True)
    log = printer("a\tb\n\x1b[31mé\u202e\r\n".encode() + b"\xe9\n\xc3", screen)
    log.print_new()
    log.close()
    assert screen.text == "a\tb\n\\x1b[31mé\\u202e\\r\n\\xe9\n\\xc3"


def test_elsewhere_the_log_is_printed_byte_for_byte() -> None:
    screen = Screen(is_terminal=False)
    content = bytes(range(256)) * 1000
    log = printer(content, screen)
    assert log.print_new()
    assert screen.content == content
    screen.gone = True
    assert not log.print_new()


class Live:
    """A live run with one job, whose log is `log`."""

    def __init__(self, tmp_path: Path) -> None:
        self.run_dir = write_journal(
            tmp_path / "run", records([], tmp_path / "run", ended=None, more=[JobSpec(name="a", cmd="x")])
        )
        self.log = self.run_dir / "job.log"
        self.screen = Screen(is_terminal=False)
        self.opens = 0

    def append(self, *written: Record) -> None:
        with open(self.run_dir / "journal.jsonl", "ab") as file:
            file.write(b"".join(encode(to_text(record)) for record in written))

    def open(self) -> BinaryIO:
        self.opens += 1
        return open(self.log, "rb")


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Live:
    monkeypatch.setattr(job_log, "POLL_INTERVAL", 0.001)
    return Live(tmp_path)


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not condition():  # a thread makes it true
            await trio.lowlevel.checkpoint()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["the job", "the run"])
async def test_a_log_is_followed_until_its_job_or_its_run_ends(live: Live, how: str) -> None:
    roots = Roots(str(live.run_dir))
    roots.open()
    lock = acquire(roots.run)
    try:
        async with trio.open_nursery() as nursery:
            log = LogPrinter(live.open, live.screen)  # type: ignore[arg-type]  # a stand-in
            nursery.start_soon(follow_log, roots.run, 0, log)
            await until(lambda: live.opens > 1)  # it is not there yet
            live.log.write_bytes(b"one\n")
            await until(lambda: live.screen.content == b"one\n")
            with open(live.log, "ab") as file:
                file.write(b"two\n")
            if how == "the job":
                live.append(Starting(1.0, "local", [0], [1]), ended(0))
            else:
                lock.release()
    finally:
        lock.release()
        log.close()
        roots.close()
    assert live.screen.content == b"one\ntwo\n"


@pytest.mark.slow
async def test_the_log_of_each_attempt_is_followed_until_the_job_has_ended(live: Live) -> None:
    roots = Roots(str(live.run_dir))
    roots.open()
    lock = acquire(roots.run)
    log = LogPrinter(live.open, live.screen)  # type: ignore[arg-type]  # a stand-in
    try:
        live.log.write_bytes(b"one\n")
        live.append(Starting(1.0, "local", [0], [1]))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow_log, roots.run, 0, log)
            await until(lambda: live.screen.content == b"one\n")
            with open(live.log, "ab") as file:
                file.write(b"failed\n")
            live.append(ended(0, status=JobStatus.FAILED, again=True))
            await until(lambda: live.screen.content == b"one\nfailed\n")
            live.append(Starting(2.0, "local", [0], [2]))
            live.log.rename(live.log.with_name("job.log~attempt1"))
            opens = live.opens
            await until(lambda: live.opens > opens)  # there is no log now
            live.log.write_bytes(b"two\n")
            await until(lambda: live.screen.content == b"one\nfailed\ntwo\n")
            live.append(ended(0, attempt=2))
    finally:
        lock.release()
        log.close()
        roots.close()


def test_what_an_attempt_wrote_last_is_printed_before_the_log_of_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    path.write_bytes(b"one\n")
    screen = Screen(is_terminal=False)

    def open_log() -> BinaryIO:
        if screen.content == b"one\n":  # between the two looks: the attempt ends, and the next one begins
            with open(path, "ab") as file:
                file.write(b"last\n")
            path.rename(tmp_path / "job.log~attempt1")
            path.write_bytes(b"two\n")
        return open(path, "rb")

    with closing(LogPrinter(open_log, screen)) as log:  # type: ignore[arg-type]  # a stand-in
        assert log.print_all_new()
        assert screen.content == b"one\nlast\ntwo\n"


@pytest.mark.slow
async def test_a_log_that_never_comes_is_an_error_when_the_job_has_ended(live: Live) -> None:
    live.append(Starting(1.0, "local", [0], [1]), ended(0), End(2.0))
    roots = Roots(str(live.run_dir))
    roots.open()
    try:
        with pytest.raises(FileNotFoundError):
            await follow_log(roots.run, 0, LogPrinter(live.open, live.screen))  # type: ignore[arg-type]  # a stand-in
    finally:
        roots.close()


async def test_when_nobody_reads_it_following_ends(live: Live) -> None:
    live.log.write_bytes(b"one\n")
    live.screen.gone = True
    roots = Roots(str(live.run_dir))
    roots.open()
    log = LogPrinter(live.open, live.screen)  # type: ignore[arg-type]  # a stand-in
    with closing(roots), closing(log), trio.fail_after(60):
        await follow_log(roots.run, 0, log)
    assert live.screen.content == b""


async def test_what_the_job_wrote_before_it_ended_is_printed() -> None:
    ended = trio.Event()

    class Printer(LogPrinter):
        steps = 0

        def print_new(self) -> bool:
            """Find nothing new; then the job writes its last line, and ends."""
            self.steps += 1
            trio.from_thread.run_sync(ended.set)
            return True

    log = Printer(io.BytesIO, Screen(is_terminal=False))  # type: ignore[arg-type]  # a stand-in
    await job_log.print_until(ended, log, [])
    assert log.steps == 2
