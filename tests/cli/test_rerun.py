"""`run FILE --rerun`: what did not pass runs again, in a new run; what it needs is kept of the old one, or is not."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Here
from tests.cli.program import Done, Fifo, call, job_file, links, results, started, statuses
from tests.cli.test_resume import notes, ran, run, run_dir, state_of

pytestmark = pytest.mark.slow


def git(directory: Path, *words: str) -> None:
    me = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *me, *words], cwd=directory, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with a job file, `notes` and results, all in a source tree that is clean, at its first revision."""
    git(tmp_path, "init", "-q", ".")
    (tmp_path / ".gitignore").write_text("*\n!source\n!.gitignore\n")
    (tmp_path / "source").write_text("one")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    return tmp_path


def jobs_in(directory: Path) -> dict[str, Any]:
    """A build, that needs another one; a test that needs it, and passes when the file ``fixed`` is there."""
    return {
        "gen": {"cmd": notes(directory, "echo text > {odir}/text")},
        "build": {"cmd": notes(directory, "cp {run_dir}/gen/text {odir}/sim"), "needs": ["gen"]},
        "t": {"cmd": notes(directory, f"cat {{run_dir}}/build/sim && test -e {directory}/fixed"), "needs": ["build"]},
        "other": {"cmd": notes(directory)},
    }


def failed_run(directory: Path) -> Path:
    """Run the jobs; return the run directory."""
    assert run(directory, jobs_in(directory)).code == 1
    assert sorted(ran(directory)) == ["build", "gen", "other", "t"]
    return run_dir(directory)


def dry(here: Here, directory: Path, jobs: dict[str, Any], *arguments: str) -> Done:
    """Call the command line in this process; nothing is started."""
    return here("run", job_file(directory, jobs), *arguments, "--dry-run")


def origins(directory: Path) -> dict[str, str | None]:
    return {job["id"]: job["origin"] for job in results(directory)["jobs"]}


def reruns(directory: Path, *arguments: str) -> Done:
    return run(directory, jobs_in(directory), "--rerun", *arguments)


def test_what_passed_of_the_same_clean_tree_is_kept_and_linked(here: Here, tree: Path) -> None:
    first = failed_run(tree)
    told = dry(here, tree, jobs_in(tree), "--rerun")
    assert [line.split(maxsplit=2) for line in told.out.splitlines()] == [
        ["keep", "gen", "it passed"],
        ["keep", "build", "it passed"],
        ["run", "t", "it did not pass"],
        ["2", "kept,", "1 to run"],
    ]
    assert run_dir(tree) == first
    (tree / "fixed").touch()
    done = reruns(tree)
    assert done.code == 0, done
    assert ran(tree) == ["t"]
    assert f", of {first.name}: 2 kept, 1 to run\n" in done.out
    assert f"kept of {first.name}: gen, build\n" in done.out
    second = run_dir(tree)
    assert second != first
    assert os.readlink(second / "build") == str(first / "build")
    assert (second / "t" / "job.log").read_text() == "text\n"
    assert links(tree) == {"passed": ["build", "gen", "t"]}
    assert statuses(tree) == dict.fromkeys(["gen", "build", "t"], "passed")
    assert origins(tree) == {"gen": first.name, "build": first.name, "t": None}
    assert [job["odir"] for job in results(tree)["jobs"]] == [f"{first}/gen", f"{first}/build", f"{second}/t"]
    assert here("report", "--json").out == (second / "results.json").read_text()
    assert f"kept of {first.name}: gen, build\n" in here("report").out
    assert here("logs", "latest", "build").code == 0


def test_a_rerun_of_a_rerun_names_the_run_that_produced_a_result(tree: Path) -> None:
    first = failed_run(tree)
    assert reruns(tree).code == 1
    assert reruns(tree).code == 1
    (tree / "fixed").touch()
    assert reruns(tree).code == 0
    assert ran(tree) == ["t", "t", "t"]
    assert origins(tree) == {"gen": first.name, "build": first.name, "t": None}
    assert os.readlink(run_dir(tree) / "build") == str(first / "build")


def test_a_resume_of_a_rerun_keeps_what_that_has_kept(tree: Path) -> None:
    first = failed_run(tree)
    assert reruns(tree).code == 1
    second = run_dir(tree)
    (tree / "fixed").touch()
    done = run(tree, jobs_in(tree), "--resume", "--exclude", "other")
    assert done.code == 0, done
    assert "2 kept, 1 to run" in done.out
    assert f"kept of {first.name}: gen, build\n" in done.out
    assert ran(tree) == ["t", "t"]
    assert run_dir(tree) == second
    assert origins(tree) == {"gen": first.name, "build": first.name, "t": None}
    assert [segment.kept for segment in state_of(tree).segments] == [2, 2]


