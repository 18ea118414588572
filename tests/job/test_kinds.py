"""Kinds of failure that lines of a log show: their names, their patterns, and those that a job file has by default."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Mapping, Sequence

import pytest

from runtime.errors import SpecError
from runtime.job import DEFAULT_KINDS, CustomKind, FailureClass, FailureKind, JobSpec, JobStatus, JobStatusInfo, Kinds
from runtime.journal import digest


def test_a_kind_of_ones_own_is_text_as_the_others_are_and_of_the_infrastructure() -> None:
    kind = CustomKind("network")
    assert f"{kind}" == kind.value == kind == "network"
    assert (kind.status, kind.failure_class, kind.is_infrastructure) == (
        JobStatus.FAILED,
        FailureClass.INFRASTRUCTURE,
        True,
    )
    assert repr(kind) == "CustomKind('network')"
    assert dict[str, int]({kind: 1})["network"] == 1
    for same in (pickle.loads(pickle.dumps(kind)), copy.deepcopy(kind)):
        assert same == kind
        assert isinstance(same, CustomKind)


@pytest.mark.parametrize("name", ["", "Network", "1st", "a-b", "a b", "é", "a" * 41, "a\n", "\x1b[31m", 7, None])
def test_a_name_that_is_none_is_an_error(name: object) -> None:
    with pytest.raises(SpecError, match="cannot be a kind of failure; expected a name of small letters"):
        CustomKind(name)  # type: ignore[arg-type]  # what a caller may pass


@pytest.mark.parametrize("kind", FailureKind)
def test_a_kind_that_there_is_has_patterns_only_if_a_log_can_show_it(kind: FailureKind) -> None:
    with pytest.raises(SpecError, match=f"'{kind.value}' is a kind of failure that there is"):
        CustomKind(kind.value)
    if kind in (FailureKind.LICENCE, FailureKind.OUT_OF_MEMORY):
        assert list(Kinds({kind.value: ["x"]}).patterns) == [kind]
        assert next(iter(Kinds({kind.value: ["x"]}).patterns)) is kind
    else:
        with pytest.raises(SpecError, match=f"'{kind.value}' is a kind that the runtime finds itself; expected 'lic"):
            Kinds({kind.value: ["x"]})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"network": ["("]}, "kinds: pattern '(' is not a regular expression"),
        ({"network": ["é"]}, "kinds: pattern 'é' has 'é' at position 0; patterns are ASCII"),
        ({"network": [7]}, "kinds: a pattern is text, not 7"),
        ({"network": "x"}, "kinds: network is 'x'; expected a sequence of patterns"),
        ({"network": None}, "kinds: network is None; expected a sequence of patterns"),
        ({"a b": ["x"]}, "kinds: 'a b' cannot be a kind of failure"),
        (["network"], "kinds is ['network']; expected a mapping of names to patterns"),
    ],
)
def test_wrong_kinds_are_an_error_that_names_what_was_given(given: object, message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        Kinds(given)  # type: ignore[arg-type]  # what a caller may pass
    with pytest.raises(SpecError, match=re.escape(f"job 'a': {message}")):
        JobSpec(name="a", cmd="x", kinds=given)  # type: ignore[arg-type]  # as above


def test_a_specification_takes_what_kinds_are_made_of_and_they_are_no_part_of_its_digest() -> None:
    given = {"network": ["unreachable"]}
    job = JobSpec(name="a", cmd="x", kinds=given)
    assert job.kinds == Kinds(given)
    given["network"].append("later")
    assert job.kinds == Kinds({"network": ["unreachable"]})
    assert JobSpec(name="a", cmd="x", kinds={}).kinds is JobSpec(name="a", cmd="x", kinds={"network": []}).kinds is None
    assert digest(job) == digest(JobSpec(name="a", cmd="x"))


def test_kinds_are_joined_in_their_order_and_a_pattern_is_of_the_first_that_has_it() -> None:
    both = Kinds({"licence": ["a"], "network": ["b"]}).joined(Kinds({"disk": ["b"], "licence": ["c"]}))
    expected: Mapping[str, Sequence[str]] = {"licence": ("a", "c"), "network": ("b",), "disk": ("b",)}
    assert dict(both.patterns) == expected
    assert list(both.patterns) == list(expected)
    assert both.all() == ("a", "c", "b", "b")
    assert both.of("b") == "network"
    assert both.custom() == ["network", "disk"]


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("licence", "xmsim: *F,NOLICN: Unable to checkout license for the simulation. 'lic_error -5'."),
        ("licence", "Fatal License Error."),
        ("licence", "Unable to checkout a license.  Vsim is closing."),
        ("licence", "# Unable to checkout a license. Vsim is closing."),
        ("tool_crash", "xmelab: *F,INTERR: INTERNAL EXCEPTION"),
        ("tool_crash", "# ** Fatal: Unexpected signal: 11."),
        ("tool_crash", "%Error: Verilator internal fault, sorry.  Consider trying --debug --gdbbt"),
        ("tool_crash", "%Error: Internal Error: a.v:8:27: ../V3Broken.cpp:168: Broken link in node"),
        (None, "Feature VT_VCS_XProp does not exist in the license file."),
        (None, "Or licensed number of users already reached for VT_VCS_XProp."),
        (None, "UVM_ERROR a.sv(3) @ 0: reporter [LIC] Unable to checkout a license.  Vsim is closing."),
        (None, "xmsim: *F,SIGUSR: Unix Signal SIGABRT raised from user application code."),
        (None, "An unexpected termination has occurred in ./simv due to a signal: Segmentation fault"),
        (None, "%Error: a.sv:3: Verilog $stop"),
        (None, "License checked out"),
    ],
)
def test_the_messages_of_tools_that_are_public(kind: str | None, line: str) -> None:
    found = [each for each in DEFAULT_KINDS.all() if re.search(each, line, re.ASCII)]
    assert [str(DEFAULT_KINDS.of(each)) for each in found] == ([] if kind is None else [kind])


def test_a_failure_has_the_class_of_its_kind_and_a_dependency_that_of_its_cause() -> None:
    network = CustomKind("network")
    assert JobStatusInfo("m").failure_class is FailureClass.DESIGN
    assert JobStatusInfo("m", kind=FailureKind.LICENCE).failure_class is FailureClass.INFRASTRUCTURE
    assert JobStatusInfo("m", kind=network).failure_class is FailureClass.INFRASTRUCTURE
    assert JobStatusInfo("m", kind=FailureKind.CANCELLED).failure_class is FailureClass.NEITHER
    needs = FailureKind.DEPENDENCY
    assert JobStatusInfo("m", kind=needs).failure_class is FailureClass.DESIGN
    assert JobStatusInfo("m", kind=needs, cause=network).failure_class is FailureClass.INFRASTRUCTURE
    assert JobStatusInfo("m", kind=needs, cause=FailureKind.CANCELLED).failure_class is FailureClass.NEITHER
    assert JobStatusInfo("m", kind=needs, cause=FailureKind.TIMEOUT).failure_class is FailureClass.DESIGN
