"""Any value in any key, and any text in any option, is taken, or is one line that names it; nothing is written."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import outcome
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runtime.backend.registry import backends
from runtime.cli.listing import job_lines
from runtime.cli.make_backends import key_names
from runtime.cli.options import parse
from runtime.cli.prepare import prepare
from runtime.jobfile.errors import InputError
from runtime.jobfile.schema import JOB_KEYS

TEXTS = st.one_of(
    st.text(st.characters(), max_size=8),  # lone surrogates as well
    st.sampled_from(
        ["", " ", "a", "{seed}", "{id}", "{odir}", "../..", "/", "SIGINT", "10m", "1..3", "^x$", "(", "all"]
    ),
    st.sampled_from(
        ["\0", "a\nb", "\x1b[2J", "x" * 5000, "passed", "local", "unlimited", "all", "9" * 30 + "s", "ended"]
    ),
)
NUMBERS = st.one_of(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, 1, -1, 2**63, 2**64 - 1, 2**64, 10**400, 1e308, -1e308, 5e-324, 10**9 + 1]),
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
BACKENDS: Final = ("local", "fake", "slurm", "legacy:tests.cli.test_hostile_values:Nothing")
FILES = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Nothing:
    """A launcher that is never built."""

    def launch(self) -> None: ...
    def poll(self) -> None: ...
    def kill(self) -> None: ...


OPTIONS: Final = [(name, key) for name in BACKENDS for key in sorted(key_names(backends, name))]


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("JOB_RUNTIME_BACKEND", raising=False)
    logging.getLogger("runtime.cli").setLevel(logging.ERROR)
    yield
    logging.getLogger("runtime.cli").setLevel(logging.NOTSET)
    assert os.listdir(tmp_path) in ([], ["jobs.json"])


def complaint(document: Any, *options: str) -> str | None:
    """Return what is wrong with a job file, or `None`; it is one line, and begins with the file's name."""
    Path("jobs.json").write_text(json.dumps(document), encoding="ascii")
    try:
        for line in job_lines(prepare(parse(["list", "jobs.json", *options]))):
            assert all(text.isprintable() for text, _ in line)
    except InputError as exc:
        message = str(exc)
        assert len(message) < 1500, message
        assert re.match(r"jobs\.json(:\d+)?: ", message), message
        return message
    return None


@FILES
@given(key=st.sampled_from(sorted(JOB_KEYS)), value=VALUES, place=st.sampled_from(["defaults", "job"]))
@example(key="weight", value=10**400, place="job")
@example(key="seeds", value=2**64 - 1, place="job")
@example(key="matrix", value={"a": [1.5, 1.5]}, place="job")
@example(key="tags", value=["\ud800"], place="job")
def test_any_value_of_any_key_of_a_job_is_taken_or_named(key: str, value: Any, place: str) -> None:
    job = {"cmd": "true", key: value} if place == "job" else {"cmd": "true"}
    if key == "cmd" and place == "defaults":
        job = {}
    document = {"jobs": {"a": job}, "defaults": {key: value} if place == "defaults" else {}}
    message = complaint(document)
    if message is not None:
        # What a key makes may be named instead: how many jobs, whose name, whose log.
        assert any(word in message for word in (key, "stands for", "a job cannot be called", "the log of job")), message


@FILES
@given(
    key=st.sampled_from(["name", "include", "defaults", "vars", "resources", "backends", "jobs", "jbos", ""]),
    value=VALUES,
)
@example(key="include", value=["./"])
@example(key="include", value=[".."])
def test_any_value_of_any_key_of_a_file_is_taken_or_named(key: str, value: Any) -> None:
    message = complaint({"jobs": {"a": {"cmd": "true"}}, key: value})
    if message is not None:
        assert key in message or "has no jobs" in message


@FILES
@given(option=st.sampled_from(OPTIONS), value=VALUES)
@example(option=("local", "kill_timeout"), value=10**400)
@example(option=("local", "containment"), value={"x" * 5000: None})  # a message of 5,000 characters says little
@example(option=("legacy:tests.cli.test_hostile_values:Nothing", "isolated"), value=1)
def test_any_value_of_any_option_of_a_backend_is_taken_or_named(option: tuple[str, str], value: Any) -> None:
    name, key = option
    message = complaint({"jobs": {"a": {"cmd": "true", "backend": name}}, "backends": {name: {key: value}}})
    assert message is None or key in message


@FILES
@given(
    tables=st.dictionaries(TEXTS, st.dictionaries(st.sampled_from(sorted(JOB_KEYS)), VALUES, max_size=3), max_size=3)
)
def test_any_tables_are_taken_or_one_line(tables: dict[str, Any]) -> None:
    complaint({"jobs": {name: {"cmd": "true", **table} for name, table in tables.items()}})


@FILES
@given(
    variables=st.dictionaries(
        TEXTS | st.sampled_from(["a", "b", "env"]), VALUES | st.just("{var.a}{var.b}"), max_size=4
    ),
    word=st.sampled_from(["{var.a}", "{var.b}", "{env.PATH}", "{env.a}", "{var.}", "${var.a}"]),
    key=st.sampled_from(["cmd", "exports", "tags", "odir", "cwd", "log_path", "needs", "pass_patterns", "shell"]),
)
def test_any_defaults_of_variables_are_taken_or_one_line(variables: dict[str, Any], word: str, key: str) -> None:
    text = {"cmd": word, "exports": {"A": word}, "tags": [word], "needs": [word], "pass_patterns": [word]}.get(
        key, word
    )
    complaint({"vars": variables, "jobs": {"a": {"cmd": "true", key: text}}})


@FILES
@given(
    text=TEXTS.filter(lambda text: "\0" not in text), key=st.sampled_from(["cmd", "exports", "odir", "cwd", "log_path"])
)
def test_any_value_of_a_variable_is_taken_or_one_line_without_it(text: str, key: str) -> None:
    job = {"cmd": ["true"], key: {"A": "{var.a}"} if key == "exports" else "{var.a}"}
    message = complaint({"jobs": {"a": job}}, "-D", f"a=hush{text}")
    assert message is None or key != "cmd" or "hush" not in message


WITH_TEXT: Final = (
    *("--select", "--reseed", "--fixed-seed", "--seed-base", "--timeout-multiplier", "--backend", "--pythonpath"),
    *("--max-parallel", "--resource", "--on-missing-resource", "--out"),
)


@FILES
@given(option=st.sampled_from(WITH_TEXT), text=TEXTS | NUMBERS.map(str))
@example(option="--pythonpath", text="x" * 5000)  # longer than any path
def test_any_text_of_any_option_is_taken_or_named(option: str, text: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("jobs.json").write_text('{"jobs": {"a": {"cmd": "true", "seeds": 2}}}')
    outcome_ = outcome.capture(lambda: prepare(parse(["list", "jobs.json", f"{option}={text}"])))
    error = outcome_.error if isinstance(outcome_, outcome.Error) else None
    if isinstance(error, SystemExit):
        assert error.code == 2
        said = capfd.readouterr().err
        assert said.count("\n") == 1
        assert f"argument {option}: " in said
    elif error is not None:
        assert isinstance(error, InputError)
        assert option in str(error) or "stands for" in str(error)
