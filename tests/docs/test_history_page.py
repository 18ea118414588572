"""docs/history.md: the example is what the command prints, and each part, key and option is listed."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from runtime.history.comparison import Change
from tests.cli.program import call

PAGE = (Path(__file__).parents[2] / "docs" / "history.md").read_text("utf-8")

NIGHT = """
[defaults]
fail_patterns = ["^UVM_ERROR"]
[jobs.boot]
cmd = "./sim boot"
[jobs.uart]
cmd = "./sim uart"
[jobs.smoke]
cmd = "./sim smoke {seed}"
seeds = 4
[jobs.dma]
cmd = "./sim dma"
retry = 1
retry_delay = 0
"""
BEGIN = """#!/bin/sh
bad() { echo "UVM_ERROR @ $1 ns: $2"; exit 1; }
case $1 in
boot) bad 120 "no answer from the ROM" ;;
"""
FIRST = "uart) bad 7 parity ;;"
# Two of the four jobs make a directory before the others, and fail.
SECOND = """dma) [ $JOB_RUNTIME_ATTEMPT = 2 ] || exit 1 ;;
smoke) mkdir results/1 2> /dev/null || mkdir results/2 2> /dev/null || exit 0
    bad $2 "scoreboard: 0x$2 is not 0xff" ;;
"""


def first_cells(head: str) -> list[str]:
    rows = PAGE.partition(head)[2].partition("\n\n")[0]
    cells = re.findall(r"^\| (`.*?) \| ", rows, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def comparable(text: str) -> str:
    text = re.sub(r"\d{8}-\d{6}-[0-9a-f]{6}", "RUN", text)
    text = re.sub(r"seed=\d+", "seed", text)
    return re.sub(r"revision [0-9a-f]{12}", "revision", text)


def commit(directory: Path, sim: str) -> None:
    (directory / "sim").write_text(sim)
    (directory / "sim").chmod(0o755)
    (directory / ".gitignore").write_text("results\n")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run(["git", "init", "-q"], cwd=directory, check=True)
    subprocess.run([*git, "add", "-A"], cwd=directory, check=True)
    subprocess.run([*git, "commit", "-qm", "sim"], cwd=directory, check=True)


@pytest.mark.slow
def test_the_example_is_what_is_printed_and_the_keys_are_those_of_the_json(tmp_path: Path) -> None:
    (tmp_path / "night.toml").write_text(NIGHT)
    for part in (FIRST, SECOND):
        commit(tmp_path, f"{BEGIN}{part}\nesac\n")
        assert call(tmp_path, "run", "night.toml", "-q").code == 1
    done = call(tmp_path, "compare")
    assert (done.code, done.err) == (0, "")
    (example,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert comparable(done.out) == comparable(example)
    document = json.loads(call(tmp_path, "compare", "--json").out)
    parts = [change.value for change in Change]
    assert first_cells("| part |") == parts
    assert set(document) == {"version", *first_cells("| key of `compare` |"), *parts} - {"…"}
    (new,) = document["new"]
    assert list(new["now"]) == first_cells("| key of `now`, `before` |")
    assert new.keys() == {"id", "test", "now", "before", *first_cells("| key of a judgement |")}
    history = json.loads(call(tmp_path, "history", "smoke", "--json").out)["jobs"][0]
    judgement = first_cells("| key of a judgement |")
    assert history.keys() == {"id", "name", "first_seen", "last_seen", "runs", "buckets", *judgement}
    assert history["runs"][0].keys() == {*document["run"], *new["now"]}


def test_each_option_is_listed(capfd: pytest.CaptureFixture[str]) -> None:
    from runtime.cli.main import main

    found: set[str] = set()
    for command in ("compare", "history"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        found |= set(re.findall(r"(?<![\w-])--[a-z]+", capfd.readouterr().out))
    assert {name.partition(" ")[0] for name in first_cells("| option |")} == found - {"--help"}
