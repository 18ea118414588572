"""Applies one mutant to a copy of the tree, and runs the tests that must fail."""

from __future__ import annotations

import enum
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import attrs

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COPIED = ("benchmarks", "runtime", "tests", "examples", "pyproject.toml")
TIMEOUT_FACTOR = 3.0
"""The timeout of a mutant's tests, as a multiple of their time without a bug. A hang counts as caught. Arbitrary: a
factor close to 1 would take a slow run for a hang; ten times more would only take longer."""
MIN_TIMEOUT = 6.0
"""The smallest timeout, in seconds. Arbitrary."""


@attrs.frozen
class Mutant:
    """One planted bug."""

    name: str
    """The stem of the patch's file name."""
    breaks: str
    """The promise that it breaks, in one line."""
    tests: tuple[str, ...]
    """Arguments of pytest that select the tests that must fail."""

    @property
    def patch(self) -> Path:
        """The patch: a unified diff against the root of the tree."""
        return HERE / f"{self.name}.patch"


class Outcome(enum.Enum):
    """The result for a mutant."""

    CAUGHT = "caught"
    HUNG = "caught (hung)"
    SURVIVED = "SURVIVED"
    STALE = "DOES NOT APPLY"
    UNTESTED = "NO TESTS RAN"

    @property
    def good(self) -> bool:
        """Whether the tests caught the mutant."""
        return self in {Outcome.CAUGHT, Outcome.HUNG}


@attrs.frozen
class Verdict:
    """A mutant and its outcome."""

    mutant: Mutant
    outcome: Outcome
    text: str
    """The last line of the tests' output, or the error of `git apply`."""


def read_mutants(path: Path = HERE / "mutants.toml") -> tuple[Mutant, ...]:
    """Return the mutants. Raises `ValueError` if the list and the patch files differ."""
    document = tomllib.loads(path.read_text("utf-8"))
    groups = document["tests"]
    mutants = tuple(
        Mutant(name, entry["breaks"], tuple(groups[entry["tests"]])) for name, entry in document["mutant"].items()
    )
    listed, present = {mutant.patch for mutant in mutants}, set(path.parent.glob("*.patch"))
    if listed != present:
        msg = f"patches and list differ: {', '.join(sorted(patch.name for patch in listed ^ present))}"
        raise ValueError(msg)
    return mutants


def copy_tree(target: Path) -> Path:
    """Copy the files that the tests need, committed or not. Return `target`."""
    ignored = shutil.ignore_patterns(".*", "results")  # with compiled modules: the time of each file stays the same
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=ignored, symlinks=True)
        elif source.exists():
            shutil.copy2(source, target / name)
    return target


def run_tests(tree: Path, tests: tuple[str, ...], timeout: float) -> tuple[int | None, str]:
    """Run pytest in `tree`. Return its exit code (`None`: it hung) and the last line of its output."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", *tests]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    # Found before an editable installation, which would be the tree without the bug.
    environment["PYTHONPATH"] = str(tree)
    with subprocess.Popen(
        command,
        cwd=tree,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)  # the whole session, with the processes of the tests
            process.communicate()
            return None, f"no end within {timeout:g} s"
    lines = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))] or output.splitlines()
    return process.returncode, lines[-1] if lines else ""


def plant(mutant: Mutant, tree: Path, *options: str) -> str | None:
    """Apply the patch in `tree`, or only check that it applies, with ``--check``. Return the error of git, if any."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["GIT_CEILING_DIRECTORIES"] = str(tree.parent)
    done = subprocess.run(
        ["git", "apply", "-C1", *options, str(mutant.patch)],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode == 0 else done.stderr.strip()


def judge(mutant: Mutant, timeout: float) -> Verdict:
    """Apply `mutant` to a copy of the tree, and run its tests with a timeout in seconds. Return the result."""
    with tempfile.TemporaryDirectory(prefix=f"mutant-{mutant.name}-") as name:
        tree = copy_tree(Path(name))
        error = plant(mutant, tree)
        if error is not None:
            return Verdict(mutant, Outcome.STALE, error)
        code, text = run_tests(tree, mutant.tests, timeout)
    return Verdict(mutant, _OUTCOMES.get(code, Outcome.UNTESTED), text)


_OUTCOMES: dict[int | None, Outcome] = {None: Outcome.HUNG, 0: Outcome.SURVIVED, 1: Outcome.CAUGHT, 2: Outcome.CAUGHT}
"""Maps the exit code of pytest: 1 is a failed test, 2 a module that cannot be imported; from 3 on no test ran."""
