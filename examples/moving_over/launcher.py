"""Before: a launcher for the farm as a site may have it. It blocks, and runs one command per job and poll.

It does not depend on this project.
"""

from __future__ import annotations

import enum
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

FARM = Path(__file__).with_name("farm")
FULL = 75
"""The exit code of ``farm submit`` when the farm is full."""


class Status(enum.Enum):
    """The status of a job."""

    RUNNING = 1
    PASSED = 2
    FAILED = 3
    KILLED = 4


class LauncherError(Exception):
    """The job cannot be launched."""


class LauncherBusyError(Exception):
    """The job cannot be launched now, but later."""


class FarmLauncher:
    """A job on the farm."""

    max_parallel = 100
    poll_freq = 0.1
    fail_msg: Any = None

    def __init__(self, job: Any) -> None:
        self.job = job

    def launch(self) -> None:
        """Submit the job to the farm."""
        Path(self.job.odir).mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [FARM, "submit", self.job.odir, self.job.cmd], capture_output=True, text=True, check=False
        )
        if done.returncode == FULL:
            raise LauncherBusyError(done.stderr)
        if done.returncode != 0:
            raise LauncherError(done.stderr)
        self.id = done.stdout.strip()

    def poll(self) -> Status:
        """Return the job's status on the farm."""
        done = subprocess.run([FARM, "status", self.id], capture_output=True, text=True, check=True)
        _, state, *code = done.stdout.split()
        if state == "running":
            return Status.RUNNING
        if state == "killed":
            return self._failed(Status.KILLED, "killed on the farm by another user")
        if code != ["0"]:
            return self._failed(Status.FAILED, f"exit code {code[0]}")
        log = (Path(self.job.odir) / "job.log").read_text()
        missing = [p for p in self.job.pass_patterns if not re.search(p, log, re.MULTILINE)]
        return self._failed(Status.FAILED, f"not in the log: {missing}") if missing else Status.PASSED

    def kill(self) -> None:
        """Kill the job on the farm."""
        subprocess.run([FARM, "kill", self.id], capture_output=True, check=True)

    def _failed(self, status: Status, message: str) -> Status:
        self.fail_msg = SimpleNamespace(message=message, line_number=None, context=[])
        return status
