"""``rerun RUN JOB…``: jobs of a run alone, as they were made then, whatever has become of the job file since."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.journal import read, replay
from tests.cli.conftest import Here
from tests.cli.program import Done, Fifo, call, end_of, job_file, results, started, statuses

pytestmark = pytest.mark.slow

TOOL = 'echo "$@" waves=$WAVES night=$NIGHT a=$A seed=$JOB_RUNTIME_SEED attempt=$JOB_RUNTIME_ATTEMPT term=$TERM; exit 3'
SECRET = "hunter2"


def jobs(directory: Path, **more: Any) -> dict[str, Any]:
    """Return a build, which is noted each time, and a test that needs it and fails."""
    make = f"printf '%s\\n' '#!/bin/sh' '{TOOL}' > {{odir}}/tool; chmod +x {{odir}}/tool"
    return {
        "build": {"cmd": f"echo build >> {directory}/ran; {make}"},
        "t": {
            "cmd": "{run_dir}/build/tool +seed={seed} {var.depth}",
            "needs": ["build"],
            "seeds": 1,
            "exports": {"A": "file"},
            "timeout": "10m",
            **more,
        },
    }


def run_dir(directory: Path) -> Path:
    return (directory / "results" / "latest").resolve()


def log_of(directory: Path, job_id: str) -> str:
    return (run_dir(directory) / job_id.replace("=", "@") / "job.log").read_text()


def the_night(directory: Path, tables: dict[str, Any] | None = None, *options: str) -> str:
    """Run the jobs; return the id of the one that fails."""
    file = job_file(directory, jobs(directory) if tables is None else tables)
    done = call(directory, "run", file, "-D", "depth=3", "--timeout-multiplier", "2", *options, env={"NIGHT": "1"})
    assert done.code == 1, done
    (failed,) = [name for name, status in statuses(directory).items() if status == "failed"]
    return failed


def rerun(directory: Path, *words: str, **options: Any) -> Done:
    return call(directory, "rerun", "latest", *words, **options)


def test_a_failure_is_looked_at_with_its_seed_its_variables_and_its_build(tmp_path: Path) -> None:
    name = the_night(tmp_path)
    first, seed = run_dir(tmp_path), name.partition("=")[2]
    assert log_of(tmp_path, name) == f"+seed={seed} 3 waves= night=1 a=file seed={seed} attempt=1 term=xterm\n"
    job_file(tmp_path, {"other": {"cmd": "true"}})
    done = rerun(
        tmp_path, name, "--with", "--waves +x='a b'", "--export", "WAVES=1", env={"NIGHT": "2", "TERM": "vt100"}
    )
    assert done.code == 1, done
    assert run_dir(tmp_path) != first
    expected = f"+seed={seed} 3 --waves +x=a b waves=1 night=1 a=file seed={seed} attempt=1 term=vt100\n"
    assert log_of(tmp_path, name) == expected
    assert (tmp_path / "ran").read_text() == "build\n"
    assert statuses(tmp_path) == {"build": "passed", name: "failed"}
    assert (run_dir(tmp_path) / "build").resolve() == first / "build"
    assert [job["origin"] for job in results(tmp_path)["jobs"]] == [first.name, None]
    log = run_dir(tmp_path).relative_to(tmp_path) / name.replace("=", "@") / "job.log"
    assert done.out.splitlines()[-1] == f"log: {log}"


def test_the_value_of_an_export_is_shown_nowhere(tmp_path: Path) -> None:
    name = the_night(tmp_path)
    words = (name, "--export", f"B={SECRET}", f"--export=C={SECRET}-too", "--with=--waves")
    assert rerun(tmp_path, *words).code == 1
    shown = [path for path in run_dir(tmp_path).rglob("*") if path.is_file() and SECRET in path.read_text()]
    assert {path.name for path in shown} == {"exports.sh", "env_vars"}
    assert results(tmp_path)["command"][-5:] == [name, "--export", "B=***", "--export=C=***", "--with=--waves"]


@pytest.mark.parametrize("option", ["--waves", "--", "--help"])
def test_what_looks_like_an_option_is_a_word_behind_with(tmp_path: Path, option: str) -> None:
    name = the_night(tmp_path)
    assert rerun(tmp_path, name, "--with", option).code == 1
    assert f" 3 {option} waves=" in log_of(tmp_path, name)


def test_a_rerun_of_a_rerun_adds_nothing_that_is_not_asked_for(tmp_path: Path) -> None:
    name = the_night(tmp_path)
    first = run_dir(tmp_path)
    for _ in range(2):
        assert rerun(tmp_path, name, "--with=--waves", "--export", "WAVES=1").code == 1
        assert " 3 --waves waves=1 night=1 " in log_of(tmp_path, name)
    assert rerun(tmp_path, name).code == 1
    assert " 3 waves= night=1 " in log_of(tmp_path, name)
    assert (run_dir(tmp_path) / "build").resolve() == first / "build"
    assert (tmp_path / "ran").read_text() == "build\n"


def test_what_passed_can_be_run_again_and_several_at_once(tmp_path: Path) -> None:
    tables = {
        "a": {"cmd": ["echo", "a"]},
        "b": {"cmd": "echo b", "keep": "failed"},
        "c": {"cmd": f"echo c; ! test -e {tmp_path}/fixed"},
        "d": {"cmd": "false", "needs": ["a"]},
    }
    (tmp_path / "fixed").touch()
    assert call(tmp_path, "run", job_file(tmp_path, tables)).code == 1
    (tmp_path / "fixed").unlink()
    done = rerun(tmp_path, "a", "b", "c", "a", "--with=x 'y z'")
    assert done.code == 0, done
    assert statuses(tmp_path) == dict.fromkeys("abc", "passed")
    assert (log_of(tmp_path, "a"), log_of(tmp_path, "b")) == ("a x y z\n", "b x y z\n")
    assert len([line for line in done.out.splitlines() if line.startswith("log: ")]) == 3


def test_a_job_of_json_lines_and_one_of_a_list_are_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "tests.txt").write_text("one\ntwo\n")
    table = {"name": "x", "cmd": "echo {test}; pwd; false", "matrix": {"test": {"file": "tests.txt"}}}
    assert call(tmp_path, "run", "-", stdin=json.dumps(table)).code == 1
    (tmp_path / "tests.txt").write_text("three\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = call(elsewhere, "rerun", str(run_dir(tmp_path)), "x.test=two", "--out", str(tmp_path / "results"))
    assert done.code == 1, done
    assert log_of(tmp_path, "x.test=two") == f"two\n{tmp_path}\n"


def test_included_files_are_as_they_were(tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "a.toml").write_text(
        '[vars]\nx = "{file_dir}/x"\n[defaults]\nexports = { A = "more" }\n[jobs.a]\ncmd = "echo $A {var.x}; false"\n'
    )
    (tmp_path / "all.toml").write_text('include = ["more/*.toml"]\n[jobs.b]\ncmd = "echo ${A-none}"\n')
    assert call(tmp_path, "run", "all.toml").code == 1
    (more / "a.toml").unlink()
    (tmp_path / "all.toml").write_text("not TOML")
    assert rerun(tmp_path, "a", "b").code == 1
    assert (log_of(tmp_path, "a"), log_of(tmp_path, "b")) == (f"more {more}/x\n", "none\n")


def test_a_run_that_lives_gives_the_jobs_that_have_ended(tmp_path: Path) -> None:
    up, down = Fifo(tmp_path / "up"), Fifo(tmp_path / "down")
    tables = {"a": {"cmd": "echo a"}, "b": {"cmd": f"echo x > {up.path}; read x < {down.path}", "needs": ["a"]}}
    with started(tmp_path, "run", job_file(tmp_path, tables)) as program:
        up.hear()
        name = run_dir(tmp_path).name
        refused = call(tmp_path, "rerun", name, "b")
        assert (refused.code, refused.out) == (2, "")
        assert "'b' has not ended" in refused.err
        assert run_dir(tmp_path).name == name
        assert call(tmp_path, "rerun", name, "a").code == 0
        down.say()
        assert end_of(program).code == 0


Refused = Callable[..., str]


@pytest.fixture
def refused(here: Here, monkeypatch: pytest.MonkeyPatch) -> Iterator[Refused]:
    """Call the command in a directory, which refuses to run anything; return its message. Nothing was made."""
    environment = dict(os.environ)

    def refuse(directory: Path, *words: str) -> str:
        monkeypatch.chdir(directory)
        before = sorted((directory / "results").iterdir())
        done = here("rerun", "latest", *words)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
        assert sorted((directory / "results").iterdir()) == before
        return done.err

    yield refuse
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the directory of a run, which no test changes for good, and the id of the job that failed."""
    directory = tmp_path_factory.mktemp("night")
    return directory, the_night(directory)


