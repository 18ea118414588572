from __future__ import annotations

import json
import os
import signal
import tarfile
from pathlib import Path
from typing import Any, NoReturn

import attrs
import pytest

from runtime.cli import job_shell
from runtime.job import FailureKind, JobSpec, JobStatusInfo
from runtime.journal import Begin, Ended, Recorder, encode, read, replay, to_text
from runtime.report.results import results_lines
from tests.cli.conftest import Here
from tests.cli.past_run import NAME, held, write_journal, write_run
from tests.cli.program import call, job_file
from tests.journal.sink import Sink
from tests.report import schema
from tests.report.results import result
from tests.report.states import DETAILS, EPOCH, records


def spec(name: str) -> JobSpec:
    return JobSpec(name=name, cmd="x")


# ---------------------------------------------------------------------- report


def test_a_report_is_the_summary_that_the_run_showed(here: Here, tmp_path: Path) -> None:
    write_run(tmp_path / "results", [result("a"), result("b", FailureKind.EXIT_CODE, "exit code 1")])
    done = here("report")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("fifo: 2 jobs, ended, in results/20")
    assert lines[0].endswith(f", in results/{NAME}")
    assert "   1 x exit code <n>\n       b, 2.5 s\n" in done.out
    assert "  FAILED b: exit code 1" in here("report", "--all").out
    assert lines[-1].startswith("2 jobs: 1 passed, 1 failed, 0 killed, in ")


def test_of_a_run_that_was_resumed_the_time_in_between_is_not_reported(here: Here, tmp_path: Path) -> None:
    run_dir = tmp_path / "results" / NAME
    first = records([result("a")], run_dir, ended=None)
    sink = Sink()
    recorder = Recorder(sink, str(run_dir), state=replay(first, str(run_dir)))
    recorder.begin("token", EPOCH)
    recorder.end(36_002.0, None)
    begin, end = sink.records
    assert isinstance(begin, Begin)
    write_journal(run_dir, [*first, attrs.evolve(begin, at=EPOCH + 36_000), end])
    assert here("report", NAME).out.endswith("1 job: 1 passed, 0 failed, 0 killed, in 2.0 s\n")


