from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.jobfile.read import parse_toml
from tests.jobfile.random_files import SCHEMA, as_json, compare, disagreements
from tools import job_file_schema
from tools.decimals import DIGITS, at_least, at_most

ROOT = Path(__file__).parents[2]


def test_the_schema_is_made_of_the_tables_and_is_one() -> None:
    assert job_file_schema.FILE.read_text("utf-8") == job_file_schema.text(), "run: python -m tools.job_file_schema"
    jsonschema.Draft4Validator.check_schema(SCHEMA)


def test_the_loader_and_the_schema_take_the_same_values_of_each_key() -> None:
    assert disagreements() == []


def test_the_loader_and_the_schema_take_the_same_files(tmp_path: Path) -> None:
    seen = compare(tmp_path, 1, 300)
    assert min(seen["taken"], seen["refused"]) > 50


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/**/*.toml")), ids=lambda path: path.name)
def test_examples_are_valid(path: Path) -> None:
    tables = parse_toml(path.read_text("utf-8"), str(path))
    if "jobs" in tables:
        jsonschema.validate(as_json(tables), SCHEMA)


def test_what_an_editor_shows_of_a_key_is_the_table_of_the_page() -> None:
    job = SCHEMA["definitions"]["job"]["properties"]
    assert job["timeout"]["description"] == (
        'How long it may run: `"90s"`, `"10m"`, `"1.5h"`, or a number of seconds. Default: no limit'
    )
    assert all(len(key["description"]) > 3 and "](" not in key["description"] for key in job.values())


numbers = st.decimals(0, 10**6, allow_nan=False, places=4)


@given(numbers, numbers)
def test_an_expression_matches_the_numbers_of_its_range(bound: Decimal, number: Decimal) -> None:
    for text in {f"{number:f}", f"{number.normalize():f}", f"00{number:f}0", f"{int(number)}"}:
        value = Decimal(text)
        assert bool(re.fullmatch(f"0*{at_least(bound)}", text)) == (value >= bound)
        assert bool(re.fullmatch(f"0*{at_most(bound)}", text)) == (value <= bound)


def test_of_a_bound_with_many_digits_the_expression_is_the_wider_range() -> None:
    third = Decimal(1) / 3
    for text in ("0." + "3" * DIGITS + "9", "0.3"):
        assert re.fullmatch(f"0*{at_most(third)}", text)
    assert not re.fullmatch(f"0*{at_most(third)}", "0.34")
    assert re.fullmatch(f"0*{at_least(third)}", "0." + "3" * DIGITS)
