"""The contenders' commands, checks for what must be installed, versions, and the machine."""

from __future__ import annotations

import atexit
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import Final

from benchmarks.model import BenchmarkError, Contender

HERE: Final = Path(__file__).resolve().parent
TREE: Final = str(HERE.parent)
DVSIM_PYTHON: Final = "DVSIM_PYTHON"
"""The environment variable with the path of an interpreter that has both DVSim and this project installed."""

MEMORY: Final = "/dev/shm"
"""A directory on a file system in memory."""

NOT_INSTALLED: Final = "not installed"


def ours(name: str, script: str, *arguments: str | int, python: str = sys.executable) -> Contender:
    """Return the contender for a program of ``samples/``, which measures this project."""
    return Contender(name, _command(python, "samples", script, arguments), tree=TREE)


def dvsim(name: str, script: str, *arguments: str | int) -> Contender:
    """Return the contender for a program of ``peers/`` that measures DVSim, in DVSim's environment.

    Raises:
        BenchmarkError: if there is no such environment.
    """
    return Contender(name, _command(dvsim_python(), "peers", script, arguments))


def peer(name: str, script: str, *arguments: str | int) -> Contender:
    """Return the contender for another program of ``peers/``, in the environment of this program."""
    return Contender(name, _command(sys.executable, "peers", script, arguments))


def _command(python: str, folder: str, script: str, arguments: tuple[str | int, ...]) -> list[str]:
    return [python, str(HERE / folder / script), *map(str, arguments)]


@cache
def dvsim_python() -> str:
    """Return the path of the interpreter that has DVSim and this project installed.

    Raises:
        BenchmarkError: if there is none. The message says how to get it.
    """
    advice = f"`make bench` sets it up; or set {DVSIM_PYTHON} to an interpreter that has the extra `dvsim` installed"
    python = os.environ.get(DVSIM_PYTHON)
    if not python:
        msg = f"DVSim is a peer, and {DVSIM_PYTHON} is not set. {advice}"
        raise BenchmarkError(msg)
    try:
        ask(python, "import dvsim, trio, attrs, outcome")
    except (OSError, subprocess.CalledProcessError) as exc:
        printed = getattr(exc, "stderr", None) or str(exc)
        last = printed.strip().splitlines()[-1]
        msg = f"DVSim is a peer, and {DVSIM_PYTHON} is {python!r}, where it does not work: {last}. {advice}"
        raise BenchmarkError(msg) from exc
    return python


def need_programs(**packages: str) -> None:
    """Check that programs are installed.

    Args:
        packages: maps each program to the Debian package that contains it.

    Raises:
        BenchmarkError: if some are not. The message names them, and says how to install them.
    """
    missing = {program: package for program, package in packages.items() if shutil.which(program) is None}
    if missing:
        install = f"Debian: apt install {' '.join(dict.fromkeys(missing.values()))}"
        msg = f"not installed: {', '.join(missing)}. Install what is missing ({install})"
        raise BenchmarkError(msg)


def need_module(name: str) -> None:
    """Check that a module is installed, without importing it.

    Raises:
        BenchmarkError: if it is not.
    """
    if importlib.util.find_spec(name) is None:
        msg = f"the module {name} is not installed. `make bench` installs it; or install the extra `bench`"
        raise BenchmarkError(msg)


def need_space(directory: str, *, megabytes: int) -> None:
    """Check that a directory is on a file system in memory with enough free space.

    Raises:
        BenchmarkError: if it is not. The message says how to mount one.
    """
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
        space = os.statvfs(directory)
    except OSError as exc:
        msg = f"the benchmark needs a file system in memory at {directory}, which cannot be examined: {exc.strerror}"
        raise BenchmarkError(msg) from exc
    if not any(mount[1] == directory and mount[2] in {"tmpfs", "ramfs"} for mount in mounts):
        msg = f"the benchmark needs a file system in memory at {directory}. Mount one: mount -t tmpfs tmpfs"
        raise BenchmarkError(f"{msg} {directory}")
    if (free := space.f_bavail * space.f_frsize // 1_000_000) < megabytes:
        msg = f"{directory} has {free} MB free; expected {megabytes} MB. Remount it with more: mount -o remount,size="
        raise BenchmarkError(f"{msg}{2 * megabytes}M {directory}")


def in_memory() -> AbstractContextManager[Mapping[str, str]]:
    """Return a setup that puts temporary directories into `MEMORY`: see `Question.setup`."""
    return nullcontext({"TMPDIR": MEMORY})


@cache
def compiled(source: str) -> str:
    """Compile a C program of ``peers/``, and return its path. It is deleted at exit.

    Raises:
        BenchmarkError: if there is no compiler, or it fails.
    """
    compiler = os.environ.get("CC") or "cc"
    directory = tempfile.mkdtemp(prefix="benchmarks-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    program = str(Path(directory, source).with_suffix(""))
    try:
        command = [compiler, "-O2", "-o", program, str(HERE / "peers" / source)]
        subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        msg = f"there is no C compiler {compiler!r}, which the C peers need. Install one (Debian: apt install gcc)"
        raise BenchmarkError(msg) from None
    except (OSError, subprocess.CalledProcessError) as exc:
        msg = f"{compiler!r} does not compile {source}: {getattr(exc, 'stderr', None) or exc}"
        raise BenchmarkError(msg) from exc
    return program


def ask(python: str, code: str) -> str:
    """Return what an interpreter prints that runs this code."""
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def versions() -> dict[str, str]:
    """Return the versions of all that is measured, by name."""
    code = "import platform, importlib.metadata as m; print(m.version('dvsim'), platform.python_version())"
    try:
        dvsim_version, its_python = ask(dvsim_python(), code).split()
    except BenchmarkError:  # a question that needs DVSim has reported this already
        dvsim_version, its_python = NOT_INSTALLED, platform.python_version()
    found = {
        "runtime": _own_version(),
        "python": platform.python_version(),
        "trio": importlib.metadata.version("trio"),
        "dvsim": dvsim_version,
        **{name: _of_distribution(name) for name in ("hyperqueue", "dask", "parsl", "google-re2", "hyperscan")},
        **{program: _first_line(program, "--version") for program in ("parallel", "xargs", "make", "grep", "cc")},
        "slurm": _first_line(
            "slurmctld", "-V"
        ),  # the other programs of Slurm print a version only with a configuration
    }
    if its_python != found["python"]:
        found["dvsim's python"] = its_python
    return found


def _of_distribution(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return NOT_INSTALLED


def _first_line(*command: str) -> str:
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"  # Debian installs daemons there
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PATH": path},
        )
    except (OSError, subprocess.CalledProcessError):
        return NOT_INSTALLED
    return done.stdout.partition("\n")[0].strip()


def _own_version() -> str:
    version = importlib.metadata.version("job-runtime")
    return f"{version} ({found})" if (found := commit()) else version


def commit() -> str:
    """Return what git calls the commit of this checkout, or an empty text if it is none, or git is not installed."""
    try:
        git = ["git", "-C", TREE, "describe", "--always", "--dirty"]
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def machine() -> dict[str, str | int | float]:
    """Return the properties of this machine, and its load average."""
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
