"""A real cluster with many live jobs. The controller is killed, frozen, or loses its state; a node dies; jobs are
cancelled by hand. Does each event agree with what the job wrote itself? How many commands does it take?
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

import attrs
import trio

from tests.campaigns import Campaign
from tests.slurm.cluster import Cluster, ClusterError, check_machine
from tests.slurm.cluster_paths import of_this_program
from tests.slurm.disturbances import DISTURBANCES, Plan, count_commands, kill_all, play


def run(seed: int, count: int) -> str:
    """Raise at the first wrong event."""
    plan = attrs.evolve(Plan(), jobs=count)
    scenes = [partial(play, plan=plan, disturb=disturb, seed=seed) for disturb in DISTURBANCES]
    scenes += [partial(count_commands, jobs=10 * count), partial(kill_all, jobs=5 * count)]
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:
        for number, scene in enumerate(scenes):
            # A new cluster each time: nodes remember ids of jobs that the controller may have forgotten.
            with Cluster.create(of_this_program()) as cluster:
                printed = trio.run(scene, cluster, Path(name, str(number)))
            sys.stdout.write(f"    {printed}\n")
            sys.stdout.flush()
    return f"{len(DISTURBANCES)} disturbances of {count} live jobs, 0 events untrue, missing or twice, 0 second starts"


def lacks() -> str | None:
    """Return what this machine lacks for a cluster; `None`: nothing."""
    try:
        check_machine()
    except ClusterError as exc:
        return str(exc)
    return None


CAMPAIGN = Campaign("slurm", "is each event true, whatever happens to a cluster?", 200, run, lacks)
