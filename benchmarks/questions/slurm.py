"""`slurm`: what does a job cost on a cluster, beyond what Slurm itself takes?

Short jobs on a real Slurm of two nodes, which is started for the question, on this machine. Against one bare array, as
one would submit it by hand, and DVSim's launcher, which starts an `srun` for each job; of those there are fewer, and
the figure is per job. Jobs' files are in memory, as a disk would be measured otherwise.

The cluster is that of the tests (`make slurm-up`): what is measured is what is tested.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from benchmarks.environment import MEMORY, dvsim, in_memory, need_room, ours, peer
from benchmarks.model import BenchmarkError, Figure, Question
from tests.slurm.cluster import Cluster, ClusterError, check_machine
from tests.slurm.cluster_paths import of_this_program

COST = "ms_per_job"


def question(quick: bool) -> Question:
    """Return the question at its full size, or a tiny one."""
    jobs, sruns = (20, 5) if quick else (1_000, 200)
    try:
        check_machine()
    except ClusterError as exc:
        raise BenchmarkError(str(exc)) from exc
    need_room(MEMORY, megabytes=100)
    return Question(
        "slurm",
        [
            ours("ours", "slurm.py", jobs),
            peer("array", "slurm_array.py", jobs),
            dvsim("dvsim", "dvsim_slurm.py", sruns),
        ],
        [Figure("slurm", COST, "ms per job", "lower", "ours", {"bare array": "array", "dvsim": "dvsim"})],
        a_cluster,
    )


@contextmanager
def a_cluster() -> Iterator[Mapping[str, str]]:
    """Have a cluster for as long as the block lasts; give the variables by which Slurm's programs find it."""
    try:
        # Twice, as a signal may come in the midst of its ending.
        with Cluster.create(of_this_program()) as cluster, cluster, in_memory() as variables:
            yield {**variables, **{name: cluster.environment[name] for name in ("SLURM_CONF", "PATH")}}
    except ClusterError as exc:
        raise BenchmarkError(str(exc)) from exc
