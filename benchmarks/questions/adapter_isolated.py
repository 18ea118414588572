"""`adapter_isolated`: does an isolated launcher that holds the interpreter's lock block the event loop?

The longest time between two wakes of a task that sleeps for 1 ms repeatedly, while each poll of a launcher holds the
lock for about 0.2 s. Compared with the same launchers in process, and with an event loop that does nothing else.
"""

from __future__ import annotations

from benchmarks.environment import ours
from benchmarks.model import Figure, Question

GAP = "longest_gap_ms"


def question(quick: bool) -> Question:
    """Return the question at its full size, or a tiny one."""
    launchers = 1 if quick else 5
    return Question(
        "adapter_isolated",
        [
            ours("isolated", "adapter_isolated.py", launchers, "--isolated"),
            ours("in process", "adapter_isolated.py", launchers),
            ours("idle loop", "adapter_isolated.py", 0),
        ],
        [
            Figure(
                "adapter_isolated",
                GAP,
                "ms",
                "lower",
                "isolated",
                {"in process": "in process", "idle loop": "idle loop"},
            )
        ],
    )
