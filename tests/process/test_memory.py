from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.process.memory import OomKills
from tests.backend import memory_program

LIMIT = 200 << 20
"""Bytes for the runtime, its supervisor and a job."""


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("0::/a/b", "a/b/memory.events"),
        ("0::/a/b", "unified/a/b/memory.events"),
        ("4:memory:/a", "memory/a/memory.oom_control"),
        ("4:cpu,memory:/not/mounted", "memory/memory.oom_control"),
    ],
)
def test_each_kill_explains_one_end(tmp_path: Path, line: str, file: str) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/cgroup").write_text(f"3:cpuset:/\n{line}\n")
    counter = tmp_path / "cgroups" / file
    counter.parent.mkdir(parents=True)
    counter.write_text("oom 7\noom_kill 5\n")
    kills = OomKills(tmp_path, tmp_path / "cgroups")
    assert not kills.explain_one()
    counter.write_text("oom 9\noom_kill 7\n")
    assert [kills.explain_one() for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("text", ["", "nonsense\n", "oom_kill\n", "oom_kill x\n"])
def test_without_a_counter_no_kill_is_known(tmp_path: Path, text: str) -> None:
    assert not OomKills(tmp_path, tmp_path).explain_one()
    (tmp_path / "self").mkdir()
    (tmp_path / "self/cgroup").write_text("0::/\n")
    (tmp_path / "memory.events").write_text(text)
    assert not OomKills(tmp_path, tmp_path).explain_one()


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A memory cgroup with a limit, of version 1 or 2."""
    root = Path("/sys/fs/cgroup")
    first = (root / "memory").is_dir()
    made = (root / "memory" if first else root) / f"job-runtime-{os.getpid()}"
    made.mkdir()
    (made / ("memory.limit_in_bytes" if first else "memory.max")).write_text(str(LIMIT))
    yield made
    made.rmdir()


@pytest.mark.root
@pytest.mark.slow
def test_l25_a_job_that_the_oom_killer_has_ended_is_out_of_memory(tmp_path: Path, cgroup: Path) -> None:
    words = [sys.executable, "-m", memory_program.__name__, str(tmp_path / "run"), str(cgroup)]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=60)
    hungry, killed, in_a_shell = json.loads(done.stdout)
    assert hungry[:2] == ["FAILED", "out_of_memory"]
    assert hungry[2].startswith("ended by SIGKILL; the kernel has killed a process here because it was out of memory")
    assert killed == ["FAILED", "signal", "ended by SIGKILL"]
    assert in_a_shell[:2] == ["FAILED", "out_of_memory"]
    assert in_a_shell[2].startswith("exit code 137")
