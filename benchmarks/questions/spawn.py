"""`spawn`: what does a process cost?

Jobs that do nothing, 32 at a time, each with a directory, a log and a verdict, for each way to contain them. Against
others that run commands, and against the machine itself: programs in C that start processes and wait for them, alone
(`C`), with a directory and a log for each (`C, with logs`), and in the way of our containment (`C, contained`).

Not everybody does everything. HyperQueue, GNU parallel and C with logs make directories and logs, and go by the exit
code; DVSim also looks for fail patterns, as we do; xargs and bare C do neither. Only containment "tree", and C in the
same way, end what a job leaves behind. All of it happens on a file system in memory, as a disk would be measured
otherwise.
"""

from __future__ import annotations

from benchmarks.environment import MEMORY, compiled, dvsim, in_memory, need_module, need_programs, need_room, ours, peer
from benchmarks.model import Figure, Question

WIDTH = 32
RATE = "jobs_per_second"
CPU = "cpu_ms_per_job"


def question(quick: bool) -> Question:
    """Return the question at its full size, or a tiny one."""
    jobs = 50 if quick else 2_000
    need_programs(xargs="findutils", parallel="parallel")
    need_module("hyperqueue")
    need_room(MEMORY, megabytes=50)
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
