"""`ProcessNodes`: job scripts as real processes, each the leader of a session, with the environment of an element."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.slurm.fakes.jobs import Job

NO_OUTPUT: Final = 4021
"""The exit status, in Slurm's own units, of a job whose output file cannot be opened."""


class ProcessNodes:
    """Starts scripts and signals them.

    Args:
        spool: where the nodes keep copies of the scripts.
        variables: returns those that the system sets for a job.
        started: called with each job that was started, and its process.
        failed: called with each job that could not be started, and its exit status.
    """

    def __init__(
        self,
        spool: Path,
        variables: Callable[[Job], dict[str, str]],
        started: Callable[[Job, subprocess.Popen[bytes]], None],
        failed: Callable[[Job, int], None],
    ) -> None:
        self.spool = spool
        self.environment: dict[str, str] = {}
        """Variables that the nodes add to the environment of each job."""
        self._variables = variables
        self._started = started
        self._failed = failed

    def start(self, job: Job) -> None:
        """Run the script of `job`."""
        directory = self.spool / f"job{job.job_id:05}-{job.restarts}"
        directory.mkdir(exist_ok=True)
        script = directory / "slurm_script"
        script.write_bytes(job.request.script)
        script.chmod(0o700)
        cwd = job.request.directory if Path(job.request.directory).is_dir() else "/tmp"
        flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if job.request.append or job.restarts else os.O_TRUNC)
        with contextlib.ExitStack() as stack:
            try:
                out = os.open(Path(cwd) / _expand(job.request.output, job), flags, 0o644)
                stack.callback(os.close, out)
                err = out
                if job.request.error is not None:
                    err = os.open(Path(cwd) / _expand(job.request.error, job), flags, 0o644)
                    stack.callback(os.close, err)
            except OSError:
                self._failed(job, NO_OUTPUT)
                return
            process = _run_once_written(
                [str(script), *job.request.arguments],
                cwd=cwd,
                env={**job.request.environment, **self.environment, **self._variables(job)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        job.process = process.pid
        self._started(job, process)

    def signal(self, job: Job, number: int, *, script: bool = True, children: bool = True) -> None:
        """Send a signal to the script, to what else is in its session, or both."""
        if not job.process:
            return
        if script and children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job.process, number)
            return
        for pid in session(job.process) if children else [job.process]:
            if script or pid != job.process:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)


def _run_once_written(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """`subprocess.Popen` of a program that this process has just written.

    A child that another thread forked while the file was open for writing holds it open until it runs its own
    program, and the kernel refuses to run a file that is open for writing.
    """
    while True:
        try:
            return subprocess.Popen(command, **options)
        except OSError as error:
            if error.errno != errno.ETXTBSY:
                raise
        os.sched_yield()


def session(leader: int) -> list[int]:
    """All processes of a session."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if int(Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[3]) == leader:
                found.append(int(name))
    return found


def _expand(pattern: str, job: Job) -> str:
    values = {
        "A": job.array_id,
        "a": 4294967294 if job.index is None else job.index,
        "j": job.job_id,
        "x": job.request.name,
        "N": job.node,
        "%": "%",
    }
    return re.sub(r"%([AajxN%])", lambda match: str(values[match[1]]), pattern)


def slurm_environment(job: Job) -> dict[str, str]:
    """Return the variables that Slurm sets for a job."""
    request = job.request
    variables = {
        "SLURMD_NODENAME": job.node or "",
        "SLURM_CLUSTER_NAME": "fake",
        "SLURM_CPUS_ON_NODE": str(request.cpus),
        "SLURM_JOBID": str(job.job_id),
        "SLURM_JOB_ID": str(job.job_id),
        "SLURM_JOB_NAME": request.name,
        "SLURM_JOB_NODELIST": job.node or "",
        "SLURM_JOB_PARTITION": request.partition,
        "SLURM_SUBMIT_DIR": request.directory,
        "SLURM_SUBMIT_HOST": os.uname().nodename,
    }
    if job.restarts:
        variables["SLURM_RESTART_COUNT"] = str(job.restarts)
    if request.indices is not None:
        variables |= {
            "SLURM_ARRAY_JOB_ID": str(job.array_id),
            "SLURM_ARRAY_TASK_ID": str(job.index),
            "SLURM_ARRAY_TASK_COUNT": str(len(request.indices)),
            "SLURM_ARRAY_TASK_MAX": str(max(request.indices)),
            "SLURM_ARRAY_TASK_MIN": str(min(request.indices)),
            "SLURM_ARRAY_TASK_STEP": "1",
        }
    return variables
