"""Flows of DVSim's own job specifications, with its `run_scheduler` and with ours: `programs/flows.py` runs both."""

from __future__ import annotations

import pytest

from tests.dvsim.running import Facts, run_program

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    return run_program("flows", tmp_path_factory.mktemp("flows"))


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


def test_links_are_made_outside_of_the_event_loop(facts: Facts) -> None:
    assert facts["linked"] == {"changes": 2, "in the loop": False}


def test_behind_the_adapter_results_are_equal_in_every_field(facts: Facts) -> None:
    assert facts["launchers"]["equal"] is True


def test_reasons_of_local_jobs_are_in_dvsim_s_words(facts: Facts) -> None:
    assert facts["local"]["reasons of ours"] == facts["local"]["reasons of theirs"]
    assert facts["local"]["reasons of ours"] == {
        "says_no": "UVM_ERROR one",
        "exits": "Job returned a non-zero exit code: 3",
        "after": "Job cancelled because one of its dependencies failed or was killed.",
    }


def test_a_hook_that_raises_fails_its_own_job_alone(facts: Facts) -> None:
    why = "post_finish raised OSError('no such thing as JobStatus.PASSED')"
    local = facts["hooks_that_raise"]["local"]
    assert local.pop("before") == ["KILLED", "pre_launch raised OSError('no such thing as a start')"]
    assert local == {
        "passes": ["FAILED", why],
        "fails": ["FAILED", "Job returned a non-zero exit code: 1"],
        "neighbour": ["PASSED", None],
    }
    fake = ["PASSED", "Fake result"]
    assert facts["hooks_that_raise"]["fake"] == {
        "passes": ["FAILED", why], "fails": ["FAILED", "Fake result"], "before": fake, "neighbour": fake,
    }  # fmt: skip


def test_a_signal_stops_the_run_and_the_flow_goes_on(facts: Facts) -> None:
    assert facts["stopped"] == {
        "results": {
            "signals": ["PASSED", None],
            "sleeps": ["KILLED", "Job killed by a SIGTERM signal to the scheduler whilst executing."],
            "after": ["KILLED", "Job cancelled because one of its dependencies was killed."],
        },
        "handler left behind": False,
    }


def test_a_second_signal_stops_it_at_once(facts: Facts) -> None:
    assert facts["stopped_twice"] == {"stubborn": "KILLED"}


def test_a_timeout_in_minutes_counts_for_local_jobs(facts: Facts) -> None:
    assert facts["timed_out"] == {"long": ["KILLED", "Job timed out after 0.002 minutes"]}


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
