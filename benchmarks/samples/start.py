"""A sample of `import`: what a fresh interpreter takes to begin, and to end again.

Its arguments are the number of processes and the arguments of the interpreter. Modules are compiled already, as they
are where a package was installed; by a process that is not counted, in a directory of our own, for everybody alike.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from statistics import median


def start(arguments: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run an interpreter once; return the seconds of CPU time and of wall time that it took."""
    with tempfile.TemporaryFile() as out:
        begin = time.perf_counter()
        process = subprocess.Popen([sys.executable, *arguments], stdout=out, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, process.returncode
        if arguments[-1] == "--help":
            out.seek(0)
            assert b"usage: " in out.read().lower()
    return usage.ru_utime + usage.ru_stime, wall


def main() -> None:
    """Measure once."""
    processes, *arguments = sys.argv[1:]
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        start(arguments, environment)
        cpu, wall = zip(*(start(arguments, environment) for _ in range(int(processes))), strict=True)
    print(json.dumps({"cpu_ms": 1000 * median(cpu), "wall_ms": 1000 * median(wall)}))


if __name__ == "__main__":
    main()
