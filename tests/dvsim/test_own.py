"""A small launcher derived from DVSim's base class, with DVSim's own jobs and with ours."""

from __future__ import annotations

import pytest

from tests.dvsim.running import Facts, by_id, run_program

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    return run_program("own", tmp_path_factory.mktemp("own"))


def test_jobs_of_dvsim_reach_the_launcher_untouched(facts: Facts) -> None:
    untouched = facts["theirs"]["untouched"]
    assert len(untouched) == 11
    assert all(untouched.values())


def test_each_job_of_dvsim_has_one_event_with_the_launcher_s_verdict(facts: Facts) -> None:
    events = by_id(facts["theirs"])
    assert {name.removeprefix("aes:"): (e["status"], e["kind"], e["message"]) for name, e in events.items()} == {
        "passes": ("PASSED", None, None),
        "says_no": ("FAILED", None, "UVM_ERROR two"),
        "says_nothing": ("FAILED", None, "Some pass patterns missing: ['^TEST PASSED']"),
        "exits_3": ("FAILED", None, "Job returned non-zero exit code"),
        "build_timed": ("PASSED", None, None),
        "bad_hook": ("FAILED", None, "the hook is broken"),
        "bad_start": ("KILLED", "launch_error", "ShellLauncher.launch() raised RuntimeError: the hook is broken"),
        "refused": ("KILLED", "launch_error", "ShellLauncher.launch() raised LauncherError: no such queue"),
        "unknown_tool_build": (
            "KILLED",
            "launcher_error",
            "ShellLauncher.poll() raised 3 times in a row, the last time NotImplementedError: abacus not supported",
        ),
        "too_long": ("KILLED", "timeout", "ran for longer than its timeout of 0.3 s"),
        "killed": ("KILLED", "cancelled", "killed by the caller"),
    }


def test_the_reason_says_where_in_the_log(facts: Facts) -> None:
    event = by_id(facts["theirs"])["aes:says_no"]
    assert event["lines"] == [2]
    assert [line.rstrip() for line in event["context"]] == ["UVM_ERROR two", "three"]


def test_times_that_a_plug_in_finds_in_the_log_are_usage(facts: Facts) -> None:
    build = by_id(facts["theirs"])["aes:build_timed"]
    assert (build["runtime"], build["simulated"]) == (3.5, None)
    test = by_id(facts["times"])["timed"]
    assert (test["runtime"], test["simulated"]) == (3.5, pytest.approx(12e-6))


def test_hooks_of_dvsim_get_a_status_of_dvsim(facts: Facts) -> None:
    assert facts["theirs"]["hook"] == ["PASSED"]


def test_the_workspace_is_prepared_once_and_once_more_for_each_project(facts: Facts) -> None:
    assert (facts["theirs"]["prepared"], facts["ours"]["prepared"]) == (2, 3)


def test_each_job_of_ours_has_one_event_with_the_launcher_s_verdict(facts: Facts) -> None:
    events = by_id(facts["ours"])
    assert {name: (event["status"], event["kind"], event["message"]) for name, event in events.items()} == {
        "passes": ("PASSED", None, None),
        "says_no": ("FAILED", None, "UVM_ERROR two"),
        "exits_3": ("FAILED", None, "Job returned non-zero exit code"),
        "simulates": ("PASSED", None, None),  # the view hides its type, as it has no tool
        "exports": ("PASSED", None, None),
        "bad_hook": ("FAILED", None, "the hook is broken"),
        "too_long": ("KILLED", "timeout", "ran for longer than its timeout of 0.3 s"),
        "killed": ("KILLED", "cancelled", "killed by the caller"),
    }


def test_jobs_of_ours_are_shown_as_dvsim_s(facts: Facts) -> None:
    shown = facts["ours"]["shown"]
    assert shown.pop("odir") == f"{shown.pop('scratch')}/passes"
    assert shown == {
        "cmd": """echo 'it'"'"'s  TEST PASSED'""",
        "block": "uart",
        "tool": "unknown",
        "timeout_mins": 1.5,
        "variables": "WORD=a b\n",
    }


def test_hooks_of_ours_get_a_status_of_ours(facts: Facts) -> None:
    assert facts["ours"]["hook"] == ["before", "<JobStatus.PASSED: 'Passed'>"]
