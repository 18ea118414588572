"""`output`: what does it cost to write a job's output to its log?

A job that writes 1 GB to its log, on a file system in memory, so that no disk is measured. Compared with a redirection
by the shell, which is the minimum, and with DVSim's local backend.
"""

from __future__ import annotations

from benchmarks.environment import MEMORY, dvsim, in_memory, need_space, ours
from benchmarks.model import Figure, Question

RATE = "megabytes_per_second"


def question(quick: bool) -> Question:
    """Return the question at its full size, or a tiny one."""
    size = 5 if quick else 1_000
    need_space(MEMORY, megabytes=2 * size)
    return Question(
        "output",
        [
            ours("ours", "output.py", size),
            ours("shell", "output.py", size, "--shell"),
            dvsim("dvsim", "dvsim_output.py", size),
        ],
        [Figure("output", RATE, "MB/s", "higher", "ours", {"shell": "shell", "dvsim": "dvsim"})],
        in_memory,
    )
