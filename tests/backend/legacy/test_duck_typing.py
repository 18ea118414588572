from __future__ import annotations

import datetime as dt
import enum
from types import SimpleNamespace
from typing import Any

import pytest

from runtime.backend.legacy.duck_typing import (
    LONGEST_NAME,
    LONGEST_TEXT,
    MAX_LINES,
    STATUS_BY_NAME,
    describe,
    is_busy,
    limits_of_job,
    name_of,
    reason_of,
    seconds_of,
    status_of,
    usage_of,
)
from runtime.backend.legacy.failures import Failure, failure_of
from runtime.backend.legacy.launcher import ErrorMessage, LauncherBusyError, LauncherError
from runtime.job import JobStatus


class Theirs(enum.Enum):
    PASSED = "P"
    DISPATCHED = "D"
    UNHEARD_OF = "U"


def test_a_status_is_known_by_its_name() -> None:
    assert status_of(Theirs.PASSED, object()) is JobStatus.PASSED
    assert status_of(Theirs.DISPATCHED, object()) is JobStatus.RUNNING
    for status in JobStatus:
        assert status_of(status, object()) in (status, JobStatus.QUEUED)
    assert set(STATUS_BY_NAME) >= {status.name for status in JobStatus}


@pytest.mark.parametrize("answer", [None, "PASSED", 0, Theirs.UNHEARD_OF, SimpleNamespace(name=["PASSED"])])
def test_what_is_no_status_is_an_error_that_names_the_class(answer: object) -> None:
    with pytest.raises(LauncherError, match=r"SimpleNamespace\.poll\(\) returned .*expected a status"):
        status_of(answer, SimpleNamespace())


def test_a_status_whose_repr_raises() -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise SystemExit

    with pytest.raises(LauncherError, match=r"returned something, of type .*Hostile"):
        status_of(Hostile(), object())


def test_busy_is_known_by_a_class_name_in_the_mro() -> None:
    theirs = type("LauncherBusyError", (Exception,), {})
    assert is_busy(theirs())
    assert is_busy(type("Full", (theirs,), {})())
    assert is_busy(LauncherBusyError())
    assert not is_busy(LauncherError())
    assert not is_busy(type("NotLauncherBusyError", (Exception,), {})())


def test_an_exception_is_described_by_type_and_text_whatever_it_does() -> None:
    class Hostile(BaseException):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    assert describe(OSError(2, "gone")) == "FileNotFoundError: [Errno 2] gone"
    assert describe(SystemExit()) == "SystemExit"
    assert describe(Hostile()).endswith("Hostile: <its __str__ raised KeyboardInterrupt>")
    assert len(describe(ValueError("x" * 10**6))) == LONGEST_TEXT


def test_an_exception_without_a_text_does_not_hide_what_happened_before() -> None:
    silent = AssertionError()
    silent.__context__ = FileNotFoundError(2, "no nc")
    assert describe(silent) == "AssertionError, after FileNotFoundError: [Errno 2] no nc"
    silent.__cause__ = silent
    assert describe(silent) == "AssertionError, after AssertionError"
    silent.__cause__ = None  # as `from None` does, which hides the context
    assert describe(silent) == "AssertionError"
    spoken = ValueError("why")
    spoken.__context__ = silent
    assert describe(spoken) == "ValueError: why"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (2.5, 2.5),
        (SimpleNamespace(get=lambda: (2, "h")), 7200),
        (SimpleNamespace(time=1.5, unit="m"), 90),
        (SimpleNamespace(time=3, unit="ms"), 0.003),
        (SimpleNamespace(time=7, unit="fs"), 7e-15),
        (dt.timedelta(minutes=2), 120),
        (None, None),
        (0, None),
        (SimpleNamespace(time=0.0, unit="s"), None),
        (-1, None),
        (float("nan"), None),
        (float("inf"), None),
    ],
)
def test_durations_in_seconds(value: object, seconds: float | None) -> None:
    assert seconds_of(value) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("value", [SimpleNamespace(time=1, unit="fortnight"), "3 s", SimpleNamespace(get=lambda: 3)])
def test_a_time_that_cannot_be_read_is_unknown(value: object) -> None:
    assert usage_of(SimpleNamespace(job_runtime=value)) is None
    usage = usage_of(SimpleNamespace(job_runtime=value, simulated_time=1))
    assert usage is not None
    assert (usage.job_runtime, usage.simulated_time) == (None, 1)


class WithDefault:
    fail_msg: Any = ErrorMessage("a default is no reason")


class Heir(WithDefault): ...


def test_the_default_of_a_class_is_no_reason() -> None:
    assert reason_of(Heir()).message == "Heir gave no reason"
    launcher = Heir()
    launcher.fail_msg = ErrorMessage("the reason", 3, ("c",))
    reason = reason_of(launcher)
    assert (reason.message, reason.lines, reason.context, reason.kind) == ("the reason", [3], ["c"], None)


