"""Runs a program of `programs/` in DVSim's environment, and returns its facts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE = 110.0
"""Seconds that a program may take. Not measured: less than the limit of a test, so that its output can be shown."""

Facts = dict[str, Any]


def dvsim_python() -> str:
    """Return the path of DVSim's interpreter; the test fails in one line if there is none."""
    python = os.environ.get("DVSIM_PYTHON", "")
    if not shutil.which(python):
        pytest.fail(
            f"DVSIM_PYTHON is {python!r}; expected an interpreter that has this package with its extra "
            "`dvsim-tests` (`make test` makes one and names it)",
            pytrace=False,
        )
    return python


def _without_make() -> dict[str, str]:
    """Return the environment without the variables by which `make test` tells a make below it that it is one."""
    return {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}


def run_program(name: str, directory: Path, environment: Mapping[str, str] | None = None) -> Facts:
    """Run ``programs/<name>.py`` with a directory to work in; return the facts that it prints."""
    done = subprocess.run(
        [dvsim_python(), "-m", f"tests.dvsim.programs.{name}", str(directory)],
        cwd=ROOT,
        env={**_without_make(), **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(f"{name} returned {done.returncode}:\n{done.stdout}\n{done.stderr}", pytrace=False)
    facts = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(facts, dict)
    return facts


def by_id(run: Facts) -> dict[str, Facts]:
    """Return the events of a run by job id; each accepted job must have exactly one."""
    events = {event["id"]: event for event in run["events"]}
    assert sorted(event["id"] for event in run["events"]) == sorted(run["accepted"])
    return events
