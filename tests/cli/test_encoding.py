"""A job file is UTF-8, and its bytes arrive unchanged, whatever the locale."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from runtime.report.strict import original
from tests.cli.program import call

JOBS = """
[jobs.text]
cmd = "cat größe.txt"
[jobs.words]
cmd = ["/usr/bin/printf", "%s", "✓ é"]
[jobs.exports]
cmd = ["/usr/bin/printenv", "A"]
exports = { A = "größe" }
[jobs.directory]
cmd = ["/bin/pwd"]
cwd = "größe"
odir = "größe-{id}"
log_path = "größe.log"
[jobs."größe"]
cmd = "echo {id} {odir} {file_dir}"
[jobs.mode]
cmd = ["python3", "-c", "import sys; print(sys.flags.utf8_mode)"]
"""

ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
"""A locale with another encoding, which every machine has."""


@pytest.fixture(params=["UTF-8", "ASCII", "ISO-8859-1"])
def locale(request: pytest.FixtureRequest, tmp_path: Path) -> Mapping[str, str]:
    if request.param == "UTF-8":
        return {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "0"}
    if request.param == "ASCII":
        return ASCII
    name = "en_US.ISO-8859-1"
    made = subprocess.run(
        ["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(tmp_path / name)], capture_output=True, check=False
    )
    if not (tmp_path / name).exists():
        pytest.skip(f"this machine cannot make the locale: {made.stderr!r}")
    return {"LOCPATH": str(tmp_path), "LC_ALL": name, "PYTHONUTF8": "0"}


def test_what_stands_in_a_job_file_arrives_byte_for_byte(tmp_path: Path, locale: Mapping[str, str]) -> None:
    here = tmp_path / os.fsdecode(b"caf\xe9")  # a name in Latin-1, while the file is UTF-8
    (here / "größe").mkdir(parents=True)
    (here / "größe.txt").write_text("größe 1")
    (here / "jobs.toml").write_text(JOBS, "utf-8")
    done = call(here, "run", "jobs.toml", env=locale)
    assert done.code == 0, done
    results = json.loads((here / "results" / "latest" / "results.json").read_bytes())
    logs = {job["id"]: Path(os.fsdecode(original(job["log"]))).read_bytes() for job in results["jobs"]}
    name = os.fsencode(os.path.realpath(here))
    odir = next(os.fsdecode(original(job["odir"])) for job in results["jobs"] if job["id"] == "größe")
    assert logs == {
        "text": "größe 1".encode(),
        "words": "✓ é".encode(),
        "exports": "größe\n".encode(),
        "directory": name + "/größe\n".encode(),
        "größe": b"gr\xc3\xb6\xc3\x9fe " + os.fsencode(odir) + b" " + name + b"\n",
        "mode": b"0\n",
    }
    assert (here / "results" / "latest" / "größe-directory" / "größe.log").exists()


def test_what_is_said_is_in_the_encoding_of_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "jobs.toml").write_text('[jobs."größe"]\ncmd = "true"\n', "utf-8")
    done = call(tmp_path, "list", "jobs.toml", env=ASCII)
    assert "gr\\xf6\\xdfe" in done.out
    assert call(tmp_path, "list", "utf8", env=ASCII).code == 2  # a word of ours that Python knows as well
