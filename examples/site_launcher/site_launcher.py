"""A launcher as a site may have it: a class with `launch`, `poll` and `kill`.

It imports nothing of the runtime, which recognises a status by its name, and a reason by `fail_msg`.
"""

from __future__ import annotations

import enum
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any


class Status(enum.Enum):
    """The answer of a poll."""

    RUNNING = 1
    PASSED = 2
    FAILED = 3


class SiteLauncher:
    """Runs a job as a local process that ignores SIGHUP."""

    max_parallel = 8
    poll_freq = 0.1  # seconds

    def __init__(self, job: Any) -> None:
        self.job = job
        self.fail_msg = ""

    def launch(self) -> None:
        """Start the job in a session of its own."""
        job = self.job
        Path(job.odir).mkdir(parents=True, exist_ok=True)
        words = [job.shell, "-c", job.cmd] if isinstance(job.cmd, str) else job.cmd
        with open(job.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["nohup", *words],
                cwd=job.cwd,
                env={**os.environ, **job.exports},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def poll(self) -> Status:
        """Return the job's status: after its end, PASSED if its exit code and its log are good."""
        code = self.process.poll()
        if code is None:
            return Status.RUNNING
        lines = Path(self.job.log_path).read_text(errors="replace").splitlines()
        missing = [text for text in self.job.pass_patterns if not any(re.search(text, line) for line in lines)]
        bad = [line for line in lines if any(re.search(text, line) for text in self.job.fail_patterns)]
        if code:
            self.fail_msg = f"exit code {code}"
        elif bad or missing:
            self.fail_msg = bad[0] if bad else f"nothing in the log matches {missing[0]}"
        return Status.FAILED if self.fail_msg else Status.PASSED

    def kill(self) -> None:
        """Kill the job's process group; return when the job has ended."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
