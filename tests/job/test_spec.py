"""`JobSpec`: defaults, normal forms, and the values that are refused."""

from __future__ import annotations

import math
import signal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import pytest

from runtime.errors import SpecError
from runtime.job import JobSpec

FIELDS = (
    "name cmd shell target job_type seed secret_cmd backend resources dependencies run_if _needs_all weight "
    "timeout timeout_from queue_timeout idle_timeout slow soft_stop soft_timeout exports cwd odir renew_odir log_path "
    "pass_patterns fail_patterns kinds runtime_pattern simulated_time_pattern max_log memory raw_lines dry_run "
    "interactive tags containment leftovers jobserver pre_launch post_finish retry full_name qual_name"
)


def spec(**fields: Any) -> JobSpec:
    return JobSpec(**{"name": "a", "cmd": "true", **fields})


def test_two_fields_are_enough_and_the_rest_has_defaults() -> None:
    job = JobSpec(name="a", cmd="true")
    assert (job.id, job.full_name, job.qual_name, job.shell) == ("a", "a", "a", "/bin/sh")
    assert (job.target, job.job_type, job.seed, job.backend, job.resources) == ("run", "", None, None, None)
    assert (job.dependencies, job.pass_patterns, job.fail_patterns, job.tags) == ((), (), (), ())
    assert job.run_if == "passed"
    assert (job.needs_all_dependencies_passing, job.weight, job.timeout, job.queue_timeout) == (True, 1, None, None)
    assert (job.cwd, job.odir, job.renew_odir, job.log_path, dict(job.exports)) == (None, None, False, None, {})
    assert (job.runtime_pattern, job.simulated_time_pattern) == (None, None)
    assert (job.dry_run, job.interactive, job.pre_launch, job.post_finish) == (False, False, None, None)


def test_it_has_exactly_the_fields_of_the_design() -> None:
    assert [field.name for field in attrs.fields(JobSpec)] == FIELDS.split()


def test_the_full_name_is_the_id() -> None:
    job = spec(full_name="block:a.seed=1", qual_name="1.a")
    assert (job.id, job.qual_name, job.name) == ("block:a.seed=1", "1.a", "a")


def test_it_compares_by_identity_and_does_not_change() -> None:
    one, two = spec(), spec()
    assert one != two
    assert len({one, two, one}) == 2
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.name = "b"  # type: ignore[misc]  # what is tested


def test_sequences_become_tuples() -> None:
    job = spec(cmd=["make", "sim"], dependencies=["b"], tags={"x"}, pass_patterns=["p"], fail_patterns=("f",))
    assert (job.cmd, job.dependencies, job.tags) == (("make", "sim"), ("b",), ("x",))
    assert (job.pass_patterns, job.fail_patterns) == (("p",), ("f",))


