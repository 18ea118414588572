"""`log`: how fast is the verdict from a long log in which nothing has failed?

One core, OpenTitan's usual patterns. Against DVSim's own function for the verdict, `grep -E` with the fail patterns
alone, and a loop that only reads the file. Reading the first time is not the question: the file was just written.
"""

from __future__ import annotations

import attrs

from benchmarks.environment import dvsim, ours
from benchmarks.model import PEAK, Figure, Question

RATE = "megabytes_per_second"


def question(quick: bool) -> Question:
    """Return the question at its full size, or a tiny one."""
    size = 2 if quick else 500
    grep, read = (attrs.evolve(ours(how, "log.py", size, f"--{how}"), tree=None) for how in ("grep", "read"))
    peers = {"dvsim": "dvsim", "grep -E": "grep", "only reading": "read"}
    return Question(
        "log",
        [ours("ours", "log.py", size), dvsim("dvsim", "dvsim_log.py", size), grep, read],
        [
            Figure("log", RATE, "MB/s", "higher", "ours", peers),
            Figure("log_memory", PEAK, "MB", "lower", "ours", {"dvsim": "dvsim"}),
        ],
    )
