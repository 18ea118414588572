"""`os._exit` and `os.exec*` raise in the threads of launchers, and work as usual everywhere else."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from runtime import LegacyLauncherAdapter, exit_calls
from runtime.exit_calls import EndOfProcessError
from runtime.job import FailureKind, JobStatus
from tests.backend.legacy.rig import job, rig


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, ...]]]:
    """The calls that would have ended the process."""
    called: list[tuple[Any, ...]] = []
    for name in ("_exit", "execv", "execve"):
        monkeypatch.setattr(os, name, lambda *args, name=name: called.append((name, *args)))
    before = os._exit, os.execv, os.execve
    yield called
    exit_calls.restore_if_unused()
    assert (os._exit, os.execv, os.execve) == before


class Exiting:
    poll_freq = 0

    def __init__(self, job: Any) -> None:
        self.job = job

    def launch(self) -> None:
        if self.job.cmd == "exit":
            os._exit(0)
        if self.job.cmd == "exec":
            os.execl("/bin/true", "true")

    def poll(self) -> JobStatus:
        return JobStatus.PASSED

    def kill(self) -> None:
        pass


async def test_in_a_program_that_embeds_the_adapter_only_launchers_are_refused(ends: list[tuple[Any, ...]]) -> None:
    async with rig(Exiting, LegacyLauncherAdapter) as it:
        await it.backend.submit_many([job("bad", cmd="exit"), job("worse", cmd="exec"), job("good")])
        await it.backend.drain()
        assert ends == []
        os._exit(3)  # the program itself may exit
        await trio.to_thread.run_sync(os._exit, 4)
    assert ends == [("_exit", 3), ("_exit", 4)]
    assert [it.end(name).status for name in ("bad", "worse", "good")] == [
        JobStatus.KILLED,
        JobStatus.KILLED,
        JobStatus.PASSED,
    ]
    assert [it.kind(name) for name in ("bad", "worse")] == [FailureKind.LAUNCH_ERROR] * 2
    assert "os._exit(0) was called" in it.text("bad")
    assert "os.execv('/bin/true') was called" in it.text("worse")


def test_except_exception_does_not_catch_it(ends: list[tuple[Any, ...]]) -> None:
    raised: list[BaseException] = []

    def work() -> None:
        began.wait()
        try:
            try:
                os._exit(0)
            except Exception:  # noqa: BLE001 - as a launcher may
                os._exit(1)
        except BaseException as exc:  # noqa: BLE001 - for the test to look at
            raised.append(exc)

    began = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    exit_calls.raise_in(thread)
    began.set()
    thread.join()
    (error,) = raised
    assert isinstance(error, EndOfProcessError)
    assert "os._exit(0)" in str(error)
    assert ends == []
