"""The way in which a local job is launched is chosen from its specification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runtime.backend.job_paths import LONGEST_WORD
from runtime.backend.local import LocalBackend
from runtime.backend.local.ceilings import Ceilings
from runtime.backend.local.environments import Environments
from runtime.backend.local.group_starter import GroupStarter
from runtime.backend.local.launch import LaunchContext, Way
from runtime.job import JobSpec
from runtime.roots import Roots


def context(tmp_path: Path, containment: str = "tree") -> LaunchContext:
    options = LocalBackend(1, tmp_path, containment=containment).options
    return LaunchContext(Roots(str(tmp_path)), options, Environments(), GroupStarter(None), Ceilings("local"))


def job(**fields: Any) -> JobSpec:
    return JobSpec(**{"name": "job", "cmd": "true", **fields})


def hook() -> None:
    raise AssertionError


@pytest.mark.parametrize(
    ("fields", "way"),
    [
        ({}, Way.SHIM),
        (
            {"exports": {"A": "b"}, "cwd": "/", "odir": "/tmp/x", "timeout": 3, "max_log": 5, "soft_stop": "STOP"},
            Way.SHIM,
        ),
        ({"post_finish": print}, Way.SHIM),
        ({"cmd": ["x" * (LONGEST_WORD + 1)]}, Way.SHIM),  # fails, with the system's own words
        ({"cmd": "x" * (LONGEST_WORD + 1)}, Way.THREAD),
        ({"renew_odir": True}, Way.THREAD),
        ({"log_path": "/tmp/x.log"}, Way.THREAD),
        ({"interactive": True}, Way.THREAD),
        ({"dry_run": True}, Way.THREAD),
        ({"jobserver": True}, Way.THREAD),
        ({"memory": 1 << 30}, Way.THREAD),
        ({"containment": "group"}, Way.THREAD),
        ({"pre_launch": hook}, Way.HOOK),
        ({"pre_launch": hook, "dry_run": True, "renew_odir": True}, Way.HOOK),
    ],
)
async def test_the_way_of_a_contained_job(tmp_path: Path, fields: dict[str, Any], way: Way) -> None:
    assert context(tmp_path).way_of(job(**fields)) is way


@pytest.mark.parametrize(
    ("containment", "fields", "needed"),
    [
        ("tree", {}, True),
        ("tree", {"interactive": True}, True),
        ("tree", {"containment": "group"}, False),
        ("tree", {"dry_run": True}, False),
        ("group", {}, False),
        ("group", {"containment": "tree"}, True),
    ],
)
async def test_which_jobs_need_a_shim(tmp_path: Path, containment: str, fields: dict[str, Any], needed: bool) -> None:
    assert context(tmp_path, containment).needs_shim(job(**fields)) is needed