@pytest.fixture
def secrets(night: tuple[Path, str]) -> Iterator[Path]:
    """Return the path of the secret values of that run, which is as it was when the test has ended."""
    path = run_dir(night[0]) / "journal.secrets"
    content = path.read_bytes()
    yield path
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(0o600)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no"], "has no such job"),
        (["T.SEED"], "has no such job"),
        (["build", "buil"], "did you mean"),
        (["build", "--with", "'"], "No closing quotation"),
        (["build", "--export", "x"], "expected NAME=VALUE"),
        (["build", "--export", "=x"], "expected NAME=VALUE"),
        (["build", "--with"], "expected one argument"),
        ([], "required: JOB"),
    ],
)
def test_wrong_words_are_one_line(refused: Refused, night: tuple[Path, str], words: list[str], message: str) -> None:
    assert message in refused(night[0], *words)


def test_a_need_that_does_not_stand_is_told(refused: Refused, night: tuple[Path, str]) -> None:
    build = run_dir(night[0]) / "build"
    build.rename(build.with_name("moved"))
    message = refused(*night)
    build.with_name("moved").rename(build)
    assert '"build" is needed' in message
    assert "its output directory is gone" in message


def test_an_exported_run_is_no_run_directory(night: tuple[Path, str]) -> None:
    directory, name = night
    assert call(directory, "export", "latest", "-o", "x.tar.gz").code == 0
    done = call(directory, "rerun", "./x.tar.gz", name)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "exported" in done.err


