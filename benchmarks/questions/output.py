"""`output`: what does it cost that a job's output goes to its log?

A job that writes 1 GB to its log, on a file system in memory, so that no disk is measured. Against a redirection of the
shell, which is the least there can be, and DVSim's local backend.
"""

from __future__ import annotations

from benchmarks.environment import dvsim, need_room, ours
from benchmarks.model import Figure, Question

WHERE = "/dev/shm"
RATE = "megabytes_per_second"


def question(quick: bool) -> Question:
    """Return the question at its full size, or a tiny one."""
    size = 5 if quick else 1_000
    need_room(WHERE, megabytes=2 * size)
    return Question(
        "output",
        [
            ours("ours", "output.py", size, WHERE),
            ours("shell", "output.py", size, WHERE, "--shell"),
            dvsim("dvsim", "dvsim_output.py", size, WHERE),
        ],
        [Figure("output", RATE, "MB/s", "higher", "ours", {"shell": "shell", "dvsim": "dvsim"})],
    )
