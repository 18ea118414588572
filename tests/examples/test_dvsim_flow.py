"""The DVSim example: flows of DVSim's own job specifications, with its `run_scheduler` and with the one of the example.

DVSim's interpreter runs both (`dvsim_flows`) and prints what it found; `DVSIM_PYTHON` names it.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.dvsim.running import DEADLINE, ROOT, dvsim_python

pytestmark = pytest.mark.slow

Facts = dict[str, Any]


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    done = subprocess.run(
        [dvsim_python(), "-m", "tests.examples.dvsim_flows", tmp_path_factory.mktemp("flows")],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: Facts = json.loads(done.stdout.splitlines()[-1])
    return found


def test_random_graphs_on_the_fake_backend_have_equal_results(facts: Facts) -> None:
    graphs = facts["random_graphs"]
    assert graphs["differences"] == []
    seen = graphs["seen"]
    assert set(seen) == {
        "PASSED: Fake result",
        "FAILED: Fake result",
        "KILLED: Fake result",
        "KILLED: Job cancelled because one of its dependencies failed or was killed.",
        "KILLED: Job cancelled because all of its dependencies failed or were killed.",
    }
    assert min(seen.values()) > 50


def test_jobs_start_in_the_same_order(facts: Facts) -> None:
    orders = facts["orders"]
    assert orders["ours"] == orders["theirs"]
    assert orders["ours"][:4] == [[2, None], [2, 60], [2, 30], [2, 0.5]]
    assert len(orders["ours"]) == 12


def test_the_specifications_run_on_the_scheduler_as_they_are(facts: Facts) -> None:
    assert facts["as_they_are"] == {
        "same objects": True,
        "statuses": {"aes:a": "PASSED", "aes:b": "FAILED", "aes:c": "KILLED", "aes:d": "PASSED"},
    }


def test_one_line_moves_a_flow_over(facts: Facts) -> None:
    assert facts["moved"] == {
        "equal": True,
        "statuses": {
            "build": "PASSED",
            "passes": "PASSED",
            "says_no": "PASSED",
            "exits": "FAILED",
            "after": "KILLED",
            "either": "PASSED",
        },
    }


@pytest.mark.parametrize("backend", ["local", "launchers"])
def test_real_processes_end_alike(facts: Facts, backend: str) -> None:
    found = facts[backend]
    assert found["ours"] == found["theirs"]
    assert found["ours"] == {
        "statuses": {
            "build": "PASSED",
            "passes": "PASSED",
            "says_no": "FAILED",
            "exits": "FAILED",
            "after": "KILLED",
            "either": "PASSED",
        },
        "times": [[3.5, 0.0], [3.5, 12.0]],
        "links": {
            "running": [],
            "passed": ["0.build", "0.either", "0.passes"],
            "failed": ["0.exits", "0.says_no"],
            "killed": ["0.after"],
        },
    }


def test_behind_the_adapter_results_are_equal_in_every_field(facts: Facts) -> None:
    assert facts["launchers"]["equal"] is True


def test_reasons_of_local_jobs_are_in_our_words(facts: Facts) -> None:
    assert facts["local"]["reasons of ours"] == {
        "says_no": "a fail pattern matched: UVM_ERROR one",
        "exits": "exit code 3",
        "after": "Job cancelled because one of its dependencies failed or was killed.",
    }


def test_a_signal_stops_the_run_and_the_flow_goes_on(facts: Facts) -> None:
    by = "killed by a SIGTERM signal to the scheduler"
    assert facts["stopped"] == {
        "results": {"signals": ["PASSED", None], "sleeps": ["KILLED", by], "after": ["KILLED", by]},
        "handler left behind": False,
    }


def test_a_second_signal_stops_it_at_once(facts: Facts) -> None:
    assert facts["stopped_twice"] == {"stubborn": "KILLED"}


def test_a_timeout_in_minutes_counts_for_local_jobs(facts: Facts) -> None:
    assert facts["timed_out"] == {"long": ["KILLED", "ran for longer than its timeout of 0.12 s"]}


def test_a_cancelled_flow_ends_its_jobs_first(facts: Facts) -> None:
    assert facts["cancelled"] == {"ends": ["KILLED", "cancelled"]}


def test_what_cannot_run_is_said_before_anything_runs(facts: Facts) -> None:
    assert facts["refused"] == {
        "twins": "GraphError: job 'aes:a' is given twice; ids must be unique in a run",
        "cycle": "GraphError: the dependencies form a cycle, so none of its 2 jobs can start: "
        "'aes:a' -> 'aes:b' -> 'aes:a'",
        "unknown": "GraphError: job 'aes:a' depends on 'aes:z', which does not exist; did you mean 'aes:a'?",
        "too much": "ResourceError: job 'aes:a' needs 3 of resource 'licence', and its limit is 2",
        "no backend": "TypeError: backend is 'slurm'; expected a backend of DVSim's or of runtime's, "
        "or a launcher class",
    }
