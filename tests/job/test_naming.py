"""Every id has a safe name, and no two ids have the same."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.job import safe_id

NAMES = st.text(st.characters(codec=None), max_size=400) | st.text("@=%+.-_aA03D", max_size=200)


@pytest.mark.parametrize("name", ["a", "smoke.fast", "A_b-c.9", "_x", "x" * 180])
def test_a_plain_id_is_its_own_name(name: str) -> None:
    assert safe_id(name) == name


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("", "@@"),
        (".", "@@2E"),
        ("..", "@@2E."),
        ("../x", "@@2E.@@2Fx"),
        ("-rf", "@@2Drf"),
        (".hidden", "@@2Ehidden"),
        ("a b", "a@@20b"),
        ("a/b", "a@@2Fb"),
        ("100%", "100@@25"),
        ("a+b", "a@@2Bb"),
        ("$(reboot)", "@@24@@28reboot@@29"),
        ("nul\0", "nul@@00"),
        ("line\n", "line@@0A"),
        ("é", "@@C3@@A9"),
        ("\u202egnp", "@@E2@@80@@AEgnp"),
        ("\ud800", "@@ED@@A0@@80"),
    ],
)
def test_what_is_not_plain_is_written_in_hexadecimal(given: str, safe: str) -> None:
    assert safe_id(given) == safe


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("smoke.depth=8.seed=7", "smoke.depth@8.seed@7"),
        ("=", "@"),
        ("a=", "a@"),
        ("a==b", "a@@3D@b"),
        ("a= b", "a@@3D@@20b"),
        ("a@b", "a@@40b"),
    ],
)
def test_an_equals_sign_becomes_a_sign_without_a_meaning_for_tools(given: str, safe: str) -> None:
    assert safe_id(given) == safe


def test_a_long_id_ends_in_a_digest_and_keeps_its_beginning() -> None:
    one, two = safe_id("x" * 181), safe_id("x" * 182)
    assert one != two
    assert len(one) == len(two) == 180
    assert re.fullmatch(r"x{145}@@@[0-9a-f]{32}", one)
    assert len(safe_id("é" * 100)) == 180


@given(NAMES)
@example("\ud800")
@example("x" * 181)
def test_every_name_is_one_safe_path_component(name: str) -> None:
    safe = safe_id(name)
    assert re.fullmatch(r"[A-Za-z0-9_@][A-Za-z0-9._@-]*", safe)
    assert len(safe) <= 180


@given(NAMES, NAMES)
@example("a@", "a")
@example("@@2E", ".")
@example("", "@@")
@example("a==", "a=@@3D")
@example("x" * 145 + "@@@" + "0" * 32, "x" * 200)
def test_two_ids_never_share_a_name(one: str, two: str) -> None:
    assert (safe_id(one) == safe_id(two)) == (one == two)
