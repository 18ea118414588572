"""The journal of a run of the command line: what is in it, who may write it, and what its failure costs."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runtime.cli.job_shell import parse_environment
from runtime.journal import Begin, End, RunState, read, read_secrets, replay
from runtime.roots import Roots
from tests.cli.program import Fifo, call, end_of, is_alive, job_file, results, started, statuses

pytestmark = pytest.mark.slow

SECRET = "hunter2-and-more"


def run_dir(directory: Path) -> Path:
    return (directory / "results" / "latest").resolve()


def state_of(directory: Path) -> RunState:
    """Return what the journal of the last run says."""
    journal = read(run_dir(directory) / "journal.jsonl")
    assert journal.note is None
    return replay(journal.records, str(run_dir(directory)))


def begin_of(directory: Path) -> Begin:
    (segment,) = state_of(directory).segments
    return segment.begin


def git(directory: Path, *words: str) -> str:
    command = ["git", "-C", str(directory), "-c", "user.name=a", "-c", "user.email=a@b.c", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_journal_of_a_run_that_ended_gives_its_results(tmp_path: Path) -> None:
    jobs = {
        "good": {"cmd": "echo hello"},
        "bad": {"cmd": "echo the cause; exit 3", "needs": ["good"]},
        "after": {"cmd": "true", "needs": ["bad"]},
    }
    assert call(tmp_path, "run", job_file(tmp_path, jobs)).code == 1
    state = state_of(tmp_path)
    assert state.is_complete
    found = {event.job_id: event for event in state.results()}
    for job in results(tmp_path)["jobs"]:
        event = found.pop(job["id"])
        assert event.status.name.lower() == job["status"]
        assert (event.attempt, event.odir, event.log_path) == (job["attempt"], job["odir"], job["log"])
        assert (event.reason.message if event.reason else None) == job["message"]
    assert not found


def test_what_a_run_is_made_of_is_known_from_its_beginning(tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    name = job_file(
        tmp_path,
        {"a": {"cmd": f"echo ready > {fifo.path}; exec sleep 100", "version": "echo; echo ' tool 7.1 '; echo b"}},
    )
    with started(tmp_path, "run", name, "--seed-base", "5") as program:
        assert fifo.hear() == "ready"
        program.send_signal(signal.SIGKILL)
        program.wait()
    state = state_of(tmp_path)
    details: Any = state.segments[0].begin.details
    assert not state.is_complete
    assert state.segments[0].begin.pid == program.pid
    assert details["command"] == ["job-runtime", "run", name, "--seed-base", "5"]
    assert (details["directory"], details["run"], details["seed_base"]) == (str(tmp_path), run_dir(tmp_path).name, 5)
    assert details["tools"] == {"a": "tool 7.1"}
    assert details["versions"]["python"].startswith("CPython 3.")
    assert [(each["path"], each["text"]) for each in details["files"]] == [
        (str(tmp_path / name), (tmp_path / name).read_text())
    ]
    assert [each.id for each in state.in_flight()] == ["a"]


def test_the_revision_of_the_tree_and_whether_it_was_clean(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    name = job_file(tmp_path, {"a": {"cmd": "true"}})
    git(tmp_path, "add", name)
    git(tmp_path, "commit", "-qm", "one")
    revision = git(tmp_path, "rev-parse", "HEAD")
    for _ in range(2):  # what the first run has written makes the tree of the second one no less clean
        assert call(tmp_path, "run", name).code == 0
        assert begin_of(tmp_path).details["git"] == {"revision": revision, "clean": True}
    (tmp_path / "new.sv").touch()
    assert call(tmp_path, "run", name).code == 0
    assert begin_of(tmp_path).details["git"] == {"revision": revision, "clean": False}


def test_without_git_and_with_a_version_command_that_fails_a_run_is_as_good(tmp_path: Path) -> None:
    name = job_file(tmp_path, {"a": {"cmd": ["/bin/true"], "version": "echo 1; exit 3"}})
    done = call(tmp_path, "run", name, env={"PATH": str(tmp_path)})
    assert done.code == 0
    assert "the version command 'echo 1; exit 3' failed" in done.err + done.out
    details = begin_of(tmp_path).details
    assert (details["git"], details["tools"]) == (None, {"a": None})


def test_values_are_digests_in_the_journal_and_in_a_file_for_the_owner(tmp_path: Path) -> None:
    jobs = {"a": {"cmd": "true", "exports": {"KEY": SECRET}}}
    os.umask(old := os.umask(0))
    os.umask(0)
    try:
        assert call(tmp_path, "run", job_file(tmp_path, jobs), env={"TOKEN": SECRET}).code == 0
    finally:
        os.umask(old)
    directory = run_dir(tmp_path)
    assert SECRET not in (directory / "journal.jsonl").read_text()
    for name in ("journal.jsonl", "journal.secrets"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
    roots = Roots(str(directory))
    roots.open()
    (values,) = read_secrets(roots.run)
    roots.close()
    assert values.environment["TOKEN"] == SECRET
    assert json.loads(values.files[str(tmp_path / "jobs.json")]) == {"jobs": jobs}
    details: Any = begin_of(tmp_path).details
    assert details["environment"]["TOKEN"] == values.digest(SECRET)
    assert details["files"][0]["text"] is None


def test_jobs_on_standard_input_are_recorded(tmp_path: Path) -> None:
    line = '{"name": "a", "cmd": "true"}'
    assert call(tmp_path, "run", "-", stdin=f"{line}\n").code == 0
    details: Any = begin_of(tmp_path).details
    assert [(each["path"], each["text"]) for each in details["files"]] == [("-", f"{line}\n")]


def test_a_signal_that_stopped_a_run_is_in_its_last_record(tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    name = job_file(tmp_path, {"a": {"cmd": f"echo ready > {fifo.path}; exec sleep 100"}})
    with started(tmp_path, "run", name) as program:
        assert fifo.hear() == "ready"
        program.send_signal(signal.SIGTERM)
        assert end_of(program).code == 143
    last = read(run_dir(tmp_path) / "journal.jsonl").records[-1]
    assert isinstance(last, End)
    assert last.stopped_by == "SIGTERM"


def test_a_request_to_stop_ends_the_wait_for_a_version(tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    name = job_file(tmp_path, {"a": {"cmd": "true", "version": f"echo $$ > {fifo.path}; exec sleep 100"}})
    with started(tmp_path, "run", name) as program:
        pid = int(fifo.hear())
        program.send_signal(signal.SIGINT)
        assert end_of(program).code == 130
    assert not is_alive(pid)
    assert statuses(tmp_path) == {"a": "killed"}
    assert "git" not in begin_of(tmp_path).details or begin_of(tmp_path).details["git"] is None


def limited(size: int) -> Any:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def test_a_journal_that_cannot_be_written_costs_the_record_and_not_the_run(tmp_path: Path) -> None:
    (tmp_path / "jobs.toml").write_text(f"[jobs.a]\ncmd = 'true'\n# {'x' * 200_000}\n")
    with started(tmp_path, "run", "jobs.toml", preexec_fn=limited(100_000)) as program:
        done = end_of(program)
    assert done.code == 74
    said = done.out + done.err
    assert said.count("journal.jsonl cannot be written (File too large)") == 1
    assert said.count("journal.secrets cannot be written (File too large)") == 1
    assert statuses(tmp_path) == {"a": "passed"}


def test_the_lock_is_held_during_a_run_and_gone_after_it(tmp_path: Path) -> None:
    fifo, go = Fifo(tmp_path / "fifo"), Fifo(tmp_path / "go")
    name = job_file(tmp_path, {"a": {"cmd": f"echo ready > {fifo.path}; read x < {go.path}"}})
    with started(tmp_path, "run", name) as program:
        assert fifo.hear() == "ready"
        lock = json.loads((run_dir(tmp_path) / "journal.lock").read_text())
        assert lock["pid"] == program.pid
        go.say()
        assert end_of(program).code == 0
    assert not (run_dir(tmp_path) / "journal.lock").exists()


@pytest.mark.parametrize("fields", [{}, {"containment": "group"}, {"exports": {"PATH": "/usr/bin:/bin"}}])
def test_jobs_see_which_attempt_at_which_job_they_are(tmp_path: Path, fields: dict[str, object]) -> None:
    told = "$JOB_RUNTIME_ID $JOB_RUNTIME_ATTEMPT ${JOB_RUNTIME_SEED-none}"
    cmd = f'echo "{told}"; test $JOB_RUNTIME_ATTEMPT = 2'
    again = {"cmd": cmd, "retry": 1, "retry_delay": 0, **fields}
    name = job_file(tmp_path, {"a": {**again, "seeds": [7]}, "b": again})
    outer = {"JOB_RUNTIME_ID": "outer", "JOB_RUNTIME_ATTEMPT": "9", "JOB_RUNTIME_SEED": "9"}
    assert call(tmp_path, "run", name, env=outer).code == 0
    for odir, expected in {
        "a.seed@7~attempt1": ["a.seed=7", "1", "7"],
        "a.seed@7": ["a.seed=7", "2", "7"],
        "b~attempt1": ["b", "1", "none"],
        "b": ["b", "2", "none"],
    }.items():
        assert (run_dir(tmp_path) / odir / "job.log").read_text() == f"{' '.join(expected)}\n"
        variables = parse_environment((run_dir(tmp_path) / odir / "env_vars").read_bytes())
        names = ("JOB_RUNTIME_ID", "JOB_RUNTIME_ATTEMPT", "JOB_RUNTIME_SEED")
        assert [variables.get(name, "none") for name in names] == expected


def test_jobs_see_the_token_of_their_run(tmp_path: Path) -> None:
    name = job_file(tmp_path, {"a": {"cmd": "printenv JOB_RUNTIME_RUN"}})
    assert call(tmp_path, "run", name, env={"JOB_RUNTIME_RUN": "that of another run"}).code == 0
    assert (run_dir(tmp_path) / "a" / "job.log").read_text() == f"{begin_of(tmp_path).token}\n"
