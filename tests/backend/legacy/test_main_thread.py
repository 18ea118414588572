"""`MainThread`, whose `run` is called in a thread of the test: it behaves the same in any thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from runtime.backend.legacy import main_thread
from runtime.backend.legacy.call_batches import Call, Step
from runtime.backend.legacy.failures import Failure
from runtime.backend.legacy.main_thread import MainThread, hint_of, needs_main_thread
from tests.backend.legacy.injection import inject, take_back

FOR_EVER = 1000.0


class Rig:
    """A main thread, and a call that hangs in it until `gate` is set."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun = threading.Event()
        self.main = MainThread(lambda call: call.perform())
        self.thread = threading.Thread(target=self.main.run, daemon=True)
        self.thread.start()

    def hang(self) -> threading.Thread:
        def wait(_subject: object) -> None:
            self.begun.set()
            self.gate.wait()

        caller = threading.Thread(target=self.main.do, args=[Call(Step("hang", wait), None), FOR_EVER], daemon=True)
        caller.start()
        self.begun.wait()
        return caller


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.gate.set()


def where() -> Call:
    return Call(Step("where", lambda _subject: threading.current_thread()), None)


def test_calls_are_made_in_the_one_thread(rig: Rig) -> None:
    calls = [where() for _ in range(100)]
    assert all(rig.main.do(call, 0) for call in calls)
    assert {call.value for call in calls} == {rig.thread}


def test_a_call_that_finds_it_busy_waits_at_most_its_timeout(rig: Rig) -> None:
    caller = rig.hang()
    refused = where()
    assert not rig.main.do(refused, 0)
    assert refused.is_pending, "and may be made elsewhere"
    waiting = where()
    waiter = threading.Thread(target=rig.main.do, args=[waiting, FOR_EVER])
    waiter.start()
    rig.gate.set()
    waiter.join()
    caller.join()
    assert waiting.value is rig.thread


def test_the_timeout_counts_from_the_start_of_the_call_in_progress(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(main_thread, "monotonic", lambda: now[0])
    rig.hang()
    now[0] += main_thread.LONG_WAIT
    assert not rig.main.do(where(), main_thread.LONG_WAIT), "at once, as the call in progress has hung for that long"


def test_an_exception_between_two_calls_or_in_one_ends_nothing(rig: Rig) -> None:
    for _ in range(500):
        inject(rig.thread)
        call = where()
        assert rig.main.do(call, FOR_EVER)
        assert call.has_returned
        assert call.failure is not None or call.value is rig.thread
    assert rig.thread.is_alive()
    take_back([rig.thread])


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("ValueError: signal only works in main thread of the main interpreter", True),
        ("RuntimeError: There is no current event loop in thread 'farm.1'.", True),
        ("ValueError: set_wakeup_fd only works in main thread of the main interpreter", True),
        ("RuntimeError: can't start new thread", False),
    ],
)
def test_a_call_that_needs_the_main_thread_is_known_by_its_text(text: str, *, needs: bool) -> None:
    failure = Failure(text)
    assert needs_main_thread(failure) is needs
    assert ("isolated=True" in hint_of(failure)) is needs
    assert not needs_main_thread(None)
