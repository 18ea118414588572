"""The exit code of a run that has ended by itself says whose its failures are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.cli.run_exit_code import exit_code_of
from runtime.job import CustomKind, FailureKind, JobResult, JobSpec
from tests.cli.program import call, job_file
from tests.report import schema
from tests.report.results import result

K = FailureKind
GOOD = result("good")
BAD = result("bad", K.EXIT_CODE)
LICENCE = result("licence", K.LICENCE)
NETWORK = result("network", CustomKind("network"))
WAITED = result("waited", K.DEPENDENCY, cause=K.LICENCE)
AFTER = result("after", K.DEPENDENCY, cause=K.TIMEOUT)
CANCELLED = result("cancelled", K.CANCELLED)
KNOWN = result("known", K.EXIT_CODE, known="x")
AFTER_KNOWN = result("after", K.DEPENDENCY, cause=K.EXIT_CODE, known="x")


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([], 0),
        ([GOOD], 0),
        ([GOOD, KNOWN, AFTER_KNOWN], 0),
        ([GOOD, BAD], 1),
        ([GOOD, AFTER], 1),
        ([GOOD, CANCELLED], 1),
        ([GOOD, BAD, LICENCE, KNOWN], 1),
        ([GOOD, LICENCE], 3),
        ([GOOD, NETWORK, WAITED, KNOWN], 3),
        ([GOOD, LICENCE, CANCELLED], 3),
        *(([GOOD, result("a", kind)], 3 if kind.is_infrastructure else 1) for kind in FailureKind),
    ],
)
def test_the_exit_code_says_whose_the_failures_are(results: list[JobResult[JobSpec]], code: int) -> None:
    assert exit_code_of(results) == code


def test_a_run_that_fails_for_a_licence_only_ends_with_3_and_its_tests_are_not_called_failed(tmp_path: Path) -> None:
    jobs = {
        "build": {"cmd": "echo 'xmsim: *F,NOLICN: Unable to checkout license'; exit 2"},
        "test": {"cmd": "true", "needs": ["build"]},
        "good": {"cmd": "echo 'xmsim: *F,NOLICN: again in 10 s'; echo PASSED", "pass_patterns": ["^PASSED"]},
    }
    done = call(tmp_path, "run", job_file(tmp_path, jobs), "--fail-fast")
    assert (done.code, done.err) == (3, "")
    assert "3 jobs: 1 passed, 0 failed, 0 killed, 2 infrastructure, in" in done.out
    assert "INFRA  build: licence: xmsim: *F,NOLICN: Unable to checkout license; exit code 2" in done.out
    assert "FAILED build" not in done.out
    document = json.loads((tmp_path / "results" / "latest" / "results.json").read_text())
    schema.check(document)
    assert [(job["kind"], job["class"], job["cause"]) for job in document["jobs"]] == [
        ("licence", "infrastructure", None),
        ("dependency", "infrastructure", "licence"),
        (None, None, None),
    ]
    assert call(tmp_path, "report", "--json").out == (tmp_path / "results" / "latest" / "results.json").read_text()
    assert "2 infrastructure" in call(tmp_path, "runs").out
    assert "Failures of the infrastructure (1 job)\n" in call(tmp_path, "report").out
