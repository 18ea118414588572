"""`log`: how fast is the verdict on a long log in which nothing has failed?

On one core, with OpenTitan's usual patterns; with Hyperscan as a filter before RE2, and without. Compared with DVSim's
function for the verdict, with `grep -E` for the fail patterns alone, with a loop that only reads the file, and with one
in which Hyperscan searches what was read. The file was just written, so it is in the page cache: no disk is measured.
"""

from __future__ import annotations

import attrs

from benchmarks.environment import dvsim, need_module, ours
from benchmarks.model import PEAK, Figure, Question

RATE = "megabytes_per_second"


def question(quick: bool) -> Question:
    """Return the question at its full size, or a tiny one."""
    size = 20 if quick else 300  # Hyperscan is not used for the first eight
    need_module("re2")
    need_module("hyperscan")
    grep, read, limit = (
        attrs.evolve(ours(how, "log.py", size, f"--{how}"), tree=None) for how in ("grep", "read", "limit")
    )
    re2 = ours("re2", "log.py", size, "--re2")
    peers = {"dvsim": "dvsim", "grep -E": "grep", "only reading": "read", "reading and Hyperscan": "limit"}
    return Question(
        "log",
        [ours("ours", "log.py", size), re2, dvsim("dvsim", "dvsim_log.py", size), grep, read, limit],
        [
            Figure("log", RATE, "MB/s", "higher", "ours", peers),
            Figure("log_re2", RATE, "MB/s", "higher", "re2", peers),
            Figure("log_memory", PEAK, "MB", "lower", "ours", {"dvsim": "dvsim"}),
        ],
    )
