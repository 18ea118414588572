from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.logs import LinearEngine, PythonEngine, translate
from runtime.logs.linear import is_linear

# What the two syntaxes see differently, or might.
ATOMS = st.sampled_from(
    [
        *(
            "a",
            "b",
            "A",
            ".",
            r"\s",
            r"\S",
            r"\d",
            r"\D",
            r"\w",
            r"\W",
            r"\b",
            "^",
            "$",
            r"\A",
            r"\Z",
            "",
            r"\t",
            r"\n",
        ),
        *("[ab]", "[^a]", r"[^\s]", r"\x0b", r"\x85", r"\xe9", r"\xc9", "k", r"[\n]", r"\101", r"[a-\xff]", "[A-Z]"),
        *("(?i:a)", r"(?i:\xe9)", r"(?i:[^A])", r"[\x00-b]", r"\0", r"\.", r"[\]^-]", "#", "(?x: a b )"),
    ]
)


def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    counts = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,3}?", "{2,}"])
    return st.one_of(
        st.lists(inner, min_size=2, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map("|".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, counts).map(lambda parts: f"(?:{parts[0]}){parts[1]}"),
        inner.map("({})".format),
        inner.map("(?i:{})".format),
        inner.map("(?-i:{})".format),
    )


BODIES = st.recursive(ATOMS, grow, max_leaves=8)
PATTERNS = st.one_of(
    BODIES, BODIES.map("(?i){}".format), st.tuples(BODIES, BODIES).map("(?P<value>{0[0]}){0[1]}".format)
)
BLOCKS = st.lists(st.sampled_from(list(b"abAB \t\x0b\r\n\xe9\xc9\x85k1_\0#.]")), max_size=40).map(bytes)


@settings(deadline=None)
@given(st.lists(PATTERNS, min_size=1, max_size=4), BLOCKS)
def test_both_engines_give_the_same_hits(patterns: list[str], block: bytes) -> None:
    compiled = [re.compile(pattern.encode()) for pattern in patterns]
    linear = [number for number, pattern in enumerate(compiled) if is_linear(pattern)]
    for first, last in ((linear, []), ([], linear)):
        found = set(LinearEngine(compiled).scan(block, first, last))
        assert found == set(PythonEngine(compiled).scan(block, first, last))


@pytest.mark.parametrize(
    "pattern",
    [
        r"^UVM_ERROR\s[^:].*$",
        r"^\s*Offending '.*'",
        r"^Error-\[.*\]$",
        r"(a+)+$",
        r"(?:a|)*b",
        r"\Aa\Z",
        "(?i)error",
        "",
    ],
)
def test_usual_patterns_are_translated(pattern: str) -> None:
    assert is_linear(re.compile(pattern.encode()))


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)",
        "(?!a)",
        "(?<=a)b",
        "(?<!a)b",
        r"(a)\1",
        "(?>a)",
        "a*+",
        "(?L)a",
        r"\B",
        "a{1001}",
        "(?P<value>a?)*",
        "(?!)",
    ],
)
def test_what_has_no_surely_equal_form_is_left_alone(pattern: str) -> None:
    assert translate.translate(re.compile(pattern.encode())) is None


def test_only_what_is_anchored_in_each_alternative_is_anchored() -> None:
    def anchored(pattern: bytes) -> bool:
        found = translate.translate(re.compile(pattern))
        assert found is not None
        return found.anchored

    assert anchored(b"^a")
    assert anchored(rb"\Aa")
    assert anchored(b"^a|^b")
    assert not anchored(b"^a|b")
    assert not anchored(b"(?:^a)?b")
    assert not anchored(b"")


def test_without_the_parser_nothing_is_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    assert translate.parse.__wrapped__(b"a") is None
