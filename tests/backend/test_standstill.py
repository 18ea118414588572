"""All processes of a run stand still for a while: that time counts towards no limit of a job."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from runtime.backend.local.standstill_watch import _CATCH_UP_TIME
from tests.cli.program import LIMIT, Fifo, end_of, job_file, results, started

pytestmark = pytest.mark.slow

JOB_LIMIT = 4.0
STEP = 8.0  # two seconds of a standstill count, and a busy machine takes some more
FREEZER = Path("/sys/fs/cgroup/freezer")


def below(pid: int) -> list[int]:
    """All descendants of a process, each after its parent."""
    found = []
    with suppress(OSError):  # it has just ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *below(int(child))]
    return found


def is_witness(pid: int) -> bool:
    """Whether it is a supervisor that waits for requests."""
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition(" (")[2].rpartition(")")
    except OSError:  # it has just ended
        return False
    return name == "job-supervisor" and rest.split()[0] == "S"


def stand_still(pids: Sequence[int], seconds: float = JOB_LIMIT + 1) -> None:
    """Stop processes in order for longer than the limit, then continue them in reverse order."""
    try:
        for pid in pids:
            with suppress(ProcessLookupError):  # a part of a job that is being stopped
                os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
    finally:
        for pid in reversed(pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def stand_still_with_a_late_witness(pids: Sequence[int]) -> None:
    """The same, but our other processes continue only after the program has waited for `_CATCH_UP_TIME`."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(JOB_LIMIT + 1)
        os.kill(pids[0], signal.SIGCONT)
        time.sleep(5 * _CATCH_UP_TIME)
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)


def freeze(pids: Sequence[int]) -> None:
    group = FREEZER / f"standstill-{os.getpid()}"
    group.mkdir()
    try:
        for pid in pids:
            (group / "cgroup.procs").write_text(str(pid))
        (group / "freezer.state").write_text("FROZEN")
        time.sleep(JOB_LIMIT + 1)
    finally:
        (group / "freezer.state").write_text("THAWED")
        for word in (group / "cgroup.procs").read_text().split():
            (FREEZER / "cgroup.procs").write_text(word)
        group.rmdir()


def run_a_job(
    directory: Path, containment: str, disturb: Callable[[Sequence[int]], None], *, only_us: bool
) -> tuple[str, float]:
    """Run a job with a time limit and disturb it; return the kind of its failure, if any, and its seconds."""
    up, down = Fifo(directory / "up"), Fifo(directory / "down")
    jobs = {"sim": {"cmd": f"echo x >{up.path}; read line <{down.path}; exit 0", "timeout": JOB_LIMIT}}
    file = job_file(directory, jobs, backends={"local": {"containment": containment}})
    with started(directory, "run", file, "-v") as program:
        up.hear()
        deadline = time.monotonic() + LIMIT
        while not any(map(is_witness, below(program.pid))):
            assert time.monotonic() < deadline
        disturb([program.pid] if only_us else [program.pid, *below(program.pid)])
        if not only_us:
            down.say()
        program.wait(LIMIT)
    job = results(directory)["jobs"][0]
    return job["kind"] or "", job["run_seconds"]


@pytest.mark.parametrize("containment", ["tree", "group"])
def test_time_in_which_all_were_stopped_does_not_count(tmp_path: Path, containment: str) -> None:
    assert run_a_job(tmp_path, containment, stand_still, only_us=False)[0] == ""


@pytest.mark.parametrize("containment", ["tree", "group"])
def test_limits_wait_until_the_witness_was_heard(tmp_path: Path, containment: str) -> None:
    assert run_a_job(tmp_path, containment, stand_still_with_a_late_witness, only_us=False)[0] == ""


@pytest.mark.parametrize("containment", ["tree", "group"])
def test_time_in_which_we_were_stopped_and_the_jobs_were_not_counts(tmp_path: Path, containment: str) -> None:
    kind, seconds = run_a_job(tmp_path, containment, stand_still, only_us=True)
    assert kind == "timeout"
    assert seconds < 2 * JOB_LIMIT, "it was killed when we went on, and not a whole limit later"


@pytest.mark.parametrize("containment", ["tree", "group"])
def test_time_in_which_all_were_stopped_shortens_no_step_of_a_stop(tmp_path: Path, containment: str) -> None:
    """A simulator that writes its coverage after SIGTERM has the whole SIGTERM timeout for that."""
    up, down = Fifo(tmp_path / "up"), Fifo(tmp_path / "down")
    script = (
        f"trap 'echo x >{up.path}; read line <{down.path}; echo saved >{tmp_path}/saved; exit 0' TERM; "
        f"echo x >{up.path}; sleep 1000 & wait"
    )
    options = {"containment": containment, "term_timeout": STEP}
    file = job_file(tmp_path, {"sim": {"cmd": script}}, backends={"local": options})
    with started(tmp_path, "run", file, "-v") as program:
        up.hear()
        deadline = time.monotonic() + LIMIT
        while not any(map(is_witness, below(program.pid))):
            assert time.monotonic() < deadline
        program.send_signal(signal.SIGTERM)
        up.hear()
        stand_still([program.pid, *below(program.pid)], STEP + 1)
        down.say()
        done = end_of(program)
    assert (tmp_path / "saved").exists(), done


@pytest.mark.root
def test_time_in_a_frozen_cgroup_does_not_count(tmp_path: Path) -> None:
    assert FREEZER.is_dir(), "of the tests' machines all have the freezer of cgroup v1"
    assert run_a_job(tmp_path, "tree", freeze, only_us=False)[0] == ""
