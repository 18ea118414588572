"""A sample of `cli`: another program runs a list of jobs, from the start of its command to its exit."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from pathlib import Path

from commanding import JOB, first_job, measured

HERE = Path(__file__).resolve().parent


def makefile(commands: list[str]) -> str:
    """Return a makefile with a target for each command."""
    targets = " ".join(map(str, range(len(commands))))
    rules = "".join(f"{number}:\n\t@{command}\n" for number, command in enumerate(commands))
    return f"all: {targets}\n.PHONY: all {targets}\n{rules}"


def main() -> None:
    """Measure once: ``HOW JOBS WIDTH``, or ``dvsim JOBS`` for its fake backend."""
    how, number, *more = sys.argv[1:]
    jobs = int(number)
    with tempfile.TemporaryDirectory() as place:
        directory, left = Path(place), Path(place, "left")
        left.mkdir()
        # Each has an argument of its own, as parallel names what it leaves by the command.
        lines = [shlex.join(first_job(directory)), *(f"{JOB} +seed={seed}" for seed in range(1, jobs))]
        given = directory / "given"
        given.write_text(makefile(lines) if how == "make" else "".join(f"{line}\n" for line in lines))
        width = "".join(more)
        commands = {
            "xargs": ["xargs", f"-P{width}", "-d\\n", "-n1", JOB],
            "parallel": ["parallel", "--will-cite", f"-j{width}", "--results", str(left)],
            "make": ["make", "-s", f"-j{width}", "-f", str(given)],
        }
        script = [sys.executable, str(HERE / f"{how}_command.py"), number]
        command = commands.get(how, [*script, width, str(directory), str(left)] if width else script)
        measures = measured(command, jobs, directory, left, str(given))
    print(json.dumps(measures))


if __name__ == "__main__":
    main()