def test_a_kept_build_that_has_to_run_in_the_resume_runs_in_this_run(tree: Path) -> None:
    jobs = jobs_in(tree)
    jobs["build"]["odir"] = "{run_dir}/build"  # so that it is not renamed before the second attempt
    assert run(tree, jobs).code == 1
    first = run_dir(tree)
    assert run(tree, jobs, "--rerun").code == 1
    ran(tree)
    (tree / "fixed").touch()
    jobs["build"]["cmd"] += "; echo changed >> {odir}/sim"
    done = run(tree, jobs, "--resume", "--exclude", "other")
    assert done.code == 0, done
    assert ran(tree) == ["build", "t"]
    assert not (run_dir(tree) / "build").is_symlink()
    assert (first / "build" / "sim").read_text() == "text\n"  # that of the other run is untouched
    assert (run_dir(tree) / "build" / "sim").read_text() == "text\nchanged\n"
    assert origins(tree) == {"gen": first.name, "build": None, "t": None}


def changed(tree: Path) -> None:
    (tree / "source").write_text("two")


def committed(tree: Path) -> None:
    changed(tree)
    git(tree, "commit", "-qam", "two")


def no_tree(tree: Path) -> None:
    shutil.rmtree(tree / ".git")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (changed, "the tree has changes that are not committed"),
        (committed, r"the tree is at [0-9a-f]{12}, and was at [0-9a-f]{12}"),
        (no_tree, "the job file is in no git tree whose revision could be compared"),
    ],
)
def test_what_passed_of_another_tree_is_built_again(here: Here, tree: Path, change: Any, reason: str) -> None:
    first = failed_run(tree)
    change(tree)
    (tree / "fixed").touch()
    told = dry(here, tree, jobs_in(tree), "--rerun")
    assert re.search(f"^run   gen    {reason}$", told.out, re.MULTILINE)
    done = reruns(tree)
    assert done.code == 0, done
    assert re.search(f"^built again: {reason}; --keep-builds keeps what passed$", done.out, re.MULTILINE)
    assert ran(tree) == ["gen", "build", "t"]
    assert set(origins(tree).values()) == {None}
    assert not (run_dir(tree) / "build").is_symlink()
    kept = run(tree, jobs_in(tree), f"--rerun={first.name}", "--keep-builds")
    assert kept.code == 0, kept
    assert ran(tree) == ["t"]
    assert "built again" not in kept.out
    assert origins(tree) == {"gen": first.name, "build": first.name, "t": None}


def test_what_was_made_of_a_tree_with_changes_is_built_again(tree: Path) -> None:
    changed(tree)
    failed_run(tree)
    git(tree, "commit", "-qam", "two")
    done = reruns(tree)
    assert "built again: the tree had changes that were not committed" in done.out
    assert ran(tree) == ["gen", "build", "t"]


def test_what_was_kept_of_another_tree_is_not_taken_for_one_of_this_tree(tree: Path) -> None:
    failed_run(tree)
    committed(tree)
    assert reruns(tree, "--keep-builds").code == 1
    assert ran(tree) == ["t"]
    # The last run is of this revision. What it has kept is not.
    assert "built again: the tree is at" in reruns(tree).out
    assert ran(tree) == ["gen", "build", "t"]


def test_what_has_changed_since_is_run_again_even_so(here: Here, tree: Path) -> None:
    first = failed_run(tree)
    shutil.rmtree(first / "build")
    done = dry(here, tree, jobs_in(tree), "--rerun", "--keep-builds")
    assert "run   build  its output directory is gone" in done.out
    (first / "build").symlink_to(first / "gen")  # as a job may do
    assert "run   build  its output directory is gone" in dry(here, tree, jobs_in(tree), "--rerun").out
    jobs = jobs_in(tree)
    jobs["gen"]["exports"] = {"NEW": "1"}
    done = dry(here, tree, jobs, "--rerun")
    assert "run   gen    its specification changed" in done.out
    assert "run   build  its output directory is gone" in done.out


def test_a_job_that_writes_into_a_build_makes_it_run_again(tree: Path) -> None:
    jobs = jobs_in(tree)
    jobs["t"]["odir"] = "{run_dir}/build/t"
    assert run(tree, jobs).code == 1
    ran(tree)
    done = run(tree, jobs, "--rerun")
    assert ran(tree) == ["build", "t"], done
    assert origins(tree)["gen"] is not None
    assert "failed" in statuses(tree)["t"]


