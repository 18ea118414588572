from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.backend.local import LocalBackend
from runtime.job import JobSpec
from runtime.process.platform import missing
from runtime.scheduler.run import run_jobs


def refuse(number: int) -> None:
    raise OSError(number, os.strerror(number))


def test_nothing_is_missing_here() -> None:
    assert missing() is None


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS])
@pytest.mark.parametrize("containment", ["group", "tree"])
async def test_where_pidfd_open_is_refused_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, containment: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "pidfd_open", lambda _pid: refuse(number))
        (result,) = await run_jobs(
            [JobSpec(name="job", cmd="true")], LocalBackend(run_dir=tmp_path, containment=containment)
        )
    assert result.reason is not None
    assert f"the system refuses pidfd_open ({os.strerror(number)})" in result.reason.message
    assert "docs/platform.md" in result.reason.message


def test_where_there_are_no_descriptors_the_platform_is_not_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "pidfd_open", lambda _pid: refuse(errno.EMFILE))
        assert missing() is None


PROGRAM = """
import sys, trio
from runtime import JobSpec, LocalBackend, run_jobs

async def main():
    for result in await run_jobs([JobSpec(name="job", cmd="true")], LocalBackend(containment=sys.argv[1])):
        print(result.status.name, result.reason.message)

trio.run(main)
"""


@pytest.mark.root
@pytest.mark.parametrize("containment", ["group", "tree"])
def test_without_proc_one_line_says_so_and_nothing_is_started(containment: str) -> None:
    hide = 'mount -t tmpfs none /proc && exec "$@"'
    words = ["unshare", "--mount", "sh", "-c", hide, "sh", sys.executable, "-c", PROGRAM, containment]
    done = subprocess.run(words, capture_output=True, check=False, timeout=120)
    assert b"KILLED" in done.stdout, done.stderr
    assert b"there is no /proc that shows the processes of this system" in done.stdout
