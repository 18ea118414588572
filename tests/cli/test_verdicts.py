"""Verdicts of whole runs, in their results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import call, job_file, results, statuses

pytestmark = pytest.mark.slow


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    return {job["id"]: job for job in results(path)["jobs"]}


def test_an_error_after_a_progress_bar_or_in_colour_is_seen(tmp_path: Path) -> None:
    bar = r"printf 'loading  10%%\rloading  50%%\rERROR: parity mismatch\n'; echo TEST PASSED"
    red = r"printf '\033[1;31mERROR\033[0m: parity mismatch\n\033[32mTEST PASSED\033[0m\n'"
    table = {"pass_patterns": ["^TEST PASSED$"], "fail_patterns": ["^ERROR:"]}
    found = call(
        tmp_path,
        "run",
        job_file(
            tmp_path,
            {
                "bar": {"cmd": bar, **table},
                "red": {"cmd": red, **table},
                "green": {"cmd": r"printf '10%%\r\033[32mTEST PASSED\033[0m\r\r\n'", **table},
                "bytes": {"cmd": red, **table, "raw_lines": True},
            },
        ),
    )
    assert found.code == 1
    assert statuses(tmp_path) == {"bar": "failed", "red": "failed", "green": "passed", "bytes": "failed"}
    for name in ("bar", "red"):
        assert jobs(tmp_path)[name]["message"] == "a fail pattern matched: ERROR: parity mismatch"
        assert jobs(tmp_path)[name]["lines"] == [1, [1, 2]]
        assert jobs(tmp_path)[name]["context"] == ["ERROR: parity mismatch", "TEST PASSED"]
    assert jobs(tmp_path)["bytes"]["kind"] == "pass_pattern_missing"


def test_sparse_logs_hold_up_no_other(tmp_path: Path) -> None:
    sparse = {"cmd": "truncate -s 63G {odir}/job.log", "matrix": {"k": list(range(12))}, "pass_patterns": ["never"]}
    innocent = {"cmd": "yes 0123456789 | head -c 300000; echo fine", "pass_patterns": ["fine"]}
    hollow = {"cmd": "truncate -s 63G {odir}/job.log; echo fine", "pass_patterns": ["fine"]}
    call(tmp_path, "run", job_file(tmp_path, {"sparse": sparse, "hollow": hollow, "innocent": innocent}))
    found = jobs(tmp_path)
    assert {found[f"sparse.k={k}"]["kind"] for k in range(12)} == {"pass_pattern_missing"}
    assert (found["hollow"]["status"], found["innocent"]["status"]) == ("passed", "passed")


def test_a_log_has_a_limit(tmp_path: Path) -> None:
    endless = {"cmd": "yes 'assertion failed' | head -c 4G", "max_log": "1M"}  # if it is left behind, it fills no disk
    done = call(tmp_path, "run", job_file(tmp_path, {"endless": endless}))
    assert done.code == 1
    (job,) = jobs(tmp_path).values()
    assert (job["status"], job["kind"]) == ("failed", "log_limit")
    assert (tmp_path / "results/latest/endless/job.log").stat().st_size < 4 << 30
    assert job["message"].endswith("; expected at most 1 MiB (max_log)")
    wrong = call(tmp_path, "run", job_file(tmp_path, {"endless": {**endless, "max_log": "1Q"}}))
    assert wrong.code == 2
    assert 'max_log is "1Q"; ' in wrong.err
    assert 'text such as "64K", "100M"' in wrong.err
