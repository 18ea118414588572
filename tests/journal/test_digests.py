"""Equal specifications have one digest, in every process; another result may come only of another digest."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from runtime.job import JobSpec, JobStatus
from runtime.journal.descriptions import jobs_records
from runtime.journal.digests import digest, digests
from runtime.journal.records import from_text, to_text
from runtime.journal.replay import replay


def before() -> None: ...


def after(status: JobStatus) -> None: ...


BASE = JobSpec(name="a", cmd="true")

# Another value for each field of a specification.
CHANGES: Mapping[str, Any] = {
    "name": "b",
    "cmd": ["true"],
    "shell": "/bin/bash",
    "target": "build",
    "job_type": "sim",
    "seed": 7,
    "backend": "slurm",
    "resources": {"licence": 1},
    "dependencies": ["build"],
    "run_if": "ended",
    "timeout": 60,
    "timeout_from": "^Starting",
    "idle_timeout": 60,
    "exports": {"SECRET": "x"},
    "cwd": "/tmp",
    "odir": "/tmp/a",
    "renew_odir": True,
    "log_path": "/tmp/a.log",
    "pass_patterns": ["PASS"],
    "fail_patterns": ["ERROR"],
    "runtime_pattern": r"(?P<value>\d+) (?P<unit>s)",
    "simulated_time_pattern": r"(?P<value>\d+) (?P<unit>s)",
    "max_log": 1000,
    "memory": 1 << 30,
    "raw_lines": True,
    "dry_run": True,
    "interactive": True,
    "containment": "group",
    "leftovers": "fail",
    "pre_launch": before,
    "post_finish": after,
    "full_name": "block/a",
    "qual_name": "block/a",
}
NO_CHANGES: Mapping[str, Any] = {
    "weight": 3,
    "tags": ["smoke"],
    "queue_timeout": 60,
    "slow": 60,
    "soft_stop": "SIGINT",
    "soft_timeout": 5,
    "jobserver": True,
    "secret_cmd": True,
    "retry": 2,
    "kinds": {"licence": ["no licence"]},
}


def test_each_field_either_counts_or_does_not() -> None:
    assert {*CHANGES, *NO_CHANGES, "_needs_all"} == {field.name for field in attrs.fields(JobSpec)}


@pytest.mark.parametrize("field", CHANGES)
def test_what_can_change_the_result_changes_the_digest(field: str) -> None:
    changed = JobSpec(**({"name": "a", "cmd": "true"} | {field: CHANGES[field]}))
    assert digest(changed) != digest(BASE)


def test_all_changes_have_digests_of_their_own() -> None:
    digests = {digest(JobSpec(**({"name": "a", "cmd": "true"} | {field: CHANGES[field]}))) for field in CHANGES}
    assert len(digests) == len(CHANGES)


@pytest.mark.parametrize("field", NO_CHANGES)
def test_what_cannot_change_it_does_not(field: str) -> None:
    assert digest(JobSpec(name="a", cmd="true", **{field: NO_CHANGES[field]})) == digest(BASE)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"cmd": "true"}, {"cmd": ("true",)}),
        ({"cmd": ["a b"]}, {"cmd": ["a", "b"]}),
        ({"cmd": "\ud83d\ude00"}, {"cmd": "\U0001f600"}),
        ({"pass_patterns": ["a"]}, {"fail_patterns": ["a"]}),
        ({"exports": {"A": "b"}}, {"exports": {"A": "c"}}),
        ({"exports": {"A": "1", "B": "2"}}, {"exports": {"A": "2", "B": "1"}}),
        ({"resources": {"lic": None}}, {"resources": {"lic": 1}}),
        ({"pre_launch": before}, {"pre_launch": print}),
        ({"seed": 0}, {}),
    ],
)
def test_what_differs_is_told_apart(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert digest(JobSpec(**({"name": "a", "cmd": "x"} | one))) != digest(
        JobSpec(**({"name": "a", "cmd": "x"} | other))
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"cmd": ["a", "b"]}, {"cmd": ("a", "b")}),
        ({"exports": {"A": "1", "B": "2"}}, {"exports": {"B": "2", "A": "1"}}),
        ({"exports": {}}, {}),
        ({"resources": {"a": 1, "b": 2}}, {"resources": {"b": 2, "a": 1}}),
        ({"dependencies": ["a", "b"]}, {"dependencies": ["b", "a"]}),
        ({"fail_patterns": {"a", "b"}}, {"fail_patterns": ["b", "a"]}),
        ({"timeout": 60}, {"timeout": 60.0}),
        ({"idle_timeout": 60}, {"idle_timeout": 60.0}),
        ({"full_name": "a"}, {}),
        ({"needs_all_dependencies_passing": False}, {"run_if": "any-passed"}),
        # No address in it, which would be another one in the next process.
        ({"pre_launch": functools.partial(before)}, {"pre_launch": functools.partial(before)}),
        ({"post_finish": lambda _: None}, {"post_finish": lambda _: 1}),
    ],
)
def test_what_means_the_same_has_one_digest(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert digest(JobSpec(**({"name": "a", "cmd": "x"} | one))) == digest(
        JobSpec(**({"name": "a", "cmd": "x"} | other))
    )


def specs() -> list[JobSpec]:
    """Jobs with and without each change, and with secret commands."""
    fields: list[dict[str, Any]] = [{}, *({name: value} for name, value in {**CHANGES, **NO_CHANGES}.items())]
    fields += [{"cmd": "true", "secret_cmd": True}, {"cmd": ["true"], "secret_cmd": True}, {}, {"dependencies": ["b"]}]
    return [JobSpec(**({"name": "a", "cmd": "true"} | each)) for each in fields]


def test_the_jobs_beside_it_do_not_change_a_digest() -> None:
    jobs = specs()
    alone = [digest(job) for job in jobs]
    assert digests(jobs) == alone
    assert digests([job for job in jobs for _ in range(3)]) == [each for each in alone for _ in range(3)]
    assert digests(jobs[::-1] + jobs) == alone[::-1] + alone


def test_a_journal_tells_the_digest_of_a_specification_that_it_does_not_have() -> None:
    jobs = [
        *specs(),
        JobSpec(name=Text("a"), cmd=[Text("x")], odir=Text("o"), seed=2**80, exports={"A": Text("b")}),
        JobSpec(name="\udce9", cmd="x"),
    ]
    records = [from_text(to_text(record)) for record in jobs_records(jobs)]
    state = replay(record for record in records if record is not None)
    assert [state.digest(number) for number in range(len(jobs))] == digests(jobs)


class Text(str):
    """A text of a class of its own."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Text at {id(self)}"


def test_a_digest_is_16_hexadecimal_digits_and_shows_no_value() -> None:
    found = digest(JobSpec(name="a", cmd="true", exports={"PASSWORD": "hunter2"}))
    assert len(found) == 16
    assert int(found, 16) >= 0


PROGRAM = """
from runtime.job import JobSpec
from runtime.journal.digests import digest
words = {"alpha", "beta", "gamma", "delta"}
for needs in (), words:
    print(digest(JobSpec(name="a", cmd=["x", "\\udce9"], dependencies=needs, fail_patterns=words, pass_patterns=words,
                         resources=dict.fromkeys(words, 1), exports=dict.fromkeys(words, "v"), post_finish=print)))
"""


def test_other_processes_with_other_hashes_give_the_same_digest() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    # Fixed values: other ones mean that every such job of a run that is resumed after an update runs again.
    assert digests == {"49f59e31d20245cf\n66452ad1d6ab5db0\n"}