def test_a_link_to_the_root_is_not_the_current_directory(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = write_run(tmp_path / "results", [result("a")])
    (tmp_path / "root").symlink_to("/")
    monkeypatch.chdir(run_dir)
    done = here("report", "../../root")
    assert (done.code, done.out) == (2, "")
    assert "RUN is /: it has no journal" in done.err


@pytest.mark.parametrize(
    "run", [[], ["latest"], [NAME], [f"results/{NAME}"], ["results/latest"], [f"./results/{NAME}/"]]
)
def test_a_run_is_found_by_its_name_its_path_and_as_the_latest(here: Here, tmp_path: Path, run: list[str]) -> None:
    run_dir = write_run(tmp_path / "results", [result("a")])
    done = here("report", "--json", *run)
    assert (done.code, done.err) == (0, "")
    assert done.out == "".join(results_lines(replay(read(run_dir / "journal.jsonl").records, str(run_dir))))
    schema.check(json.loads(done.out))


def test_of_a_run_that_died_the_report_tells_what_is_known_and_what_is_missing(here: Here, tmp_path: Path) -> None:
    write_run(tmp_path / "results", [result("a")], ended=None, more=[spec("b")], torn=b"0000")
    done = here("report")
    assert done.code == 0
    assert "2 jobs, died, in results/" in done.out
    assert done.out.endswith("2 jobs: 1 passed, 0 failed, 0 killed, 1 never ran\n")
    assert done.err.count("\n") == 1
    assert "the journal is read up to byte" in done.err
    assert "a frame is cut off after 4 bytes" in done.err


def test_of_a_live_run_the_report_tells_what_has_not_ended(here: Here, tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "results", [result("a")], ended=None, more=[spec("b")], torn=b"0000")
    with held(run_dir):
        done = here("report")
        document = json.loads(here("report", "--json").out)
    assert (done.code, done.err) == (0, "")  # the next record is being written
    assert "2 jobs, running, in results/" in done.out
    assert "1 of its jobs have not ended" in done.out
    assert document["state"] == "running"
    assert [job["status"] for job in document["jobs"]] == ["passed", "scheduled"]


def test_where_nothing_has_run_yet_there_is_no_latest_run(here: Here, tmp_path: Path) -> None:
    done = here("report")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert f"there is no run in {tmp_path}/results; expected one" in done.err


@pytest.mark.parametrize("run", ["nothing", "results/nothing", "nul\0", "", "file", "no_journal", "linked"])
def test_what_is_no_run_is_one_error(here: Here, tmp_path: Path, run: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "results" / "no_journal").mkdir(parents=True)
    linked = write_journal(tmp_path / "results" / "linked", [])
    (linked / "journal.jsonl").rename(tmp_path / "elsewhere")
    (linked / "journal.jsonl").symlink_to(tmp_path / "elsewhere")
    done = here("report", run)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("job-runtime: RUN is ")
    assert "expected " in done.err
    assert done.err.count("\n") == 1


def test_a_journal_of_a_newer_version_is_one_error(here: Here, tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "results", [])
    text = '{"type":"begin","version":99}'
    (run_dir / "journal.jsonl").write_bytes(encode(text))
    done = here("report")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "a journal of version 99" in done.err


# ---------------------------------------------------------------------- explain


def test_a_job_is_explained_on_a_screen_also_of_an_exported_run(here: Here, tmp_path: Path) -> None:
    reason = JobStatusInfo("exit code 1", [1, (1, 60)], ["UVM_ERROR"] * 60, FailureKind.EXIT_CODE)
    failed = result("a", reason.kind, reason.message, lines=reason.lines, context=reason.context)
    write_run(tmp_path / "results", [failed], more=[spec("b")], details={**DETAILS, "files": ["fifo.toml"]})
    done = here("explain", "latest", "a")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"a: failed, in results/{NAME}\n")
    assert len(done.out.splitlines()) < 50 < len(here("explain", "latest", "a", "--all").out.splitlines())
    assert f"  again      job-runtime rerun {NAME} a\n" in done.out
    assert here("explain", "latest", "b").out.startswith("b: never ran, in ")
    assert here("export", "-o", "mail.tar.gz").code == 0
    exported = here("explain", "./mail.tar.gz", "a")
    assert (exported.code, exported.err) == (0, "")
    assert "job-runtime rerun" not in exported.out


def test_to_explain_a_job_that_is_not_there_is_one_error_that_names_those_of_its_name(
    here: Here, tmp_path: Path
) -> None:
    write_run(tmp_path / "results", [result("smoke.seed=1"), result("smoke.seed=2"), result("build")])
    done = here("explain", "latest", "smoke")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f'job-runtime: JOB is "smoke", and the run {NAME} has no such job; it has: "smoke.seed=1", "smoke.seed=2"\n'
    )


# ---------------------------------------------------------------------- logs


def with_log(run_dir: Path, job: str, content: bytes) -> None:
    (run_dir / job).mkdir()
    (run_dir / job / "job.log").write_bytes(content)


def test_the_log_of_a_job_is_printed_as_it_is(here: Here, tmp_path: Path) -> None:
    run_dir = tmp_path / "results" / NAME
    write_run(tmp_path / "results", [result("a", run_dir=run_dir)])
    with_log(run_dir, "a", b"one\ntwo \x1b[31mred\n")
    done = here("logs", "latest", "a")
    assert (done.code, done.out, done.err) == (0, "one\ntwo \x1b[31mred\n", "")


def test_a_job_that_is_not_there_is_one_error_with_a_hint(here: Here, tmp_path: Path) -> None:
    write_run(tmp_path / "results", [result("smoke")])
    done = here("logs", "latest", "smoek")
    assert (done.code, done.out) == (2, "")
    assert done.err == f'job-runtime: JOB is "smoek", and the run {NAME} has no such job; did you mean "smoke"?\n'


