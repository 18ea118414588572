"""`slurm`: what does a job cost on a cluster, in addition to Slurm itself?

Short jobs on a real Slurm of two nodes, which is started on this machine for the question. Compared with one bare
array, as submitted by hand, and with DVSim's launcher, which starts an `srun` for each job: there are fewer of these,
and the figure is per job. Files are in memory, so that no disk is measured.

The cluster is the one of the tests (`make slurm-up`), so what is measured is what is tested.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from benchmarks.environment import MEMORY, dvsim, in_memory, need_space, ours, peer
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
    need_space(MEMORY, megabytes=100)
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
    """Start a cluster for the block. Yields the environment variables with which Slurm's programs find it."""
    try:
        # Entered twice: a signal may interrupt the first clean-up.
        with Cluster.create(of_this_program()) as cluster, cluster, in_memory() as variables:
            yield {**variables, **{name: cluster.environment[name] for name in ("SLURM_CONF", "PATH")}}
    except ClusterError as exc:
        raise BenchmarkError(str(exc)) from exc
