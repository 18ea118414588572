"""A journal knows of each job what reports show of it, and none of its secrets."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from runtime.job import JobSpec
from runtime.journal import from_text, to_text
from runtime.journal.descriptions import JobDescription, description, jobs_record, jobs_records
from runtime.journal.records import Jobs


@attrs.frozen
class Foreign:
    """A job of another program: it has an id, and nothing that we know of."""

    id: str


def through_a_file(record: Jobs) -> Jobs:
    read = from_text(to_text(record))
    assert isinstance(read, Jobs)
    return read


def descriptions(*jobs: JobSpec | Foreign) -> Sequence[JobDescription]:
    records = [*jobs_records(jobs)]
    found = [description(record, row) for record in records for row in range(len(record.ids))]
    read = map(through_a_file, records)
    assert [description(record, row) for record in read for row in range(len(record.ids))] == found
    return found


def test_a_job_is_described_as_its_specification_has_it() -> None:
    smoke = JobSpec(
        name="smoke",
        full_name="smoke.seed=7",
        cmd=("./sim", "+seed=7"),
        seed=7,
        tags=("nightly",),
        shell=("/bin/bash", "-c"),
        cwd="/work",
        odir="/out/smoke",
        log_path="/logs/smoke.log",
        exports={"A": "secret", "B": "secret"},
    )
    found, *rest = descriptions(smoke, JobSpec(name="plain", cmd="true"), Foreign("foreign"))
    for field in attrs.fields(JobDescription):
        if field.name != "exports":
            assert getattr(found, field.name) == getattr(smoke, field.name), field.name
    assert found.exports == ["A", "B"]
    assert rest == [
        JobDescription("plain", cmd="true"),
        JobDescription("foreign"),
    ]
    assert [each.name for each in rest] == ["plain", "foreign"]


def test_values_that_may_be_secret_are_not_in_the_record() -> None:
    jobs = [
        JobSpec(name="a", cmd="true", exports={"A": "hush"}),
        JobSpec(name="b", cmd="login hush", secret_cmd=True),
        JobSpec(name="c", cmd="true"),
    ]
    assert "hush" not in to_text(jobs_record(jobs))
    _, secret, plain = descriptions(*jobs)
    assert (secret.cmd, secret.secret_cmd) == ("", True)
    assert (plain.cmd, plain.secret_cmd) == ("true", False)


def test_jobs_with_nothing_to_tell_take_little_space() -> None:
    jobs = [JobSpec(name=f"job{n}", cmd="true") for n in range(1000)]
    record = to_text(jobs_record(jobs))
    assert len(record) < 20 * 1000


def test_a_record_of_an_older_journal_has_no_descriptions() -> None:
    record = through_a_file(Jobs(["a"], [""]))
    assert description(record, 0) == JobDescription("a")
