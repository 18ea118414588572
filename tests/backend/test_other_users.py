"""Jobs that become other users: those that fill the machine with processes, and those that we may not signal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from runtime.job import JobSpec, JobStatus
from tests.backend import bomb_program, other_users_program
from tests.backend.local_jobs import local

pytestmark = [pytest.mark.root, pytest.mark.slow]

USER = 60_000 + os.getpid() % 5_000
"""Unused by others, one may hope."""

CAPS = ("inh", "ambient")

LIMIT = 60
"""The most processes of this user."""

LIFETIME = 30
"""Seconds after which a bomb ends by itself, if a test fails to end it."""

BOMB = f"while (time < $^T + {LIFETIME}) {{ fork // select(undef, undef, undef, 0.001) }}"
"""Perl: every process forks all the time, so that a new one replaces each that is killed."""

ROOT_FIRST = f"""if (fork) {{ sleep 1000 }} $SIG{{TERM}} = "IGNORE"; {BOMB}"""
"""The root ends by SIGTERM, and the others do not."""

IN_SESSIONS = "use POSIX; " + ROOT_FIRST.replace("fork //", "(defined ($p = fork) and ($p or POSIX::setsid())) or")
"""Also, each process has a session of its own, so that no signal to a group ends two of them."""


def become(user: int) -> list[str]:
    """The words before a program that runs as this user."""
    # The interpreter may be in a directory that is for its owner only.
    return ["setpriv", f"--reuid={user}", "--clear-groups", *(f"--{caps}-caps=+dac_read_search" for caps in CAPS)]


def processes(user: int = USER) -> list[int]:
    """The processes of the user that are alive."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{pid}").st_uid == user and " (zombie)" not in Path(f"/proc/{pid}/status").read_text():
                found.append(int(pid))
        except OSError:
            continue  # it has gone
    return found


def end_all_of(user: int) -> None:
    """End all processes of a user with one system call, however fast they fork."""
    while processes(user):
        words = ["setpriv", f"--reuid={user}", "--clear-groups", "kill", "-9", "-1"]
        subprocess.run(words, check=False, stderr=subprocess.DEVNULL)


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    assert processes() == []
    yield
    end_all_of(USER)


@pytest.mark.parametrize("containment", ["group", "tree"])
async def test_l13_a_fork_bomb_ends_and_others_run(tmp_path: Path, containment: str) -> None:
    become = ["prlimit", f"--nproc={LIMIT}", "setpriv", f"--reuid={USER}", "--clear-groups"]
    async with local(tmp_path / "run", containment=containment, term_timeout=0.05) as here:
        spec = JobSpec(name="bomb", cmd=[*become, "perl", "-e", BOMB], cwd="/")
        handles = await here.session.submit([spec])
        while len(processes()) < LIMIT - 1:
            await trio.lowlevel.checkpoint()
        assert (await here.run(name="other")).status is JobStatus.PASSED
        await here.backend.kill("bomb")
        event = await here.session.completed(handles["bomb"])
        assert processes() == []
        assert event.status is JobStatus.KILLED
        assert event.reason is not None
        assert event.reason.message == "killed by the caller"
        assert (await here.run(name="next")).status is JobStatus.PASSED


@pytest.mark.parametrize(
    ("number", "containment", "bomb", "way"),
    [
        (1, "group", ROOT_FIRST, "kill"),
        (2, "tree", ROOT_FIRST, "kill"),
        (3, "tree", IN_SESSIONS, "kill"),
        (4, "tree", IN_SESSIONS, "end its shim"),
    ],
)
def test_l13_a_fork_bomb_of_our_own_user_is_ended_when_no_process_can_be_started(
    tmp_path: Path, number: int, containment: str, bomb: str, way: str
) -> None:
    # A user each: where nothing reaps orphans, these count as processes of their user for ever.
    user = USER + number * 10_000
    tmp_path.chmod(0o777)
    program = [sys.executable, "-m", bomb_program.__name__, str(tmp_path / "run"), containment, bomb, way]
    words = ["prlimit", f"--nproc={LIMIT}", *become(user), *program]
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=60)
        assert processes(user) == []
    finally:
        end_all_of(user)
    busy, ended, following = json.loads(done.stdout)
    assert "EAGAIN" in busy
    why = "killed by the caller" if way == "kill" else "it was killed: its shim was ended by SIGKILL"
    assert ended == ["KILLED", why]
    assert following == ["PASSED", None]


@pytest.mark.parametrize("containment", ["group", "tree"])
def test_l24_a_process_that_we_may_not_signal_is_named(tmp_path: Path, containment: str) -> None:
    """Root without CAP_KILL may not signal other users, as an ordinary user may not signal a setuid program."""
    program = [sys.executable, "-m", other_users_program.__name__, str(tmp_path / "run"), str(USER), containment]
    done = subprocess.run(
        ["setpriv", "--bounding-set=-kill", "--inh-caps=-kill", *program], stdout=subprocess.PIPE, check=True
    )
    (left,) = processes()
    stuck, other = json.loads(done.stdout)
    assert stuck[:2] == ["KILLED", "lost"]
    assert f"processes {left} (unreaped) did not end" in stuck[2]
    assert other[0] == "PASSED"


def test_l17_a_job_that_ends_all_it_may_ends_the_runtime_and_nothing_is_left(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    jobs = (
        "[jobs.all]\ncmd = 'kill -9 -1'\nneeds = ['sleeps']\n[jobs.sleeps]\ncmd = '(setsid sleep 1000 &) ; exit 0'"
        "\n[jobs.other]\ncmd = 'setsid sleep 1000'\n"
    )
    (tmp_path / "jobs.toml").write_text(jobs)
    program = [sys.executable, "-m", "runtime", "run", "jobs.toml", "--max-parallel", "3"]
    words = [*become(USER), *program]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL) as runtime:
        assert runtime.wait(60) == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while left := processes():
        assert time.monotonic() < deadline, left
        os.sched_yield()
    (tmp_path / "jobs.toml").write_text(jobs.replace("kill -9 -1", "true").replace("setsid sleep 1000'", "true'"))
    again = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr  # nothing that the first run left hinders the next
