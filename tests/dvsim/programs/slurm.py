"""DVSim's `SlurmLauncher`, unmodified, on the Slurm that `SLURM_CONF` names.

Each job writes its exit code to a file, except those that are killed: when `srun` is ended, its step gets SIGKILL.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

# DVSim reads them when its module is imported. By default a job requests 8 processors and 16 GB.
os.environ.update(SLURM_QUEUE="main", SLURM_MEM="100M", SLURM_MINCPUS="1", SLURM_CPUS_PER_TASK="1", SLURM_TIMEOUT="10")

from dvsim.launcher.slurm import SlurmLauncher

from runtime import JobSpec
from runtime.backend.legacy import DVSimView
from tests.dvsim.programs.common import main, run_jobs, their_job

PASSING, FAILING, KILLED, OURS = 24, 12, 8, 6


def command(odir: Path, rest: str) -> str:
    """Return a command that runs `rest`, which sets `code`; its file `exit` has ``running``, then the code."""

    def write(what: str) -> str:
        return f"echo {what} > {odir}/exit.new && mv {odir}/exit.new {odir}/exit"

    return f"{write('running')}; {rest}; {write('$code')}; exit $code"


def facts(directory: Path) -> dict[str, Any]:
    jobs: list[Any] = []
    for i in range(PASSING):
        name = f"pass{i}"
        cmd = command(directory / name, "echo TEST PASSED on $SLURMD_NODENAME; code=0")
        jobs.append(their_job(directory, name, cmd, pass_patterns=["^TEST PASSED"]))
    for i in range(FAILING):
        name = f"fail{i}"
        jobs.append(their_job(directory, name, command(directory / name, f"echo no; code={i + 1}")))
    for i in range(KILLED):
        name = f"kill{i}"
        jobs.append(their_job(directory, name, command(directory / name, "exec sleep 1000")))
    jobs += [JobSpec(name=f"ours{i}", cmd=command(directory / f"ours{i}", f"code={i % 2}")) for i in range(OURS)]
    kill = {f"aes:kill{i}": directory / f"kill{i}" / "exit" for i in range(KILLED)}
    return run_jobs(SlurmLauncher, jobs, kill=kill, view=DVSimView(directory), poll_interval=0.2)


if __name__ == "__main__":
    main(facts)
