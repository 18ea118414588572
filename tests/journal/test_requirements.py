"""A journal knows what jobs need, and how much they may use; once for those that follow each other with the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from runtime.job import JobSpec
from runtime.journal import from_text, replay, to_text
from runtime.journal.descriptions import jobs_record, jobs_records
from runtime.journal.records import Jobs, Record, halves
from runtime.journal.requirements import Requirements, requirements_of

ALL = JobSpec(
    name="sim",
    cmd="true",
    dependencies=["build", "fw\udce9"],
    run_if="ended",
    backend="slurm",
    resources={"licence": 2, "board": None},
    timeout=60,
    idle_timeout=5.5,
    memory=1 << 30,
    max_log=1000,
)


def requirements(jobs: Sequence[JobSpec]) -> list[Requirements]:
    written = [from_text(to_text(record)) for record in jobs_records(jobs)]
    state = replay(record for record in written if record is not None)
    return [state.requirements(number) for number in range(len(jobs))]


def test_each_field_is_as_the_specification_has_it() -> None:
    plain = JobSpec(name="plain", cmd="true")
    found, nothing = requirements([ALL, plain])
    for field in attrs.fields(Requirements):
        value = getattr(ALL, field.name)
        assert getattr(found, field.name) == value, field.name
    assert nothing == Requirements()


def test_what_follows_each_other_with_the_same_is_told_once() -> None:
    jobs = [JobSpec(name=f"sim{n}", cmd="true", timeout=60, exports={"SEED": str(n)}) for n in range(100)]
    assert jobs_record(jobs).requirements == ((100, {"timeout": 60}),)
    last = JobSpec(name="cov", cmd="true", dependencies=["sim0"])
    assert requirements([*jobs, last])[99:] == [Requirements(timeout=60), Requirements(("sim0",))]
    assert jobs_record([JobSpec(name="plain", cmd="true")]).requirements is None


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(Requirements)])
@pytest.mark.parametrize("value", [True, -1, "x", [1], {"a": "b"}, None, [], {}, 10**400])
def test_what_a_job_has_written_into_a_journal_is_left_out(name: str, value: Any) -> None:
    record = Jobs(["a"], ["d"], requirements=((1, {name: value, "later": 1}),))
    found = requirements_of(0, record.requirements)
    assert isinstance(found.dependencies, tuple)
    assert found.run_if == "passed"
    assert all(amount is None or type(amount) is int for amount in found.resources.values())


def test_counts_that_do_not_fit_the_jobs_are_no_error() -> None:
    assert requirements_of(5, ((-7, {"timeout": 1}), (3, {"timeout": 2}))) == Requirements()
    assert requirements_of(2, ((-7, {"timeout": 1}), (3, {"timeout": 2}))) == Requirements(timeout=2)


def test_a_record_that_is_written_in_parts_has_the_same_requirements() -> None:
    jobs = [JobSpec(name=f"sim{n}", cmd="true", timeout=1 + n // 3, memory=1 << 30) for n in range(20)]
    records: list[Record] = [jobs_record(jobs)]
    for _ in range(3):
        records = [half for record in records for half in halves(record)]
    found = [each for record in records if (each := from_text(to_text(record))) is not None]
    state = replay(found)
    assert [state.requirements(n) for n in range(20)] == requirements(jobs)
    assert max(len(each.requirements or ()) for each in found if isinstance(each, Jobs)) <= 2
