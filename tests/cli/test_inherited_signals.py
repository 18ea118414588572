"""Signals that the parent process blocks or ignores, which the command line inherits, change nothing for its jobs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.cli.program import end_of, job_file, results, started, statuses
from tests.slurm.fakes import FakeSlurm

pytestmark = pytest.mark.slow

TAKEN = ("KILL", "STOP", "PIPE", "XFSZ")
"""Cannot be ignored, or Python ignores it and undoes that in its children."""

STATUS = ["grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"]

FARM = """
import subprocess, sys
class FarmLauncher:
    poll_freq = 0.01
    def __init__(self, job): pass
    def launch(self):
        with open("seen", "w") as file:
            self.child = subprocess.Popen(["grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"], stdout=file)
    def poll(self):
        code = self.child.poll()
        class Status: name = "RUNNING" if code is None else "FAILED" if code else "PASSED"
        return Status
    def kill(self): pass
"""


def spoil_signals() -> None:
    """In a child: ignore and block all signals that can be."""
    for number in signal.valid_signals():
        if number not in [getattr(signal, f"SIG{name}") for name in TAKEN]:
            signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def unusual(text: str) -> list[int]:
    """Return the signals that were ignored or blocked in the process that printed `text`."""
    _, blocked, _, ignored = text.split()
    bits = int(blocked, 16) | int(ignored, 16)
    return [number for number in signal.valid_signals() if bits >> (number - 1) & 1]


@pytest.mark.parametrize("containment", ["tree", "group"])
def test_jobs_of_this_machine(tmp_path: Path, containment: str) -> None:
    jobs = {
        "plain": {"cmd": STATUS},
        "interactive": {"cmd": STATUS, "interactive": True},
        "three": {"cmd": "exit 3"},
        "judged": {"cmd": "echo xx", "pass_patterns": [r"(.)\1"]},  # of which there is a process that judges
    }
    file = job_file(tmp_path, jobs, backends={"local": {"containment": containment}})
    with started(tmp_path, "run", file, preexec_fn=spoil_signals) as program:
        done = end_of(program)
    assert (done.code, done.err) == (1, "")
    expected = {name: "failed" if name == "three" else "passed" for name in jobs}
    assert statuses(tmp_path) == expected
    assert results(tmp_path)["jobs"][2]["usage"]["exit_code"] == 3
    for name in ("plain", "interactive"):
        text = (tmp_path / "results" / "latest" / name / "job.log").read_text()
        assert unusual(text) == []


def test_children_of_an_isolated_launcher(tmp_path: Path) -> None:
    (tmp_path / "farm.py").write_text(FARM)
    name = "legacy:farm:FarmLauncher"
    file = job_file(tmp_path, {"a": {"cmd": "x"}}, backends={name: {"isolated": True}})
    words = ["run", file, "--backend", name, "--pythonpath", "."]
    with started(tmp_path, *words, preexec_fn=spoil_signals) as program:
        assert end_of(program).code == 0
    assert unusual((tmp_path / "seen").read_text()) == []


def test_jobs_and_commands_of_a_batch_system(tmp_path: Path) -> None:
    with FakeSlurm() as slurm:
        path = f"{slurm.bin}:{os.environ['PATH']}"
        words = ["run", job_file(tmp_path, {"a": {"cmd": "echo hello"}, "b": {"cmd": "exit 3"}}), "--backend", "slurm"]
        with started(tmp_path, *words, env={"PATH": path}, preexec_fn=spoil_signals) as program:
            assert end_of(program).code == 1
    assert statuses(tmp_path) == {"a": "passed", "b": "failed"}
