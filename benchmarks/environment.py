"""Whom and what we measure with: the programs, where peers are found, their versions, the machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

from benchmarks.model import BenchmarkError, Contender

HERE: Final = Path(__file__).resolve().parent
TREE: Final = str(HERE.parent)
DVSIM_PYTHON: Final = "DVSIM_PYTHON"
"""The environment variable that names the interpreter in whose environment DVSim is installed, and this project."""


def ours(name: str, script: str, *arguments: str | int, python: str = sys.executable) -> Contender:
    """Return a contender: a program of ``samples/``, which measures this project."""
    return Contender(name, _command(python, "samples", script, arguments), tree=TREE)


def dvsim(name: str, script: str, *arguments: str | int) -> Contender:
    """Return a contender: a program of ``peers/`` that measures DVSim, in DVSim's environment.

    Raises:
        BenchmarkError: if there is no such environment.
    """
    return Contender(name, _command(dvsim_python(), "peers", script, arguments))


def _command(python: str, folder: str, script: str, arguments: tuple[str | int, ...]) -> list[str]:
    return [python, str(HERE / folder / script), *map(str, arguments)]


@cache
def dvsim_python() -> str:
    """Return the interpreter in whose environment DVSim and this project are installed.

    Raises:
        BenchmarkError: if there is none, saying how to get it.
    """
    advice = f"`make bench` sets it up; or name an interpreter that has the extra `dvsim` installed in {DVSIM_PYTHON}"
    python = os.environ.get(DVSIM_PYTHON)
    if not python:
        msg = f"DVSim is a peer, and {DVSIM_PYTHON} is not set. {advice}"
        raise BenchmarkError(msg)
    try:
        _ask(python, "import dvsim, trio, attrs, outcome")
    except (OSError, subprocess.CalledProcessError) as exc:
        said = getattr(exc, "stderr", None) or str(exc)
        last = said.strip().splitlines()[-1]
        msg = f"DVSim is a peer, and {DVSIM_PYTHON} is {python!r}, where it does not work: {last}. {advice}"
        raise BenchmarkError(msg) from exc
    return python


def _ask(python: str, code: str) -> str:
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def versions() -> dict[str, str]:
    """Return what was measured: name to version."""
    code = "import platform, importlib.metadata as m; print(m.version('dvsim'), platform.python_version())"
    dvsim_version, its_python = _ask(dvsim_python(), code).split()
    found = {
        "runtime": _own_version(),
        "python": platform.python_version(),
        "trio": importlib.metadata.version("trio"),
        "dvsim": dvsim_version,
    }
    if its_python != found["python"]:
        found["dvsim's python"] = its_python
    return found


def _own_version() -> str:
    version = importlib.metadata.version("job-runtime")
    try:
        git = ["git", "-C", TREE, "describe", "--always", "--dirty"]
        commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return version  # no checkout, or no git
    return f"{version} ({commit})"


def machine() -> dict[str, str | int | float]:
    """Return what it was measured on, and how busy that was when we began."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "load": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
