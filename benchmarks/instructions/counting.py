"""Count instructions: run samples under Valgrind, in two sizes, and take the slope between the two.

Starting and ending a program is most of the count of a small run, and is none of the cost of a job.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import attrs

from benchmarks.environment import HERE, MEMORY
from benchmarks.model import BenchmarkError, Contender
from benchmarks.turns import take_sample

PROGRAM: Final = HERE / "instructions" / "program.py"
AT_ONCE: Final = 2
"""Runs at a time."""
_WARM_UP: Final = 10
"""The size of the run that compiles modules."""

_DISTRIBUTIONS: Final = ("trio", "attrs", "outcome", "google-re2", "hyperscan")


@attrs.frozen
class Workload:
    """A sample, and its two sizes."""

    name: str
    """The figure's."""
    script: str
    """In ``samples/``; its first argument is the size."""
    small: int
    large: int
    options: Sequence[str] = ()
    """Its other arguments."""
    unit: str = "job"
    slowness: int = 1_000
    """How many times slower its clocks run (see `program`). Far more than Valgrind needs, so that a busy machine makes
    no difference; arbitrary. Where other processes work meanwhile, each wait for them takes so much longer."""


WORKLOADS: Final = (
    Workload("scheduler", "scheduler.py", 500, 5_000, ["--as-cli"]),
    Workload("scheduler_library", "scheduler.py", 500, 5_000),
    Workload("adapter", "adapter.py", 500, 5_000),
    Workload("spawn", "spawn.py", 200, 2_000, ["32", "tree"], slowness=50),  # twelve seconds of waiting
    Workload("log", "log.py", 20, 60, unit="megabyte"),  # Hyperscan is left out for the first eight
    Workload("log_re2", "log.py", 10, 40, ["--re2"], unit="megabyte"),
)


def count(tree: Path, workloads: Sequence[Workload], on_run: Callable[[str], None]) -> dict[str, float]:
    """Return the instructions per unit of each workload, with the code and the samples of a checkout.

    Only the sample's own process counts, not those that it starts. `AT_ONCE` runs at a time.

    Args:
        tree: the root of the checkout.
        workloads: what is counted.
        on_run: called with a line for each run that has ended, in threads.

    Raises:
        BenchmarkError: if a run fails.
    """
    place = tempfile.TemporaryDirectory(dir=MEMORY, ignore_cleanup_errors=True)
    executor = ThreadPoolExecutor(AT_ONCE)
    with place as directory:
        try:
            for done in [executor.submit(_compile, tree, workload, directory) for workload in workloads]:
                done.result()
            runs: list[tuple[Workload, Future[int], Future[int]]] = []
            for workload in workloads:
                small, large = (
                    executor.submit(_run, tree, workload, size, directory, on_run)
                    for size in (workload.small, workload.large)
                )
                runs.append((workload, small, large))
            return {workload.name: slope(workload, small.result(), large.result()) for workload, small, large in runs}
        finally:
            # Not waited for: after an error or a signal, `nothing_outlives` ends what still runs.
            executor.shutdown(wait=False, cancel_futures=True)


def slope(workload: Workload, small: int, large: int) -> float:
    """Return the instructions per unit, from the counts of the two sizes.

    Raises:
        BenchmarkError: if the larger run took no more than the smaller, so that something else was counted.
    """
    if large <= small:
        msg = f"{workload.name}: {small:,} instructions for {workload.small}, and {large:,} for {workload.large}"
        raise BenchmarkError(msg)
    return (large - small) / (workload.large - workload.small)


def command(tree: Path, workload: Workload, size: int, directory: str, prefix: Sequence[str]) -> list[str]:
    """Return the command of a run; `prefix` comes before the interpreter."""
    variables = ["PYTHONHASHSEED=0", f"PYTHONPYCACHEPREFIX={directory}/compiled"]
    script = str(tree / "benchmarks" / "samples" / workload.script)
    return [
        "env",
        *variables,
        *prefix,
        sys.executable,
        str(PROGRAM),
        str(workload.slowness),
        script,
        str(size),
        *workload.options,
    ]


def _compile(tree: Path, workload: Workload, directory: str) -> None:
    contender = Contender(workload.name, command(tree, workload, _WARM_UP, directory, []), tree=str(tree))
    take_sample(contender, variables={"TMPDIR": directory})


def _run(tree: Path, workload: Workload, size: int, directory: str, on_run: Callable[[str], None]) -> int:
    stem = f"{directory}/{workload.name}-{size}"
    valgrind = [
        "valgrind",
        "--tool=cachegrind",
        "--cache-sim=no",  # instructions only
        "--trace-children=no",
        "--vgdb=no",
        "--fair-sched=yes",  # threads take turns
        f"--log-file={stem}.log",
        f"--cachegrind-out-file={stem}.out",
    ]
    contender = Contender(workload.name, command(tree, workload, size, directory, valgrind), tree=str(tree))
    take_sample(contender, variables={"TMPDIR": directory})
    instructions = total(Path(f"{stem}.out").read_text(encoding="utf-8", errors="replace"))
    on_run(f"{workload.name}, {size}: {instructions:,} instructions")
    return instructions


def total(output: str) -> int:
    """Return the number of instructions in the output of Cachegrind.

    Raises:
        BenchmarkError: if it is not there.
    """
    found = re.search(r"^summary: *(\d+)$", output, re.MULTILINE)
    if found is None:
        msg = f"Cachegrind's output has no line 'summary: NUMBER'; it ends with {output[-200:]!r}"
        raise BenchmarkError(msg)
    return int(found[1])


def counted_with() -> dict[str, str]:
    """Return what counts depend on, besides this project: name to version."""
    try:
        valgrind = subprocess.run(["valgrind", "--version"], check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as exc:
        msg = f"valgrind does not start: {exc}"
        raise BenchmarkError(msg) from exc
    return {
        "python": " ".join(sys.version.split()),
        "libc": " ".join(platform.libc_ver()),
        "valgrind": valgrind,
        "processor": _processor(),
        "cpus": str(len(os.sched_getaffinity(0))),
        **{name: importlib.metadata.version(name) for name in _DISTRIBUTIONS},
    }


def _processor() -> str:
    """The architecture, and the largest vectors, by which libc and RE2 choose their functions."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    vectors = next((name for name in ("avx2", "avx", "sse4_2") if name in flags), "")
    return f"{platform.machine()} {vectors}".strip()
