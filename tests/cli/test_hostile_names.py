"""Hostile names from the job file to the disk, the shell and the terminal."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from runtime.job import safe_id
from runtime.report.strict import original
from tests.cli.program import call, environment, results
from tests.hostile_names import NAMES, UNSPEAKABLE

pytestmark = pytest.mark.slow


def in_bytes(name: str) -> bytes:
    """Return a name as the results show it."""
    lone = ("surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass" for char in name)
    return b"".join(char.encode("utf-8", errors) for char, errors in zip(name, lone, strict=True))


def test_there_are_enough_of_them() -> None:
    assert len(NAMES) == len({safe_id(name) for name in NAMES}) == 31


def test_a_hostile_name_leaves_nothing_outside_and_reaches_no_shell(tmp_path: Path) -> None:
    inside = tmp_path / "in" / "side"
    inside.mkdir(parents=True)
    record = 'printf %s "$1" >"$2/listed"'
    jobs: list[dict[str, object]] = []
    for number, name in enumerate(NAMES):
        jobs.append({"name": name, "cmd": ["/bin/sh", "-c", record, "sh", "{name}", "{odir}"], "tags": [name]})
        jobs.append(
            {
                "name": f"shell{number}",
                "cmd": "cd {odir}; printf %s {v} >outside; printf %s \"{v}\" >double; printf %s '{v}' >single; exit 3",
                "matrix": {"v": [name]},
                "exports": {"NAME": "{v}"},
            }
        )
    jobs += [{"name": name, "cmd": "true"} for name in UNSPEAKABLE]
    lines = "".join(json.dumps(job) + "\n" for job in jobs)
    # In the C locale too, names must reach the disk whole.
    done = call(inside, "run", "-", "--max-parallel", "8", stdin=lines, env={"LC_ALL": "C.UTF-8"})
    assert done.code == 1  # all shell jobs end with 3
    assert done.err == ""
    for line in done.out.splitlines():
        assert line.isprintable()
    assert sorted(os.listdir(tmp_path)) == ["in"]
    assert sorted(os.listdir(tmp_path / "in")) == ["side"]
    assert sorted(os.listdir(inside)) == ["results"]
    assert list(tmp_path.rglob("injected")) == []
    run_dir = (inside / "results" / "latest").resolve()
    for number, name in enumerate(NAMES):
        assert (run_dir / safe_id(name) / "listed").read_bytes().decode() == name
        shell = run_dir / safe_id(f"shell{number}.v={name}")
        for quotes in ("outside", "double", "single"):
            assert (shell / quotes).read_bytes().decode() == name
        assert (run_dir / "passed" / safe_id(name)).readlink() == Path("..") / safe_id(name)
        assert (run_dir / "failed" / safe_id(f"shell{number}.v={name}")).is_symlink()
    by_id = {original(job["id"]): job for job in results(inside)["jobs"]}  # strict JSON has no lone surrogates
    assert [by_id[in_bytes(name)]["status"] for name in (*NAMES, *UNSPEAKABLE)] == ["passed"] * 34


@pytest.mark.parametrize(("name", "code"), list(zip(UNSPEAKABLE, [2, 3, 0], strict=True)))
def test_such_a_name_in_a_command_is_an_error_a_failure_or_a_byte(tmp_path: Path, name: str, code: int) -> None:
    done = call(tmp_path, "run", "-", stdin=json.dumps({"name": name, "cmd": ["echo", "{name}"]}))
    assert done.code == code
    assert "Traceback" not in done.err
    assert (done.out + done.err).replace("\n", "").isprintable()


def test_a_job_cannot_take_a_name_that_the_run_needs(tmp_path: Path) -> None:
    for name in ("running", "passed", "failed", "killed", "results.json", "exports.sh", "crash.txt", "ctl.requests"):
        done = call(tmp_path, "run", "-", stdin=json.dumps({"name": name, "cmd": "true"}))
        assert done.code == 2
        assert "a job cannot be called" in done.err
    assert os.listdir(tmp_path) == []


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    """A job that puts links where the run will write."""
    (tmp_path / "precious").mkdir()
    plant = (
        "rm -r {run_dir}/failed && ln -s {file_dir}/precious {run_dir}/failed"
        " && ln -s {file_dir}/precious/r {run_dir}/results.json"
    )
    jobs = [
        {
            "name": "plant",
            "cmd": plant,
        },
        {"name": "fail", "cmd": "false", "needs": ["plant"]},
    ]
    done = call(tmp_path, "run", "-", stdin="\n".join(map(json.dumps, jobs)), env=environment())
    assert done.code == 1
    assert os.listdir(tmp_path / "precious") == []
    assert not (tmp_path / "results/latest/results.json").is_symlink()
