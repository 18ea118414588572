"""``[kinds]`` and ``[known]``: what is read, what files may say together, and what is wrong."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path

import pytest

from runtime.job import DEFAULT_KINDS, FailureKind
from runtime.jobfile.errors import InputError
from runtime.jobfile.expand import Expansion, expand
from runtime.jobfile.regression import Regression, load

JOB = '[jobs.a]\ncmd = "true"\n'
KNOWN = '[known.x]\njobs = "a*"\nmessage = "lost"\nissue = "#12"\nexpires = 2027-01-31\n'


def read(directory: Path, text: str, **others: str) -> Regression:
    for name, other in others.items():
        (directory / f"{name}.toml").write_text(other)
    (directory / "main.toml").write_text(text)
    return load(str(directory / "main.toml"))


def test_without_a_table_the_default_kinds_count_also_for_json_lines(tmp_path: Path) -> None:
    regression = read(tmp_path, JOB)
    assert regression.kinds == DEFAULT_KINDS
    (job,) = expand(regression, Expansion(run_dir=tmp_path, seed_base=1))
    assert job.kinds is regression.kinds  # one object for all jobs
    (tmp_path / "main.json").write_text(json.dumps({"jobs": {"a": {"cmd": "true"}}, "kinds": {"defaults": False}}))
    assert load(str(tmp_path / "main.json")).kinds is None


def test_the_kinds_of_all_files_are_those_of_the_run_and_come_before_the_default_ones(tmp_path: Path) -> None:
    text = f'include = ["b.toml"]\n[kinds]\nlicence = ["one"]\n{JOB}retry = {{ network = 2, licence = 1 }}\n'
    kinds = read(tmp_path, text, b='[kinds]\nnetwork = ["two"]\nlicence = ["three"]\n').kinds
    assert kinds is not None
    assert list(kinds.patterns) == [FailureKind.LICENCE, "network", "tool_crash"]
    assert kinds.patterns[FailureKind.LICENCE] == ("one", "three", *DEFAULT_KINDS.patterns[FailureKind.LICENCE])
    alone = read(tmp_path, text.replace("[kinds]", "[kinds]\ndefaults = false")).kinds
    assert alone is not None
    assert {str(kind): tuple(texts) for kind, texts in alone.patterns.items()} == {
        "licence": ("one", "three"),
        "network": ("two",),
    }


def test_files_that_disagree_about_the_defaults_are_an_error(tmp_path: Path) -> None:
    text = f'include = ["b.toml"]\n[kinds]\ndefaults = true\n{JOB}'
    message = r"main\.toml:3: \[kinds\] has defaults = true, and .*b\.toml:2: \[kinds\] has defaults = false$"
    with pytest.raises(InputError, match=message):
        read(tmp_path, text, b="[kinds]\ndefaults = false\n")
    assert read(tmp_path, text, b="[kinds]\ndefaults = true\n").kinds == DEFAULT_KINDS


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("kinds = 3", "kinds is 3; expected a table"),
        ('kinds.licence = "x"', '[kinds]: licence is "x"; expected a list of patterns, ["…"]'),
        ("kinds.licence = []", '[kinds]: licence is []; expected a list of patterns, ["…"]'),
        ("kinds.licence = [3]", '[kinds]: licence is [3]; expected a list of patterns, ["…"]'),
        ('kinds.licence = ["("]', "[kinds]: licence: pattern '(' is not a regular expression"),
        ('kinds.licence = ["é"]', "[kinds]: licence: pattern 'é' has 'é' at position 0; patterns are ASCII"),
        ('kinds.timeout = ["x"]', "[kinds]: 'timeout' is a kind that the runtime finds itself; expected 'licence' or"),
        ('kinds."No Name" = ["x"]', "[kinds]: 'No Name' cannot be a kind of failure; expected a name of small letters"),
        ('kinds."" = ["x"]', "[kinds]: '' cannot be a kind of failure"),
        ('kinds."\\u001b[2J" = ["x"]', "[kinds]: '\\x1b[2J' cannot be a kind of failure"),
        ("kinds.defaults = 1", "[kinds]: defaults is 1; expected true or false"),
        ('jobs.a.retry = { netwrok = 1 }\nkinds.network = ["x"]', '[jobs.a]: retry is "netwrok"; expected a kind of'),
        ("jobs.a.retry = { licens = 1 }", '[jobs.a]: retry is "licens"; expected a kind of failure; did you mean "lic'),
        ("jobs.a.retry = { cancelled = 1 }", '[jobs.a]: retry is "cancelled"; expected a kind of failure; '),
        ("buckets = 3", "buckets is 3; expected a table"),
        ('buckets.x = "y"', '[buckets]: x is "y"; expected a list of patterns, ["…"]'),
        ("buckets.x = []", '[buckets]: x is []; expected a list of patterns, ["…"]'),
        ('buckets.x = ["("]', "[buckets]: x: pattern '(' is not a regular expression"),
        ('buckets.x = ["(a+a+)+b"]', '[buckets]: x is "(a+a+)+b", which may take very long to search for; expected no'),
        ('buckets."" = ["y"]', "[buckets]: the name of a rule is empty; expected a name"),
        ("known = 3", "known is 3; expected tables, each with a name: [jobs.NAME], [backends.NAME], [known.NAME]"),
        ("known.x = 3", "known.x is 3; expected a table"),
        ("known.x = {}", "[known.x]: has no jobs; expected jobs, message, issue, expires"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(InputError, match=f"{re.escape(str(tmp_path))}/main.toml:1: {re.escape(message)}"):
        read(tmp_path, f'{table}\njobs.a.cmd = "true"\n')


def test_a_known_failure_is_read(tmp_path: Path) -> None:
    (known,) = read(tmp_path, KNOWN + JOB).known
    assert (known.name, known.jobs, known.message, known.issue) == ("x", ("a*",), "lost", "#12")
    assert known.expires == dt.date(2027, 1, 31)
    table = {"jobs": ["a*"], "message": "lost", "issue": "#12", "expires": "2027-01-31"}
    (tmp_path / "main.json").write_text(json.dumps({"jobs": {"a": {"cmd": "true"}}, "known": {"x": table}}))
    assert load(str(tmp_path / "main.json")).known == (known,)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("jobs", "[]", "jobs is []; expected a glob of ids, names or tags of jobs, or a list of globs"),
        ("jobs", '""', 'jobs is ""; expected a glob'),
        ("jobs", '["a", ""]', 'jobs is ["a", ""]; expected a glob'),
        ("jobs", "[3]", "jobs is [3]; expected a glob"),
        ("message", '"("', "message: pattern '(' is not a regular expression"),
        ("message", '""', 'message is ""; expected text that is not empty'),
        (
            "message",
            '"(?!y)(x+x+)+y"',
            'message is "(?!y)(x+x+)+y", which may take very long to search for; expected no',
        ),
        ("issue", "12", "issue is 12; expected text that is not empty"),
        ("expires", '"soon"', 'expires is "soon"; expected a day, such as 2027-01-31'),
        ("expires", "2027-01-31T00:00:00Z", "expires is 2027-01-31 00:00:00+00:00; expected a day"),
        ("expires", "07:00:00", "expires is 07:00:00; expected a day"),
        ("expires", "20270131", "expires is 20270131; expected a day"),
        ("expires", "true", "expires is true; expected a day"),
        ("isue", '"x"', 'unknown key "isue"; did you mean "issue"?'),
    ],
)
def test_a_wrong_known_failure_is_named_with_its_place(tmp_path: Path, key: str, value: str, message: str) -> None:
    lines = [line for line in KNOWN.splitlines() if not line.startswith(f"{key} =")]
    with pytest.raises(InputError, match=rf"main\.toml:\d: \[known\.x\]: {re.escape(message)}"):
        read(tmp_path, "\n".join([*lines, f"{key} = {value}", JOB]))


def test_two_files_may_say_the_same_of_a_known_failure_and_no_other_thing(tmp_path: Path) -> None:
    text = f'include = ["b.toml"]\n{KNOWN}{JOB}'
    assert len(read(tmp_path, text, b=KNOWN).known) == 1
    with pytest.raises(
        InputError, match=r"b\.toml:\d: \[known\.x\]: is another one than .*main\.toml:\d: \[known\.x\]$"
    ):
        read(tmp_path, text, b=KNOWN.replace("#12", "#13"))
    with pytest.raises(InputError, match=r'\[known\.""\]: the name is empty; expected a name'):
        read(tmp_path, KNOWN.replace("known.x", 'known.""') + JOB)


RULES = '[buckets]\ncredits = ["credit .* lost"]\n"bus hang" = ["bus", "hang$"]\n'


def test_named_rules_of_buckets_are_read_in_their_order(tmp_path: Path) -> None:
    assert list(read(tmp_path, RULES + JOB).buckets.items()) == [
        ("credits", ("credit .* lost",)),
        ("bus hang", ("bus", "hang$")),
    ]
    assert read(tmp_path, JOB).buckets == {}


def test_two_files_may_have_the_same_rule_and_no_other_one_of_its_name(tmp_path: Path) -> None:
    text = f'include = ["b.toml"]\n{RULES}{JOB}'
    assert list(read(tmp_path, text, b=f'{RULES}more = ["x"]\n').buckets) == ["credits", "bus hang", "more"]
    with pytest.raises(
        InputError,
        match=r"b\.toml:\d: \[buckets\] credits: has other patterns than .*main\.toml:\d: \[buckets\] credits$",
    ):
        read(tmp_path, text, b='[buckets]\ncredits = ["x"]\n')


def test_two_files_may_say_the_same_of_waves_and_nothing_else(tmp_path: Path) -> None:
    text = f'include = ["b.toml"]\nwaves = {{ with = ["+w"] }}\n{JOB}'
    for same in ("", 'waves.with = ["+w"]\n'):
        assert read(tmp_path, text, b=same).waves == ("--with", "+w")
    with pytest.raises(InputError, match=r"b\.toml: waves is \"--with y\", and \"--with \+w\" in "):
        read(tmp_path, text, b='waves.with = ["y"]\n')
