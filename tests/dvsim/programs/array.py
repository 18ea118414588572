"""An array launcher on DVSim's base class, like its launcher for LSF: the last launch submits all jobs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Any, ClassVar

from dvsim.job.status import JobStatus as TheirStatus
from dvsim.launcher.base import ErrorMessage, Launcher

from tests.dvsim.programs.common import main, run_jobs, their_job


class ArrayLauncher(Launcher):  # type: ignore[misc]  # DVSim is not installed where types are checked
    """Collects the jobs of a target, and starts them with one command when the last one is launched."""

    arrays: ClassVar[dict[str, list[ArrayLauncher]]] = {}
    submissions: ClassVar[list[list[int]]] = []
    script: ClassVar[Path]

    @staticmethod
    def prepare_workspace(cfg: Any) -> None:
        ArrayLauncher.script = cfg.scratch_path / "array.sh"

    @staticmethod
    def prepare_workspace_for_cfg(cfg: Any) -> None: ...

    def __init__(self, job_spec: Any) -> None:
        super().__init__(job_spec)
        self.submitted = False
        self.array = self.arrays.setdefault(job_spec.target, [])
        self.array.append(self)
        self.index = len(self.array)

    @property
    def exit_file(self) -> Path:
        return Path(self.job_spec.odir) / "exit"

    def _do_launch(self) -> None:
        if self.index < len(self.array):
            return
        cases = [
            f"{job.index}) ({job.job_spec.cmd}) > '{job.job_spec.log_path}' 2>&1; echo $? > '{job.exit_file}.tmp'; "
            f"mv '{job.exit_file}.tmp' '{job.exit_file}';;"
            for job in self.array
        ]
        self.script.write_text("\n".join(["case $1 in", *cases, "esac"]))
        indices = [job.index for job in self.array]
        # One command for the whole array, like `bsub -J name[1-n]`.
        each = f"setsid sh '{self.script}' $i & echo $! > '{self.script}.'$i"
        subprocess.run(["sh", "-c", f"for i in {' '.join(map(str, indices))}; do {each}; done"], check=True)
        self.submissions.append(indices)
        for job in self.array:
            job.submitted = True

    def poll(self) -> TheirStatus:
        if not self.submitted:
            return TheirStatus.QUEUED
        try:
            self.exit_code = int(self.exit_file.read_text())
        except FileNotFoundError:
            return TheirStatus.RUNNING
        status, message = self._check_status()
        self._post_finish(status, message)
        return self.status

    def kill(self) -> None:
        pid = Path(f"{self.script}.{self.index}").read_text().strip()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(pid), signal.SIGKILL)
        self._post_finish(TheirStatus.KILLED, ErrorMessage(message="Job killed!", context=[]))


def facts(directory: Path) -> dict[str, Any]:
    started = directory / "started"
    jobs = [their_job(directory, f"j{i}", f"echo {i}; exit {i % 2}") for i in range(1, 9)]
    jobs.append(their_job(directory, "killed", f"touch {started}; sleep 1000"))
    run = run_jobs(ArrayLauncher, jobs, kill={"aes:killed": started})
    return {**run, "submissions": ArrayLauncher.submissions}


if __name__ == "__main__":
    main(facts)
