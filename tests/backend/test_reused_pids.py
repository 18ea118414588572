"""The process id of a job's root is reused, for real: in a PID namespace the next id can be chosen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.backend import reuse_program

NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def check(before: list[str], *arguments: str) -> list[str]:
    """Run the program; check that no other process was signalled, and return the statuses of the jobs."""
    program = [sys.executable, "-m", reuse_program.__name__, *arguments]
    done = subprocess.run([*before, *program], stdout=subprocess.PIPE, check=True, timeout=60)
    results = json.loads(done.stdout)
    for _, root, stranger, lived in results:
        assert stranger == root
        assert set(lived) == {True}
    return [status for status, *_ in results]


@pytest.mark.root
@pytest.mark.parametrize("containment", ["group", "tree"])
def test_l26_a_stranger_with_the_number_of_a_root_is_never_signalled(tmp_path: Path, containment: str) -> None:
    ended = check(NAMESPACE, str(tmp_path / "run"), containment)
    assert ended == {"group": ["PASSED"], "tree": ["PASSED", "KILLED"]}[containment]


def test_l26_nor_where_the_next_number_cannot_be_chosen(tmp_path: Path) -> None:
    assert check([], str(tmp_path / "run"), "group", "renumber") == ["PASSED"]
