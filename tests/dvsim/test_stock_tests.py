"""DVSim's own tests of its scheduler, unchanged, on our scheduler and adapter: `programs/stock_tests.py` runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dvsim.running import run_program

pytestmark = pytest.mark.slow


def test_all_pass_but_two_that_differ_on_purpose(tmp_path: Path) -> None:
    """Two jobs of one name are an error here; and how much of each resource is used, DVSim's resource manager logs."""
    found = run_program("stock_tests", tmp_path)
    assert found["failed"].keys() == {"test_duplicate_jobs", "test_resource_logging"}, found["failed"]
    assert "job 'job_0' is given twice" in found["failed"]["test_duplicate_jobs"]
    assert "but: was <set()>" in found["failed"]["test_resource_logging"]
    assert found["passed"] == 138
