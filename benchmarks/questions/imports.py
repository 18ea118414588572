"""`import`: what does importing the package cost?

Fresh interpreters that import and exit. `import runtime` alone loads little, because a name is imported when it is
first used. So there are two more figures: the names that a program with local jobs uses, and all public names. Compared
with `import trio`, which is part of both; for local jobs, also with the limit: the modules alone that this loads and
that are not ours. The help of the command line is compared with DVSim's, and with an interpreter that imports
`argparse` and `pathlib` alone.
"""

from __future__ import annotations

import sys
from functools import cache

import attrs

from benchmarks.environment import ask, dvsim_python, ours
from benchmarks.model import Contender, Figure, Question

CPU = "cpu_ms"
WALL = "wall_ms"
LOCAL = "from runtime import JobSpec, LocalBackend, run_jobs"


@cache
def modules_alone() -> str:
    """Return the code that imports the modules which `LOCAL` loads, in that order, without those of this project."""
    script = f"import sys; before = {{*sys.modules}}; {LOCAL}; print(*(n for n in sys.modules if n not in before))"
    loaded = ask(sys.executable, script).split()
    return f"import {', '.join(name for name in loaded if name.partition('.')[0] != 'runtime')}"


def question(quick: bool) -> Question:
    """Return the question at its full size, or a tiny one."""
    processes = 1 if quick else 11

    def others(name: str, *arguments: str, **where: str) -> Contender:
        return attrs.evolve(ours(name, "start.py", processes, *arguments, **where), tree=None)

    def imports(name: str, code: str) -> Contender:
        return ours(name, "start.py", processes, "-c", code)

    trio = {"trio": "trio"}
    helps = {"argparse": "argparse", "trio": "trio", "dvsim --help": "dvsim --help"}
    return Question(
        "import",
        [
            imports("runtime", "import runtime"),
            imports("local", LOCAL),
            imports("all", "from runtime import *; assert JobSpec and LocalBackend and run_jobs"),
            ours("--help", "start.py", processes, "-m", "runtime", "--help"),
            others("trio", "-c", "import trio"),
            others("modules alone", "-c", modules_alone()),
            others("argparse", "-c", "import argparse, pathlib"),
            others("dvsim --help", "-c", "import dvsim.cli; dvsim.cli.main()", "--help", python=dvsim_python()),
        ],
        [
            Figure("import", CPU, "ms of CPU", "lower", "runtime", trio),
            Figure("import_local", CPU, "ms of CPU", "lower", "local", {**trio, "modules alone": "modules alone"}),
            Figure("import_all", CPU, "ms of CPU", "lower", "all", trio),
            Figure("import_help", CPU, "ms of CPU", "lower", "--help", helps),
            Figure("import_wall", WALL, "ms", "lower", "runtime", trio),
            Figure("import_local_wall", WALL, "ms", "lower", "local", trio),
            Figure("import_all_wall", WALL, "ms", "lower", "all", trio),
            Figure("import_help_wall", WALL, "ms", "lower", "--help", helps),
        ],
    )
