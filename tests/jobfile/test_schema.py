from __future__ import annotations

import datetime as dt
from typing import Any

import outcome
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.jobfile.errors import InputError
from runtime.jobfile.place import Place
from runtime.jobfile.schema import JOB_KEYS, FileTable, JobTable, structure
from runtime.jobfile.values import Listing


def wrong(table: dict[str, Any], cls: type[JobTable] | type[FileTable] = JobTable) -> str:
    with pytest.raises(InputError) as caught:
        structure(table, cls, Place("f.toml: [jobs.x]"))  # type: ignore[type-var]  # either of the two
    message = str(caught.value)
    assert message.startswith("f.toml: [jobs.x]: ")
    assert "\n" not in message
    assert len(message) < 500
    return message.removeprefix("f.toml: [jobs.x]: ")


@pytest.mark.parametrize(
    ("given_", "seconds"),
    [("90s", 90), ("10m", 600), ("1.5h", 5400), ("250ms", 0.25), ("1d", 86400), (7, 7), (0.5, 0.5), (" 3s ", 3)],
)
def test_a_duration_is_seconds_or_text_with_a_unit(given_: object, seconds: float) -> None:
    assert structure({"timeout": given_}, JobTable, Place("")).timeout == seconds


def test_waves_are_what_rerun_adds() -> None:
    given_ = {"with": ["+waves", "a b"], "exports": {"WAVES": 1, "B": "x y"}}
    words = ("--with", "+waves 'a b'", "--export", "WAVES=1", "--export", "B=x y")
    assert structure({"waves": given_}, FileTable, Place("")).waves == words
    assert structure({"waves": {"exports": {}}}, FileTable, Place("")).waves == ()
    wrong_ones: tuple[object, ...] = ("+waves", {"wiht": []})
    for bad in wrong_ones:
        assert 'expected a table of with and exports, such as with = ["+waves"]' in wrong({"waves": bad}, FileTable)
    texts = 'waves.with is "+waves"; expected a list of texts, ["…"]'
    assert wrong({"waves": {"with": "+waves"}}, FileTable) == texts
    assert wrong({"waves": {"with": ["\0"]}}, FileTable).endswith("; expected texts without NUL")
    for name, value in (("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "\0")):
        message = wrong({"waves": {"exports": {name: value}}}, FileTable)
        assert message.startswith("waves.exports."), message
        assert message.endswith("; expected a name without = and NUL, and text without NUL")
    assert wrong({"waves": {"exports": {"A": 1.5}}}, FileTable).startswith("waves.exports.A is ")


def test_a_placeholder_in_a_key_without_them_is_named() -> None:
    message = wrong({"timeout": "{var.limit}"})
    assert message.startswith('timeout is "{var.limit}"; expected a number of seconds')
    assert message.endswith("; no placeholder is replaced here")
    assert not wrong({"timeout": "{limit}"}).endswith("here")


@pytest.mark.parametrize(
    ("values", "read"),
    [
        ([1, "a"], (1, "a")),
        ({"file": "a.txt"}, Listing("file", "a.txt")),
        ({"glob": "*.sv"}, Listing("glob", "*.sv", "path")),
        ({"glob": "*.sv", "value": "stem"}, Listing("glob", "*.sv", "stem")),
    ],
)
def test_a_parameter_has_a_list_or_names_one(values: object, read: object) -> None:
    assert structure({"matrix": {"test": values}}, JobTable, Place("")).matrix == {"test": read}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ([], "matrix.test is []; expected a list of texts and numbers, { file = "),
        ("a.txt", 'matrix.test is "a.txt"; expected a list of texts and numbers, { file = '),
        ({}, "matrix.test is a table; expected a list of texts and numbers, { file = "),
        ({"value": "stem"}, "matrix.test is a table; expected a list"),
        ({"file": "a", "glob": "b"}, "matrix.test is a table; expected a list"),
        ({"file": ""}, 'matrix.test.file is ""; expected text that is not empty'),
        ({"glob": ["a"]}, 'matrix.test.glob is ["a"]; expected text that is not empty'),
        ({"glob": "a", "value": "suffix"}, 'matrix.test.value is "suffix"; expected "path", "name" or "stem"'),
        ({"glob": "a", "value": ["path"]}, 'matrix.test.value is ["path"]; expected "path", "name" or "stem"'),
        ({"file": "a", "value": "stem"}, 'matrix.test.value is "stem"; expected no such key; a list of texts'),
        ({"file": "a", "x y": 1}, 'matrix.test."x y" is 1; expected no such key; a list of texts'),
    ],
)
def test_a_wrong_list_of_a_parameter_is_named(values: object, complaint: str) -> None:
    assert wrong({"matrix": {"test": values}}).startswith(complaint)


