"""One line says for which jobs `jobserver` has no effect, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_prepare import prepared

DEFAULTS = "[defaults]\ncmd = 'x'\njobserver = true\n"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said(caplog: pytest.LogCaptureFixture, content: str, *options: str) -> list[str]:
    caplog.clear()
    prepared(content, *options)
    return [record.getMessage() for record in caplog.records]


def test_each_reason_has_a_line_and_a_few_names(caplog: pytest.LogCaptureFixture) -> None:
    jobs = "".join(f"[jobs.{name}]\nbackend = 'fake'\nseeds = 2\n" for name in "abcde")
    content = DEFAULTS + jobs + "[jobs.i]\ninteractive = true\n[jobs.dry]\ndry_run = true\n[jobs.m]\n"
    assert said(caplog, content) == [
        'jobserver has no effect for "a", "b", "c" and 2 more: backend "fake" has none',
        'jobserver has no effect for "i": interactive jobs have none',
        'jobserver has no effect for "dry": nothing is started in a dry run',
    ]


def test_a_backend_without_a_limit_has_no_slots_to_share(caplog: pytest.LogCaptureFixture) -> None:
    content = DEFAULTS + "[jobs.a]\n"
    assert said(caplog, content) == []
    (sentence,) = said(caplog, content, "--max-parallel", "0")
    assert sentence == (
        'jobserver has no effect for "a": backend "local" has no limit of jobs at once, '
        "so there are no slots to share; expected its max_parallelism, or --max-parallel"
    )


def test_a_make_that_leaves_it_is_named_with_its_job(caplog: pytest.LogCaptureFixture) -> None:
    assert said(caplog, DEFAULTS + "[jobs.a]\ncmd = 'make -j4'\n") == [
        "jobs.toml:4: [jobs.a]: cmd has make with -j4, which leaves the jobserver; expected make without -j4"
    ]
