"""docs/job-files.md lists each kind of failure with its status and class, and its examples of them do what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path

from runtime.job import FailureKind
from tests.cli.program import call

PAGE = (Path(__file__).parents[2] / "docs" / "job-files.md").read_text()


def test_each_kind_of_failure_is_listed_with_its_status() -> None:
    table = PAGE.partition("| status | `kind` |")[2].partition("\n\n")[0]
    listed = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (?:`(\w+)`|that of its cause) \| ", table, re.MULTILINE)
    assert listed == [
        (
            kind.status.name.lower(),
            kind.value,
            "" if kind is FailureKind.DEPENDENCY else kind.failure_class.value,
        )
        for kind in FailureKind
    ]


def example(key: str) -> str:
    """The text of the only example that has this line."""
    texts: list[str] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (found,) = [each for each in texts if f"\n{key}\n" in f"\n{each}"]
    return found


def test_the_example_of_kinds_says_what_its_patterns_show(tmp_path: Path) -> None:
    (tmp_path / "sim").write_text(
        "#!/bin/sh\necho UVM_ERROR; case $JOB_RUNTIME_SEED in"
        " 1) echo Licence checkout failed;; 2) echo cp: Stale file handle;; esac; exit 1\n"
    )
    (tmp_path / "sim").chmod(0o755)
    text = example('network = ["Stale file handle", "No route to host"]').replace("seeds = 20", "seeds = [1, 2, 3]")
    (tmp_path / "fifo.toml").write_text(f"{text}retry_delay = 0\n")
    done = call(tmp_path, "run", "fifo.toml", "-q")
    assert done.code == 1, done.err
    document = json.loads((tmp_path / "results" / "latest" / "results.json").read_text())
    assert [(job["kind"], job["class"], job["attempt"]) for job in document["jobs"]] == [
        ("licence", "infrastructure", 6),
        ("network", "infrastructure", 3),
        ("exit_code", "design", 1),
    ]
    assert document["jobs"][0]["message"] == (
        "licence: Licence checkout failed; exit code 1; a fail pattern matched: UVM_ERROR"
    )
    assert document["counts"] | {"failed": 1, "infrastructure": 2} == document["counts"]


def test_the_example_without_the_default_kinds_has_none(tmp_path: Path) -> None:
    text = example("defaults = false").replace("make sim", "echo 'Fatal License Error.'; exit 1")
    (tmp_path / "with.toml").write_text(text.replace("defaults = false", ""))
    (tmp_path / "without.toml").write_text(text)
    assert call(tmp_path, "run", "with.toml", "-q").code == 3
    assert call(tmp_path, "run", "without.toml", "-q").code == 1


def test_the_example_of_a_known_failure_does_not_fail_the_run_until_its_day(tmp_path: Path) -> None:
    text = example("[known.credit_lost]")
    (tmp_path / "fifo.toml").write_text(text)
    done = call(tmp_path, "run", "fifo.toml", "-q")
    assert (done.code, done.err) == (0, "")
    assert "KNOWN  fifo_overflow: exit code 1; a fail pattern matched: ERROR: credit lost after 17 beats" in done.out
    assert "1 job: 0 passed, 0 failed, 0 killed, 1 known, in" in done.out
    (tmp_path / "fifo.toml").write_text(text.replace("2126-12-31", "2025-12-31"))
    done = call(tmp_path, "run", "fifo.toml", "-q")
    assert done.code == 1
    assert (
        "known failure credit_lost expired on 2025-12-31 and matches a failure that counts; issue:"
        " https://tracker.example/1234" in done.out
    )
