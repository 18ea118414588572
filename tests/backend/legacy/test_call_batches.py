from __future__ import annotations

import weakref
from typing import NoReturn

import pytest

from runtime.backend.legacy.call_batches import Call, Step
from runtime.backend.legacy.failures import Failure


def boom(call: Call) -> NoReturn:
    raise call.subject


def as_text(call: Call) -> str:
    return str(call.subject)


def test_a_call_keeps_what_it_returned() -> None:
    call = Call(Step("step", lambda call: call.subject + 1), 41)
    assert not call.has_returned
    call.perform()
    assert call.has_returned
    assert (call.value, call.failure) == (42, None)


@pytest.mark.parametrize("error", [ValueError("text"), SystemExit("text"), KeyboardInterrupt("text")], ids=repr)
def test_what_it_raises_is_its_own(error: BaseException) -> None:
    call = Call(Step("step", boom), error)
    call.perform()
    assert call.has_returned
    assert call.failure == Failure(f"{type(error).__name__}: text", exit_code=1 if type(error) is SystemExit else None)


def test_no_call_keeps_what_it_raised() -> None:
    class FarmError(Exception): ...

    raised: list[weakref.ref[FarmError]] = []

    def fail(_call: Call) -> NoReturn:
        error = FarmError("text")
        raised.append(weakref.ref(error))
        raise error from None

    call = Call(Step("step", fail), None)
    call.perform()
    assert raised[0]() is None
    assert call.failure == Failure("test_no_call_keeps_what_it_raised.<locals>.FarmError: text")


def test_the_side_that_comes_first_owns_it() -> None:
    taken_back, begun = Call(Step("step", as_text), 1), Call(Step("step", as_text), 1)
    assert taken_back.take_back()
    assert not taken_back.begin()
    assert begun.begin()
    assert not begun.take_back()
    assert not begun.begin()


def test_a_call_that_has_returned_can_be_used_again() -> None:
    call = Call(Step("first", boom), ValueError("text"))
    assert call.begin()
    call.perform()
    call.renew(Step("second", as_text))
    assert (call.step.name, call.has_returned, call.failure) == ("second", False, None)
    assert call.begin()
    assert not call.take_back()
    call.perform()
    assert (call.value, call.failure) == ("text", None)
