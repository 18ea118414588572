"""`scheduler`: what does a job cost that does nothing?

A graph of builds with nine runs each, on a backend that completes jobs at once. The specifications are made before the
clock starts; the graph, the run and the results are measured. Compared with DVSim's scheduler on its fake backend; with
the limit, a loop on trio that does nothing else; and with what a Python program would use: the standard library's
`graphlib` with a nursery, Dask's scheduler for one machine, and Parsl with an executor of threads.

The command line tells the garbage collector to ignore the objects made before the run, and to run less often. A library
call leaves the collector as it is, because it belongs to the calling program.
"""

from __future__ import annotations

from benchmarks.environment import dvsim, need_module, ours, peer
from benchmarks.model import PEAK, Figure, Question

WIDE = 1_000
RATE = "jobs_per_second"
COST = "microseconds_per_job"


def question(quick: bool) -> Question:
    """Return the question at its full size, or a tiny one."""
    jobs = 1_000 if quick else 100_000
    need_module("dask")
    need_module("parsl")
    wide = WIDE if not quick else 10
    script = "scheduler.py"
    contenders = [
        ours("cli", script, jobs, "--as-cli"),
        ours("cli/wide", script, jobs, "--as-cli", "--width", wide),
        ours("library", script, jobs),
        ours("library/wide", script, jobs, "--width", wide),
        dvsim("dvsim", "dvsim_scheduler.py", jobs),
        dvsim("dvsim/wide", "dvsim_scheduler.py", jobs, "--width", wide),
        peer("bare loop", "trio_loop.py", jobs),
        peer("graphlib", "graphs.py", "graphlib", jobs),
        # Fewer, as each takes longer; the figure is per second.
        peer("dask", "graphs.py", "dask", jobs // 10),
        peer("parsl", "graphs.py", "parsl", jobs // 20),
        ours("cli/10x", script, 10 * jobs, "--as-cli"),
    ]
    unlimited, limited = {"dvsim": "dvsim"}, {"dvsim": "dvsim/wide"}
    rates = {**unlimited, "bare trio loop": "bare loop"}
    libraries = {**rates, "graphlib and a nursery": "graphlib", "dask": "dask", "parsl": "parsl"}
    return Question(
        "scheduler",
        contenders,
        [
            Figure("scheduler", RATE, "jobs/s", "higher", "cli", rates),
            Figure("scheduler_wide", RATE, "jobs/s", "higher", "cli/wide", limited),
            Figure("scheduler_library", RATE, "jobs/s", "higher", "library", libraries),
            Figure("scheduler_library_wide", RATE, "jobs/s", "higher", "library/wide", limited),
            Figure("scheduler_memory", PEAK, "MB", "lower", "cli", unlimited),
            Figure("scheduler_library_memory", PEAK, "MB", "lower", "library", unlimited),
            Figure(
                "scheduler_growth",
                COST,
                "µs per job",
                "lower",
                "cli/10x",
                {"a tenth of the jobs": "cli"},
            ),
        ],
    )