def test_builds_of_a_run_that_was_killed_are_kept(tree: Path) -> None:
    fifo = Fifo(tree / "fifo")
    jobs = jobs_in(tree)
    jobs["t"]["cmd"] = f"cat {{run_dir}}/build/sim; test -e {tree}/fixed || (echo x > {fifo.path}; exec sleep 100)"
    with started(tree, "run", job_file(tree, jobs), "--exclude", "other") as program:
        fifo.hear()
        program.send_signal(signal.SIGKILL)
        program.wait()
    ran(tree)
    (tree / "fixed").touch()
    done = run(tree, jobs, "--rerun")
    assert done.code == 0, done
    assert ran(tree) == []
    assert (run_dir(tree) / "t" / "job.log").read_text() == "text\n"


def test_runs_below_a_linked_directory_are_the_same_runs(tree: Path) -> None:
    (tree / "disk").mkdir()
    (tree / "results").symlink_to("disk", target_is_directory=True)
    failed_run(tree)
    (tree / "fixed").touch()
    assert "2 kept, 1 to run" in reruns(tree).out
    assert os.readlink(run_dir(tree) / "build").startswith(f"{tree}/disk/")
    assert "3 kept, 0 to run" in run(tree, jobs_in(tree), "--resume", "--exclude", "other").out
    assert ran(tree) == ["t"]


def test_a_run_whose_directories_are_used_is_not_pruned_before_its_user(here: Here, tree: Path) -> None:
    first = failed_run(tree)
    assert reruns(tree).code == 1
    second = run_dir(tree)
    done = here("runs", "--prune", "1")
    assert f"{first.name}  stays: the run {second.name} uses its directories" in done.out
    assert first.exists()
    assert run(tree, jobs_in(tree)).code == 1
    done = here("runs", "--prune", "1")
    assert done.out.count("  removed\n") == 2
    assert not first.exists()
    assert not second.exists()


def test_chosen_jobs_run_alone_on_the_builds_of_the_latest_run_that_has_them(here: Here, tree: Path) -> None:
    first = failed_run(tree)
    assert run(tree, {"strange": {"cmd": "true"}}).code == 0  # a run of another job file has none of them
    changed(tree)  # which does not matter: git is not asked
    (tree / "fixed").touch()
    words = ["--select", "t", "--without-needs"]
    done = run(tree, jobs_in(tree), *words)
    assert done.code == 0, done
    assert ran(tree) == ["t"]
    assert origins(tree) == {"gen": first.name, "build": first.name, "t": None}
    assert (run_dir(tree) / "t" / "job.log").read_text() == "text\n"
    again = dry(here, tree, jobs_in(tree), *words)
    assert "run   t      it was chosen to run again" in again.out  # it passed in the latest run
    assert f"keep  build  it passed in the run {first.name!r}" in again.out
    alone = run(tree, jobs_in(tree), "--select", "gen", "--without-needs")
    assert alone.code == 0  # it needs nothing
    assert statuses(tree) == {"gen": "passed"}


def test_what_a_chosen_job_needs_has_to_stand(here: Here, tree: Path) -> None:
    words = ["--select", "t", "--without-needs"]
    none = dry(here, tree, jobs_in(tree), *words)
    assert (none.code, none.out) == (2, "")
    assert "--without-needs: no run in" in none.err
    assert '"build", "gen"' in none.err
    first = failed_run(tree)
    shutil.rmtree(first / "gen")
    gone = dry(here, tree, jobs_in(tree), *words)
    assert (gone.code, gone.out, gone.err.count("\n")) == (2, "", 1)
    assert f'"gen" is needed, and cannot be kept of the run {first.name}: its output directory is gone' in gone.err
    assert run_dir(tree) == first  # nothing was started
    gone = dry(here, tree, jobs_in(tree), "--rerun", "--without-needs")
    assert (gone.code, gone.out) == (2, "")
    both = dry(here, tree, jobs_in(tree), "--select", "t", "--select", "gen", "--without-needs")
    assert (both.code, "it needs 'gen', which runs again" in both.err) == (2, True)