@pytest.mark.parametrize("plant", ["nothing", "link", "directory", "fifo"])
def test_a_log_that_is_none_is_one_error(here: Here, tmp_path: Path, plant: str) -> None:
    run_dir = tmp_path / "results" / NAME
    write_run(tmp_path / "results", [result("a", run_dir=run_dir)])
    (run_dir / "a").mkdir()
    log = run_dir / "a" / "job.log"
    (tmp_path / "secret").write_text("secret")
    match plant:
        case "link":
            log.symlink_to(tmp_path / "secret")
        case "directory":
            log.mkdir()
        case "fifo":
            os.mkfifo(log)
    done = here("logs", "latest", "a")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert str(log) in done.err


# ---------------------------------------------------------------------- export


def test_an_exported_run_opens_elsewhere_as_it_was(here: Here, tmp_path: Path) -> None:
    run_dir = tmp_path / "results" / NAME
    kinds = [None, FailureKind.EXIT_CODE, FailureKind.DEPENDENCY]
    ends = [result(name, kind, run_dir=run_dir) for name, kind in zip("abc", kinds, strict=True)]
    write_run(tmp_path / "results", ends, torn=b"torn")
    for name in "abc":
        with_log(run_dir, name, f"log of {name}\n".encode())
    (run_dir / "journal.secrets").write_text("secret")
    here_report, here_json = here("report").out, here("report", "--json").out
    done = here("export")
    assert (done.code, done.out) == (0, f"{NAME}.tar.gz\n")
    exported = tmp_path / f"{NAME}.tar.gz"
    assert exported.stat().st_mode & 0o777 == 0o600
    with tarfile.open(exported) as archive:
        members = archive.getnames()
    assert members == [f"{NAME}/{name}" for name in ("run.json", "journal.jsonl", "results.json", "logs/b.log")]
    run_dir.rename(tmp_path / "gone")
    moved = tmp_path / "mail"
    exported.rename(moved)
    assert here("report", str(moved)).out == here_report
    assert here("report", "--json", "./mail").out == here_json
    assert here("logs", "./mail", "b").out == "log of b\n"
    refused = here("logs", "./mail", "a")
    assert (refused.code, refused.out) == (2, "")
    assert "has those of failures alone" in refused.err
    for command in (["export", "./mail"], ["shell", "./mail", "a"]):
        assert here(*command).code == 2


def test_an_export_to_a_place_that_is_not_there_is_one_error(here: Here, tmp_path: Path) -> None:
    write_run(tmp_path / "results", [result("a")])
    done = here("export", "-o", "nowhere/it")
    assert (done.code, done.out) == (74, "")
    assert done.err == f"job-runtime: {tmp_path}/nowhere/it: the run cannot be exported: No such file or directory\n"


@pytest.mark.parametrize("damage", ["cut", "foreign", "text", "newer"])
def test_a_damaged_export_is_one_error(here: Here, tmp_path: Path, damage: str) -> None:
    write_run(tmp_path / "results", [result("a")])
    here("export", "-o", "it")
    it = tmp_path / "it"
    match damage:
        case "cut":
            it.write_bytes(it.read_bytes()[:60])
        case "text":
            it.write_text("hello")
        case "foreign" | "newer":
            (tmp_path / "run.json").write_text('{"format": 99, "run_dir": "/x", "is_live": false}')
            with tarfile.open(it, "w:gz") as archive:
                archive.add(tmp_path / "run.json", "x/run.json" if damage == "newer" else "x/y")
    done = here("report", "./it")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert f"RUN is {it}: it is" in done.err


