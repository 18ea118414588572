"""What earlier runs let expect: usual times, and what failed in the last one."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from runtime.cli.past_runs import opened
from runtime.cli.run_expectations import expectations_of
from runtime.history import index_file
from runtime.history.index import Index
from runtime.history.index_file import look_up
from runtime.history.run_expectations import MAX_RUNS, expectations
from runtime.job import FailureKind
from runtime.report.expectations import Expectations
from tests.cli.past_run import write_run
from tests.history.runs import outcome, run
from tests.report.results import result


def test_the_median_of_the_newest_runs_counts_and_of_each_the_mean_of_what_passed() -> None:
    index = Index()
    for number, seconds in enumerate([9.0, 1.0, 1.0, 2.0, 3.0, 100.0]):
        seeds = [outcome("P", seed=seed, seconds=seconds + seed) for seed in (0, 1)]
        others = [outcome("F", seed=2, seconds=7.0), outcome("p", "kept", seconds=5.0), outcome("P", "unknown")]
        index.put(str(number), run(number, [*seeds, *others]))
    index.put("later", run(7, [outcome("P", seconds=1000.0)], partial=True))
    index.put("other", run(8, [outcome("P", seconds=1000.0)], suite="uart"))
    assert expectations(index, "fifo") == Expectations(MAX_RUNS, {"t": 2.5}, frozenset({"t"}))
    assert expectations(index, "nothing") == Expectations()


def test_what_failed_is_of_the_last_run_alone() -> None:
    index = Index()
    for number, letters in enumerate(["FFP", "PFK", "IPF"]):
        index.put(str(number), run(number, [outcome(letter, str(test)) for test, letter in enumerate(letters)]))
    assert expectations(index, "fifo").failing == {"2"}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for day in (1, 2, 3):
        failed = result("b", FailureKind.EXIT_CODE) if day == 2 else result("b")
        write_run(tmp_path, [result("a"), failed], name=f"2026010{day}-000000-000000")
    return tmp_path


def test_the_run_itself_does_not_count_and_nothing_is_written(out: Path) -> None:
    before = sorted(out.iterdir())
    for _ in range(2):
        found = trio.run(expectations_of, out / "20260103-000000-000000", "fifo")
        assert found == Expectations(2, {"a": 2.5, "b": 2.5}, frozenset({"b"}))
        (out / index_file.INDEX_NAME).write_bytes(b"damaged")
    (out / index_file.INDEX_NAME).unlink()
    assert sorted(out.iterdir()) == before
    assert trio.run(expectations_of, out / "nothing" / "run", "fifo") == Expectations()


def test_whatever_earlier_runs_are_their_lack_is_no_error(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **_options: object) -> None:
        raise RecursionError

    monkeypatch.setattr(index_file, "remembered", fails)
    assert trio.run(expectations_of, out / "20260103-000000-000000", "fifo") == Expectations()


def test_only_so_much_is_read_of_the_newest_runs_first(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = (out / "20260103-000000-000000" / "journal.jsonl").stat().st_size
    monkeypatch.setattr(index_file, "MAX_READ", size + 10)
    with opened(out) as directory:
        names = look_up(directory, lambda index: [each.name for each in index.runs()], leave_out="nothing")
    assert names == ["20260103-000000-000000"]
