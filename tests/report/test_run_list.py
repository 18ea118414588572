from __future__ import annotations

from collections.abc import Sequence, Set

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.job import FailureKind, JobSpec
from runtime.journal import Kept, Starting
from runtime.report.run_list import NO_JOURNAL, RunSummary, run_line, run_summary, to_prune
from tests.report.results import result
from tests.report.states import records, state_of

DAY = 86400.0


def run(name: str, began: float, state: str = "ended", **more: Set[str]) -> RunSummary:
    return RunSummary(name=name, state=state, began=began, **more)  # type: ignore[arg-type]  # no counts


def pruned(runs: Sequence[RunSummary], keep: int | None = None, older_than: float | None = None) -> list[str]:
    return [each.name for each in to_prune(runs, keep=keep, older_than=older_than, now=10 * DAY)[0]]


RUNS = [run(str(day), day * DAY) for day in range(8)]


@pytest.mark.parametrize(
    ("keep", "older_than", "names"),
    [
        (3, None, ["0", "1", "2", "3", "4"]),
        (8, None, []),
        (100, None, []),
        (None, 5 * DAY, ["0", "1", "2", "3", "4"]),
        (None, 0, ["0", "1", "2", "3", "4", "5", "6"]),  # the newest stays in any case
        (4, 5 * DAY, ["0", "1", "2", "3"]),
    ],
)
def test_old_runs_are_removed_by_count_or_age_the_oldest_first(
    keep: int | None, older_than: float | None, names: list[str]
) -> None:
    assert pruned(RUNS, keep, older_than) == names


def test_a_run_that_runs_or_cannot_be_read_or_whose_jobs_may_run_stays() -> None:
    runs = [
        run("live", 0, "running"),
        run("unreadable", 1, NO_JOURNAL),
        run("cluster", 2, "died", may_run_on={"slurm"}),
        run("dead", 3, "died"),
        run("new", 4),
    ]
    old, reasons = to_prune(runs, keep=1, older_than=None, now=10)
    assert [each.name for each in old] == ["dead"]
    assert reasons == {
        "live": "it is running",
        "unreadable": "it has no journal that can be read",
        "cluster": "its jobs may still run on slurm",
    }


def test_a_run_that_another_one_uses_stays_as_long_as_that_one() -> None:
    runs = [run("a", 1), run("b", 2, uses={"a"}), run("c", 3, uses={"b"}), run("d", 4), run("e", 5)]
    assert pruned(runs, keep=1) == ["a", "b", "c", "d"]  # the users go, too
    old, reasons = to_prune(runs, keep=3, older_than=None, now=10)
    assert old == []
    assert reasons == {"b": "the run c uses its directories", "a": "the run b uses its directories"}


NAMES = st.sampled_from("abcdef")


@given(
    st.dictionaries(
        NAMES, st.tuples(st.integers(0, 9), st.sampled_from(["ended", "running"]), st.sets(NAMES)), min_size=1
    ),
    st.integers(1, 6),
)
def test_what_stays_never_needs_what_is_removed(table: dict[str, tuple[int, str, set[str]]], keep: int) -> None:
    runs = [run(name, began, state, uses=uses) for name, (began, state, uses) in table.items()]
    old, reasons = to_prune(runs, keep=keep, older_than=None, now=10)
    gone = {each.name for each in old}
    assert not any(each.uses & gone for each in runs if each.name not in gone)
    assert not any(each.state == "running" for each in old)
    assert len(runs) - len(old) >= min(keep, len(runs))
    assert not gone & set(reasons)
    assert len(gone) + len(reasons) <= max(0, len(runs) - keep)


def test_a_summary_knows_whose_results_a_run_keeps_and_where_its_jobs_may_run() -> None:
    written = records([result("a"), result("b")], "/out/x", ended=None, more=[JobSpec(name="c", cmd="x")])
    written += [Kept([0], "yesterday"), Starting(2.0, "slurm", [2], [1])]
    state = state_of(written, "/out/x")
    found = run_summary("x", state, is_live=False, began=0)
    assert (found.state, found.uses, found.may_run_on) == ("died", {"yesterday"}, {"slurm"})
    assert found.began == state.segments[0].begin.at
    ended = state_of(records([result("a")], "/out/x"), "/out/x")
    assert run_summary("x", ended, is_live=False, began=0).may_run_on == frozenset()


def test_a_line_has_the_name_the_state_the_age_the_size_and_the_counts() -> None:
    written = records([result("a"), result("b", FailureKind.EXIT_CODE)], "/out/x", ended=None)
    written += records([], "/out/x", ended=None, more=[JobSpec(name="c", cmd="x")])[1:]
    found = run_summary("x", state_of(written, "/out/x"), is_live=True, began=0)
    line = "".join(text for text, _ in run_line(found, found.began + 3 * DAY, 1_234_567))
    assert " ".join(line.split()) == "x running 3 d ago 1.2 MB fifo: 1 passed, 1 failed, 0 killed, 1 unfinished"
    unknown = "".join(text for text, _ in run_line(run("evil\x1b", 0, NO_JOURNAL), 10, None))
    assert unknown.split() == ["evil\\x1b", "unknown", "10", "s", "ago", "?"]
