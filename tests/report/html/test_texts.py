from __future__ import annotations

import pytest

from runtime.report.html.jobs_table import json_text
from runtime.report.html.texts import LEFT_OUT, NONE, Texts, template


def test_each_text_is_there_once() -> None:
    texts = Texts(100)
    assert [texts.index(each) for each in ("a", "b", "a", "", None)] == [2, 3, 2, NONE, NONE]
    assert texts.values == [None, None, "a", "b"]


def test_what_has_no_room_is_left_out_and_what_is_there_stays() -> None:
    texts = Texts(8)
    assert [texts.index(each) for each in ("abcd", "efgh", "abcd")] == [2, LEFT_OUT, 2]
    assert texts.values == [None, None, "abcd"]


def test_room_is_counted_in_bytes_of_json() -> None:
    assert Texts(6).index("中") == 2  # two quotes, three bytes, a comma
    assert Texts(5).index("中") == LEFT_OUT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cd /r/t.seed@12 && ./sim 12", "cd /r/\x02 && ./sim \x03"),
        ("t.seed=12 did not pass", "\x01 did not pass"),
        ("other", "other"),
    ],
)
def test_jobs_of_a_test_share_a_text(text: str, expected: str) -> None:
    assert template(text, "t.seed=12") == expected
    assert template(text.replace("12", "13"), "t.seed=13") == expected


def test_json_in_a_page_cannot_end_its_element() -> None:
    assert json_text({"<": "</script><!--"}) == '{"\\u003c":"\\u003c/script>\\u003c!--"}'
