"""Journals that are cut, changed and zeroed, from the command line: what is whole is used, and one line says the rest.

`tests/journal` damages each byte; these are the ends of some records, and bytes around them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Here
from tests.cli.program import job_file
from tests.journal.test_reader import DAMAGES, ENDS, RECORDS_50, WHOLE

pytestmark = pytest.mark.slow

BEGINNINGS = [0, *ENDS[:-1]]
CHOSEN = [0, 1, 2, 24, 46, 47, 49]
"""Which records are damaged: those that begin a segment, those behind them, one in the middle, and the last."""
OFFSETS = [offset for n in CHOSEN for offset in (BEGINNINGS[n], BEGINNINGS[n] + 1, BEGINNINGS[n] + 30, ENDS[n] - 1)]
COMMANDS = {"report": ("report",), "resume": ("run", "jobs.json", "--resume", "--dry-run")}


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """The journal of the latest run."""
    run = tmp_path / "results" / "20260101-000000-000000"
    run.mkdir(parents=True)
    (run.parent / "latest").symlink_to(run.name)
    job_file(tmp_path, {f"job{number}": {"cmd": "true"} for number in range(3)})
    return run / "journal.jsonl"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_whole_is_used_and_one_line_says_what_is_missing(
    here: Here, journal: Path, damage: str, command: str
) -> None:
    assert len(RECORDS_50) == 50
    for offset in OFFSETS:
        journal.write_bytes(DAMAGES[damage](offset))
        done = here(*COMMANDS[command])
        assert done.code == 0, (offset, done)
        assert done.out
        end = max(each for each in (0, *ENDS) if each <= offset)
        said = [line for line in done.err.splitlines() if f"byte {end}: " in line]
        whole = damage == "cut" and offset == end
        assert len(said) == (0 if whole else 1), (offset, done)
        assert journal.read_bytes() == DAMAGES[damage](offset)


@pytest.mark.parametrize("command", COMMANDS)
def test_an_undamaged_one_says_nothing(here: Here, journal: Path, command: str) -> None:
    journal.write_bytes(WHOLE)
    done = here(*COMMANDS[command])
    assert (done.code, done.err) == (0, "")
