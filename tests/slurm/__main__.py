"""``python -m tests.slurm up|down|status``: a Slurm for experiments, which stays up until it is taken down.

``check`` reports what this machine lacks for one.
"""

from __future__ import annotations

import argparse
import sys

from tests.slurm.cluster import Cluster, ClusterError, check_machine
from tests.slurm.cluster_paths import BY_HAND, abandoned


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def check() -> int:
    check_machine()
    return 0


def up() -> int:
    check_machine()
    cluster = Cluster.find(BY_HAND)
    if cluster is not None and all(daemon.is_alive for daemon in cluster.daemons.values()):
        say("a Slurm is up already")
    else:
        if cluster is not None:
            cluster.shut_down()  # some daemons of it have died
        cluster = Cluster.create(BY_HAND)
        say(f"a Slurm is up, with nodes {' and '.join(cluster.nodes())}")
    say(f"export SLURM_CONF={cluster.conf}")
    return 0


def down() -> int:
    check_machine()
    clusters = [Cluster.find(directory) or Cluster(directory) for directory in (BY_HAND, *abandoned())]
    clusters = [cluster for cluster in clusters if cluster.directory.exists()]
    for cluster in clusters:
        cluster.shut_down()
        say(f"took down {cluster.directory}")
    if not clusters:
        say("there is no Slurm of ours")
    return 0


def status() -> int:
    cluster = Cluster.find(BY_HAND)
    if cluster is None:
        say("there is no Slurm of ours: make slurm-up")
        return 1
    for daemon in cluster.daemons.values():
        say(
            f"{daemon.name:10} {f'process {daemon.process.pid}' if daemon.process and daemon.is_alive else 'has ended'}"
        )
    for node, state in cluster.nodes().items():
        say(f"{node:10} is {state}")
    say(f"export SLURM_CONF={cluster.conf}")
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.slurm", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = {verb.__name__: verb for verb in (check, up, down, status)}
    parser.add_argument("verb", choices=verbs)
    verb = verbs[parser.parse_args(argv).verb]
    try:
        return verb()
    except ClusterError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
