from __future__ import annotations

from typing import Any

import pytest

from runtime.jobfile import references as module
from runtime.jobfile.errors import InputError
from runtime.jobfile.place import Place
from runtime.jobfile.references import replaced, resolve
from runtime.jobfile.schema import TEXT_KEYS, JobTable, structure
from runtime.jobfile.variables import Variables


def resolved(**table: Any) -> module.References:
    variables = Variables({"line": "from-line"}, {"HOME": "/home/me"})
    variables.add_defaults({"var.file": "from-file", "var.mixed": "{var.line}"}, Place("f.toml"), "/files")
    return resolve(structure(table, JobTable, Place("")), variables, Place("f.toml: [jobs.a]"))


def wrong(**table: Any) -> str:
    with pytest.raises(InputError) as caught:
        resolved(**table)
    return str(caught.value)


@pytest.mark.parametrize("key", TEXT_KEYS)
def test_variables_of_each_key_that_may_have_them_are_found(key: str) -> None:
    text = "{var.file} {env.HOME}"
    one = key in ("cwd", "odir", "log_path", "runtime_pattern", "simulated_time_pattern", "timeout_from")
    value = {"A": text} if key == "exports" else text if one else ["x", text]
    assert resolved(**{key: value}).values == {"var.file": "from-file", "env.HOME": "/home/me"}


@pytest.mark.parametrize(
    ("table", "is_secret"),
    [
        ({"cmd": "x {var.file}"}, False),
        ({"cmd": "x {var.line}"}, True),
        ({"cmd": ["x", "{var.mixed}"]}, True),
        ({"cmd": "x {env.HOME}"}, True),
        ({"cmd": "x ${env.HOME}"}, False),
        ({"cmd": "x", "cwd": "{env.HOME}", "exports": {"A": "{var.line}"}}, False),
        ({"cmd": "x"}, False),
    ],
)
def test_a_command_with_a_value_from_outside_is_secret(table: dict[str, Any], is_secret: bool) -> None:
    assert resolved(**table).is_secret_in_cmd is is_secret


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"cmd": "x {var.fil}"}, "cmd has {var.fil}, which has no value; did you mean {var.file}?"),
        ({"exports": {"A": "{env.HOEM}"}}, "exports.A has {env.HOEM}, which is not set in the environment; did"),
        ({"pass_patterns": ["x", "{var.a-b}"]}, "pass_patterns has {var.a-b}; expected a name of letters"),
        ({"shell": "{env.SHELL}"}, "shell has {env.SHELL}, which is not replaced there, but in cmd, needs, cwd,"),
        ({"shell": ["{env.SHELL}", "-c"]}, "shell has {env.SHELL}, which is not replaced there, but in cmd, "),
        ({"target": "{var.file}"}, "target has {var.file}, which is not replaced there"),
        ({"job_type": "{var.file}"}, "job_type has {var.file}, which is not replaced there"),
        ({"backend": "{var.file}"}, "backend has {var.file}, which is not replaced there"),
        ({"soft_stop": "{var.file}"}, "soft_stop has {var.file}, which is not replaced there"),
        ({"resources": {"{var.file}": 1}}, "resources has {var.file}, which is not replaced there"),
        ({"matrix": {"a": [1, "{var.file}"]}}, "matrix has {var.file}, which is not replaced there"),
    ],
)
def test_what_cannot_be_replaced_is_one_message(table: dict[str, Any], complaint: str) -> None:
    assert wrong(**table).startswith(f"f.toml: [jobs.a]: {complaint}")


def test_variables_in_the_options_of_a_backend_are_replaced_and_nothing_else() -> None:
    variables = Variables({"queue": "{var.queue}", "n": "4"}, {})
    options = {"a": "{var.queue} {seed} ${var.n}", "b": [{"{var.n}": ["{var.n}", 1, True, None]}], "c": 0.5}
    assert replaced(options, variables, Place("f").key("x")) == {
        "a": "{var.queue} {seed} ${var.n}",
        "b": [{"{var.n}": ["4", 1, True, None]}],
        "c": 0.5,
    }
    assert variables.given() == [("var.n", "4"), ("var.queue", "{var.queue}")]
    with pytest.raises(InputError) as caught:
        replaced({"x y": ["{var.quue}"]}, variables, Place("f: [backends.b]").key("hooks"))
    expected = 'f: [backends.b]: hooks."x y" has {var.quue}, which has no value; did you mean {var.queue}?'
    assert str(caught.value) == expected


def test_text_that_would_fill_the_memory_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TEXT", 99)
    assert resolved(cmd="{var.file}" * 11).values == {"var.file": "from-file"}
    assert wrong(cmd="{var.file}" * 12) == (
        "f.toml: [jobs.a]: cmd has variables of 108 characters; expected at most 99"
    )
    with pytest.raises(InputError, match="f: x has variables of 100 characters"):
        replaced("{var.a}" * 10, Variables({"a": "x" * 10}), Place("f").key("x"))