def test_of_a_large_log_the_end_is_exported(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.cli.past_commands.MAX_LOG", 4)
    run_dir = tmp_path / "results" / NAME
    write_run(tmp_path / "results", [result("a", FailureKind.EXIT_CODE, run_dir=run_dir)])
    with_log(run_dir, "a", b"0123456789")
    here("export", "-o", "it")
    assert here("logs", "./it", "a").out == "6789"


# ---------------------------------------------------------------------- shell


def test_a_shell_has_the_directory_and_the_environment_of_a_job(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = tmp_path / "results" / NAME
    write_run(tmp_path / "results", [result("a", cwd=None, run_dir=run_dir)])
    with_log(run_dir, "a", b"")
    (run_dir / "a" / "env_vars").write_text("A='it is'\nTERM=theirs\nPATH=/job/bin\nJOB_RUNTIME_HERE=token\n")
    monkeypatch.setenv("SHELL", "/my/shell")
    monkeypatch.setenv("TERM", "mine")
    started = []

    def execve(*arguments: object) -> None:
        started.append((*arguments, os.getcwd()))
        raise OSError("not in a test")

    monkeypatch.setattr(job_shell, "exec_now", execve)
    assert here("shell", "latest", "a").code == 2
    assert signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN
    ((program, words, environment, directory),) = started
    assert (program, words, directory) == ("/my/shell", ["/my/shell"], str(run_dir / "a"))
    assert environment == {
        "A": "it is",
        "PATH": "/job/bin",
        "TERM": "mine",
        "SHELL": "/my/shell",
        "PWD": str(run_dir / "a"),
        "JOB_RUNTIME_SHELL": "a",
        **{name: os.environ[name] for name in ("DISPLAY", "COLORTERM", "SSH_AUTH_SOCK") if name in os.environ},
    }


@pytest.mark.slow
def test_the_program_becomes_the_shell_which_handles_signals_as_any_program(tmp_path: Path) -> None:
    assert call(tmp_path, "run", job_file(tmp_path, {"a": {"cmd": "true", "exports": {"WAVES": "fst"}}})).code == 0
    look = "echo $JOB_RUNTIME_SHELL $WAVES in $PWD; grep SigIgn /proc/$$/status; exit 7"
    done = call(tmp_path, "shell", "latest", "a", stdin=look, env={"SHELL": "/bin/sh"})
    assert (done.code, done.err) == (7, "")
    *words, ignored = done.out.split()
    assert words == ["a", "fst", "in", str(tmp_path), "SigIgn:"]
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        assert not int(ignored, 16) & 1 << number - 1


def no_shell(*_: object) -> NoReturn:
    raise OSError("not in a test")


@pytest.mark.parametrize("bad", ["x\0y", "x\0/y", "\ud800", "/\ud800/x"])
@pytest.mark.parametrize("field", ["odirs", "logs", "cwds"])
def test_a_journal_in_which_a_job_has_written_what_is_no_path_costs_its_own_job_alone(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: str, field: str
) -> None:
    monkeypatch.setattr(job_shell, "exec_now", no_shell)
    run_dir = tmp_path / "results" / NAME
    failed = result("a", FailureKind.EXIT_CODE, "exit code 1", run_dir=run_dir)
    write_run(tmp_path / "results", [failed])
    with_log(run_dir, "a", b"the log")
    (run_dir / "a" / "env_vars").write_text("A=1\n")
    path = run_dir / "journal.jsonl"
    changed: dict[str, Any] = {field: [bad]}
    records = [
        attrs.evolve(record, **changed) if isinstance(record, Ended) else record for record in read(path).records
    ]
    path.write_bytes(b"".join(encode(to_text(record)) for record in records))
    assert here("report").code == 0
    assert here("export", "latest").code == 0
    for command in ("shell",) if field == "cwds" else ("logs", "shell"):  # the last one leaves the directory
        done = here(command, "latest", "a")
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done.err


@pytest.mark.parametrize("plant", ["no directory", "no environment", "link"])
def test_without_its_directory_or_environment_there_is_no_shell(here: Here, tmp_path: Path, plant: str) -> None:
    run_dir = tmp_path / "results" / NAME
    write_run(tmp_path / "results", [result("a", cwd=None, run_dir=run_dir)])
    if plant == "no environment":
        (run_dir / "a").mkdir()
    elif plant == "link":
        (tmp_path / "env_vars").write_text("A=1\n")
        (run_dir / "a").symlink_to(tmp_path)
    done = here("shell", "latest", "a")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
