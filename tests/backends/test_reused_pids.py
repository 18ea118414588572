"""The number of a job's root is given to a stranger, for real: in a PID namespace one can say which is the next."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.backends import reuse_program

pytestmark = pytest.mark.root

NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


@pytest.mark.parametrize("containment", ["group", "tree"])
def test_l26_a_stranger_with_the_number_of_a_root_is_never_signalled(tmp_path: Path, containment: str) -> None:
    program = [sys.executable, "-m", reuse_program.__name__, str(tmp_path / "run"), containment]
    done = subprocess.run([*NAMESPACE, *program], stdout=subprocess.PIPE, check=True, timeout=60)
    told = json.loads(done.stdout)
    assert [status for status, *_ in told] == {"group": ["PASSED"], "tree": ["PASSED", "KILLED"]}[containment]
    for _, root, stranger, lived in told:
        assert stranger == root
        assert set(lived) == {True}
