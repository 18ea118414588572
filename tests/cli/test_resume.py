"""`run FILE --resume`: what is kept and what runs, whatever has ended the run before."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from runtime.journal import RunState, read, replay
from tests.campaigns import resumes
from tests.cli.program import (
    LIMIT,
    Done,
    Fifo,
    call,
    end_of,
    environment,
    is_alive,
    job_file,
    links,
    results,
    started,
    statuses,
    wait_for,
)
from tests.slurm.fakes.controller import Settings
from tests.slurm.fakes.slurm import FakeSlurm

pytestmark = pytest.mark.slow


def run_dir(directory: Path) -> Path:
    return (directory / "results" / "latest").resolve()


def state_of(directory: Path) -> RunState:
    return replay(read(run_dir(directory) / "journal.jsonl").records, str(run_dir(directory)))


def ran(directory: Path) -> list[str]:
    """Return the ids of the jobs that have run, in their order; forget them."""
    path = directory / "ran"
    words = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return words


def notes(directory: Path, rest: str = "true") -> str:
    """Return a command that notes the id of its job, and goes on with `rest`."""
    return f"echo {{id}} >> {directory}/ran; {rest}"


def run(directory: Path, jobs: dict[str, Any], *arguments: str) -> Done:
    return call(directory, "run", job_file(directory, jobs), *arguments)


def killed_with(directory: Path, jobs: dict[str, Any], fifo: Fifo) -> int:
    """Run until a job writes to `fifo`, then kill the runtime; return its pid."""
    with started(directory, "run", job_file(directory, jobs)) as program:
        fifo.hear()
        program.send_signal(signal.SIGKILL)
        program.wait()
        return program.pid


def test_what_passed_is_kept_and_all_else_runs(tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    jobs = {
        "good": {"cmd": notes(tmp_path)},
        "bad": {"cmd": notes(tmp_path, f"test -e {tmp_path}/fixed")},
        "hangs": {"cmd": notes(tmp_path, f"test -e {tmp_path}/fixed || exec sleep 100"), "needs": ["good"]},
        "tells": {"cmd": f"echo x > {fifo.path}; test -e {tmp_path}/fixed || exec sleep 100", "needs": ["good"]},
        "after": {"cmd": notes(tmp_path), "needs": ["hangs"]},
    }
    killed_with(tmp_path, jobs, fifo)
    assert sorted(ran(tmp_path))[:2] == ["bad", "good"]
    directory = run_dir(tmp_path)
    (tmp_path / "fixed").touch()
    done = run(tmp_path, jobs, "--resume")
    assert done.code == 0, done
    assert "1 kept, 4 to run" in done.out
    assert run_dir(tmp_path) == directory
    assert sorted(ran(tmp_path)) == ["after", "bad", "hangs"]
    assert statuses(tmp_path) == dict.fromkeys(jobs, "passed")
    assert links(tmp_path) == {"passed": sorted(jobs)}
    state = state_of(tmp_path)
    assert [segment.kept for segment in state.segments] == [0, 1]
    assert state.attempts[state.numbers["bad"]] == 2
    assert state.attempts[state.numbers["after"]] == 1


def test_resuming_what_passed_runs_nothing_as_often_as_one_likes(tmp_path: Path) -> None:
    jobs = {"a": {"cmd": notes(tmp_path)}, "b": {"cmd": notes(tmp_path), "needs": ["a"]}}
    assert run(tmp_path, jobs).code == 0
    first = {job["id"]: (job["started"], job["ended"]) for job in results(tmp_path)["jobs"]}
    assert ran(tmp_path) == ["a", "b"]
    for _ in range(2):
        assert run(tmp_path, jobs, "--resume", run_dir(tmp_path).name).code == 0
        assert ran(tmp_path) == []
        now = {job["id"]: (job["started"], job["ended"]) for job in results(tmp_path)["jobs"]}
        assert {name: times[0][:19] for name, times in now.items()} == {
            name: times[0][:19] for name, times in first.items()
        }
    assert len(state_of(tmp_path).segments) == 3


def test_a_dry_run_says_what_and_why_and_changes_nothing(tmp_path: Path) -> None:
    jobs: dict[str, Any] = {
        "same": {"cmd": notes(tmp_path)},
        "changed": {"cmd": notes(tmp_path)},
        "gone": {"cmd": notes(tmp_path)},
        "needs": {"cmd": notes(tmp_path), "needs": ["gone"]},
        "bad": {"cmd": notes(tmp_path, "false")},
    }
    assert run(tmp_path, jobs).code == 1
    shutil.rmtree(run_dir(tmp_path) / "gone")
    before = (run_dir(tmp_path) / "journal.jsonl").read_bytes()
    ran(tmp_path)
    changed = {**jobs, "changed": {"cmd": notes(tmp_path, "exit 0")}, "new": {"cmd": "true"}}
    done = run(tmp_path, changed, "--resume", "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert [line.split(maxsplit=2) for line in done.out.splitlines()] == [
        ["keep", "same", "it passed"],
        ["run", "changed", "its specification changed"],
        ["run", "gone", "its output directory is gone"],
        ["run", "needs", "it needs 'gone', which runs again"],
        ["run", "bad", "it did not pass"],
        ["run", "new", "it is not in the journal"],
        ["1", "kept,", "5 to run"],
    ]
    assert (run_dir(tmp_path) / "journal.jsonl").read_bytes() == before
    assert ran(tmp_path) == []
    assert not (run_dir(tmp_path) / "journal.lock").exists()


def test_seeds_are_those_of_the_run_that_is_resumed(tmp_path: Path) -> None:
    jobs = {"a": {"cmd": notes(tmp_path), "seeds": 3}}
    assert run(tmp_path, jobs).code == 0
    ids = ran(tmp_path)
    assert len(ids) == 3
    assert run(tmp_path, jobs, "--resume").code == 0
    assert ran(tmp_path) == []
    assert sorted(statuses(tmp_path)) == sorted(ids)


def test_a_run_of_selected_jobs_goes_on_with_those(tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    jobs = {
        "build": {"cmd": notes(tmp_path)},
        "a": {
            "cmd": notes(tmp_path, f"test -e {tmp_path}/fixed && exit; echo > {fifo.path}; exec sleep 1000"),
            "needs": ["build"],
        },
        "b": {"cmd": notes(tmp_path)},
    }
    with started(tmp_path, "run", job_file(tmp_path, jobs), "--select", "a") as program:
        fifo.hear()
        program.send_signal(signal.SIGKILL)
        program.wait()
    (tmp_path / "fixed").touch()
    ran(tmp_path)
    assert run(tmp_path, jobs, "--resume").code == 0
    assert ran(tmp_path) == ["a"]
    assert run(tmp_path, jobs, "--resume", "--select", "b").code == 0
    assert ran(tmp_path) == ["b"]
    gone = run(tmp_path, {"c": {"cmd": "true"}}, "--resume")
    assert gone.code == 2
    assert "had only some jobs of its job file, and none of them is in this one" in gone.err


def test_a_run_that_lives_is_not_resumed(tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    jobs = {"a": {"cmd": f"echo x > {fifo.path}; exec sleep 100"}}
    with started(tmp_path, "run", job_file(tmp_path, jobs)) as program:
        fifo.hear()
        done = call(tmp_path, "run", "jobs.json", "--resume")
        assert (done.code, done.out) == (2, "")
        assert f"process {program.pid} of this host runs it" in done.err
        program.send_signal(signal.SIGTERM)
        assert end_of(program).code == 143


@pytest.mark.parametrize("name", ["20200101-000000-aaaaaa", "/nowhere", ""])
def test_a_run_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    done = run(tmp_path, {"a": {"cmd": "true"}}, f"--resume={name}")
    assert (done.code, done.out) == (2, "")
    assert "expected the name of a run in" in done.err
    assert not (tmp_path / "results").exists()


def test_what_is_left_of_a_killed_run_ends_before_anything_starts(tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    jobs = {"a": {"cmd": f"test -e {tmp_path}/fixed && exit; echo x > {fifo.path}; exec sleep 100"}}
    killed_with(tmp_path, jobs, fifo)
    token = state_of(tmp_path).segments[0].begin.token
    # Its guard has ended the job. This process stands for one whose guard was killed as well.
    code = "import os, time; os.setsid(); print('ready', flush=True); time.sleep(100)"
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", code],
        env=environment(JOB_RUNTIME_HERE=token),
        stdout=subprocess.PIPE,
        text=True,
    ) as left:
        assert left.stdout is not None
        assert left.stdout.readline() == "ready\n"
        (tmp_path / "fixed").touch()
        assert run(tmp_path, jobs, "--resume").code == 0
        assert left.wait() == -signal.SIGKILL
    assert not is_alive(left.pid)


def count_of(slurm: FakeSlurm, program: str) -> int:
    return sum(each.program == program for each in slurm.calls)


def test_jobs_of_a_batch_system_go_on_and_are_followed(tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    count = 10
    command = f"echo {{id}} >> {tmp_path}/ran; echo x > {fifo.path}; while ! test -e {tmp_path}/go; do sleep 0.05; done"
    jobs = {f"j{number}": {"cmd": command} for number in range(count)}
    with FakeSlurm(Settings(cpus=64)) as slurm:
        env = {"PATH": f"{slurm.bin}:{os.environ['PATH']}"}
        words = ["run", job_file(tmp_path, jobs, backends={"slurm": {"poll_interval": 0.2}}), "--backend", "slurm"]
        with started(tmp_path, *words, env=env) as program:
            begun = 0
            while begun < count:
                begun += len(fifo.hear().splitlines())
            program.send_signal(signal.SIGKILL)
            program.wait()
        submitted = count_of(slurm, "sbatch")
        dry = call(tmp_path, *words, "--resume", "--dry-run", env=env)
        assert dry.out.count("it may be in flight, and is followed if it is") == count
        asked = count_of(slurm, "squeue")
        with started(tmp_path, *words, "--resume", env=env) as program:
            # They run on this machine, and go on until they are followed: none of them is taken for what is left.
            deadline = time.monotonic() + LIMIT
            while count_of(slurm, "squeue") == asked:
                assert time.monotonic() < deadline
            (tmp_path / "go").touch()
            done = end_of(program)
        assert done.code == 0, done
        assert count_of(slurm, "sbatch") == submitted
    assert sorted(ran(tmp_path)) == sorted(jobs)
    assert statuses(tmp_path) == dict.fromkeys(jobs, "passed")
    assert set(state_of(tmp_path).attempts) == {1}


def test_a_torn_journal_is_continued_behind_its_last_whole_record(tmp_path: Path) -> None:
    jobs = {"a": {"cmd": notes(tmp_path)}, "b": {"cmd": notes(tmp_path)}}
    assert run(tmp_path, jobs).code == 0
    path = run_dir(tmp_path) / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-5])  # in its last record, `End`
    ran(tmp_path)
    done = run(tmp_path, jobs, "--resume")
    assert done.code == 0
    assert "is cut off" in done.err + done.out
    assert ran(tmp_path) == []
    assert read(path).note is None
    assert len(state_of(tmp_path).segments) == 2


@pytest.mark.parametrize("content", [None, b"0000"])
def test_a_run_that_was_killed_before_its_first_record_runs_anew(tmp_path: Path, content: bytes | None) -> None:
    jobs = {"a": {"cmd": notes(tmp_path)}}
    assert run(tmp_path, jobs).code == 0
    first = run_dir(tmp_path)
    (first / "journal.jsonl").unlink()
    if content is not None:
        (first / "journal.jsonl").write_bytes(content)
    ran(tmp_path)
    dry = run(tmp_path, jobs, "--resume", "--dry-run")
    assert (dry.code, dry.out) == (0, "run   a  it is not in the journal\n0 kept, 1 to run\n")
    done = run(tmp_path, jobs, "--resume")
    assert done.code == 0, done
    for each in (dry, done):
        (line,) = each.err.splitlines()
        assert line.endswith("; nothing is known of the run")
    assert ran(tmp_path) == ["a"]
    assert run_dir(tmp_path) != first
    assert not (first / "journal.lock").exists()
    again = run(tmp_path, jobs, f"--rerun={first.name}")
    assert (again.code, again.out) == (2, "")
    assert again.err.splitlines()[-1].endswith("expected a run that has begun")


def test_a_directory_that_is_no_run_is_not_resumed(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run(tmp_path, {"a": {"cmd": "true"}}, f"--resume={tmp_path}/empty")
    assert (done.code, done.out) == (2, "")
    assert "its journal cannot be read: No such file or directory" in done.err
    assert not (tmp_path / "results").exists()


def test_a_job_that_changes_the_journal_of_its_run_gets_no_file_of_others_written(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    assert run(tmp_path, {"a": {"cmd": "true"}}).code == 0
    path = run_dir(tmp_path) / "journal.jsonl"
    path.unlink()
    os.symlink(victim, path)
    done = run(tmp_path, {"a": {"cmd": "true"}}, "--resume")
    assert done.code == 2
    assert victim.read_text() == "mine"
    assert json.loads((tmp_path / "jobs.json").read_text())


def test_a_few_kills_at_random_instants(tmp_path: Path) -> None:
    kills, kept = resumes.kill_a_run(tmp_path, 4, Random(7))
    assert kills == 4
    assert kept > 0


def test_a_run_that_is_killed_before_a_job_is_tried_again_tries_it_again_when_it_is_resumed(tmp_path: Path) -> None:
    jobs: dict[str, Any] = {
        "a": {"cmd": notes(tmp_path, f"test -e {tmp_path}/fixed"), "retry": 1, "retry_delay": "1h"},
        "b": {"cmd": notes(tmp_path), "needs": ["a"]},
    }
    with started(tmp_path, "run", job_file(tmp_path, jobs)) as program:
        wait_for(program.stdout, "RETRY")
        live = json.loads(call(tmp_path, "report", "--json").out)["jobs"][0]
        assert (live["status"], live["earlier"][0]["status"]) == ("queued", "failed")
        program.send_signal(signal.SIGKILL)
        program.wait()
    assert ran(tmp_path) == ["a"]
    dead = json.loads(call(tmp_path, "report", "--json").out)["jobs"][0]
    assert (dead["status"], dead["kind"]) == ("killed", "cancelled")
    assert Path(dead["log"]).is_file()
    dry = run(tmp_path, jobs, "--resume", "--dry-run")
    assert "run   a  it was to be tried again" in dry.out
    (tmp_path / "fixed").touch()
    assert run(tmp_path, jobs, "--resume").code == 0
    assert ran(tmp_path) == ["a", "b"]
    job = results(tmp_path)["jobs"][0]
    assert (job["status"], job["attempt"], job["flaky"]) == ("passed", 2, True)
    (earlier,) = job["earlier"]
    assert (earlier["attempt"], earlier["kind"]) == (1, "exit_code")
    assert Path(earlier["log"]).is_file()
    assert Path(earlier["odir"]).name == "a~attempt1"


def test_the_retries_of_a_run_that_was_killed_are_not_granted_again(tmp_path: Path) -> None:
    jobs: dict[str, Any] = {"a": {"cmd": notes(tmp_path, "false"), "retry": 1, "retry_delay": "1h"}}
    with started(tmp_path, "run", job_file(tmp_path, jobs)) as program:
        wait_for(program.stdout, "RETRY")
        program.send_signal(signal.SIGKILL)
        program.wait()
    done = run(tmp_path, jobs, "--resume")
    assert done.code == 1
    assert ran(tmp_path) == ["a", "a"]
    assert "FAILED" in done.out
    assert [each["attempt"] for each in results(tmp_path)["jobs"][0]["earlier"]] == [1]
