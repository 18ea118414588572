"""`ProcessLauncher`: a launcher around `subprocess`, with the semantics of jobs that every backend has."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from runtime.backend.job_paths import has_long_text, job_paths
from runtime.backend.legacy.launcher import ErrorMessage, Launcher
from runtime.job import JobStatus
from runtime.job.command import command_words, words_by_file
from runtime.process import inherited_environment, job_environment, job_variables


class ProcessLauncher(Launcher):
    """Starts a process, and polls it. A subclass sets `run_dir`."""

    run_dir: ClassVar[str]
    poll_freq = 0.02
    _process: subprocess.Popen[bytes]

    def launch(self) -> None:
        places = job_paths(self.job, self.run_dir)
        variables = job_variables(self.job.id, seed=self.job.seed, exports=self.job.exports)
        os.makedirs(places.odir, exist_ok=True)
        log = os.open(places.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            self._process = subprocess.Popen(
                self._words(places.log),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=places.cwd,
                env=job_environment(inherited_environment(), variables, places.cwd),
                start_new_session=True,
            )
        finally:
            os.close(log)

    def _words(self, log: str) -> Sequence[str]:
        if not has_long_text(self.job):
            return command_words(self.job)
        Path(f"{log}.cmd").write_bytes(os.fsencode(self.job.cmd))
        return words_by_file(self.job, f"{log}.cmd")

    def poll(self) -> JobStatus:
        code = self._process.poll()
        if code is None:
            return JobStatus.RUNNING
        if code == 0:
            return JobStatus.PASSED
        self.fail_msg = ErrorMessage(f"exit code {code}" if code > 0 else f"signal {-code}")
        return JobStatus.FAILED

    def kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
