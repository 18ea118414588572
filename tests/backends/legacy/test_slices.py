from __future__ import annotations

from typing import NoReturn

import outcome
import pytest

from runtime.backends.legacy.slices import Call, Step


def boom(subject: BaseException) -> NoReturn:
    raise subject


def test_a_call_returns_an_outcome() -> None:
    call = Call(Step("step", lambda subject: subject + 1), 41)
    call.perform()
    assert call.outcome == outcome.Value(42)
    assert call.why == ""


@pytest.mark.parametrize("error", [ValueError("text"), SystemExit("text"), KeyboardInterrupt("text")], ids=repr)
def test_what_it_raises_is_its_own(error: BaseException) -> None:
    call = Call(Step("step", boom), error)
    call.perform()
    assert isinstance(call.outcome, outcome.Error)
    assert call.outcome.error is error
    assert call.why == f"{type(error).__name__}: text"


def test_whoever_comes_first_owns_it() -> None:
    taken_back, begun = Call(Step("step", str), 1), Call(Step("step", str), 1)
    assert taken_back.take_back()
    assert not taken_back.begin()
    assert begun.begin()
    assert not begun.take_back()
    assert not begun.begin()


def test_a_call_that_has_returned_can_be_used_again() -> None:
    call = Call(Step("first", boom), ValueError("text"))
    assert call.begin()
    call.perform()
    call.given_up = True
    call.renew(Step("second", str))
    assert (call.step.name, call.outcome, call.why, call.given_up) == ("second", None, "", False)
    assert call.begin()
    assert not call.take_back()
    call.perform()
    assert call.outcome == outcome.Value("text")
