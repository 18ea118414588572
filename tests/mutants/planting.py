"""Applies one mutant to a copy of the tree, and runs the tests that must fail."""

from __future__ import annotations

import enum
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from contextlib import suppress
from pathlib import Path
from threading import Lock

import attrs

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COPIED = ("benchmarks", "runtime", "tests", "examples", "pyproject.toml")
TIMEOUT_FACTOR = 3.0
"""The timeout of a mutant's tests, as a multiple of their time without a bug. A hang counts as caught. Arbitrary: a
factor close to 1 would take a slow run for a hang; ten times more would only take longer."""
MIN_TIMEOUT = 6.0
"""The smallest timeout, in seconds. Arbitrary."""
MAX_TIME = 300.0
"""How long tests may take without a mutant, in seconds. Arbitrary."""


@attrs.frozen
class Mutant:
    """One planted bug."""

    name: str
    """The stem of the patch's file name."""
    breaks: str
    """The promise that it breaks, in one line."""
    tests: tuple[str, ...]
    """Arguments of pytest that select the tests that must fail."""
    caught_by: str | None
    """The one of them that failed when the mutants were last recorded, which is run alone, first. If it has gone, or no
    longer fails, all are run, so that it can cost time, but no truth."""

    @property
    def selections(self) -> tuple[tuple[str, ...], ...]:
        """What is run, until one fails: each is arguments of pytest."""
        return (self.tests,) if self.caught_by is None else ((self.caught_by,), self.tests)

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
    UNJUDGED = "FAILS WITHOUT IT"

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
    test: str | None = None
    """The test that failed or hung, if there was one."""


def read_mutants(path: Path = HERE / "mutants.toml", recorded: Path = HERE / "caught_by.toml") -> tuple[Mutant, ...]:
    """Return the mutants. Raises `ValueError` if the list and the patch files differ."""
    document = tomllib.loads(path.read_text("utf-8"))
    groups, caught_by = document["tests"], tomllib.loads(recorded.read_text("utf-8"))
    mutants = tuple(
        Mutant(name, entry["breaks"], tuple(groups[entry["tests"]]), caught_by.get(name))
        for name, entry in document["mutant"].items()
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


def run_tests(tree: Path, tests: tuple[str, ...], timeout: float) -> tuple[int | None, str, str | None]:
    """Run pytest in `tree` until a test fails.

    Returns:
        Its exit code (`None`: it hung), the last line of its output, and the test that failed or hung, if any.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-v", "-p", "no:cacheprovider", "--no-header", "--tb=no", *tests]
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
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the whole session, with the processes of the tests
            output, _ = process.communicate()
            begun = re.findall(r"^(tests/\S+\.py::.*?) *$", output, re.MULTILINE)  # without a word on how it ended
            return None, f"no end within {timeout:g} s", begun[-1] if begun else None
    lines = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))] or output.splitlines()
    failed = re.match(r"FAILED (.*?\.py::.*?)(?: - |$)", lines[-1]) if lines else None
    return process.returncode, lines[-1] if lines else "", failed[1] if failed else None


class Limits:
    """How long tests may take with a mutant: measured in a tree without one, when first asked for."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree
        self._locks: dict[tuple[str, ...], Lock] = {}
        self._known: dict[tuple[str, ...], float | None] = {}

    def of(self, tests: tuple[str, ...]) -> float | None:
        """Return the timeout of tests in seconds; `None` if they fail without a mutant: they would catch any."""
        with self._locks.setdefault(tests, Lock()):  # which is one step, also among threads
            if tests not in self._known:
                began = time.monotonic()
                code, _, _ = run_tests(self._tree, tests, timeout=MAX_TIME)
                took = time.monotonic() - began
                self._known[tests] = max(MIN_TIMEOUT, TIMEOUT_FACTOR * took) if code == 0 else None
            return self._known[tests]


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


def end_leftovers(tree: Path) -> None:
    """Kill the processes that were started from `tree`: a mutant may leave one that uses a processor for ever."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            if os.fsencode(tree) in path.read_bytes():
                os.kill(int(path.parent.name), signal.SIGKILL)


def judge(mutant: Mutant, limits: Limits) -> Verdict:
    """Apply `mutant` to a copy of the tree, and run its tests there. Return the result."""
    with tempfile.TemporaryDirectory(prefix=f"mutant-{mutant.name}-") as name:
        tree = copy_tree(Path(name))
        error = plant(mutant, tree)
        if error is not None:
            return Verdict(mutant, Outcome.STALE, error)
        verdict = Verdict(mutant, Outcome.UNTESTED, "")
        for tests in mutant.selections:
            limit = limits.of(tests)
            if limit is None:
                verdict = Verdict(mutant, Outcome.UNJUDGED, " ".join(tests))
                continue
            code, text, test = run_tests(tree, tests, limit)
            end_leftovers(tree)
            verdict = Verdict(mutant, _OUTCOMES.get(code, Outcome.UNTESTED), text, test)
            if verdict.outcome.good:
                break
    return verdict


_OUTCOMES: dict[int | None, Outcome] = {None: Outcome.HUNG, 0: Outcome.SURVIVED, 1: Outcome.CAUGHT, 2: Outcome.CAUGHT}
"""Maps the exit code of pytest: 1 is a failed test, 2 a module that cannot be imported; from 3 on no test ran."""
