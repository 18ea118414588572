"""`adapter_stall`: for how long do blocking launchers stall the event loop?

The longest time between two wakes of a task that sleeps for 1 ms repeatedly, while each poll of a launcher blocks for
5 ms. Compared with DVSim's adapter, and with an event loop that does nothing else.
"""

from __future__ import annotations

from benchmarks.environment import dvsim, ours
from benchmarks.model import Figure, Question

GAP = "longest_gap_ms"


def question(quick: bool) -> Question:
    """Return the question at its full size, or a tiny one."""
    launchers = 10 if quick else 500
    return Question(
        "adapter_stall",
        [
            ours("adapter", "adapter_stall.py", launchers),
            dvsim("dvsim", "dvsim_adapter_stall.py", launchers),
            ours("idle loop", "adapter_stall.py", launchers, "--idle"),
        ],
        [Figure("adapter_stall", GAP, "ms", "lower", "adapter", {"dvsim": "dvsim", "idle loop": "idle loop"})],
    )