@pytest.mark.parametrize("answer", [None, "", SimpleNamespace(), SimpleNamespace(message=""), 3])
def test_an_empty_reason_is_none(answer: object) -> None:
    assert reason_of(SimpleNamespace(fail_msg=answer)).message == "SimpleNamespace gave no reason"


def test_unusual_reasons() -> None:
    reason = reason_of(SimpleNamespace(fail_msg=SimpleNamespace(message=7, line_number=True, context="one\ntwo")))
    assert (reason.message, reason.lines, reason.context) == ("7", None, ["one", "two"])
    assert reason_of(object()).message == "object gave no reason"


def test_a_reason_that_cannot_be_read() -> None:
    class Cls:
        @property
        def fail_msg(self) -> None:
            raise OSError("log gone")

    assert reason_of(Cls()).message.endswith("Cls gave no reason: its fail_msg raised OSError: log gone")


def test_names() -> None:
    assert name_of(type("SlurmLauncher", (), {})) == "slurm"
    assert name_of(type("My_Launcher", (), {})) == "my"
    assert name_of(type("SlurmLauncher", (), {"variant": ""})) == "slurm"


@pytest.mark.parametrize(
    ("fields", "limits"),
    [
        ({}, (None, None)),
        ({"timeout": 3, "queue_timeout": 4.5}, (3, 4.5)),
        ({"timeout": 3, "timeout_secs": 9}, (9, None)),
        ({"timeout_secs": 90.0}, (90, None)),
        ({"timeout": "10m", "queue_timeout": True, "timeout_secs": 0}, (None, None)),
        ({"timeout": float("inf"), "timeout_secs": float("nan")}, (None, None)),
        ({"timeout": -1, "timeout_secs": None}, (None, None)),
    ],
)
def test_the_limits_of_a_foreign_job(fields: dict[str, Any], limits: tuple[float | None, float | None]) -> None:
    assert limits_of_job(SimpleNamespace(**fields)) == limits


# ---------------------------------------------------------------------- texts without a bound


HUGE = 10_000_000


class Endless(str):
    """A `str` that claims to be longer than it is."""

    __slots__ = ()

    def __str__(self) -> str:
        return self

    def __format__(self, _spec: str) -> str:
        return "x" * HUGE

    def __getitem__(self, _index: object) -> Any:
        return "x" * HUGE


@pytest.mark.parametrize("message", ["x" * HUGE, Endless("x" * HUGE)], ids=["text", "text of a class of its own"])
def test_a_reason_is_cut_where_it_enters(message: str) -> None:
    launcher = SimpleNamespace(fail_msg=ErrorMessage(message, 10**5000, [message] * 1000))
    reason = reason_of(launcher)
    assert reason.message == "x" * (LONGEST_TEXT - 1) + "…"
    assert type(reason.message) is str
    assert reason.lines is None, "no log has so many"
    assert sum(map(len, reason.context or ())) <= LONGEST_TEXT
    assert (reason.context or ())[-1].endswith("…")
    assert len(reason_of(SimpleNamespace(fail_msg=message)).message) == LONGEST_TEXT


def test_the_context_of_a_reason_is_cut() -> None:
    lines = [f"line {number}" for number in range(MAX_LINES * 2)]
    for context in (lines, "\n".join(lines)):
        launcher = SimpleNamespace(fail_msg=ErrorMessage("bad", 3, context))
        kept = reason_of(launcher).context
        assert kept is not None
        assert list(kept) == [*lines[: MAX_LINES - 1], "…"]
        assert reason_of(launcher).lines == [3]


def test_a_context_that_is_just_short_enough_is_whole() -> None:
    lines = [f"line {number}" for number in range(MAX_LINES)]
    assert reason_of(SimpleNamespace(fail_msg=ErrorMessage("bad", 3, lines))).context == lines


def test_names_of_classes_and_texts_of_exceptions_are_cut() -> None:
    name = "N" * HUGE
    error = type(name, (Exception,), {})(Endless("x" * HUGE))
    assert len(describe(error)) <= LONGEST_TEXT
    assert len(name_of(type(name, (), {}))) <= LONGEST_NAME
    assert len(name_of(type("A", (), {"variant": name}))) <= LONGEST_NAME
    answer = SimpleNamespace(name=name)
    with pytest.raises(LauncherError) as caught:
        status_of(answer, type(name, (), {})())
    assert len(str(caught.value)) < LONGEST_TEXT


def test_an_exception_whose_class_raises_is_described_all_the_same() -> None:
    class Meta(type):
        def __getattribute__(cls, name: str) -> Any:
            raise SystemExit(0)

    class HostileError(Exception, metaclass=Meta): ...

    assert failure_of(HostileError("x")) == Failure("an exception that cannot be described")
