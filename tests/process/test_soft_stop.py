from __future__ import annotations

import re
import signal
import sys
from typing import Any

import pytest

from runtime.job import JobSpec
from runtime.process import SoftSteps, check_soft_stop
from runtime.roots import Root, RootedPath

JOB = JobSpec(name="job", cmd="true")


def at(path: str) -> RootedPath:
    return RootedPath(Root(-1, "/", 1), path[1:], path)


def refused(message: str) -> pytest.RaisesExc[ValueError]:
    return pytest.raises(ValueError, match=f"^{re.escape(message)}")


@pytest.mark.parametrize(
    ("given", "step"),
    [(None, None), ("SIGINT", 2), (signal.SIGUSR1, 10), ("STOP", "STOP"), ("./SIGHT", "./SIGHT"), ("/a/b", "/a/b")],
)
def test_a_step_is_a_signal_a_file_or_nothing(given: object, step: object) -> None:
    assert check_soft_stop(given) == step


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "''; expected None, a signal ('SIGINT', signal.SIGINT), or the name of a file"),
        (2, "2; expected None, a signal"),
        (True, "True; expected None, a signal"),
        ("a\0b", "'a\\x00b'; expected None, a signal"),
        ("SIGITN", "'SIGITN', which is no signal; expected for a file of that name: './SIGITN'"),
        (["STOP"], "['STOP']; expected None, a signal"),
    ],
)
def test_what_is_no_step_is_named(given: object, message: str) -> None:
    with refused(message):
        check_soft_stop(given)
    with refused(f"soft_stop is {message}"):
        SoftSteps.checked(given, None)
    with refused(f"soft_stop of this job is {message}"):
        SoftSteps.checked(lambda _: given, None).of(JOB, "/out", at)


@pytest.mark.parametrize(
    ("stop", "step"),
    [
        (None, None),
        ("SIGINT", (2, 7)),
        (signal.SIGINT, (2, 7)),
        ("STOP", ("/out/STOP", 7)),
        (lambda spec: spec.name, ("/out/job", 7)),
        (lambda _: ("/stop/here", 0.5), ("/stop/here", 0.5)),
        (lambda _: ("SIGINT", None), (2, None)),
        (lambda _: None, None),
        (lambda _: (None, 3), None),
    ],
)
def test_each_job_has_its_own_or_that_of_all(stop: Any, step: tuple[object, float | None] | None) -> None:
    found = SoftSteps.checked(stop, 7).of(JOB, "/out", at)
    assert (found and (found.what if isinstance(found.what, int) else found.what.real, found.seconds)) == step


@pytest.mark.parametrize("seconds", [0, -1, "3", float("nan")])
def test_what_are_no_seconds_is_named(seconds: object) -> None:
    with refused(f"soft_stop of this job has {seconds!r} seconds; expected a positive number, or None"):
        SoftSteps.checked(lambda _: ("SIGINT", seconds), 7).of(JOB, "/out", at)


def test_a_function_that_raises_is_named() -> None:
    with refused("soft_stop raised ZeroDivisionError"):
        SoftSteps.checked(lambda _: 1 // 0, 7).of(JOB, "/out", at)


def test_a_function_that_exits_is_named() -> None:
    with refused("soft_stop raised SystemExit(0)"):
        SoftSteps.checked(lambda _: sys.exit(0), 7).of(JOB, "/out", at)
