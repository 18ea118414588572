"""The soft step of a job: its own, or that of its backend."""

from __future__ import annotations

import re
import signal
from typing import Any

import pytest

from runtime.job import JobSpec
from runtime.process import SoftSteps
from runtime.roots import Root, RootedPath


def at(path: str) -> RootedPath:
    return RootedPath(Root(-1, "/", 1), path[1:], path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (2, "soft_stop is 2; expected a signal ('SIGINT', signal.SIGINT), the name of a file, or None"),
        (False, "soft_stop is False; expected a signal"),
        ("SIGITN", "soft_stop is 'SIGITN', which is no signal"),
        (lambda _: "SIGINT", "soft_stop is <function"),
    ],
)
def test_what_is_no_step_of_a_backend_is_named(given: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^B: {re.escape(message)}"):
        SoftSteps.checked("B", given, None)


@pytest.mark.parametrize(
    ("of_all", "of_job", "step"),
    [
        (None, {}, None),
        (None, {"soft_timeout": 3}, None),
        (None, {"soft_stop": "SIGINT"}, (2, 7)),
        ("SIGINT", {}, (2, 7)),
        (signal.SIGINT, {"soft_timeout": 3}, (2, 3)),
        ("STOP", {}, ("/out/STOP", 7)),
        ("SIGINT", {"soft_stop": "a/../STOP"}, ("/out/STOP", 7)),
        ("SIGINT", {"soft_stop": "/stop/here", "soft_timeout": 0.5}, ("/stop/here", 0.5)),
        ("STOP", {"soft_stop": signal.SIGUSR1}, (10, 7)),
        ("SIGINT", {"soft_stop": False, "soft_timeout": 3}, None),
    ],
)
def test_each_job_has_its_own_or_that_of_all(
    of_all: object, of_job: dict[str, Any], step: tuple[object, float] | None
) -> None:
    job = JobSpec(name="job", cmd="true", **of_job)
    found = SoftSteps.checked("B", of_all, 7).of(job, "/out", at)
    assert (found and (found.what if isinstance(found.what, int) else found.what.real, found.seconds)) == step


def test_a_job_may_have_no_limit_if_its_backend_has_none() -> None:
    found = SoftSteps.checked("B", "SIGINT", None).of(JobSpec(name="job", cmd="true"), "/out", at)
    assert found is not None
    assert found.seconds is None
