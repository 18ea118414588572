from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from runtime.jobfile import read
from runtime.jobfile.errors import MAX_MISTAKES, InputError
from runtime.jobfile.expand import Expansion, expand
from runtime.jobfile.place import KeyLines, Place
from runtime.jobfile.read import parse_json, parse_toml
from runtime.jobfile.regression import load
from runtime.jobfile.variables import Variables
from tests.jobfile.random_files import random_file, toml

PATTERN = (
    ":4: [jobs.a]: job 'a': pass_patterns: pattern '(' is not a regular expression: missing ), unterminated subpattern"
    " at position 0"
)

TEXT = '''# [jobs.no]
name = "x"  # [jobs.no]
[defaults]
timeout = "10m"
exports = { A = "1", "B c" = """
[jobs.z]
\\"""" }

[[backends.slurm.rules]]
job = 1
[ jobs . "a.b" ]
cmd = [
  "x", # no = 1
  '\\d]', """]""", \'\'\'
] no = 2\'\'\'
]
matrix = {depth = [1,
 2], "w\\u0041" = ["a,b=}"]}
needs.x . "y" = 2027-01-31 10:00:00
'''


def test_keys_of_toml_have_the_line_on_which_they_stand() -> None:
    parse_toml(TEXT, "f")
    lines = KeyLines(TEXT, is_json=False)
    for keys, line in {
        ("name",): 2,
        ("defaults", "timeout"): 4,
        ("defaults", "exports", "B c"): 5,
        ("backends", "slurm", "rules", "job"): 10,
        ("jobs", "a.b"): 11,
        ("jobs", "a.b", "cmd"): 12,
        ("jobs", "a.b", "matrix", "depth"): 17,
        ("jobs", "a.b", "matrix", "wA"): 18,
        ("jobs", "a.b", "needs", "x", "y"): 19,
        ("jobs", "a.b", "no"): 11,
        ("jobs", "z"): 11,
        ("no",): None,
    }.items():
        assert lines.of(keys) == line, keys


def test_keys_of_json_have_the_line_on_which_they_stand() -> None:
    text = json.dumps({"jobs": {"a": {"cmd": ["x", '"t": 1'], "t": True}}, "z\u00e9\n": {}}, indent=1)
    parse_json(text, "f")
    lines = KeyLines(text, is_json=True)
    assert [lines.of(keys) for keys in (("jobs", "a"), ("jobs", "a", "t"), ("z\u00e9\n",), ("t",))] == [3, 8, 11, None]


def paths(table: dict[str, Any], keys: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    return [
        path
        for key, value in table.items()
        for path in ((*keys, key), *(paths(value, (*keys, key)) if isinstance(value, dict) else ()))
    ]


def test_of_any_file_each_key_is_found() -> None:
    chance = random.Random(1)
    for _ in range(100):
        tables = random_file(chance)
        text = "".join(f"{toml(key)} = {toml(value)}\n" for key, value in tables.items())
        lines = KeyLines(text, is_json=False)
        order = list(tables)
        assert [lines.of(path) for path in paths(tables)] == [order.index(path[0]) + 1 for path in paths(tables)]


def test_a_place_says_file_line_table_and_key() -> None:
    place = Place("f.toml", KeyLines("[jobs.a]\ncmd = {x = 1,\n\n}", is_json=False)).table("jobs", "a")
    assert str(place) == "f.toml:1: [jobs.a]"
    assert str(place.at("cmd")) == "f.toml:2: [jobs.a]"
    assert str(place.key("cmd", "b c")) == 'f.toml:2: [jobs.a]: cmd."b c"'
    assert str(place.key("cmd").inner("x")) == "f.toml:2: [jobs.a]: cmd.x"
    assert str(Place("f.toml").table("jobs", "a b")) == 'f.toml: [jobs."a b"]'


def messages(path: Path, text: str) -> list[str]:
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        expand(load(str(path), variables=Variables()), Expansion(run_dir=path.parent, seed_base=1))
    return [message.removeprefix(f"{path}").partition(";")[0] for message in caught.value.messages]


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text('[jobs.x]\ncmd = "x"\nslow = 0\n[known.k]\njobs = "*"\n')
    (tmp_path / "c.toml").write_text("[jobs\n")
    text = """
include = ["?.toml", "d/*.toml"]
nmae = "x"
[defaults]
cmd = 5
timeout = "10x"
[kinds]
defaults = 1
[jobs.a]
tiemout = 3
weight = "x"
[jobs.b]
exports = { A = "1", B = true }
[backends.local]
x = "{var.no}"
"""
    found = messages(tmp_path / "main.toml", text)
    assert [message.replace(str(tmp_path), "") for message in found] == [
        ':3: unknown key "nmae"',
        ":5: [defaults]: cmd is 5",
        ':6: [defaults]: timeout is "10x"',
        ':10: [jobs.a]: unknown key "tiemout"',
        ':11: [jobs.a]: weight is "x"',
        ":13: [jobs.b]: exports.B is true",
        ":8: [kinds]: defaults is 1",
        "/b.toml:3: [jobs.x]: slow is 0",
        "/b.toml:4: [known.k]: has no message",
        "/c.toml:1:6: not TOML: Expected ']' at the end of a table declaration",
        ':2: include "d/*.toml" matches no file in ',
    ]


def test_mistakes_that_need_the_whole_file_are_told_at_once_too(tmp_path: Path) -> None:
    text = """
[jobs.a]
cmd = "{var.x}"
[jobs.b]
cmd = "{env.Y}"
"""
    assert [message.partition(" has {")[0] for message in messages(tmp_path / "f.toml", text)] == [
        ":3: [jobs.a]: cmd",
        ":5: [jobs.b]: cmd",
    ]
    text = """
[jobs.a]
cmd = "x"
pass_patterns = ["("]
[jobs.b]
needs = ["c"]
cmd = "x"
"""
    assert messages(tmp_path / "f.toml", text) == [
        PATTERN,
        ':6: [jobs.b]: needs "c", which is no job',
    ]


def test_of_very_many_mistakes_the_first_are_told(tmp_path: Path) -> None:
    found = messages(tmp_path / "f.toml", "".join(f"[jobs.a{number}]\n" for number in range(MAX_MISTAKES + 5)))
    assert len(found) == MAX_MISTAKES + 1
    assert found[-1] == "and 5 more mistakes"


@pytest.mark.parametrize("text", ['"\\d"', '"""\\d"""', '"\\x4"'])
def test_a_backslash_in_double_quotes_gets_the_hint_that_helps(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_toml(f"a = {text}", "f")
    assert str(caught.value).endswith(read.BACKSLASH)
