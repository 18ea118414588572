"""The night that is killed and resumed: the counts that docs/killed-night.md tells of."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import environment

ROOT = Path(__file__).parents[2]

PATTERN = re.compile(
    r"night:  200 jobs, 10 of them builds; 19 tests fail\n"
    r"killed: (?P<begun>\d+) had begun: (?P<passed>\d+) passed, (?P<failed>\d+) failed, (?P<flying>\d+) in flight\n"
    r"resume: (?P<kept>\d+) kept, (?P<ran>\d+) ran; of what had passed 0 ran again\n"
    r"        200 results, each job once: 181 passed, 19 failed; exit code 1\n"
    r"rerun:  19 that did not pass, and (?P<builds>\d+) of the builds, which they need\n"
)


@pytest.mark.slow
def test_what_passed_is_kept_and_the_rest_runs() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "killed_night.py"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    found = PATTERN.fullmatch(done.stdout)
    assert found is not None, done
    count = {name: int(text) for name, text in found.groupdict().items()}
    assert count["begun"] == count["passed"] + count["failed"] + count["flying"]
    assert count["kept"] == count["passed"] > 0
    assert count["kept"] + count["ran"] == 200


def test_the_page_shows_an_output_of_the_program() -> None:
    page = (ROOT / "docs" / "killed-night.md").read_text("utf-8")
    assert PATTERN.search(page)
