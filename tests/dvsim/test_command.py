"""``job-runtime dvsim`` on the flow of ``examples/dvsim``, beside DVSim's own: `programs/command.py` runs both.

A stand-in takes the place of Verilator; with that, `tests/wheel/test_dvsim.py` compares them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dvsim.running import Facts, run_program

pytestmark = pytest.mark.slow


def facts_of(story: str, directory: Path) -> Facts:
    """Run one story; each test has its own, so that the tests can run at the same time."""
    found: Facts = run_program("command", directory, {"STORIES": story})[story]
    return found


def test_tables_buckets_reports_and_the_exit_code_are_dvsim_s(tmp_path: Path) -> None:
    found = facts_of("tables", tmp_path)
    assert found["codes"] == [1, 1]
    theirs, ours = found["tables"]
    assert ours == theirs
    assert [line.split("|")[3:-1] for line in ours if "fifo_" in line or "* `" in line][:4] == [
        [" fifo_smoke     ", "      0.250s       ", "     0.540us      ", "     1     ", "    1    ", "  100.00 %   "],
        [" fifo_random    ", "      0.250s       ", "     60.600us     ", "     1     ", "    1    ", "  100.00 %   "],
        [" fifo_lost_word ", "      0.250s       ", "     0.620us      ", "     0     ", "    1    ", "   0.00 %    "],
        [" fifo_exit      ", "      0.250s       ", "     0.540us      ", "     0     ", "    1    ", "   0.00 %    "],
    ]
    assert ours[-2:] == [
        "* `UVM_ERROR fifo.cpp(58) tb.scoreboard [scoreboard] word * is *` has 1 failure:",
        "* `Job returned a non-zero exit code: *` has 1 failure:",
    ]
    theirs, ours = found["reports"]
    assert ours == theirs
    # The run is there for all commands about runs.
    assert found["summary"].startswith("6 jobs: 4 passed, 2 failed, 0 killed, in ")
    assert "TEST PASSED CHECKS\n" in found["log"]
    assert found["runs"].rstrip().endswith("4 passed, 2 failed, 0 killed")
    assert "fifo:0.fifo_exit.7" in found["history"]
    # A job file that is made of the flow has the same results.
    assert found["imported"] == [0, 1, True]
    assert len(found["notes"]) == 4
    assert all(note.startswith("# Not here: ") for note in found["notes"])


def test_a_resume_keeps_what_passed_and_runs_the_rest_with_the_same_seeds(tmp_path: Path) -> None:
    found = facts_of("resumed", tmp_path)
    assert found["codes"] == [1, 0]
    assert (found["before"], found["after"]) == ({"passed": 3, "failed": 2}, {"passed": 5})
    assert found["same ids"] is True
    assert found["started"] == [4, 6]  # tests; the build is kept, too
    assert "resumed: 3 kept, 2 to run" in found["said"]
    assert found["runs"] == 1


def test_ctrl_c_ends_as_in_dvsim_with_its_reports(tmp_path: Path) -> None:
    found = facts_of("interrupted", tmp_path)
    assert found["codes"] == [1, 1]
    theirs, ours = found["buckets"]
    assert ours == theirs
    assert ours == {
        "Job killed by a SIGINT signal to the scheduler whilst executing.": 1,
        "Job killed whilst waiting to begin execution.": 2,
    }


def test_a_flow_without_coverage_ends_and_empties_no_directory(tmp_path: Path) -> None:
    assert facts_of("no_coverage", tmp_path) == {
        "code": 1,
        "kept": True,
        "buckets": {"Some pass patterns missing: ['^TEST PASSED']": 3},
    }


def test_what_cannot_be_run_is_one_line(tmp_path: Path) -> None:
    found = facts_of("refused", tmp_path)
    last = {name: [code, said.rstrip().rpartition("\n")[2]] for name, (code, said) in found.items()}
    assert [last["instrument"][0], last["no such backend"][0]] == [2, 2]
    assert last["instrument"][1] == (
        "job-runtime: --instrument is given, which looks into DVSim's own scheduler; expected dvsim without it:"
        " --trace and --metrics, before the --, show the times of jobs"
    )
    assert last["no such backend"][1].startswith("job-runtime: there is no backend 'locl'; did you mean 'local'? ")
    assert last["no run"][0] == 2
    assert last["no run"][1].startswith('job-runtime: RUN is "yesterday"; expected the name of a run in ')
    assert last["no test"][0] == 1
    assert last["no file"][0] == 1
    assert last["no file"][1].endswith("none.hjson appears to be invalid.")
