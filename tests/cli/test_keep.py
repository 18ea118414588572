"""``keep = "failed"``: what is left of a run, and what a resume makes of that."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from runtime.journal import Removed, encode, to_text
from tests.cli.program import Fifo, call, end_of, job_file, links, results, started, statuses
from tests.cli.test_resume import killed_with, notes, ran, run, run_dir, state_of
from tests.cli.test_run_journal import limited
from tests.slurm.fakes.controller import Settings
from tests.slurm.fakes.slurm import FakeSlurm

pytestmark = pytest.mark.slow

KEEP = {"keep": "failed"}


def directories(directory: Path) -> list[str]:
    """The directories of jobs that are left of the last run."""
    own = {"running", "passed", "failed", "killed"}
    return sorted(path.name for path in run_dir(directory).iterdir() if path.is_dir() and path.name not in own)


def removed(directory: Path) -> list[str]:
    return sorted(job["id"] for job in results(directory)["jobs"] if job["removed"])


def test_what_passed_goes_what_failed_and_what_it_needs_stay_and_everything_says_so(tmp_path: Path) -> None:
    jobs: dict[str, Any] = {
        "build": {"cmd": "echo x > {odir}/bin", **KEEP},
        "good": {"cmd": "test -e {run_dir}/build/bin", "needs": ["build"], **KEEP},
        "bad": {"cmd": "test -e {run_dir}/build/bin && exit 3", "needs": ["build"], **KEEP},
        "alone": {"cmd": "mkdir {odir}/d; echo x > {odir}/d/waves", **KEEP},
        "stays": {"cmd": "true"},
    }
    done = run(tmp_path, jobs)
    assert done.code == 1
    assert directories(tmp_path) == ["bad", "build", "stays"]
    assert removed(tmp_path) == ["alone", "good"]
    assert links(tmp_path) == {"passed": ["build", "stays"], "failed": ["bad"]}
    said = "the output directories of 2 jobs that passed were removed"
    assert said in done.out
    assert said in call(tmp_path, "report").out
    assert json.loads(call(tmp_path, "report", "--json").out) == results(tmp_path)
    for words in (("logs", "latest", "good"), ("shell", "latest", "good")):
        answer = call(tmp_path, *words)
        assert (answer.code, answer.out) == (2, "")
        assert "its output directory was removed, as it passed" in answer.err
        assert answer.err.count("\n") == 1
    assert call(tmp_path, "export", "-o", "x.tar.gz").code == 0
    assert json.loads(call(tmp_path, "report", "x.tar.gz", "--json").out)["jobs"] == results(tmp_path)["jobs"]


def test_a_resume_keeps_what_was_removed_unless_a_job_that_runs_needs_it(tmp_path: Path) -> None:
    jobs: dict[str, Any] = {
        "build": {"cmd": notes(tmp_path, "echo x > {odir}/bin"), **KEEP},
        "t": {"cmd": notes(tmp_path, "test -e {run_dir}/build/bin"), "needs": ["build"], "seeds": [1, 2], **KEEP},
        "u": {"cmd": notes(tmp_path), **KEEP},
    }
    assert run(tmp_path, jobs).code == 0
    assert directories(tmp_path) == []
    ran(tmp_path)
    assert run(tmp_path, jobs, "--resume").code == 0
    assert ran(tmp_path) == []
    assert removed(tmp_path) == ["build", "t.seed=1", "t.seed=2", "u"]
    more = {**jobs, "new": {"cmd": notes(tmp_path, "test -e {run_dir}/build/bin"), "needs": ["build"]}}
    dry = run(tmp_path, more, "--resume", "--dry-run").out
    assert [line.split(maxsplit=2) for line in dry.splitlines()][:-1] == [
        ["run", "build", "its output directory was removed, and 'new' needs it"],
        ["run", "t.seed=1", "it needs 'build', which runs again"],
        ["run", "t.seed=2", "it needs 'build', which runs again"],
        ["keep", "u", "it passed; its output directory was removed"],
        ["run", "new", "it is not in the journal"],
    ]
    assert run(tmp_path, more, "--resume").code == 0
    assert sorted(ran(tmp_path)) == ["build", "new", "t.seed=1", "t.seed=2"]
    assert directories(tmp_path) == ["new"]
    assert set(statuses(tmp_path).values()) == {"passed"}


def test_a_run_that_is_killed_while_directories_go_loses_no_result(tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    jobs: dict[str, Any] = {
        "a": {"cmd": notes(tmp_path), **KEEP},
        "build": {"cmd": notes(tmp_path, "echo x > {odir}/bin"), **KEEP},
        "hangs": {
            "cmd": f"test -e {tmp_path}/fixed && exec test -e {{run_dir}}/build/bin;"
            f" while test -e {{run_dir}}/a; do sleep 0.01; done; echo x > {fifo.path}; exec sleep 100",
            "needs": ["build"],
        },
    }
    killed_with(tmp_path, jobs, fifo)
    assert "a" not in directories(tmp_path)
    assert "build" in directories(tmp_path)
    assert sorted(ran(tmp_path)) == ["a", "build"]
    (tmp_path / "fixed").touch()
    done = run(tmp_path, jobs, "--resume")
    assert done.code == 0
    assert "2 kept, 1 to run" in done.out
    assert ran(tmp_path) == []
    assert removed(tmp_path) == ["a", "build"]
    assert directories(tmp_path) == ["hangs", "hangs~attempt1"]


@pytest.mark.parametrize("is_renamed", [False, True])
@pytest.mark.parametrize("needed", [False, True])
def test_a_removal_that_a_kill_has_interrupted_is_finished_by_the_resume_before_anything_starts(
    tmp_path: Path, needed: bool, is_renamed: bool
) -> None:
    jobs: dict[str, Any] = {
        "a": {"cmd": notes(tmp_path, "echo x > {odir}/x"), **KEEP},
        "b": {"cmd": notes(tmp_path, f"test -e {{run_dir}}/a/x && test -e {tmp_path}/fixed"), "needs": ["a"]},
    }
    if not needed:
        (tmp_path / "fixed").touch()
    run(tmp_path, {name: {**table, "keep": "all"} for name, table in jobs.items()})
    directory = run_dir(tmp_path)
    # The intent is written, and perhaps something of the directory is gone: then the process was killed.
    with open(directory / "journal.jsonl", "ab") as file:
        file.write(encode(to_text(Removed([0]))))
    if is_renamed:
        (directory / "a").rename(directory / "a~removed")
        (directory / "a~removed" / "job.log").unlink()
    (tmp_path / "fixed").touch()
    ran(tmp_path)
    done = run(tmp_path, jobs, "--resume")
    assert done.code == 0, done
    assert ran(tmp_path) == (["a", "b"] if needed else [])
    # If it ran again, it began with nothing, and nothing of the first attempt is left under another name.
    assert directories(tmp_path) == (["b", "b~attempt1"] if needed else ["b"])
    assert removed(tmp_path) == ["a"]
    assert state_of(tmp_path).ignored == 0


def test_a_directory_that_somebody_has_made_since_is_not_removed(tmp_path: Path) -> None:
    jobs = {"a": {"cmd": "true", **KEEP}}
    assert run(tmp_path, jobs).code == 0
    mine = run_dir(tmp_path) / "a"
    mine.mkdir()
    (mine / "precious").touch()
    assert run(tmp_path, jobs, "--resume").code == 0
    assert (mine / "precious").exists()


def test_a_rerun_keeps_what_was_removed_and_no_job_that_runs_needs(tmp_path: Path) -> None:
    jobs: dict[str, Any] = {
        "gen": {"cmd": notes(tmp_path), **KEEP},
        "build": {"cmd": notes(tmp_path, "echo x > {odir}/bin"), "needs": ["gen"]},
        "t": {"cmd": notes(tmp_path, "false")},
    }
    assert run(tmp_path, jobs).code == 1
    assert directories(tmp_path) == ["build", "t"]
    first = run_dir(tmp_path)
    ran(tmp_path)
    jobs["t"] = {"cmd": notes(tmp_path, "test -e {run_dir}/build/bin"), "needs": ["build"]}
    assert run(tmp_path, jobs, "--rerun", "--keep-builds").code == 0
    assert ran(tmp_path) == ["t"]
    assert run_dir(tmp_path) != first
    assert removed(tmp_path) == ["gen"]
    assert sorted(path.name for path in run_dir(tmp_path).iterdir() if path.is_symlink()) == ["build"]
    # A resume of it knows that, too; and what it needs is gone for good.
    done = run(tmp_path, jobs, "--resume")
    assert (done.code, ran(tmp_path)) == (0, [])
    assert removed(tmp_path) == ["gen"]
    jobs["t"]["needs"] = ["build", "gen"]
    assert run(tmp_path, jobs, "--resume").code == 0
    assert ran(tmp_path) == ["gen", "build", "t"]


def test_the_failed_attempt_of_a_flaky_job_stays(tmp_path: Path) -> None:
    jobs = {"a": {"cmd": f"test -e {tmp_path}/x || {{ touch {tmp_path}/x; exit 1; }}", "retry": 1, "retry_delay": 0}}
    assert run(tmp_path, jobs, "--keep", "failed").code == 0
    assert directories(tmp_path) == ["a~attempt1"]
    (job,) = results(tmp_path)["jobs"]
    assert (job["flaky"], job["removed"]) == (True, True)
    assert Path(job["earlier"][0]["log"]).is_file()


def test_an_option_is_for_all_jobs_and_leaves_what_it_cannot_remove(tmp_path: Path) -> None:
    jobs: dict[str, Any] = {
        "a": {"cmd": "true"},
        "b": {"cmd": "true", "keep": "all"},
        "c": {"cmd": "true", "odir": "both", "log_path": "c.log"},
        "d": {"cmd": "true", "odir": "both", "log_path": "d.log"},
        "e": {"cmd": "true", "odir": str(tmp_path / "outside")},
    }
    assert run(tmp_path, jobs, "--keep", "failed").code == 0
    assert directories(tmp_path) == ["both"]
    assert (tmp_path / "outside").is_dir()
    assert run(tmp_path, {"a": {"cmd": "true", **KEEP}}, "--keep", "all").code == 0
    assert directories(tmp_path) == ["a"]


def test_a_directory_that_cannot_be_removed_is_wrong_input(tmp_path: Path) -> None:
    done = run(tmp_path, {"a": {"cmd": "true", "odir": "/data", **KEEP}})
    assert (done.code, done.out) == (2, "")
    assert "/data, is not below the run directory; expected keep" in done.err
    assert not (tmp_path / "results").exists()
    done = run(tmp_path, {"a": {"cmd": "true", "keep": "passed"}})
    assert done.code == 2
    assert 'keep is "passed"; expected "all" or "failed"' in done.err


def test_of_a_run_that_is_stopped_what_passed_goes(tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    jobs: dict[str, Any] = {
        "a": {"cmd": "true", **KEEP},
        "b": {"cmd": f"echo x > {fifo.path}; exec sleep 100", "needs": ["a"], **KEEP},
        "c": {"cmd": "true", "needs": ["b"], **KEEP},
        "d": {"cmd": "true", "weight": 9, **KEEP},
    }
    with started(tmp_path, "run", job_file(tmp_path, jobs)) as program:
        fifo.hear()
        program.send_signal(signal.SIGTERM)
        assert end_of(program).code == 143
    assert "d" not in directories(tmp_path)
    assert {"a", "b"} <= set(directories(tmp_path))


def test_with_a_full_disk_nothing_is_removed_and_no_result_says_so(tmp_path: Path) -> None:
    (tmp_path / "jobs.toml").write_text(f"[jobs.a]\ncmd = 'true'\nkeep = 'failed'\n# {'x' * 200_000}\n")
    with started(tmp_path, "run", "jobs.toml", preexec_fn=limited(100_000)) as program:
        assert end_of(program).code == 74
    assert (directories(tmp_path), removed(tmp_path)) == (["a"], [])


def test_directories_of_a_batch_system_go_too(tmp_path: Path) -> None:
    jobs: dict[str, Any] = {
        "build": {"cmd": "echo x > {odir}/bin", **KEEP},
        "t": {"cmd": "test -e {run_dir}/build/bin && test {seed} != 2", "needs": ["build"], "seeds": [1, 2], **KEEP},
        "u": {"cmd": "true", **KEEP},
    }
    file = job_file(tmp_path, jobs, backends={"slurm": {"poll_interval": 0.2}})
    with FakeSlurm(Settings(cpus=64)) as slurm:
        done = call(tmp_path, "run", file, "--backend", "slurm", env={"PATH": f"{slurm.bin}:{os.environ['PATH']}"})
    assert done.code == 1, done
    assert {"build", "t.seed@2"} <= set(directories(tmp_path))
    assert not {"u", "t.seed@1"} & set(directories(tmp_path))
    assert removed(tmp_path) == ["t.seed=1", "u"]
