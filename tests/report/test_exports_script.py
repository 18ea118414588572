"""The values of a job's variables may be secret: which files have them, and which do not."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from runtime.errors import SpecError
from runtime.job import JobSpec
from runtime.report.exports_script import render_variables
from tests.cli.program import call, results

SECRET = "hush-8f3a"

JOBS = f"""
[defaults]
exports = {{ TOKEN = "{SECRET}", "odd name" = "{SECRET}" }}
[jobs.good]
cmd = "true"
[jobs.bad]
cmd = "echo no; exit 3"
seeds = [1]
[jobs.plain]
cmd = "test -z \\"$TOKEN\\""
exports = {{}}
"""


@pytest.mark.slow
def test_values_of_exports_stand_in_files_of_their_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "jobs.toml").write_text(JOBS)
    done = call(tmp_path, "run", "jobs.toml", "-v", "--log-file", "log")
    assert done.code == 1, done.err
    assert SECRET not in done.out + done.err
    found = {
        str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode)
        for path in tmp_path.rglob("*")
        if path.is_file() and not path.is_symlink() and SECRET.encode() in path.read_bytes()
    }
    assert found.pop("jobs.toml")
    assert {Path(name).name for name in found} == {"exports.sh", "env_vars", "journal.secrets"}
    assert set(found.values()) == {0o600}


@pytest.mark.slow
def test_the_command_in_the_results_runs_the_job_with_its_variables(tmp_path: Path) -> None:
    exports = {"TOKEN": "it's $1\n", "odd name": "x y"}
    job = {"name": "a", "cmd": ["printenv", "TOKEN", "odd name"], "matrix": {"n": [7]}, "exports": exports}
    done = call(tmp_path, "run", "-", stdin=json.dumps(job))
    assert done.code == 0, done.err
    (entry,) = results(tmp_path)["jobs"]
    assert "/exports.sh a.n=7 printenv TOKEN " in entry["command"]
    again = subprocess.run(["/bin/sh", "-c", entry["command"]], capture_output=True, text=True, check=True)
    assert again.stdout == Path(entry["log"]).read_text() == "it's $1\n\nx y\n"


SECRET_COMMANDS = """
[vars]
both = "{var.token}:{env.KEY}"
[jobs.by_shell]
cmd = "printf %s '{var.token} it''s'; exit 3"
[jobs.by_words]
cmd = ["printf", "%s", "{var.both}"]
[jobs.exported]
cmd = "printf %s $A{env.KEY}; exit 3"
exports = { A = "{var.token}", "odd name" = "x" }
[jobs.long]
cmd = "printf %s {var.token}; : PADDING"
[jobs.plain]
cmd = "true"
"""


@pytest.mark.slow
def test_values_of_the_command_line_and_of_the_environment_stand_in_files_of_their_owner_alone(tmp_path: Path) -> None:
    key = "hide-71c0"
    text = SECRET_COMMANDS.replace("PADDING", "x" * 140_000)
    # What a job prints is its own text, and is quoted if it fails.
    (tmp_path / "jobs.toml").write_text(text.replace("; exit", " >/dev/null; exit"))
    words = ["run", "jobs.toml", "-vv", "--log-file", "log", f"-Dtoken={SECRET}"]
    done = call(tmp_path, *words, env={"KEY": key})
    assert done.code == 1, done.err
    kept = {"exports.sh", "env_vars", "job.log.cmd", "job.log", "journal.secrets"}
    for secret in (SECRET, key):
        assert secret not in done.out + done.err
        found = [
            path
            for path in tmp_path.rglob("*")
            if path.is_file() and not path.is_symlink() and secret.encode() in path.read_bytes()
        ]
        assert found
        assert {path.name for path in found} <= kept
        assert {stat.S_IMODE(path.stat().st_mode) for path in found if path.name != "job.log"} == {0o600}
    assert results(tmp_path)["command"][1:] == [*words[:-1], "-Dtoken=***"]


@pytest.mark.slow
def test_the_command_in_the_results_runs_a_job_whose_command_is_secret(tmp_path: Path) -> None:
    (tmp_path / "jobs.toml").write_text(SECRET_COMMANDS.replace("PADDING", "x" * 140_000))
    call(tmp_path, "run", "jobs.toml", "-D", "token=it's $A", env={"KEY": 'a"b'})
    logs = {}
    for entry in results(tmp_path)["jobs"]:
        again = subprocess.run(["/bin/sh", "-c", entry["command"]], capture_output=True, text=True, check=False)
        logs[entry["id"]] = again.stdout
        assert again.stdout == Path(entry["log"]).read_text(), entry
        assert again.returncode == entry["usage"]["exit_code"]
        assert again.stderr == ""
    assert logs == {
        "by_shell": "it's $A its",
        "by_words": "it's $A:a\"b",
        "exported": "it's$Aa\"b",
        "long": "it's $A",
        "plain": "",
    }


def test_arguments_of_the_script_go_before_a_secret_command(tmp_path: Path) -> None:
    script = tmp_path / "exports.sh"
    job = JobSpec(name="a", cmd=["printenv", "A"], secret_cmd=True, exports={"A": "1", "odd name": "2"})
    script.write_bytes(b"".join(render_variables([job])))
    for words, output in (([], "1\n"), (["printenv", "odd name"], "2\n")):
        done = subprocess.run(["/bin/sh", script, "a", *words], capture_output=True, text=True, check=False)
        assert (done.stdout, done.stderr, done.returncode) == (output, "", 0)


def test_an_unknown_job_is_an_error(tmp_path: Path) -> None:
    script = tmp_path / "exports.sh"
    script.write_bytes(b"".join(render_variables([JobSpec(name="a", cmd="x", exports={"A": "1"})])))
    done = subprocess.run(["/bin/sh", script, "b", "true"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (64, "exports.sh: it has nothing of the job b\n")


def test_a_name_or_a_value_without_bytes_is_no_error() -> None:
    jobs = [
        JobSpec(name="a", cmd="x", exports={"A": "\ud800"}),
        JobSpec(name="b", cmd="x", exports={"A": os.fsdecode(b"\xff")}),
    ]
    script = b"".join(render_variables(jobs))
    assert rb"\ud800" in script
    assert b"\xff" in script


@pytest.mark.parametrize("exports", [{"TOKEN": f"{SECRET}\0"}, [f"TOKEN={SECRET}"], {"TOKEN": [SECRET]}])
def test_no_message_quotes_a_value(exports: object) -> None:
    with pytest.raises(SpecError, match=r"a value of type .* that is not shown; expected ") as caught:
        JobSpec(name="a", cmd="x", exports=exports)  # type: ignore[arg-type]  # wrong on purpose
    assert SECRET not in str(caught.value)
    with pytest.raises(SpecError, match=r"cmd is a value of type .* that is not shown; expected ") as caught:
        JobSpec(name="a", cmd=["x", f"{SECRET}\0"], secret_cmd=True)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(JobSpec(name="a", cmd="x", exports={"TOKEN": SECRET}))
