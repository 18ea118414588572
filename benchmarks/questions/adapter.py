"""`adapter`: what does a legacy launcher cost that does nothing?

Launchers that pass at their first poll, from the scheduler to the results. Bare ones are a minimal class that costs
nothing. Derived ones are a subclass of DVSim's base class; they run unmodified, in DVSim's environment, on DVSim's
specifications. Compared with DVSim's adapter and scheduler, which run the same two classes; and, for the derived ones,
with a loop that makes the launchers and calls them, and does nothing else.
"""

from __future__ import annotations

from benchmarks.environment import dvsim, dvsim_python, ours
from benchmarks.model import Figure, Question

COST = "microseconds_per_job"


def question(quick: bool) -> Question:
    """Return the question at its full size, or a tiny one."""
    jobs = 100 if quick else 10_000
    return Question(
        "adapter",
        [
            ours("bare", "adapter.py", jobs),
            dvsim("dvsim/bare", "dvsim_adapter.py", jobs),
            ours("derived", "adapter_derived.py", jobs, python=dvsim_python()),
            dvsim("dvsim/derived", "dvsim_adapter.py", jobs, "--derived"),
            dvsim("calls", "dvsim_launcher_calls.py", jobs, "--derived"),
        ],
        [
            Figure("adapter", COST, "µs per job", "lower", "bare", {"dvsim": "dvsim/bare"}),
            Figure(
                "adapter_derived",
                COST,
                "µs per job",
                "lower",
                "derived",
                {"dvsim": "dvsim/derived", "its calls alone": "calls"},
            ),
        ],
    )
