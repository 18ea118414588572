"""An array launcher: the last launch submits all, so all must have been built before the first is launched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dvsim.running import by_id, run_program


@pytest.mark.slow
def test_the_last_launch_submits_all(tmp_path: Path) -> None:
    facts = run_program("array", tmp_path)
    assert facts["submissions"] == [list(range(1, 10))]
    expected = {f"aes:j{i}": "FAILED" if i % 2 else "PASSED" for i in range(1, 9)}
    assert {name: event["status"] for name, event in by_id(facts).items()} == {**expected, "aes:killed": "KILLED"}
