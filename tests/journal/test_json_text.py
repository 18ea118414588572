"""JSON gives back every text, and holds nothing that strict parsers refuse."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given

from runtime.journal.json_text import dumps, loads
from tests.journal.strategies import ANY_TEXT, JSON, SURROGATES


def refuse(text: str) -> None:
    raise AssertionError(text)


@given(JSON)
def test_a_value_is_the_same_when_it_is_read(value: object) -> None:
    text = dumps(value)
    assert text.isascii()
    assert "\n" not in text
    assert loads(text) == value
    json.loads(text, parse_constant=refuse)


@given(SURROGATES | ANY_TEXT)
def test_every_text_survives_lone_surrogates_included(text: str) -> None:
    assert loads(dumps(text)) == text
    assert loads(dumps({text: [text, 1]})) == {text: [text, 1]}


@pytest.mark.parametrize("text", ["\ud83d\ude00", "\ud83d\ufdd0\ude00", "\ud83d\ufdd0\ufdd0\ude00", "\U0001f600"])
def test_two_surrogates_are_no_character(text: str) -> None:
    assert loads(dumps([text, text + text])) == [text, text + text]


def test_an_ordinary_text_is_written_as_it_is() -> None:
    assert dumps({"a": ["é", "\ufdd0", "\udce9"]}) == r'{"a":["\u00e9","\ufdd0","\udce9"]}'


def test_numbers_that_json_does_not_have_are_null() -> None:
    assert dumps({"a": [math.inf, -math.inf, 1.5], "b": math.nan}) == '{"a":[null,null,1.5],"b":null}'


@pytest.mark.parametrize("text", ["", "{", "NaN", "[Infinity]", "1" * 5000, "[" * 10**6, '{"a":' * 10**6])
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        loads(text)