@pytest.mark.parametrize(
    "value", ["10x", "10", "", "-1s", "1e3s", "٣s", 0, -5, True, "inf", float("inf"), float("nan"), [1], "0s"]
)
def test_a_wrong_duration_is_named(value: object) -> None:
    assert 'expected a number of seconds, or text such as "90s"' in wrong({"timeout": value})


@pytest.mark.parametrize(
    ("value", "seeds"),
    [(20, 20), ("1..3", range(1, 4)), ("7..7", range(7, 8)), ([5, 1], (5, 1)), ("0..1000000000", range(1000000001))],
)
def test_seeds_are_a_number_a_range_or_a_list(value: object, seeds: object) -> None:
    assert structure({"seeds": value}, JobTable, Place("")).seeds == seeds


@pytest.mark.parametrize(
    "value", [0, -1, True, "1..0", "1-4", "..", "a..b", [], [1, "2"], [-1], [1.0], 2.0, {}, "1..2..3"]
)
def test_wrong_seeds_are_named(value: object) -> None:
    assert "expected a number of seeds to draw" in wrong({"seeds": value})


def test_a_seed_twice_is_named() -> None:
    assert wrong({"seeds": [3, 1, 3]}) == "seeds is [3, 1, 3]; expected each seed once"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"cmd": 1}, "cmd is 1; expected text, for a shell, or a list of texts, for no shell"),
        ({"cmd": []}, "cmd is []; expected text, for a shell"),
        ({"cmd": ["a", 1]}, 'cmd is ["a", 1]; expected text'),
        ({"shell": 1}, "shell is 1; expected the path of a shell, or the words that cmd is added to"),
        ({"shell": []}, "shell is []; expected the path of a shell"),
        ({"shell": ["", "-c"]}, 'shell is ["", "-c"]; expected the path of a shell'),
        ({"needs": "build"}, 'needs is "build"; expected a list of texts'),
        ({"pass_patterns": "^x"}, 'pass_patterns is "^x"; expected a list of texts'),
        ({"tags": [["a"]]}, "tags is a list of 1; expected"),
        ({"retry": -1}, "retry is -1; expected a whole number of retries, or a table of kinds of failure, { licence"),
        ({"retry": True}, "retry is true; expected a whole number of retries"),
        ({"retry": {"licence": 1.5}}, "retry.licence is 1.5; expected a whole number of retries, from 0"),
        ({"retry_delay": -1}, "retry_delay is -1; expected a number of seconds, or text"),
        ({"flaky": "no"}, 'flaky is "no"; expected "pass" or "fail"'),
        ({"weight": "heavy"}, 'weight is "heavy"; expected a number'),
        ({"weight": True}, "weight is true; expected a number"),
        ({"interactive": 1}, "interactive is 1; expected true or false"),
        ({"backend": ""}, 'backend is ""; expected text that is not empty'),
        ({"resources": {"licence": -1}}, 'resources.licence is -1; expected a whole number from 0, or "all"'),
        ({"resources": {"a b": 1.5}}, 'resources."a b" is 1.5; expected'),
        ({"resources": {"": 1}}, 'resources."" is 1; expected a name that is not empty'),
        ({"timeout": dt.time(10, 30)}, "timeout is 10:30:00; expected a number of seconds"),
        ({"depends_on": ["a"]}, 'unknown key "depends_on"; did you mean "needs"?'),
        ({"env": {}}, 'unknown key "env"; did you mean "exports"?'),
        ({"resources": ["licence"]}, 'resources is ["licence"]; expected a table'),
        ({"exports": {"A": 1.5}}, "exports.A is 1.5; expected text, or a whole number"),
        ({"exports": "A=1"}, "exports is a value of type str that is not shown; expected a table"),
        ({"matrix": [1]}, "matrix is [1]; expected a table of parameters"),
        ({"matrix": {"depth": 4}}, "matrix.depth is 4; expected a list of texts and numbers"),
        ({"matrix": {"depth": []}}, "matrix.depth is []; expected a list"),
        ({"matrix": {"seed": [1]}}, "matrix.seed is [1]; expected a parameter named like a variable"),
        ({"matrix": {"a.b": [1]}}, 'matrix."a.b" is [1]; expected a parameter named'),
        (
            {"soft_stop": "SIGITN"},
            'soft_stop is "SIGITN"; expected a signal such as "SIGINT", the name of a file to make',
        ),
        ({"soft_stop": True}, "soft_stop is true; expected a signal"),
        ({"soft_stop": 0}, "soft_stop is 0; expected a signal"),
        ({"soft_stop": ""}, 'soft_stop is ""; expected a signal'),
        ({"soft_timeout": 0}, "soft_timeout is 0; expected a number of seconds"),
        ({"jobserver": "pipe"}, 'jobserver is "pipe"; expected true or false, or "fifo"'),
        ({"jobserver": 1}, "jobserver is 1; expected true or false"),
        ({"run_if": "always"}, 'run_if is "always"; expected "passed" or "any-passed" or "ended"'),
        ({"run_if": True}, "run_if is true; expected "),
        ({"leftovers": "kill"}, 'leftovers is "kill"; expected "ignore" or "warn" or "fail"'),
        ({"run_if": {}}, "run_if is a table; expected "),
        (
            {"run_if": "ended", "needs_all_dependencies_passing": False},
            "has both run_if and needs_all_dependencies_passing; expected run_if alone, which replaces it",
        ),
        ({"tiemout": 3}, 'unknown key "tiemout"; did you mean "timeout"?'),
        ({"dependencies": ["a"]}, 'unknown key "dependencies"; '),
        ({"b" * 5000: 1}, 'unknown key "bbb'),
        ({"cmd": 10**400}, "cmd is a number of 1329 bits; expected"),
        ({"tags": "a" * 100_000}, "tags is"),
    ],
)
def test_a_wrong_value_is_one_message_with_key_value_and_what_is_expected(table: dict[str, Any], message: str) -> None:
    assert wrong(table).startswith(message)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"job": {}}, 'unknown key "job"; did you mean "jobs"?'),
        ({"jobs": []}, "jobs is []; expected tables, each with a name: [jobs.NAME], "),
        ({"a b": {"cmd": "x"}}, 'unknown key "a b"; a job of this name is [jobs."a b"]'),
        ({"cmd": "x"}, 'unknown key "cmd"; it is a key of a job: expected below [jobs.NAME]'),
        ({"jobs": {"a b": 1}}, 'jobs."a b" is 1; expected a table'),
        ({"defaults": 1}, "defaults is 1; expected a table"),
        ({"include": "x"}, 'include is "x"; expected a list of texts'),
        (
            {"resources": {"licence": "some"}},
            'resources.licence is "some"; expected a whole number from 0, or "unlimited"',
        ),
        ({"backends": {"local": 8}}, "backends.local is 8; expected a table"),
        ({"name": 1}, "name is 1; expected text"),
    ],
)
def test_a_wrong_key_of_a_file_is_one_message(table: dict[str, Any], message: str) -> None:
    assert wrong(table, FileTable).startswith(message)


