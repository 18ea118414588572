"""`adapter_stall`: for how long do launchers that block hold up everything else?

The longest time between two wakes of a task that sleeps for 1 ms again and again, while launchers are polled whose
polls sleep for 5 ms each. Against DVSim's adapter, and an event loop that does nothing else.
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
