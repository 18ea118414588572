"""`adapter_kill`: how long does it take to kill launchers whose kill takes a while?

Launchers that run until they are killed, and whose kill sleeps for 0.1 s; all are killed in one call. Compared
with DVSim's adapter.
"""

from __future__ import annotations

from benchmarks.environment import dvsim, ours
from benchmarks.model import Figure, Question

TIME = "seconds"


def question(quick: bool) -> Question:
    """Return the question at its full size, or a tiny one."""
    launchers = 4 if quick else 200
    return Question(
        "adapter_kill",
        [ours("adapter", "adapter_kill.py", launchers), dvsim("dvsim", "dvsim_adapter_kill.py", launchers)],
        [Figure("adapter_kill", TIME, "s", "lower", "adapter", {"dvsim": "dvsim"})],
    )
