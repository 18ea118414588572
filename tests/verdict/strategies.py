"""Patterns and blocks for tests that compare engines."""

from __future__ import annotations

from hypothesis import strategies as st

# Elements that the syntaxes of Python and of RE2 read differently, or might.
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
