"""DVSim's `NcLauncher` against a command that behaves like Altair's."""

from __future__ import annotations

import pytest

from tests.dvsim.running import Facts, by_id, run_program

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    # A path with a space would break the script that DVSim's launcher writes (`cd $MY_DIR`).
    return run_program("nc", tmp_path_factory.mktemp("nc"))


def test_each_job_of_dvsim_has_one_event_with_the_launcher_s_verdict(facts: Facts) -> None:
    events = by_id(facts["theirs"])
    assert {name.removeprefix("aes:"): (e["status"], e["kind"], e["message"]) for name, e in events.items()} == {
        "passes": ("PASSED", None, None),
        "says_no": ("FAILED", None, "UVM_ERROR two"),
        "exits_3": ("FAILED", None, "Job returned non-zero exit code"),
        "exports": ("PASSED", None, None),
        "too_long": ("KILLED", "timeout", "ran for longer than its timeout of 0.6 s"),
        "killed": ("KILLED", "cancelled", "killed by the caller"),
    }


def test_jobs_of_ours_run_through_the_view(facts: Facts) -> None:
    events = by_id(facts["ours"])
    assert {name: event["status"] for name, event in events.items()} == {"mine": "PASSED", "mine_not": "FAILED"}


def test_an_interactive_job_runs_whole_inside_its_launch_which_has_no_deadline(facts: Facts) -> None:
    assert facts["interactive"]["supports_interactive"]
    assert by_id(facts["interactive"])["aes:talks"]["status"] == "PASSED"
    lines = facts["log"].splitlines()
    assert [line for line in lines if line in {"RUN_INTERACTIVE=1", "TEST PASSED", "later"}] == [
        "RUN_INTERACTIVE=1",
        "TEST PASSED",
        "later",
    ]


def test_nc_is_asked_once_for_each_job_and_once_for_each_kill(facts: Facts) -> None:
    def sets(verb: str) -> list[str]:
        return sorted(words[words.index("-set") + 1] for words in facts["asked"] if words[0] == verb)

    theirs = ["exits_3", "exports", "killed", "passes", "says_no", "talks", "too_long"]
    assert sets("run") == [*(f"aes:{name}" for name in theirs), "mine", "mine_not"]
    assert sets("stop") == ["aes:killed", "aes:too_long"]


def test_the_tool_of_a_job_is_a_hint_for_licences(facts: Facts) -> None:
    asked = {words[words.index("-set") + 1]: words for words in facts["asked"] if words[0] == "run"}
    assert "License:Xcelium_Single_Core/1" in asked["aes:passes"]
    assert "License:Xcelium_Single_Core/1" in asked["mine"]  # the view's tool
    assert "License:VCSRuntime_Net/1" in asked["aes:says_no"]
    assert not any(word.startswith("License") for word in asked["aes:exits_3"])


def test_nothing_is_left(facts: Facts) -> None:
    assert facts["survivors"] == []


def test_where_there_is_no_nc_the_reason_says_so(facts: Facts) -> None:
    event = by_id(facts["absent"])["aes:alone"]
    assert (event["status"], event["kind"]) == ("KILLED", "launch_error")
    assert event["message"].startswith("NcLauncher.launch() raised AssertionError, after FileNotFoundError:")
    assert event["message"].endswith("'nc'")
