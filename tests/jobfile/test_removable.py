"""Which output directories may be removed: those that nobody but their jobs has a file in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from runtime.jobfile.errors import InputError
from runtime.jobfile.expand import Expansion, expand
from runtime.jobfile.removable import removable_odirs
from runtime.jobfile.values import Keep
from tests.jobfile.test_expand import RUN_DIR, regression

FAILED = {"keep": "failed"}


def found(tables: Mapping[str, Any], keep: Keep | None = None) -> dict[str, str]:
    made = regression(tables)
    jobs = expand(made, Expansion(run_dir=RUN_DIR, seed_base=1))
    return {
        job_id: odir.removeprefix("/out/run/") for job_id, odir in removable_odirs(made, jobs, RUN_DIR, keep).items()
    }


def test_by_default_everything_stays() -> None:
    assert found({"a": {}, "b": {"keep": "all"}}) == {}


def test_a_job_has_a_directory_of_its_own() -> None:
    tables = {"a": FAILED, "b": {}, "c": {**FAILED, "seeds": [1, 2]}, "d": {**FAILED, "odir": "deep/d"}}
    assert found(tables) == {"a": "a", "c.seed=1": "c.seed@1", "c.seed=2": "c.seed@2", "d": "deep/d"}


def test_an_option_replaces_the_keys() -> None:
    assert found({"a": FAILED, "b": {}}, "all") == {}
    assert found({"a": FAILED, "b": {}, "c": {"keep": "all"}}, "failed") == {"a": "a", "b": "b", "c": "c"}


def test_its_own_log_may_be_anywhere() -> None:
    assert found({"a": {**FAILED, "log_path": "logs/x.log"}, "b": {}}) == {"a": "a"}
    assert found({"a": {**FAILED, "log_path": "../a.log"}, "b": {}}) == {"a": "a"}
    assert found({"a": {**FAILED, "log_path": "/logs/a.log"}, "b": {}}) == {"a": "a"}


NOT_ITS_OWN: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "outside": ({"odir": "/data/a"}, "/data/a, is not below the run directory"),
    "beside": ({"odir": "../running"}, "/out/running, is not below the run directory"),
    "the run directory": ({"odir": "."}, "/out/run, is not below the run directory"),
    "a folder of the run": ({"odir": "running"}, "/out/run/running, is one of the run itself"),
    "below a folder of the run": ({"odir": "passed/a"}, "/out/run/passed/a, is one of the run itself"),
    "shared": ({"odir": "b"}, '/out/run/b, has files of job "b", too'),
    "above": ({"odir": "deep"}, '/out/run/deep, has files of job "c", too'),
    "below": ({"odir": "b/a"}, '/out/run/b/a, is in that of job "b"'),
    "far below": ({"odir": "b/x/y/a"}, '/out/run/b/x/y/a, is in that of job "b"'),
    "beside the name of a removal": (
        {"odir": "e"},
        "/out/run/e, is beside /out/run/e~removed, the name that it has while it is removed",
    ),
    "the log of another": ({"odir": "logs"}, '/out/run/logs, has files of job "d", too'),
}


@pytest.mark.parametrize(("keys", "expected"), NOT_ITS_OWN.values(), ids=NOT_ITS_OWN)
def test_a_directory_that_is_not_the_jobs_own_is_refused_or_stays(keys: Mapping[str, Any], expected: str) -> None:
    others = {"b": {}, "c": {"odir": "deep/c"}, "d": {"log_path": "../logs/deep/d.log"}, "x": {"odir": "e~removed"}}
    tables = {"a": {**FAILED, "log_path": "/elsewhere/{id}.log", **keys}, **others}
    with pytest.raises(InputError) as caught:
        found(tables)
    assert str(caught.value) == (
        f'f: [jobs.a]: keep is "failed", and the output directory of job "a", {expected};'
        ' expected keep = "all", or an odir of its own below the run directory'
    )
    assert "a" not in found(tables, "failed")


def test_seeds_that_share_a_directory_are_refused() -> None:
    tables = {"a": {**FAILED, "odir": "a", "seeds": [1, 2], "log_path": "{seed}.log"}}
    with pytest.raises(InputError, match=r"has files of job \"a\.seed=2\", too"):
        found(tables)


def test_a_similar_name_is_no_directory_above() -> None:
    assert found({"a": FAILED, "ab": FAILED, "a.b": {"odir": "a~attempt1"}}) == {"a": "a", "ab": "ab"}