def test_what_failed_runs_alone(tree: Path) -> None:
    first = failed_run(tree)
    changed(tree)
    (tree / "fixed").touch()
    done = reruns(tree, "--without-needs")
    assert done.code == 0, done
    assert ran(tree) == ["t"]
    assert origins(tree) == {"gen": first.name, "build": first.name, "t": None}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--without-needs"], "--without-needs is given without --rerun or --select"),
        (["--without-needs", "--exclude", "a"], "--without-needs is given without --rerun or --select"),
        (["--without-needs", "--resume"], "--without-needs is given with --resume"),
        (["--keep-builds"], "--keep-builds is given without --rerun"),
        (["--keep-builds", "--resume"], "--keep-builds is given without --rerun"),
        (["--rerun=nothing"], "expected the name of a run in"),
        (["--rerun=file"], "expected a run directory"),
    ],
)
def test_what_makes_no_sense_is_one_error(here: Here, tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "file").write_text("x")
    done = here("run", job_file(tmp_path, {"a": {"cmd": "true"}}), *words)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert message in done.err


def test_what_did_not_pass_runs_again_with_its_seed_and_what_it_needs(tmp_path: Path) -> None:
    good = f"test -e {tmp_path}/fixed || test {{seed}} != $(cat {tmp_path}/seed)"
    jobs: dict[str, Any] = {
        "build": {"cmd": notes(tmp_path)},
        "t": {"cmd": notes(tmp_path, good), "needs": ["build"], "seeds": 3},
        "after": {"cmd": notes(tmp_path), "needs": ["t"]},
    }
    listed = call(tmp_path, "list", job_file(tmp_path, jobs), "--seed-base", "8").out
    seed = re.findall(r"t\.seed=(\d+)", listed)[1]
    (tmp_path / "seed").write_text(seed)
    assert run(tmp_path, jobs, "--seed-base", "8").code == 1
    ran(tmp_path)
    first = run_dir(tmp_path)
    (tmp_path / "fixed").touch()
    done = run(tmp_path, {**jobs, "new": {"cmd": notes(tmp_path)}}, "--rerun")
    assert done.code == 0, done
    # `after` did not run, so it needs all of `t`.
    assert ran(tmp_path)[0] == "build"
    assert "new" not in statuses(tmp_path)
    assert f"t.seed={seed}" in statuses(tmp_path)
    assert run_dir(tmp_path) != first
    done = run(tmp_path, jobs, "--rerun")
    assert (done.code, done.out) == (2, "")
    assert "all of its jobs passed" in done.err
    only = run(tmp_path, jobs, f"--rerun={first.name}", "--exclude", "after")
    assert only.code == 0
    assert sorted(statuses(tmp_path)) == ["build", f"t.seed={seed}"]


def test_of_each_failure_bucket_the_shortest_job_runs_again(tmp_path: Path) -> None:
    jobs: dict[str, Any] = {
        "red": {"cmd": "echo red {seed}; false", "seeds": "1..3"},
        "blue": {"cmd": "echo blue {seed}; false", "seeds": "1..3", "needs": ["build"]},
        "build": {"cmd": "true"},
        "good": {"cmd": "true"},
        "after": {"cmd": "true", "needs": ["red"]},
    }
    assert run(tmp_path, jobs).code == 1
    seconds = {job["id"]: job["run_seconds"] for job in results(tmp_path)["jobs"]}
    name = run_dir(tmp_path).name
    dry = run(tmp_path, jobs, "--rerun-each-bucket", name, "--dry-run")
    assert dry.out.splitlines()[-1] == "0 kept, 3 to run"
    assert run(tmp_path, jobs, f"--rerun-each-bucket={name}").code == 1
    red, blue = sorted(statuses(tmp_path).keys() - {"build"}, reverse=True)
    for chosen in (red, blue):
        colour = chosen.partition(".")[0]
        assert seconds[chosen] == min(seconds[f"{colour}.seed={seed}"] for seed in (1, 2, 3))
    assert (red[:4], blue[:5]) == ("red.", "blue.")
    del jobs["red"]
    del jobs["after"]
    assert run(tmp_path, jobs, f"--rerun-each-bucket={name}").code == 1
    assert statuses(tmp_path) == {"build": "passed", blue: "failed"}


def test_a_run_of_consequences_alone_has_no_bucket(tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    jobs = {"a": {"cmd": f"echo x > {fifo.path}; sleep 100"}}
    with started(tmp_path, "run", job_file(tmp_path, jobs)) as program:
        fifo.hear()
        program.send_signal(signal.SIGTERM)
        program.wait()
    done = run(tmp_path, jobs, "--rerun-each-bucket")
    assert (done.code, done.out) == (2, "")
    assert "has no failure bucket" in done.err
    both = run(tmp_path, jobs, "--rerun-each-bucket", "--rerun")
    assert (both.code, "not allowed with argument" in both.err) == (2, True)