@pytest.mark.parametrize("content", [b"", b"{}", b"[]\n", b'{"key": "x", "files": 3}\n', b"\xff\n", None])
def test_without_what_it_was_made_from_nothing_is_run(
    refused: Refused, night: tuple[Path, str], secrets: Path, content: bytes | None
) -> None:
    secrets.write_bytes(content or b"")
    if content is None:
        secrets.unlink()
    assert "is not known" in refused(*night)


def test_what_others_can_write_is_not_run(refused: Refused, night: tuple[Path, str], secrets: Path) -> None:
    secrets.chmod(0o620)
    assert "others can write to it" in refused(*night)


@pytest.mark.parametrize("plant", ["link", "FIFO", "directory"])
def test_what_is_no_file_of_ours_is_not_read(
    refused: Refused, night: tuple[Path, str], secrets: Path, plant: str
) -> None:
    moved = night[0] / "moved"
    secrets.rename(moved)
    if plant == "link":
        secrets.symlink_to(moved)
    elif plant == "FIFO":
        os.mkfifo(secrets, 0o600)
    else:
        secrets.mkdir()
    assert "cannot be used" in refused(*night)
    if plant == "directory":
        secrets.rmdir()


@pytest.mark.root
def test_what_another_user_owns_is_not_run(refused: Refused, night: tuple[Path, str], secrets: Path) -> None:
    os.chown(secrets, 12345, 12345)
    assert "or own it" in refused(*night)


@pytest.mark.parametrize(
    "change",
    [
        {"files": {}},
        {"files": {"/a/b.toml": "[jobs.build]\ncmd = 'true'\n"}},
        {"files": {"/a/b.toml": "[jobs"}},
        {"files": {"-": "\ud800"}},
        {"variables": {}},
        {"variables": {"var.depth": "4"}},
        {"lists": {}, "options": {"--nice": "3"}},
        {"options": {"--reseed": "x"}},
        {"options": {}},
        {"environment": {"A=B": "\ud800"}},
        {"key": "\ud800"},
    ],
)
def test_what_was_changed_afterwards_is_not_run(
    refused: Refused, night: tuple[Path, str], secrets: Path, change: dict[str, Any]
) -> None:
    secrets.write_text(json.dumps({**json.loads(secrets.read_text()), **change}))
    refused(*night)


def test_a_run_that_was_killed_and_resumed_is_as_its_last_segment(tmp_path: Path) -> None:
    name = the_night(tmp_path)
    file = job_file(tmp_path, jobs(tmp_path))
    seed = replay(read(run_dir(tmp_path) / "journal.jsonl").records).segments[0].begin.details["seed_base"]
    assert call(tmp_path, "run", file, "--resume", "-D", "depth=4", env={"NIGHT": "2"}).code == 1
    assert rerun(tmp_path, name).code == 1
    assert " 4 waves= night=2 " in log_of(tmp_path, name)
    assert results(tmp_path)["seed_base"] == seed
