"""`results.json` is accepted by parsers that reject lone surrogates, and the bytes of names in it can be restored."""

from __future__ import annotations

import json
import os
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runtime.report.strict import dumps, original

TEXTS = st.text(st.characters(exclude_categories=()) | st.sampled_from("\udc80\udcff\ud800\uef80\uefe9\uefff\\u"))


def is_strict(text: str) -> bool:
    """Whether it is ASCII, without lone surrogates and without NaN or Infinity; raises otherwise."""

    def refuse(word: str) -> Any:
        raise ValueError(word)

    json.dumps(json.loads(text, parse_constant=refuse), ensure_ascii=False).encode("utf-8")
    return text.isascii()


def test_a_byte_that_is_no_utf8_is_one_private_character() -> None:
    name = os.fsdecode("café".encode("latin-1"))
    text = dumps({"odir": name, "tags": [name], "plain": "café"})
    assert is_strict(text)
    assert json.loads(text) == {"odir": "caf\uefe9", "tags": ["caf\uefe9"], "plain": "café"}
    assert original("caf\uefe9") == b"caf\xe9"


def test_numbers_that_json_does_not_have_are_null() -> None:
    assert json.loads(dumps({"a": float("nan"), "b": [float("inf")], "c": 1.5})) == {"a": None, "b": [None], "c": 1.5}


@given(TEXTS)
def test_any_text_is_strict_and_can_be_restored(text: str) -> None:
    written = dumps([text])
    assert is_strict(written)
    (found,) = json.loads(written)
    parts = (
        char.encode("utf-8", "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass") for char in text
    )
    assert original(found) == b"".join(parts)


@given(st.binary())
def test_any_name_of_a_file_can_be_restored(name: bytes) -> None:
    (found,) = json.loads(dumps([os.fsdecode(name)]))
    assert original(found) == name
