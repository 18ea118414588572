"""Runs as programs: the files that they write, and their exit codes."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import (
    LIMIT,
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
from tests.report.results import NONE_APART

pytestmark = pytest.mark.slow

GOOD: dict[str, Any] = {"a": {"cmd": "echo hello"}, "b": {"cmd": "true", "needs": ["a"]}}


def test_a_run_that_passes(tmp_path: Path) -> None:
    done = call(tmp_path, "run", job_file(tmp_path, GOOD))
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(
        r"jobs: 2 jobs, seed base \d+, in results/(\d{8}-\d{6}-[0-9a-f]{6})\n"
        r"2 jobs: 2 passed, 0 failed, 0 killed, in \d\.\d s\n"
        r"results: results/\1/results.json\n",
        done.out,
    )
    assert statuses(tmp_path) == {"a": "passed", "b": "passed"}
    assert links(tmp_path) == {"passed": ["a", "b"]}
    assert (tmp_path / "results/latest/a/job.log").read_text() == "hello\n"
    assert (tmp_path / "results/latest/passed/a").readlink() == Path("../a")
    run = (tmp_path / "results/latest").readlink()
    assert sorted(os.listdir(tmp_path / "results" / run)) == [
        "a",
        "b",
        "failed",
        "journal.jsonl",
        "journal.secrets",
        "killed",
        "passed",
        "results.json",
        "running",
    ]


def test_what_a_killed_job_used_is_in_the_results(tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    burn = "x = b'x' * 100_000_000; import sys; open(sys.argv[1], 'w').write('ready')\nwhile True: pass"
    name = job_file(tmp_path, {"burns": {"cmd": [sys.executable, "-I", "-S", "-c", burn, str(fifo.path)]}})
    with started(tmp_path, "run", name) as program:
        assert fifo.hear() == "ready"
        program.send_signal(signal.SIGINT)
        assert end_of(program).code == 130
    (job,) = results(tmp_path)["jobs"]
    assert (job["status"], job["usage"]["exit_code"], job["usage"]["signal"]) == ("killed", None, signal.SIGTERM)
    assert job["usage"]["cpu_seconds"] > 0
    assert job["usage"]["peak_bytes"] > 100_000_000


def test_a_run_that_does_not_pass(tmp_path: Path) -> None:
    jobs = {
        "bad": {"cmd": "echo the cause; exit 3", "exports": {"A": "it's"}},
        "after": {"cmd": "true", "needs": ["bad"]},
        "slow": {"cmd": "exec sleep 100", "timeout": 0.05},
        "good": {"cmd": "true"},
    }
    done = call(tmp_path, "run", job_file(tmp_path, jobs), "--seed-base", "5")
    assert (done.code, done.err) == (1, "")
    assert "FAILED bad: exit code 3: the cause  results/" in done.out
    assert "4 jobs: 1 passed, 1 failed, 1 killed, 1 never ran, in" in done.out
    assert "Never ran (1 job)\n   1 x it needs 'bad', which ended as FAILED: after\n" in done.out
    assert results(tmp_path)["counts"] == {
        "passed": 1,
        "failed": 1,
        "killed": 1,
        **NONE_APART,
        "never_ran": 1,
        "unfinished": 0,
    }
    assert links(tmp_path) == {"failed": ["bad"], "killed": ["slow"], "passed": ["good"]}
    document = results(tmp_path)
    assert document["seed_base"] == 5
    assert document["command"] == ["job-runtime", "run", "jobs.json", "--seed-base", "5"]
    assert document["stopped_by"] is None
    bad, after, slow, good = document["jobs"]
    assert [job["kind"] for job in (bad, after, slow, good)] == ["exit_code", "dependency", "timeout", None]
    assert (bad["message"], bad["context"]) == ("exit code 3", ["the cause"])
    assert document["started"] <= bad["started"] <= bad["ended"] <= document["ended"]
    assert after["attempt"] == 0
    again = subprocess.run(["/bin/sh", "-c", bad["command"]], capture_output=True, text=True, check=False)
    assert (again.returncode, again.stdout) == (3, "the cause\n")


def test_a_shell_can_be_strict(tmp_path: Path) -> None:
    strict = ["/bin/bash", "-eo", "pipefail", "-c"]
    jobs = {
        "lines": {"cmd": "false\necho report written", "shell": strict},
        "piped": {"cmd": "false | cat", "shell": strict},
        "plain": {"cmd": "false | cat"},
    }
    assert call(tmp_path, "run", job_file(tmp_path, jobs)).code == 1
    assert statuses(tmp_path) == {"lines": "failed", "piped": "failed", "plain": "passed"}


def test_a_second_run_leaves_the_first_alone(tmp_path: Path) -> None:
    file = job_file(tmp_path, {"a": {"cmd": "echo {seed}", "seeds": 2}})
    assert call(tmp_path, "run", file, "--fixed-seed", "1").code == 0
    first = (tmp_path / "results/latest").resolve()
    assert call(tmp_path, "run", file, "--fixed-seed", "2").code == 0
    second = (tmp_path / "results/latest").resolve()
    assert first != second
    assert (first / "a.seed@1/job.log").read_text() == "1\n"
    assert (second / "a.seed@2/job.log").read_text() == "2\n"


def test_the_same_base_gives_the_same_seeds(tmp_path: Path) -> None:
    file = job_file(tmp_path, {"a": {"cmd": "true {seed}", "seeds": 3}})
    call(tmp_path, "run", file)
    first = results(tmp_path)
    call(tmp_path, "run", file, "--seed-base", str(first["seed_base"]))
    assert [job["seed"] for job in results(tmp_path)["jobs"]] == [job["seed"] for job in first["jobs"]]


def test_json_lines_run(tmp_path: Path) -> None:
    lines = '{"name": "a", "cmd": "true"}\n{"name": "b", "cmd": "true", "needs": ["a"]}\n'
    assert call(tmp_path, "run", "-", stdin=lines).code == 0
    assert statuses(tmp_path) == {"a": "passed", "b": "passed"}


def test_a_dry_run_says_what_would_run_and_starts_and_writes_nothing(tmp_path: Path) -> None:
    jobs = {
        "report": {"cmd": ["./report", "of all"], "needs": ["smoke"], "run_if": "ended"},
        "smoke": {"cmd": "./sim {seed}\n\x1b[31m", "needs": ["build"], "seeds": [7]},
        "login": {"cmd": "./login {env.PASSWORD}"},
        "build": {"cmd": "touch {file_dir}/ran", "weight": 2, "exports": {"A": "hunter2"}},
    }
    file = job_file(tmp_path, jobs)
    before = sorted(os.listdir(tmp_path))
    done = call(tmp_path, "run", file, "--dry-run", env={"PASSWORD": "hunter2"})
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"run   build         touch {tmp_path}/ran",
        "run   smoke.seed=7  ./sim 7\\n\\x1b[31m",
        "run   report        ./report 'of all'",
        "run   login         (its command has values that may be secret)",
        "4 to run; nothing was started",
    ]
    assert sorted(os.listdir(tmp_path)) == before
    only = call(tmp_path, "run", file, "--dry-run", "--select", "build", env={"PASSWORD": "x"})
    assert only.out.splitlines()[-1] == "1 to run; nothing was started"


def test_a_dry_run_finds_what_is_wrong(tmp_path: Path) -> None:
    done = call(tmp_path, "run", job_file(tmp_path, {"a": {"cmd": "true", "resources": {"x": 1}}}), "--dry-run")
    assert (done.code, done.out) == (2, "")
    assert "has no limit" in done.err


def test_a_job_that_is_a_dry_run_passes_without_a_process(tmp_path: Path) -> None:
    file = job_file(tmp_path, {"a": {"cmd": "touch {file_dir}/ran", "dry_run": True}})
    assert call(tmp_path, "run", file).code == 0
    assert statuses(tmp_path) == {"a": "passed"}
    assert not (tmp_path / "ran").exists()


def test_selected_jobs_run_with_what_they_need(tmp_path: Path) -> None:
    file = job_file(tmp_path, {**GOOD, "c": {"cmd": "true"}})
    assert call(tmp_path, "run", file, "--select", "b").code == 0
    assert statuses(tmp_path) == {"a": "passed", "b": "passed"}


@pytest.mark.parametrize("option", [["--fail-fast"], ["--max-failures", "1"]])
def test_a_run_can_stop_at_a_failure(tmp_path: Path, option: list[str]) -> None:
    jobs = {"bad": {"cmd": "false", "weight": 9}, **{f"later{n}": {"cmd": "true"} for n in range(3)}}
    done = call(tmp_path, "run", job_file(tmp_path, jobs), "--max-parallel", "1", *option)
    assert done.code == 1
    assert statuses(tmp_path) == {"bad": "failed", **{f"later{n}": "killed" for n in range(3)}}


def test_by_default_a_run_goes_on(tmp_path: Path) -> None:
    jobs = {"bad": {"cmd": "false", "weight": 9}, **{f"later{n}": {"cmd": "true"} for n in range(3)}}
    assert call(tmp_path, "run", job_file(tmp_path, jobs), "--max-parallel", "1", "--keep-going").code == 1
    assert statuses(tmp_path) == {"bad": "failed", **{f"later{n}": "passed" for n in range(3)}}


def test_links_are_there_while_a_job_runs(tmp_path: Path) -> None:
    up, down = Fifo(tmp_path / "up"), Fifo(tmp_path / "down")
    jobs = {"a": {"cmd": f"echo x >{up.path}; read line <{down.path}"}, "b": {"cmd": "true", "needs": ["a"]}}
    with started(tmp_path, "run", job_file(tmp_path, jobs), "--print-interval", "0.01") as program:
        up.hear()
        wait_for(program.stdout, "1 running")
        while links(tmp_path) != {"running": ["a"]}:  # made by a thread of another process: it has no event to wait for
            assert program.poll() is None
        down.say()
        assert end_of(program).code == 0
    assert links(tmp_path) == {"passed": ["a", "b"]}


def test_a_failure_is_said_while_the_run_goes_on(tmp_path: Path) -> None:
    down = Fifo(tmp_path / "down")
    jobs = {"bad": {"cmd": "exit 7"}, "long": {"cmd": f"read line <{down.path}"}}
    file = job_file(tmp_path, jobs)
    with started(tmp_path, "run", file, "--print-interval", "0", "--max-parallel", "2") as program:
        wait_for(program.stdout, "FAILED bad: exit code 7")
        down.say()
        assert end_of(program).code == 1


def test_quiet_says_failures_and_the_summary(tmp_path: Path) -> None:
    done = call(tmp_path, "run", job_file(tmp_path, GOOD), "-q", "--log-file", "log.txt")
    assert done.out.startswith("2 jobs: 2 passed")
    assert re.search(r": 2 jobs, seed base \d+, in results/", (tmp_path / "log.txt").read_text().splitlines()[0])


def test_a_log_file_has_all_that_was_said(tmp_path: Path) -> None:
    jobs = {"good": {"cmd": "true"}, "bad": {"cmd": "exit 3"}}
    done = call(tmp_path, "run", job_file(tmp_path, jobs), "--log-file", "log.txt")
    assert done.code == 1
    text = (tmp_path / "log.txt").read_text()
    said = [line for line in done.out.splitlines() if line]
    assert len(said) > 3
    assert [line for line in said if line not in text] == []
    wrong = call(tmp_path, "run", "none.toml", "--log-file", "log.txt")
    assert wrong.code == 2
    assert wrong.err.removeprefix("job-runtime: ").strip() in (tmp_path / "log.txt").read_text()


def test_a_log_file_has_the_failures_that_a_terminal_shows_for_a_while(tmp_path: Path) -> None:
    jobs = {"good": {"cmd": "true"}, "bad": {"cmd": "exit 3"}}
    ours, theirs = pty.openpty()
    try:
        with started(
            tmp_path, "run", job_file(tmp_path, jobs), "--log-file", "log.txt", stdout=theirs, stderr=theirs
        ) as program:
            os.close(theirs)
            with suppress(OSError):  # EIO: no process has it open any longer
                while os.read(ours, 1 << 16):
                    pass
            assert program.wait(LIMIT) == 1
    finally:
        os.close(ours)
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert [line for line in lines if "FAILED" in line and "bad" in line and "exit code 3" in line]
    assert "\x1b" not in "".join(lines)


def test_a_log_file_has_everything(tmp_path: Path) -> None:
    done = call(tmp_path, "run", job_file(tmp_path, {"a": {"cmd": "true"}}), "--log-file", "log.txt")
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "log.txt").exists()


def test_a_warning_is_said(tmp_path: Path) -> None:
    file = job_file(tmp_path, {"a": {"cmd": "true", "resources": {"licence": 1}}})
    done = call(tmp_path, "run", file, "--on-missing-resource", "warn")
    assert done.code == 0
    assert re.fullmatch(r"job-runtime: WARNING: .*'licence', which has no limit.*\n", done.err)
    assert call(tmp_path, "run", file, "--on-missing-resource", "warn", "-q").err == ""


def test_resources_bound_what_runs_at_once(tmp_path: Path) -> None:
    """Each job fails if another one runs at the same time."""
    cmd = "mkdir {run_dir}/room && sleep 0.02 && rmdir {run_dir}/room"
    jobs = {"a": {"cmd": cmd, "seeds": "1..6", "resources": {"licence": 1}}}
    file = job_file(tmp_path, jobs, resources={"licence": 9})
    assert call(tmp_path, "run", file, "--max-parallel", "6", "--resource", "licence=1").code == 0


@pytest.mark.parametrize("target", ["/dev/full", "closed"])
def test_a_lost_standard_output_costs_nothing_but_the_words(tmp_path: Path, target: str) -> None:
    down = Fifo(tmp_path / "down")
    jobs = {"a": {"cmd": f"read line <{down.path}"}, "b": {"cmd": "echo hello", "needs": ["a"]}}
    if target == "closed":
        reading, out = os.pipe()
        os.close(reading)
    else:
        out = os.open(target, os.O_WRONLY)
    with started(tmp_path, "run", job_file(tmp_path, jobs), "--print-interval", "0.01", stdout=out) as program:
        os.close(out)
        down.say()
        done = end_of(program)
    assert (done.code, done.err) == (0, "")
    assert statuses(tmp_path) == {"a": "passed", "b": "passed"}
    assert links(tmp_path) == {"passed": ["a", "b"]}


def test_a_reader_that_leaves_in_the_middle_costs_nothing(tmp_path: Path) -> None:
    down = Fifo(tmp_path / "down")
    jobs = {"a": {"cmd": f"read line <{down.path}"}}
    with started(tmp_path, "run", job_file(tmp_path, jobs), "--print-interval", "0.01") as program:
        wait_for(program.stdout, "1 running")
        assert program.stdout is not None
        program.stdout.close()
        program.stdout = None
        down.say()
        done = end_of(program)
    assert (done.code, done.err) == (0, "")
    assert statuses(tmp_path) == {"a": "passed"}


def test_with_all_descriptors_closed_the_files_are_right(tmp_path: Path) -> None:
    file = job_file(tmp_path, {"a": {"cmd": "echo out; echo err >&2; cat"}})
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -m runtime run "$1" <&- >&- 2>&-', sys.executable, file],
        cwd=tmp_path,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert (tmp_path / "results/latest/a/job.log").read_text() == "out\nerr\n"
    assert statuses(tmp_path) == {"a": "passed"}


def test_results_that_cannot_be_written_are_said(tmp_path: Path) -> None:
    done = call(tmp_path, "run", job_file(tmp_path, {"a": {"cmd": "rm -r {run_dir}; true"}}))
    assert done.code == 74
    results, journal = done.err.splitlines()
    assert re.match(r"job-runtime: ERROR: the journal /.*/journal.jsonl cannot be found \(it was removed or ", journal)
    assert re.fullmatch(r"job-runtime: /.*/results.json cannot be written: No such file or directory", results)


@pytest.mark.parametrize("plant", ["rm", "ln -sf /dev/zero"])
def test_a_journal_that_is_gone_when_the_run_ends_is_said(tmp_path: Path, plant: str) -> None:
    done = call(tmp_path, "run", job_file(tmp_path, {"a": {"cmd": f"{plant} {{run_dir}}/journal.jsonl"}}))
    assert statuses(tmp_path) == {"a": "passed"}
    assert (done.code, done.err.count("\n")) == (74, 1)


def test_a_job_that_moves_the_run_directory_away_leads_nothing_of_ours_elsewhere(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    for name in ("results.json", "precious"):
        (victim / name).write_text("precious")
    command = f"cd /; mv {{run_dir}} {{run_dir}}.moved; ln -s {victim} {{run_dir}}"
    jobs = {"a": {"cmd": command}, "b": {"cmd": "echo overwritten", "needs": ["a"], "odir": "deep/b"}}
    assert call(tmp_path, "run", job_file(tmp_path, jobs)).code == 0
    (moved,) = (tmp_path / "results").glob("*.moved")
    assert [job["status"] for job in json.loads((moved / "results.json").read_text())["jobs"]] == ["passed"] * 2
    assert (moved / "deep" / "b" / "job.log").read_text() == "overwritten\n"
    assert {path.name: path.read_text() for path in victim.iterdir()} == dict.fromkeys(
        ("results.json", "precious"), "precious"
    )


def test_what_a_job_plants_in_the_place_of_the_results_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    for plant in ("ln -s {here}/precious", "ln {here}/precious", "mkfifo"):
        command = plant.format(here=tmp_path) + " {run_dir}/results.json"
        assert call(tmp_path, "run", job_file(tmp_path, {"a": {"cmd": command}})).code == 0
        assert statuses(tmp_path) == {"a": "passed"}
    assert (tmp_path / "precious").read_text() == "precious"


def test_results_behind_a_link_have_links_that_lead_somewhere(tmp_path: Path) -> None:
    (tmp_path / "disk" / "deep").mkdir(parents=True)
    (tmp_path / "results").symlink_to("disk/deep")
    jobs = {"build": {"cmd": "true", "odir": str(tmp_path / "build")}, "test": {"cmd": "true"}}
    assert call(tmp_path, "run", job_file(tmp_path, jobs)).code == 0
    passed = tmp_path / "results" / "latest" / "passed"
    assert {path.name: (path / "job.log").exists() for path in passed.iterdir()} == {"build": True, "test": True}


def test_links_of_the_user_lead_where_they_led_when_the_run_began(tmp_path: Path) -> None:
    for name in ("disk", "victim"):
        (tmp_path / name).mkdir()
    (tmp_path / "out").symlink_to("disk")
    jobs = {
        "a": {"cmd": f"rm {tmp_path}/out; ln -s victim {tmp_path}/out"},
        "b": {"cmd": "true", "odir": f"{tmp_path}/out", "needs": ["a"]},
    }
    assert call(tmp_path, "run", job_file(tmp_path, jobs)).code == 0
    assert sorted(os.listdir(tmp_path / "disk")) == ["env_vars", "job.log"]
    assert os.listdir(tmp_path / "victim") == []


@pytest.mark.parametrize(("count", "given_up"), [(5, False), (12, True)])
def test_directories_that_do_not_answer_keep_no_results_from_being_written(
    tmp_path: Path, count: int, given_up: bool
) -> None:
    """Making the links of some jobs, more than there are threads, never returns.

    If they are also more than the threads that may be added, the run ends without the last links.
    """
    (tmp_path / "sitecustomize.py").write_text(
        "import threading\nfrom runtime.process import threads\nthreads.MOST_STALLED = 8\n"
        "from runtime.report import links\nmove = links.Links._move\n"
        "def stuck(self, job_id, job, folder):\n"
        "    threading.Event().wait() if job_id.startswith('stuck') else move(self, job_id, job, folder)\n"
        "links.Links._move = stuck\n"
    )
    jobs = {f"{name}{number}": {"cmd": "true"} for number in range(count) for name in ("stuck", "other")}
    done = call(
        tmp_path, "run", job_file(tmp_path, jobs), env={"PYTHONPATH": f"{tmp_path}:{environment()['PYTHONPATH']}"}
    )
    assert done.code == 0
    assert set(statuses(tmp_path).values()) == {"passed"}
    assert ("jobs were not made: their file systems do not answer" in done.out) == given_up
    if not given_up:
        assert links(tmp_path) == {"passed": sorted(name for name in jobs if name.startswith("other"))}


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EIO])
def test_an_fsync_that_is_not_there_costs_a_warning_and_one_that_fails_the_results(tmp_path: Path, code: int) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        f"import os\ndef fsync(fd): raise OSError({code}, os.strerror({code}))\nos.fsync = fsync\n"
    )
    paths = f"{tmp_path}:{environment()['PYTHONPATH']}"
    done = call(tmp_path, "run", job_file(tmp_path, GOOD), env={"PYTHONPATH": paths})
    if code == errno.EIO:
        assert (done.code, os.path.lexists(tmp_path / "results/latest/results.json")) == (74, False)
    else:
        assert done.code == 0
        assert "may not survive a power cut: its file system has no fsync" in done.out
        assert set(statuses(tmp_path).values()) == {"passed"}


def test_what_the_platform_does_not_have_is_said_once_and_in_plain_words(tmp_path: Path) -> None:
    jobs = {name: {"cmd": "true"} for name in "abc"}
    done = call(tmp_path, "run", job_file(tmp_path, jobs), env={"JOB_RUNTIME_PYTHON": "/no/python"})
    assert done.code == 3
    why = "backend 'local' cannot be opened: JOB_RUNTIME_PYTHON is '/no/python'; expected the path of a Python 3."
    assert [line.partition(why)[0] for line in done.err.splitlines()] == ["job-runtime: ERROR: "]
    lines = [line for line in done.out.splitlines() if why in line]
    assert [line.partition(why)[0] for line in lines] == ["NEVER RAN a: ", "       "]  # all of them in one group
    assert "Error(" not in done.out
    assert "traceback" not in done.out
    assert all(job["message"].startswith(why) for job in results(tmp_path)["jobs"])


def test_a_bug_is_one_line_and_a_file(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import runtime.report.links as links\n"
        "def move(self, jobs): raise RuntimeError('planted\\nhere')\n"
        "links.Links.move = move\n"
    )
    done = call(
        tmp_path, "run", job_file(tmp_path, GOOD), env={"PYTHONPATH": f"{tmp_path}:{environment()['PYTHONPATH']}"}
    )
    assert done.code == 70
    found = re.fullmatch(
        r"job-runtime: a bug, please report it: RuntimeError: planted \(the traceback is in (/.*/crash.txt)\)\n",
        done.err,
    )
    assert found is not None
    assert "in move" in Path(found[1]).read_text()
    assert statuses(tmp_path) == {"a": "passed", "b": "passed"}  # and the run went on


@pytest.mark.parametrize("where", ["plan.Plan.decide", "plan.Plan._take_events", "consequences.Consequences.end_all"])
def test_a_run_that_has_no_memory_for_itself_says_so_and_writes_its_results(tmp_path: Path, where: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "from runtime.scheduler import consequences, plan\n"
        f"def fails(self, *args): raise MemoryError\n{where} = fails\n"
    )
    done = call(
        tmp_path, "run", job_file(tmp_path, GOOD), env={"PYTHONPATH": f"{tmp_path}:{environment()['PYTHONPATH']}"}
    )
    assert (done.code, done.err) == (71, "job-runtime: there is not enough memory for the runtime itself\n")
    assert "Traceback" not in done.out
    assert statuses(tmp_path).keys() == {"a", "b"}
    assert not (tmp_path / "results/latest/crash.txt").exists()


def test_of_a_backend_that_breaks_a_person_gets_no_traceback_and_the_log_file_does(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "from runtime.backend.fake import FakeDriver\n"
        "async def launch(self, jobs): raise LookupError('planted')\n"
        "FakeDriver.launch = launch\n"
    )
    (tmp_path / "sitecustomize.py").write_text("import broken\n")
    done = call(
        tmp_path,
        *("run", job_file(tmp_path, GOOD), "--backend", "fake", "--log-file", "log"),
        env={"PYTHONPATH": f"{tmp_path}:{environment()['PYTHONPATH']}"},
    )
    assert done.code == 3
    (line,) = done.err.splitlines()
    assert line == (
        "job-runtime: ERROR: backend 'fake' broke; its jobs are ended, other backends go on: LookupError('planted')"
        " (--log-file gets the traceback)"
    )
    assert "Traceback" not in done.out + done.err
    assert "in launch\n" in (tmp_path / "log").read_text()
    assert statuses(tmp_path) == {"a": "killed", "b": "killed"}


def test_a_run_waits_for_a_thread_when_there_is_none(tmp_path: Path) -> None:
    """Two in three attempts to start one fail, from the first on."""
    (tmp_path / "sitecustomize.py").write_text(
        "import itertools, trio\n"
        "run_sync, turns = trio.to_thread.run_sync, itertools.count()\n"
        "async def scarce(*args, **options):\n"
        "    if next(turns) % 3 < 2:\n"
        '        raise RuntimeError("can\'t start new thread")\n'
        "    return await run_sync(*args, **options)\n"
        "trio.to_thread.run_sync = scarce\n"
    )
    done = call(
        tmp_path,
        *("run", job_file(tmp_path, GOOD), "--backend", "fake"),
        env={"PYTHONPATH": f"{tmp_path}:{environment()['PYTHONPATH']}"},
    )
    assert (done.code, done.err) == (0, "")
    assert "2 jobs: 2 passed" in done.out
    assert statuses(tmp_path) == {"a": "passed", "b": "passed"}
    assert set(links(tmp_path)) <= {"passed"}


def test_nothing_is_left_when_the_run_is_over(tmp_path: Path) -> None:
    done = call(tmp_path, "run", job_file(tmp_path, {"a": {"cmd": "sleep 1000 & echo $!"}}))
    assert done.code == 0
    assert not is_alive(int((tmp_path / "results/latest/a/job.log").read_text()))


def test_a_run_goes_on_while_nobody_reads_what_it_says(tmp_path: Path) -> None:
    reading, out = os.pipe()
    os.set_blocking(out, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(out, b"x")  # until the pipe is full
    os.set_blocking(out, True)
    up = Fifo(tmp_path / "up")
    jobs = {"a": {"cmd": "true"}, "b": {"cmd": f"echo x >{up.path}", "needs": ["a"]}}
    with started(tmp_path, "run", job_file(tmp_path, jobs), stdout=out) as program:
        os.close(out)
        assert up.hear() == "x"
        with open(reading, "rb") as reader:
            said = reader.read()
        assert end_of(program).code == 0
    assert b"2 jobs: 2 passed" in said
    assert statuses(tmp_path) == {"a": "passed", "b": "passed"}


def test_a_job_that_is_tried_again(tmp_path: Path) -> None:
    jobs = {
        "flaky": {"cmd": "mkdir {file_dir}/once 2>/dev/null && exit 3; echo good", "retry": 1, "retry_delay": 0},
        "bad": {"cmd": "echo bad; exit 4", "retry": {"exit_code": 1}, "retry_delay": 0},
    }
    done = call(tmp_path, "run", job_file(tmp_path, jobs))
    assert done.code == 1
    assert "RETRY  flaky: exit code 3; attempt 1 did not pass; the next one begins in 0 s\n" in done.out
    assert "2 jobs: 1 passed, 1 failed, 0 killed, 1 of them flaky, in " in done.out
    assert "  flaky: passed on attempt 2; on attempt 1: exit code 3\n       log:   results/" in done.out
    by_id = {job["id"]: job for job in results(tmp_path)["jobs"]}
    assert {name: (job["status"], job["attempt"], job["flaky"]) for name, job in by_id.items()} == {
        "flaky": ("passed", 2, True),
        "bad": ("failed", 2, False),
    }
    (earlier,) = by_id["bad"]["earlier"]
    assert Path(earlier["log"]).parent.name == "bad~attempt1"
    assert Path(earlier["log"]).read_text() == "bad\n"
    assert links(tmp_path) == {"passed": ["flaky"], "failed": ["bad"]}
