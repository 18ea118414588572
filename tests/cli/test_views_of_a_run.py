"""What a run wrote at its end, and what its journal says later, are the same bytes; a killed run has a report, too."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Here
from tests.cli.program import Fifo, call, end_of, insist, job_file, started
from tests.report import schema
from tests.report.results import NONE_APART

pytestmark = pytest.mark.slow

JOBS: dict[str, Any] = {
    "build": {"cmd": "echo built"},
    "smoke": {"cmd": "echo smoke +seed={seed}; test {seed} != 2", "seeds": [1, 2], "needs": ["build"], "tags": ["x"]},
    "odd": {"cmd": "printf 'bad \\033[31m\\n'; exit 3", "exports": {"TOKEN": "hush"}},
    "never": {"cmd": "true", "needs": ["odd"]},
}


def results_of(directory: Path) -> str:
    return (directory / "results" / "latest" / "results.json").read_text("ascii")


def test_a_report_is_what_the_run_has_written(here: Here, tmp_path: Path) -> None:
    done = call(tmp_path, "run", job_file(tmp_path, JOBS), "-q")
    assert done.code == 1, done.err
    text = results_of(tmp_path)
    assert here("report", "--json").out == text
    document = json.loads(text)
    schema.check(document)
    assert document["state"] == "ended"
    assert document["counts"] == {"passed": 2, "failed": 2, "killed": 0, **NONE_APART, "never_ran": 1, "unfinished": 0}
    assert {job["name"]: job["tags"] for job in document["jobs"]} == {
        "build": [],
        "smoke": ["x"],
        "odd": [],
        "never": [],
    }
    assert "hush" not in text
    assert "hush" not in (tmp_path / "results" / "latest" / "journal.jsonl").read_text()
    _, *summary, counts = here("report").out.splitlines()
    assert "\n".join(summary) in done.out  # what the screen showed; the run began a moment before the first job
    assert counts.partition(", in ")[0] in done.out


def test_a_run_that_was_killed_has_a_report(here: Here, tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    jobs = {
        "first": {"cmd": "echo first", "exports": {"TOKEN": "hush"}},
        "hangs": {"cmd": f"echo here > {fifo.path}; sleep 1000", "needs": ["first"]},
        "later": {"cmd": "true", "needs": ["hangs"]},
    }
    with started(tmp_path, "run", job_file(tmp_path, jobs), "-q") as program:
        assert fifo.hear() == "here"
        live = json.loads(here("report", "--json").out)
        schema.check(live)
        assert live["state"] == "running"
        assert live["jobs"][2]["status"] == "scheduled"
        program.send_signal(signal.SIGKILL)
        end_of(program)
    assert not (tmp_path / "results" / "latest" / "results.json").exists()
    text = here("report", "--json").out
    assert here("report", "--json").out == text
    document = json.loads(text)
    schema.check(document)
    assert document["state"] == "died"
    assert [(job["id"], job["status"], job["kind"], job["never_ran"]) for job in document["jobs"]] == [
        ("first", "passed", None, False),
        ("hangs", "killed", "lost", False),
        ("later", "killed", "cancelled", True),
    ]
    (first, *_) = document["jobs"]
    # The command of a job works also after the death of the run: its variables were written while it ran.
    assert f"{document['run_dir']}/exports.sh" in first["command"]
    assert "hush" in (tmp_path / "results" / "latest" / "exports.sh").read_text()
    assert here("logs", "latest", "first").out == "first\n"
    assert here("runs").out.split()[1] == "died"
    assert here("report").out.endswith("3 jobs: 1 passed, 0 failed, 0 killed, 1 infrastructure, 1 never ran\n")


def test_a_run_that_exits_without_waiting_has_written_what_its_journal_says(here: Here, tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    hangs = f"trap '' TERM INT; echo here > {fifo.path}; while :; do sleep 1000; done"
    with started(tmp_path, "run", job_file(tmp_path, {"hangs": {"cmd": hangs}}), "-q") as program:
        assert fifo.hear() == "here"
        insist(program, signal.SIGINT)
        end_of(program)
    text = results_of(tmp_path)
    assert here("report", "--json").out == text
    assert json.loads(text)["stopped_by"] == "SIGINT"
