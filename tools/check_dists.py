"""Tests what is published: ``python -m tools.check_dists [ARGUMENTS of pytest]``.

The sdist and the wheel are built and installed, each in an empty environment. Tests run in an empty directory, with
a copy of them, and none of the package: what is not in the distribution is not found.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
DISTS: Final = ROOT / "dist"

COPIED: Final = (
    "tests",
    "tools",
    "benchmarks",
    "examples",
    "docs",
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
    "Makefile",
)
"""What tests read besides the package."""

TESTS: Final = (
    "tests/job",
    "tests/jobfile",
    "tests/journal",
    "tests/scheduler",
    "tests/verdict",
    "tests/cli/test_main.py",
)
"""Tests of each layer that do not read the source. All of them would take as long as `make test`, twice."""


def run(*words: str | Path, directory: Path = ROOT) -> None:
    """Run a program, and exit with its code if that is not 0."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(list(map(str, words)), cwd=directory, env=environment, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def check(dist: Path, arguments: Sequence[str]) -> None:
    """Install a distribution in an empty environment, and run tests with it."""
    with tempfile.TemporaryDirectory(prefix="dist-") as name:
        directory = Path(name)
        run(sys.executable, "-m", "venv", directory / "venv")
        python = directory / "venv" / "bin" / "python"
        run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", f"{dist}[test]")
        outside = directory / "outside"
        outside.mkdir()
        for each in COPIED:
            if (ROOT / each).is_dir():
                shutil.copytree(ROOT / each, outside / each, ignore=shutil.ignore_patterns("__pycache__", "results"))
            else:
                shutil.copy(ROOT / each, outside / each)
        where = "import runtime, sys; sys.exit(not runtime.__file__.startswith(sys.prefix))"
        run(python, "-c", where, directory=outside)
        run(python, "-m", "runtime", "--version", directory=outside)
        run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *arguments, directory=outside)


def main(arguments: Sequence[str]) -> None:
    """Build both distributions, and check each."""
    shutil.rmtree(DISTS, ignore_errors=True)
    run(sys.executable, "-m", "hatchling", "build", "-d", DISTS)
    for dist in sorted(DISTS.iterdir()):
        sys.stdout.write(f"{dist.name}\n")
        sys.stdout.flush()
        check(dist, arguments or TESTS)


if __name__ == "__main__":
    main(sys.argv[1:])
