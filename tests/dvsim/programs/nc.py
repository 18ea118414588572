"""DVSim's `NcLauncher`, unmodified, against a stand-in for Altair's `nc` (see `nc_stand_in.py`)."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from dvsim.launcher.nc import NcLauncher

from runtime import JobSpec
from runtime.backend.legacy import DVSimView
from tests.dvsim.programs.common import main, run_jobs, their_job

ENOUGH = "head -c 6000 /dev/zero | tr '\\0' x; echo"
"""`NcLauncher` takes a job for running when its log has 5 kB, and starts its timeout then."""


def put_on_path(directory: Path) -> None:
    """Put the stand-in on the path, as `nc`."""
    stand_in = Path(__file__).with_name("nc_stand_in.py")
    command = directory / "bin" / "nc"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I "{stand_in}" "$@"\n')
    command.chmod(0o755)
    command.with_name("python").symlink_to(sys.executable)  # for the script that the launcher writes
    os.environ["PATH"] = f"{command.parent}:{os.environ['PATH']}"
    os.environ["NC_STAND_IN"] = str(directory)


def asked(directory: Path) -> list[list[str]]:
    """Return the calls of `nc`, in order."""
    return [json.loads(line) for line in (directory / "asked").read_text().splitlines()]


def survivors(directory: Path) -> list[str]:
    """Return the processes of jobs and of `nc` that have not ended after ten seconds."""
    deadline = time.monotonic() + 10
    while True:
        pids = (directory / "pids").read_text().split()
        left = [pid for pid in pids if Path(f"/proc/{pid}/exe").exists()]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.02)


def facts(directory: Path) -> dict[str, Any]:
    put_on_path(directory)
    started = directory / "started"
    jobs = [
        their_job(directory, "passes", "echo TEST PASSED", pass_patterns=["^TEST PASSED"], tool="xcelium"),
        their_job(directory, "says_no", "echo UVM_ERROR two", fail_patterns=["^UVM_ERROR"], tool="vcs"),
        their_job(directory, "exits_3", "exit 3"),
        their_job(directory, "exports", 'test "$WORD" = "a b"', exports={"WORD": "a b"}),
        their_job(directory, "too_long", f"{ENOUGH}; exec sleep 1000", timeout_mins=0.01),
        their_job(directory, "killed", f"touch {started}; exec sleep 1000"),
    ]
    theirs = run_jobs(NcLauncher, jobs, kill={"aes:killed": started})
    ours = run_jobs(
        NcLauncher,
        [JobSpec(name="mine", cmd=["echo", "a  b"], pass_patterns=["^a  b$"]), JobSpec(name="mine_not", cmd="exit 4")],
        view=DVSimView(directory, tool="xcelium"),
    )
    # It runs entirely within `launch()`, so that the process has ended before the first poll.
    talk = "echo RUN_INTERACTIVE=$RUN_INTERACTIVE; echo TEST PASSED; sleep 0.3; echo later"
    interactive = run_jobs(
        NcLauncher,
        [their_job(directory, "talks", talk, interactive=True, pass_patterns=["TEST PASSED", "later"])],
        launch_timeout=0.1,  # interactive jobs have no such limit
    )
    os.environ["PATH"] = "/nowhere"
    absent = run_jobs(NcLauncher, [their_job(directory, "alone", "true")])
    os.environ["PATH"] = os.defpath
    return {
        "theirs": theirs,
        "ours": ours,
        "interactive": interactive,
        "absent": absent,
        "log": (directory / "talks" / "run.log").read_text(),
        "asked": asked(directory),
        "survivors": survivors(directory),
    }


if __name__ == "__main__":
    main(facts)
