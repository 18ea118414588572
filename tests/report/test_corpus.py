"""Buckets separate the causes of the failing logs in `corpus`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from runtime.job import DEFAULT_KINDS, JobSpec
from runtime.process import Exit
from runtime.report.buckets import bucket_of
from runtime.verdict import Verdicts
from tests.report.failing_logs import CORPUS, FAIL_PATTERNS, FailingLog, failing_logs, quality

FILES = sorted(path.name for path in CORPUS.glob("*.txt"))


@pytest.fixture(scope="module")
def verdicts() -> Iterator[Verdicts]:
    with closing(Verdicts()) as made:
        yield made


def buckets(
    logs: Sequence[FailingLog], verdicts: Verdicts, directory: Path, *, with_patterns: bool
) -> list[tuple[str, str]]:
    """Return of each log the cause and the bucket."""
    found = []
    path = directory / "log"
    for log in logs:
        path.write_text(log.text)
        patterns = FAIL_PATTERNS[log.tool] if with_patterns else ()
        job = JobSpec(name="a", cmd="./sim", fail_patterns=patterns, kinds=DEFAULT_KINDS)
        reason = verdicts.of(job, Exit(code=log.exit_code), str(path)).reason
        assert reason is not None
        found.append((log.cause, bucket_of(reason).message))
    return found


@pytest.mark.parametrize("with_patterns", [False, True], ids=["without fail patterns", "with fail patterns"])
@pytest.mark.parametrize("name", FILES)
def test_buckets_separate_causes(verdicts: Verdicts, tmp_path: Path, name: str, with_patterns: bool) -> None:
    logs = list(failing_logs(name))
    measured = quality(buckets(logs, verdicts, tmp_path, with_patterns=with_patterns))
    faults = "\n".join(measured.faults)
    assert measured.purity >= 0.95, f"{measured}\n{faults}"
    assert measured.most <= 2, f"{measured}\n{faults}"


def test_the_corpus_has_logs_of_each_tool_and_several_of_each_cause() -> None:
    logs = list(failing_logs())
    assert len(logs) >= 300
    assert {log.tool for log in logs} == set(FAIL_PATTERNS)
    counts = Counter(log.cause for log in logs)
    assert min(counts.values()) >= 3
    assert all(log.exit_code != 0 for log in logs)


def test_the_figures_of_the_page_are_those_measured(verdicts: Verdicts, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "job-files.md").read_text()
    rows = re.findall(
        r"^\| `(\w+\.txt)` \| (none|typical) \| (\d+) \| (\d+) \| ([\d.]+) \| (\d+) \|", page, re.MULTILINE
    )
    assert [(name, how) for name, how, *_ in rows] == [(name, how) for name in FILES for how in ("none", "typical")]
    for name, how, *figures in rows:
        with_patterns = how == "typical"
        measured = quality(buckets(list(failing_logs(name)), verdicts, tmp_path, with_patterns=with_patterns))
        assert figures == [
            str(measured.causes),
            str(measured.buckets),
            f"{measured.purity:.3f}",
            str(measured.most),
        ], f"{name}, {how}: {measured}"