def test_paths_become_text() -> None:
    job = spec(cwd=Path("/a"), odir=Path("b/c"), log_path="d.log")
    assert (job.cwd, job.odir, job.log_path) == ("/a", "b/c", "d.log")


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "../ $(x)\n\0é"},
        {"cmd": "echo 'unbalanced"},
        {"cmd": ["", "x"][1:]},
        {"cmd": ["prog", ""]},
        {"resources": {"licence": None, "memory": 0, "cores": 10**12}},
        {"resources": MappingProxyType({"licence": 1})},
        {"exports": {"A": "", "B": "x=y\n"}},
        {"timeout": 1},
        {"timeout": 1e-9, "queue_timeout": 0.5, "idle_timeout": 0.1, "slow": 7},
        {"soft_stop": False},
        {"soft_stop": "SIGINT", "soft_timeout": 0.5},
        {"jobserver": True},
        {"jobserver": "fifo"},
        {"soft_stop": signal.SIGINT},
        {"soft_stop": "out/STOP"},
        {"weight": -3},
        {"weight": 0.5},
        {"seed": 2**64},
        {"seed": -1},
        {"pre_launch": print, "post_finish": lambda _status: None},
        {"runtime_pattern": "took (?P<value>[0-9]+) (?P<unit>s)"},
    ],
)
def test_unusual_values_are_accepted(fields: dict[str, Any]) -> None:
    job = spec(**fields)
    assert all(getattr(job, name) == value or isinstance(value, list) for name, value in fields.items())


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"name": ""}, "name is ''; expected text that is not empty"),
        ({"name": 3}, "name is 3; expected text"),
        ({"full_name": 3}, "full_name is 3; expected text"),
        ({"full_name": None}, "full_name is None; expected text"),
        ({"qual_name": ("a",)}, r"qual_name is \('a',\); expected text"),
        ({"cmd": ""}, "cmd is ''; expected a command"),
        ({"cmd": "  \n"}, "cmd is .*; expected a command"),
        ({"cmd": []}, r"cmd is \[\]; expected a command"),
        ({"cmd": ["", "x"]}, "cmd is .*; expected a command"),
        ({"cmd": ["echo", 3]}, "cmd is 3; expected texts only"),
        ({"cmd": None}, "cmd is None; expected a command: text for the shell"),
        ({"cmd": b"true"}, "cmd is b'true'; expected a command: text for the shell"),
        ({"cmd": {"echo", "x"}}, "cmd is .*; expected a command: .* a sequence of words"),
        ({"cmd": "a\0b"}, "cmd is .*; expected text without NUL"),
        ({"cmd": ["a", "b\0"]}, "cmd is .*; expected text without NUL"),
        ({"shell": "/bin/sh\0"}, "cmd is .*; expected text without NUL"),
        ({"shell": ""}, "shell is ''; expected the path of a shell"),
        ({"shell": "bash -e"}, "shell is 'bash -e'; expected the path of a shell, or the words"),
        ({"shell": "/bin/bash  -o pipefail"}, "shell is '/bin/bash  -o pipefail'; expected the path of a shell"),
        ({"shell": None}, "shell is None; expected the path of a shell"),
        ({"shell": []}, r"shell is \[\]; expected the path of a shell, or the words"),
        ({"shell": ["", "-c"]}, "shell is .*; expected the path of a shell, or the words"),
        ({"shell": ["sh", 1]}, "shell is .*; expected the path of a shell, or the words"),
        ({"shell": ["sh", "-c\0"]}, "cmd is .*; expected text without NUL"),
        ({"shell": {"sh": "-c"}}, "shell is .*; expected the path of a shell, or the words"),
        ({"target": None}, "target is None; expected text"),
        ({"job_type": 1}, "job_type is 1; expected text"),
        ({"seed": "7"}, "seed is '7'; expected a whole number, or None"),
        ({"seed": True}, "seed is True; expected a whole number, or None"),
        ({"seed": 1.0}, "seed is 1.0; expected a whole number, or None"),
        ({"backend": 3}, "backend is 3; expected a backend's name, or None"),
        ({"dependencies": "b"}, "dependencies is 'b'; expected a sequence of texts"),
        ({"dependencies": [1]}, "dependencies is 1; expected texts only"),
        ({"dependencies": 3}, "dependencies is 3; expected a sequence of texts"),
        ({"tags": "nightly"}, "tags is 'nightly'; expected a sequence of texts"),
        ({"pass_patterns": "^ok"}, "pass_patterns is '\\^ok'; expected a sequence of texts"),
        ({"pass_patterns": ["a("]}, r"pattern 'a\(' is not a regular expression: .* at position 1"),
        ({"fail_patterns": ["é"]}, "pattern 'é' has 'é' at position 0; patterns are ASCII"),
        ({"fail_patterns": [None]}, "fail_patterns is None; expected texts only"),
        ({"runtime_pattern": "[0-9]+"}, "has no group value, unit"),
        ({"simulated_time_pattern": "(?P<value>.)"}, "has no group unit"),
        ({"simulated_time_pattern": 3}, "a pattern is text, not 3"),
        ({"runtime_pattern": ["x"]}, "a pattern is text"),
        ({"timeout": 0}, "timeout is 0; expected a positive number of seconds, or None"),
        ({"timeout": -1}, "timeout is -1; expected a positive"),
        ({"timeout": math.nan}, "timeout is nan; expected a positive"),
        ({"timeout": math.inf}, "timeout is inf; expected a positive"),
        ({"timeout": "10m"}, "timeout is '10m'; expected a positive"),
        ({"timeout": True}, "timeout is True; expected a positive"),
        ({"queue_timeout": 0}, "queue_timeout is 0; expected a positive"),
        ({"timeout_from": "("}, "timeout_from: "),
        ({"timeout_from": 5}, "timeout_from: "),
        ({"idle_timeout": -1}, "idle_timeout is -1; expected a positive number of seconds, or None"),
        ({"idle_timeout": math.nan}, "idle_timeout is nan; expected a positive"),
        ({"idle_timeout": "10m"}, "idle_timeout is '10m'; expected a positive"),
        ({"slow": 0}, "slow is 0; expected a positive number of seconds, or None"),
        ({"slow": True}, "slow is True; expected a positive"),
        ({"soft_timeout": 0}, "soft_timeout is 0; expected a positive"),
        ({"soft_timeout": math.inf}, "soft_timeout is inf; expected a positive"),
        (
            {"soft_stop": 2},
            r"^job 'a': soft_stop is 2; expected a signal \('SIGINT', signal.SIGINT\), the name of a file, False for",
        ),
        ({"soft_stop": ""}, "soft_stop is ''; expected a signal"),
        ({"soft_stop": 0}, "soft_stop is 0; expected a signal"),
        ({"soft_stop": True}, "soft_stop is True; expected a signal"),
        ({"soft_stop": "SIGITN"}, "soft_stop is 'SIGITN', which is no signal"),
        ({"weight": math.nan}, "weight is nan; expected a finite number"),
        ({"weight": math.inf}, "weight is inf; expected a finite number"),
        ({"weight": 10**400}, "weight is an integer of 1329 bits; expected a finite number"),
        ({"timeout": 10**5000}, "timeout is an integer of 16610 bits; expected a positive"),
        ({"queue_timeout": 10**400}, "queue_timeout is an integer of 1329 bits; expected a positive"),
        ({"seed": 10**5000}, "seed is an integer of 16610 bits; expected a whole number of at most 256 bits"),
        (
            {"resources": {"licence": -(10**5000)}},
            r"resources\['licence'\] is an integer of 16610 bits; expected a whole",
        ),
        ({"weight": "1"}, "weight is '1'; expected a finite number"),
        ({"weight": None}, "weight is None; expected a finite number"),
        ({"resources": ["licence"]}, "resources is .*; expected a mapping of names to amounts"),
        ({"resources": {"licence": -1}}, r"resources\['licence'\] is -1; expected a whole number from 0"),
        ({"resources": {"licence": 1.5}}, r"resources\['licence'\] is 1.5; expected a whole number"),
        ({"resources": {"licence": True}}, r"resources\['licence'\] is True; expected a whole number"),
        ({"resources": {"": 1}}, "resources is ''; expected names of resources as text"),
        ({"resources": {3: 1}}, "resources is 3; expected names of resources as text"),
        ({"exports": [("A", "b")]}, "exports is .*; expected a mapping of names to values"),
        ({"exports": {"A=B": "c"}}, "exports is 'A=B'; expected names without '=' and NUL"),
        ({"exports": {"": "c"}}, "exports is ''; expected names"),
        ({"exports": {"A": 3}}, r"exports\['A'\] is 3; expected text without NUL"),
        ({"exports": {"A": "b\0"}}, r"exports\['A'\] is .*; expected text without NUL"),
        ({"cwd": ""}, "cwd is ''; expected a path"),
        ({"odir": 3}, "odir is 3; expected a path"),
        ({"log_path": "a\0"}, "log_path is .*; expected a path"),
        ({"odir": b"x"}, "odir is b'x'; expected a path"),
        ({"renew_odir": 1}, "renew_odir is 1; expected True or False"),
        ({"dry_run": "no"}, "dry_run is 'no'; expected True or False"),
        ({"interactive": None}, "interactive is None; expected True or False"),
        ({"run_if": "always"}, "run_if is 'always'; expected 'passed' or 'any-passed' or 'ended'"),
        ({"run_if": None}, "run_if is None; expected 'passed'"),
        ({"run_if": ["ended"]}, r"run_if is \['ended'\]; expected 'passed'"),
        (
            {"run_if": "ended", "needs_all_dependencies_passing": False},
            "needs_all_dependencies_passing is False; expected run_if alone, which is 'ended'",
        ),
        (
            {"run_if": "any-passed", "needs_all_dependencies_passing": True},
            "needs_all_dependencies_passing is True; expected run_if alone, which is 'any-passed'",
        ),
        ({"needs_all_dependencies_passing": 0}, "needs_all_dependencies_passing is 0; expected True or False"),
        ({"jobserver": "pipe"}, "jobserver is 'pipe'; expected True, False or 'fifo'"),
        ({"jobserver": None}, "jobserver is None; expected"),
        ({"jobserver": 1}, "jobserver is 1; expected"),
        ({"containment": "none"}, "containment is 'none'; expected 'tree' or 'group', or None"),
        ({"leftovers": True}, "leftovers is True; expected 'ignore' or 'warn' or 'fail', or None"),
        ({"pre_launch": "hook"}, "pre_launch is 'hook'; expected something that can be called, or None"),
        ({"post_finish": 3}, "post_finish is 3; expected something that can be called, or None"),
    ],
)
def test_a_wrong_value_is_refused_with_its_field_and_what_is_expected(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint) as caught:
        spec(**fields)
    assert str(caught.value).startswith(f"job {fields.get('name', 'a')!r}: ")


@pytest.mark.parametrize(
    ("fields", "run_if"),
    [
        ({}, "passed"),
        ({"needs_all_dependencies_passing": True}, "passed"),
        ({"needs_all_dependencies_passing": False}, "any-passed"),
        ({"run_if": "any-passed", "needs_all_dependencies_passing": False}, "any-passed"),
        ({"run_if": "ended"}, "ended"),
    ],
)
def test_needs_all_dependencies_passing_sets_run_if(fields: dict[str, Any], run_if: str) -> None:
    job = spec(**fields)
    assert (job.run_if, job.needs_all_dependencies_passing) == (run_if, run_if == "passed")
    assert attrs.evolve(job, run_if="ended").run_if == "ended"


def test_a_spec_error_is_a_value_error_and_fields_have_names() -> None:
    assert issubclass(SpecError, ValueError)
    with pytest.raises(TypeError):
        JobSpec("a", "true")  # type: ignore[call-arg]  # fields are given by name only


def test_subclasses_of_str_are_text() -> None:
    class Name(str):
        __slots__ = ()

    assert spec(target=Name("run"), backend=Name("local")).target == "run"
