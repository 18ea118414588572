"""`MainThread`, whose `run` is called in a thread of the test: it behaves the same in any thread."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from runtime.backend.legacy import main_thread
from runtime.backend.legacy.call_batches import Call, Step
from runtime.backend.legacy.failures import Failure
from runtime.backend.legacy.main_thread import MainThread, hint_of, needs_main_thread
from tests.backend.legacy.injection import inject, take_back

FOR_EVER = 1000.0
LIMIT = 30.0
"""Seconds; none of them passes."""

TraceFunction = Callable[[FrameType, str, object], object]


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


class Raiser:
    """A trace function that raises once, as a signal handler does, at the `nth` line that its thread executes.

    The loop of `run` is left out: its lines are executed once, before any launcher has a handler.
    """

    def __init__(self, nth: int) -> None:
        self.left = nth

    def __call__(self, frame: FrameType, event: str, _argument: object) -> TraceFunction | None:
        if event == "line" and frame.f_code is not MainThread.run.__code__ and frame.f_code.co_filename != __file__:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


def test_an_exception_at_any_line_between_two_calls_ends_nothing_and_loses_no_call() -> None:
    """Also in what it calls: the lines of the standard library count."""
    for nth in itertools.count(1):
        main, raiser = MainThread(lambda call: call.perform()), Raiser(nth)

        def run(main: MainThread = main, raiser: Raiser = raiser) -> None:
            sys.settrace(raiser)  # type: ignore[arg-type]  # typeshed wants a function of its own private type
            main.run()

        threading.Thread(target=run, daemon=True).start()
        calls = [where() for _ in range(3)]
        caller = threading.Thread(
            target=lambda calls, main: [main.do(call, FOR_EVER) for call in calls], args=[calls, main]
        )
        caller.daemon = True
        caller.start()
        caller.join(LIMIT)
        assert not caller.is_alive(), f"a call does not end after an exception at line {nth}"
        assert all(call.has_returned for call in calls)
        if raiser.left > 0:
            break
    assert nth > 20


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