def test_of_many_wrong_keys_each_is_named_in_the_order_of_the_table() -> None:
    table = {"zzz": 1, "cmd": "x", "weight": "x", "yyy": 2, "needs_all_dependencies_passing": True, "run_if": "x"}
    with pytest.raises(InputError) as caught:
        structure(table, JobTable, Place("f.toml"))
    assert sorted(message.partition(";")[0] for message in caught.value.messages) == [
        "f.toml: has both run_if and needs_all_dependencies_passing",
        'f.toml: run_if is "x"',
        'f.toml: unknown key "yyy"',
        'f.toml: unknown key "zzz"',
        'f.toml: weight is "x"',
    ]


def test_all_and_unlimited_become_none() -> None:
    assert structure({"resources": {"a": "all", "b": 2}}, JobTable, Place("")).resources == {"a": None, "b": 2}
    assert structure({"resources": {"a": "unlimited", "b": 0}}, FileTable, Place("")).resources == {"a": None, "b": 0}


def test_a_soft_stop_is_a_signal_a_file_or_false() -> None:
    for value in ("SIGINT", "stop.now", False):
        assert structure({"soft_stop": value, "soft_timeout": "1m"}, JobTable, Place("")) == JobTable(
            soft_stop=value, soft_timeout=60
        )


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(JOB_KEYS)) | st.text(max_size=10), VALUES, max_size=4))
def test_any_table_is_a_value_or_one_error(table: dict[str, Any]) -> None:
    message = outcome.capture(structure, table, JobTable, Place("here"))
    if isinstance(message, outcome.Error):
        assert isinstance(message.error, InputError)
        assert str(message.error).startswith("here: ")
        assert len(str(message.error)) < 1000
