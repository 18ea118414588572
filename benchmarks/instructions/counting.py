"""Counts instructions: runs samples under Valgrind in two sizes, and takes the slope.

Most instructions of a small run start and end the program, which is not a cost of a job. The slope leaves them out.
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
from benchmarks.sampling import take_sample

PROGRAM: Final = HERE / "instructions" / "program.py"
AT_ONCE: Final = 2
"""Runs at a time. Arbitrary: more would be no faster on two processors."""
_WARM_UP: Final = 10
"""The size of the first run, whose only purpose is to compile modules."""

_DISTRIBUTIONS: Final = ("trio", "attrs", "outcome", "google-re2", "hyperscan")


@attrs.frozen
class Workload:
    """A sample, and its two sizes."""

    name: str
    """The name of the figure."""
    script: str
    """A program of ``samples/``. Its first argument is the size."""
    small: int
    large: int
    options: Sequence[str] = ()
    """Further arguments of the script."""
    unit: str = "job"
    slowness: int = 1_000
    """How many times slower its clocks run (see `program`). Arbitrary: it must exceed the slow-down by Valgrind, about
    50, by so much that a busy machine makes no difference. Each wait for another process takes so much longer."""


WORKLOADS: Final = (
    Workload("scheduler", "scheduler.py", 500, 5_000, ["--as-cli"]),
    Workload("scheduler_library", "scheduler.py", 500, 5_000),
    Workload("journal", "journal.py", 500, 5_000, ["--cost", "journal", "--rounds", "1"]),
    Workload("cli", "cli.py", 100, 1_000, ["--fake", "--in-process"]),
    Workload("adapter", "adapter.py", 500, 5_000),
    Workload(
        "spawn", "spawn.py", 200, 2_000, ["32", "tree"], slowness=50
    ),  # a run waits for 12 s; with 1,000 it would for minutes
    Workload("log", "log.py", 20, 60, unit="megabyte"),  # Hyperscan is not used for the first eight
    Workload("log_re2", "log.py", 10, 40, ["--re2"], unit="megabyte"),
)


def count(tree: Path, workloads: Sequence[Workload], on_run: Callable[[str], None]) -> dict[str, float]:
    """Return the instructions per unit of each workload, for the code and the samples of a checkout.

    Only the process of the sample counts, not its children. There are `AT_ONCE` runs at a time.

    Args:
        tree: the root of the checkout.
        workloads: what to count.
        on_run: called in a thread, with a line of text, after each run.

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
            # Do not wait: after an error or a signal, `no_process_left` kills the runs in progress.
            executor.shutdown(wait=False, cancel_futures=True)


def slope(workload: Workload, small: int, large: int) -> float:
    """Return the instructions per unit, from the counts of the two sizes.

    Raises:
        BenchmarkError: if the larger run did not take more than the smaller: then the counts are wrong.
    """
    if large <= small:
        msg = f"{workload.name}: {small:,} instructions for {workload.small}, and {large:,} for {workload.large}"
        raise BenchmarkError(msg)
    return (large - small) / (workload.large - workload.small)


def command(tree: Path, workload: Workload, size: int, directory: str, prefix: Sequence[str]) -> list[str]:
    """Return the command of a run. `prefix` is put before the interpreter."""
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
        BenchmarkError: if there is no such line.
    """
    found = re.search(r"^summary: *(\d+)$", output, re.MULTILINE)
    if found is None:
        msg = f"Cachegrind's output has no line 'summary: NUMBER'; it ends with {output[-200:]!r}"
        raise BenchmarkError(msg)
    return int(found[1])


def counted_with() -> dict[str, str]:
    """Return the versions on which counts depend, besides this project, by name."""
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
    """Return the architecture and the widest vector extension, by which libc and RE2 choose their functions."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    vectors = next((name for name in ("avx2", "avx", "sse4_2") if name in flags), "")
    return f"{platform.machine()} {vectors}".strip()
