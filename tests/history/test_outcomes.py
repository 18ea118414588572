"""What is remembered of a run: its tests and seeds, what each result says, and what was run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from runtime.history.outcomes import MAX_ATTEMPT, Outcome, Standing, remembered
from runtime.job import CustomKind, FailureKind, JobResult, JobSpec
from runtime.journal import JSON, Begin, Kept, Record, replay
from runtime.report.seeds import MAX_SEED, split_seed
from tests.report.results import result
from tests.report.states import records

RUN_DIR = Path("/out/20260101-000000-abcdef")


def outcomes(written: list[Record], *, is_live: bool = False) -> dict[str, Outcome]:
    found = remembered(replay(written, str(RUN_DIR)), is_live=is_live).outcomes
    return {each.id: each for each in found}


def with_details(written: list[Record], **details: JSON) -> list[Record]:
    begin, *rest = written
    assert isinstance(begin, Begin)
    return [attrs.evolve(begin, details={**begin.details, **details}), *rest]


@pytest.mark.parametrize(
    ("job_id", "seed", "expected"),
    [
        ("smoke", None, ("smoke", None)),
        ("smoke.seed=7", 7, ("smoke", 7)),
        ("smoke.depth=8.seed=7", 7, ("smoke.depth=8", 7)),
        ("smoke.seed=7", None, ("smoke.seed=7", None)),
        ("smoke.seed=7", 8, ("smoke.seed=7", None)),
        ("smoke", 7, ("smoke", None)),
        ("smoke.seed=07", 7, ("smoke.seed=07", None)),
        (f"smoke.seed={MAX_SEED}", MAX_SEED, ("smoke", MAX_SEED)),
        (f"smoke.seed={MAX_SEED + 1}", MAX_SEED + 1, (f"smoke.seed={MAX_SEED + 1}", None)),
        ("smoke.seed=-1", -1, ("smoke.seed=-1", None)),
        (".seed=1", 1, ("", 1)),
    ],
)
def test_a_test_is_the_id_without_its_seed(job_id: str, seed: int | None, expected: tuple[str, int | None]) -> None:
    found = split_seed(job_id, seed)
    assert found == expected
    assert Outcome(*found, Standing.PASSED).id == job_id


@pytest.mark.parametrize(
    ("job_id", "seed", "test"),
    [
        (f"fifo:0.smoke.{MAX_SEED + 1}", MAX_SEED + 1, "fifo:0.smoke"),
        (f"fifo:0.smoke.{MAX_SEED}", MAX_SEED, f"fifo:0.smoke.{MAX_SEED}"),
        (f"fifo:0.smoke.{2**255}", 2**254, f"fifo:0.smoke.{2**255}"),
    ],
)
def test_a_test_of_dvsim_s_has_another_large_seed_in_each_run(job_id: str, seed: int, test: str) -> None:
    assert split_seed(job_id, seed) == (test, None)


@pytest.mark.parametrize(
    ("made", "standing"),
    [
        (result(), Standing.PASSED),
        (result(kind=FailureKind.EXIT_CODE), Standing.FAILED),
        (result(kind=FailureKind.TIMEOUT), Standing.FAILED),
        (result(kind=FailureKind.EXIT_CODE, known="bug"), Standing.KNOWN),
        (result(kind=FailureKind.LICENCE), Standing.INFRASTRUCTURE),
        (result(kind=CustomKind("network")), Standing.INFRASTRUCTURE),
        (result(kind=FailureKind.LOST), Standing.INFRASTRUCTURE),
        (result(kind=FailureKind.CANCELLED), Standing.NEVER_RAN),
        (result(kind=FailureKind.DEPENDENCY, cause=FailureKind.EXIT_CODE), Standing.NEVER_RAN),
        (result(kind=FailureKind.DEPENDENCY, cause=FailureKind.LICENCE), Standing.NEVER_RAN),
    ],
)
def test_what_a_result_says_of_the_design(made: JobResult[JobSpec], standing: Standing) -> None:
    (found,) = outcomes(records([made], RUN_DIR)).values()
    assert found.standing is standing
    is_told = standing in (Standing.FAILED, Standing.KNOWN, Standing.INFRASTRUCTURE)
    assert (found.bucket is not None) is is_told
    assert found.seconds == 2.5


def test_what_has_not_ended_is_unfinished_only_while_its_run_lives() -> None:
    written = records([], RUN_DIR, ended=None, more=[JobSpec(name="a", cmd="x")])
    assert outcomes(written, is_live=True)["a"].standing is Standing.UNFINISHED
    assert outcomes(written)["a"].standing is Standing.NEVER_RAN


def test_a_flaky_job_has_the_bucket_of_its_last_failure() -> None:
    failed = result(kind=FailureKind.EXIT_CODE, message="exit code 7").event
    passed = result(attempt=2)
    made = attrs.evolve(passed, event=attrs.evolve(passed.event, earlier=(failed,)))
    found = outcomes(records([made], RUN_DIR))["a"]
    assert (found.standing, found.flaky, found.attempt) == (Standing.PASSED, True, 2)
    assert found.bucket is not None
    assert "exit code" in found.bucket


def test_the_revision_is_that_of_a_clean_tree() -> None:
    written = records([result()], RUN_DIR)
    known: list[tuple[JSON, str | None]] = [
        ({"revision": "a", "clean": True}, "a"),
        ({"revision": "a", "clean": False}, None),
        ({"revision": "a", "clean": None}, None),
        ({"revision": 7, "clean": True}, None),
        (None, None),
        ("a", None),
    ]
    for git, revision in known:
        assert outcomes(with_details(written, git=git))["a"].revision == revision
    head = remembered(replay(with_details(written, git={"revision": "a", "clean": False})), is_live=False).head
    assert (head.revision, head.is_clean, head.suite) == ("a", False, "fifo")


def test_a_result_of_another_run_is_kept() -> None:
    written = records([result()], RUN_DIR)
    found = outcomes([*written[:-1], Kept([0], "other"), written[-1]])["a"]
    assert found.kept


def command(run_dir: Path = RUN_DIR, **fields: Any) -> int:
    written = with_details(records([result(**fields)], run_dir), run_dir=str(run_dir))
    (found,) = remembered(replay(written, str(run_dir)), is_live=False).outcomes
    return found.command


def test_commands_that_differ_in_the_run_directory_are_the_same() -> None:
    assert command(cmd=f"{RUN_DIR}/build/sim") == command(Path("/out/other"), cmd="/out/other/build/sim")
    assert command(cmd=["sim", "x"]) == command(cmd=["sim", "x"])
    different = [
        command(),
        command(cmd="sim +waves"),
        command(cmd=["sim", "+waves"]),
        command(cmd=["sim +waves"], exports={"WAVES": "1"}),
    ]
    assert len(set(different)) == len(different)


def test_a_run_is_partial_if_no_segment_had_all_jobs() -> None:
    written = records([result()], RUN_DIR)
    begin, *_ = with_details(written, selected=False)
    for segments, expected in (
        (with_details(written, selected=True), True),
        (with_details(written, selected=False), False),
        (with_details(written, selected="yes"), False),
        ([*with_details(written, selected=True), begin], False),
    ):
        assert remembered(replay(segments), is_live=False).head.partial is expected


def test_numbers_that_no_run_has_are_left_out_or_cut() -> None:
    made = result()
    odd = attrs.evolve(made, event=attrs.evolve(made.event, attempt=10**30, started=-1e300))
    found = outcomes(records([odd], RUN_DIR))["a"]
    assert (found.seconds, found.attempt) == (None, MAX_ATTEMPT)


def test_a_journal_without_a_beginning_is_a_run_without_a_time() -> None:
    found = remembered(replay([], "/out/x"), is_live=False)
    assert (found.head.name, found.head.began, found.outcomes) == ("x", 0.0, [])
