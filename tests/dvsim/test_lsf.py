"""DVSim's `LsfLauncher` cannot be constructed: each of its jobs fails with a clear reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dvsim.running import by_id, run_program


@pytest.mark.slow
def test_a_launcher_that_cannot_be_constructed_costs_its_jobs_a_reason_each_and_nothing_more(tmp_path: Path) -> None:
    events = by_id(run_program("lsf", tmp_path))
    assert list(events) == ["aes:j0", "aes:j1", "aes:j2", "mine"]
    assert {(event["status"], event["kind"]) for event in events.values()} == {("KILLED", "launch_error")}
    for event in events.values():
        assert event["message"].startswith("LsfLauncher() raised AttributeError: ")
