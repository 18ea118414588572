"""Plants one bug in a copy of the tree, and runs the tests that must notice it."""

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
PATIENCE = 3.0
"""How many times as long as without a bug the tests of a mutant may take: then they hang, and have so noticed."""
LEAST_TIMEOUT = 6.0
"""Seconds that they may take in any case."""


@attrs.frozen
class Mutant:
    """One planted bug."""

    name: str
    """The stem of its patch."""
    breaks: str
    """The promise that it breaks, in one line."""
    tests: tuple[str, ...]
    """Arguments of pytest that choose the tests that must notice."""

    @property
    def patch(self) -> Path:
        """The patch: a unified diff against the root of the tree."""
        return HERE / f"{self.name}.patch"


class Outcome(enum.Enum):
    """What became of a mutant."""

    CAUGHT = "caught"
    HUNG = "caught (hung)"
    SURVIVED = "SURVIVED"
    STALE = "DOES NOT APPLY"
    UNTESTED = "NO TESTS RAN"

    @property
    def good(self) -> bool:
        """Whether the tests noticed."""
        return self in {Outcome.CAUGHT, Outcome.HUNG}


@attrs.frozen
class Verdict:
    """A mutant and its outcome."""

    mutant: Mutant
    outcome: Outcome
    text: str
    """The last line of what ran, or the complaint of the patch."""


def read_mutants(path: Path = HERE / "mutants.toml") -> tuple[Mutant, ...]:
    """Read the list; every patch stands in it, and it names no other."""
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
    """Copy what the tests need of the tree, as it is now, committed or not."""
    ignored = shutil.ignore_patterns("__pycache__", ".*", "results")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=ignored, symlinks=True)
        elif source.exists():
            shutil.copy2(source, target / name)
    return target


def run_tests(tree: Path, tests: tuple[str, ...], timeout: float) -> tuple[int | None, str]:
    """Run pytest in `tree`; return its exit code, `None` if it hung, and its last line."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", *tests]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    # A package that was installed for editing lies behind this in the path.
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
            os.killpg(process.pid, 9)  # with whatever the tests have started in their session
            process.communicate()
            return None, f"no end within {timeout:g} s"
    told = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))] or output.splitlines()
    return process.returncode, told[-1] if told else ""


def plant(mutant: Mutant, tree: Path) -> str | None:
    """Apply the patch in `tree`; return the complaint if it does not apply."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["GIT_CEILING_DIRECTORIES"] = str(tree.parent)
    done = subprocess.run(
        ["git", "apply", "-C1", str(mutant.patch)],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode == 0 else done.stderr.strip()


def judge(mutant: Mutant, timeout: float) -> Verdict:
    """Plant `mutant` in a copy of the tree, and see whether its tests notice within `timeout` seconds."""
    with tempfile.TemporaryDirectory(prefix=f"mutant-{mutant.name}-") as name:
        tree = copy_tree(Path(name))
        complaint = plant(mutant, tree)
        if complaint is not None:
            return Verdict(mutant, Outcome.STALE, complaint)
        code, text = run_tests(tree, mutant.tests, timeout)
    return Verdict(mutant, _OUTCOMES.get(code, Outcome.UNTESTED), text)


_OUTCOMES: dict[int | None, Outcome] = {None: Outcome.HUNG, 0: Outcome.SURVIVED, 1: Outcome.CAUGHT, 2: Outcome.CAUGHT}
"""From the exit code of pytest: 1 is a failed test, 2 a module that cannot be imported, 3 or more that none ran."""
