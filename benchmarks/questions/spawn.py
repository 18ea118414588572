"""`spawn`: what does a process cost?

Jobs that do nothing, 32 at a time, each with a directory, a log and a verdict, with both kinds of containment. Compared
with other programs that run commands, and with the machine's limit: programs in C that start processes and wait for
them, alone (`C`), with a directory and a log for each (`C, with logs`), and with our containment (`C, contained`).

The peers do different work. HyperQueue, GNU parallel and C with logs make directories and logs, and use the exit code;
DVSim also searches fail patterns, as we do; xargs and bare C do neither. Only containment "tree" and contained C end
the processes that a job leaves behind. All files are in memory, so that no disk is measured.
"""

from __future__ import annotations

from benchmarks.environment import (
    MEMORY,
    compiled,
    dvsim,
    in_memory,
    need_module,
    need_programs,
    need_space,
    ours,
    peer,
)
from benchmarks.model import Figure, Question

WIDTH = 32
RATE = "jobs_per_second"
CPU = "cpu_ms_per_job"


def question(quick: bool) -> Question:
    """Return the question at its full size, or a tiny one."""
    jobs = 50 if quick else 2_000
    need_programs(xargs="findutils", parallel="parallel")
    need_module("hyperqueue")
    need_space(MEMORY, megabytes=50)
    c = compiled("spawn.c")
    others = "spawn_programs.py"
    peers = {name: name for name in ("C", "C, with logs", "C, contained", "dvsim", "hyperqueue", "parallel", "xargs")}
    return Question(
        "spawn",
        [
            ours("tree", "spawn.py", jobs, WIDTH, "tree"),
            peer("C", others, "c", c, jobs, WIDTH),
            peer("C, with logs", others, "c+logs", c, jobs, WIDTH),
            peer("C, contained", others, "c+logs", compiled("contained.c"), jobs, WIDTH),
            ours("group", "spawn.py", jobs, WIDTH, "group"),
            dvsim("dvsim", "dvsim_spawn.py", jobs, WIDTH),
            peer("hyperqueue", "hyperqueue_spawn.py", jobs, WIDTH),
            peer("xargs", others, "xargs", jobs, WIDTH),
            peer("parallel", others, "parallel", jobs, WIDTH),
        ],
        [
            Figure("spawn", RATE, "jobs/s", "higher", "tree", peers),
            Figure("spawn_group", RATE, "jobs/s", "higher", "group", peers),
            Figure("spawn_cpu", CPU, "ms of CPU per job", "lower", "tree", peers),
            Figure("spawn_group_cpu", CPU, "ms of CPU per job", "lower", "group", peers),
        ],
        in_memory,
    )
