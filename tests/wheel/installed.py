"""A new virtual environment, and programs that are run in it. Nothing of this checkout is found there."""

from __future__ import annotations

import os
import subprocess
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from tests.cli.program import Done, environment

LIMIT = 300
"""Seconds that a program may take. Arbitrary: to install packages from the network takes a minute."""


@attrs.frozen
class Installed:
    """A virtual environment."""

    path: Path

    @property
    def variables(self) -> dict[str, str]:
        """The variables of somebody who has activated it."""
        path = os.pathsep.join([str(self.path / "bin"), os.environ["PATH"]])
        found = environment(PATH=path, VIRTUAL_ENV=str(self.path))
        foreign = ("PYTHONPATH", "PYTEST", "COVERAGE", "MAKE", "MFLAGS")
        return {name: value for name, value in found.items() if not name.startswith(foreign)}

    def run(self, directory: Path, *words: str) -> Done:
        """Run a program to its end."""
        return _run(words, directory, self.variables)


def install(path: Path, *requirements: str) -> Installed:
    """Make an environment that has these packages."""
    venv.create(path, with_pip=True)
    made = Installed(path)
    pip = [str(path / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    must([*pip, *requirements], path)
    return made


def must(words: Sequence[str], directory: Path) -> None:
    """Run a program, which must return 0."""
    done = _run(words, directory, environment())
    assert done.code == 0, done.out + done.err


def _run(words: Sequence[str], directory: Path, variables: Mapping[str, str]) -> Done:
    done = subprocess.run(
        words,
        cwd=directory,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)
