"""What a user does who has installed the wheel, and has no checkout: the tutorial, a proof, packages of others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.program import results, statuses
from tests.docs.tutorial import compared, followed
from tests.wheel.installed import Installed

pytestmark = pytest.mark.wheel


def test_what_runs_is_what_was_installed(tmp_path: Path, installed: Installed, wheel: Path) -> None:
    done = installed.run(tmp_path, "python", "-c", "import runtime; print(runtime.__file__)")
    assert done.err == ""
    assert Path(done.out.strip()).is_relative_to(installed.path)
    assert installed.run(tmp_path, "job-runtime", "--version").out.split()[-1] == wheel.name.split("-")[1]


def test_the_tutorial_prints_what_its_page_says(tmp_path: Path, installed: Installed) -> None:
    now, on_the_page = compared(followed(tmp_path, installed.variables))
    assert now == on_the_page


def test_local_jobs_keep_all_promises(tmp_path: Path, installed: Installed) -> None:
    done = installed.run(tmp_path, "job-runtime", "prove", "local")
    assert (done.code, done.err) == (0, ""), done.out
    assert done.out.splitlines()[-1].endswith("report: proof.md")


@pytest.mark.parametrize(("name", "command"), [("site", "echo GOOD"), ("sleep", "0.01")])
def test_a_package_of_somebody_else_is_chosen_by_its_name(
    tmp_path: Path, installed: Installed, name: str, command: str
) -> None:
    assert f"\n{name} " in installed.run(tmp_path, "job-runtime", "backends").out
    (tmp_path / "jobs.json").write_text(json.dumps({"jobs": {"a": {"cmd": command}}}))
    done = installed.run(tmp_path, "job-runtime", "run", "jobs.json", "--backend", name)
    assert (done.code, done.err) == (0, "")
    assert statuses(tmp_path) == {"a": "passed"}
    assert f"1 attempt on {name}\n" in installed.run(tmp_path, "job-runtime", "explain", "latest", "a").out


def test_a_backend_of_somebody_else_tells_what_is_wrong_with_a_job(tmp_path: Path, installed: Installed) -> None:
    (tmp_path / "jobs.toml").write_text('[jobs.a]\ncmd = "soon"\nbackend = "sleep"\n')
    assert installed.run(tmp_path, "job-runtime", "run", "jobs.toml").code == 3
    (job,) = results(tmp_path)["jobs"]
    assert (job["status"], job["message"]) == ("killed", "cmd is 'soon'; expected a number of seconds")
