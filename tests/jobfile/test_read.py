from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import Any

import outcome
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.jobfile import read
from runtime.jobfile.errors import InputError
from runtime.jobfile.read import MAX_DEPTH, MAX_LINE, parse_json, parse_toml, read_file, read_lines


def error_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_file(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("content", [b"a = 1\nb = 2\n", b"\xef\xbb\xbfa = 1\nb = 2\n", b"a = 1\r\nb = 2\r\n"])
def test_toml_is_read_with_a_byte_order_mark_and_with_any_line_ends(tmp_path: Path, content: bytes) -> None:
    assert read_file(written(tmp_path / "jobs.toml", content))[1] == {"a": 1, "b": 2}


@pytest.mark.parametrize("name", ["jobs.json", "jobs.JSON"])
def test_json_is_read_when_the_name_says_so(tmp_path: Path, name: str) -> None:
    assert read_file(written(tmp_path / name, b'\xef\xbb\xbf{"a": [1, {}]}'))[1] == {"a": [1, {}]}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"a = 1\nb = \n", ":2:5: not TOML"),
        (b"a = 1\na = 2\n", ":2:6: not TOML"),
        (b"[jobs\n", ":1:6: not TOML"),
        (b"a = 1\nb = 'caf\xe9'\n", ":2: not UTF-8: byte 0xe9"),
        (b"\xff\xfea\0=\0", ":1: not UTF-8: byte 0xff"),
        (bytes(range(256)), ":2: not UTF-8"),
        (b"a = 1\0", ":1:6: not TOML"),
        (b"a = " + b"9" * 5000, ": not TOML"),
        (
            b"[a]\nb = [1, {c = 0x" + b"f" * 5000 + b"}]",
            ": a.b[1].c is a number of 20000 bits; expected ",
        ),
        (
            b"'x y'.z = -9223372036854775809",
            ': "x y".z is -9223372036854775809; expected whole numbers from -922',
        ),
        (
            b"a = 18446744073709551616",
            ": a is 18446744073709551616; expected whole numbers from -9",
        ),
        (b"a = 1e999", ': not TOML: the number "1e999" is too large; expected at most 1.8e+308'),
        (b"a = -1_0e9_99", ': not TOML: the number "-1_0e9_99" is too large'),
        (b"a = " + b"[" * 100_000, ": nested too deeply"),
        (b"a = " + b"{b=" * 100_000, ": nested too deeply"),
        (b"a = " + b"[" * 50 + b"]" * 50, ": nested too deeply"),
        (b"x = 1\n" + b"a." * 200_000 + b"a = 1", ":2: a key has more than"),
        (b"[" + b"'a' . " * 200_000 + b"a]", ":1: a key has more than"),
        (b"x = {" + b"a." * 200_000 + b"a = 1}", ":1: a key has more than"),
    ],
)
def test_invalid_toml_is_one_message_with_its_position(tmp_path: Path, content: bytes, complaint: str) -> None:
    assert error_of(written(tmp_path / "jobs.toml", content)).startswith(complaint)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'{"a": 1 2}', ":1:9: not JSON"),
        (b"", ":1:1: not JSON"),
        (b"[1, 2]", ": holds [1, 2]; expected an object"),
        (b'{"a": NaN}', ": not JSON: NaN"),
        (b'{"jobs": {"a": 1, "a": 2}}', ': not JSON: the key "a" stands twice'),
        (b'{"a":' * 100_000, ": nested too deeply"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, ": nested too deeply"),
        (b'{"a": [0, 1e400]}', ': not JSON: the number "1e400" is too large; expected at most 1.8e+308'),
        (b'{"a": [{"b": 1' + b"0" * 400 + b"}]}", ": a[0].b is a number of 1329 bits; expected whole numbers from -9"),
        (b'{"a": ' + b"9" * 5000 + b"}", ": not JSON"),
    ],
)
def test_invalid_json_is_one_message_with_its_position(tmp_path: Path, content: bytes, complaint: str) -> None:
    assert error_of(written(tmp_path / "jobs.json", content)).startswith(complaint)


def test_numbers_of_64_bits_and_infinity_are_read(tmp_path: Path) -> None:
    content = b"a = [-9223372036854775808, 18446744073709551615, 1e308]\nb = -inf"
    assert read_file(written(tmp_path / "x.toml", content))[1] == {"a": [-(2**63), 2**64 - 1, 1e308], "b": -math.inf}


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert "is no regular file" in error_of(tmp_path / "fifo")  # and opening it does not block
    assert "cannot be read: Is a directory" in error_of(tmp_path)
    assert "cannot be read: No such file" in error_of(tmp_path / "missing.toml")
    assert "is no regular file" in error_of(Path("/dev/zero"))
    with pytest.raises(InputError, match="cannot be read"):
        read_file(Path("nul\0name"))


@pytest.mark.parametrize("name", ["jobs.toml", "jobs.json"])
def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(1 << 40)  # sparse
    assert "is larger than" in error_of(tmp_path / name)


def test_the_deepest_nesting_that_is_allowed_is_read() -> None:
    text = '{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH
    assert parse_json(text, "f")
    key = ".".join("a" * MAX_DEPTH)
    assert parse_toml(f"{key} = 1", "f")
    with pytest.raises(InputError):
        parse_toml(f"a.{key} = 1", "f")


def test_a_long_dotted_word_in_a_value_is_no_key() -> None:
    assert parse_toml(f'cmd = "./sim +{"u." * 200}q"', "f")


def test_the_text_of_a_file_is_kept_as_it_was(tmp_path: Path) -> None:
    assert read_file(written(tmp_path / "x.toml", b"a = 1  # why\n")) == ("a = 1  # why\n", {"a": 1})


def test_lines_are_numbered_and_empty_ones_skipped() -> None:
    stream = io.BytesIO(b'\xef\xbb\xbf{"a": 1}\n\n  \r\n{"a": 2}\r\n{"a": 3}')
    assert list(read_lines(stream, "<stdin>")) == [
        (1, '{"a": 1}', {"a": 1}),
        (4, '{"a": 2}', {"a": 2}),
        (5, '{"a": 3}', {"a": 3}),
    ]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"nonsense", "<stdin>:2:1:1: not JSON"),
        (b"[]", "<stdin>:2: holds []"),
        (b"\xff", "<stdin>:2: not UTF-8"),
        (b"[" * MAX_LINE, "<stdin>:2: the line is longer than"),
        (b"\0" * (MAX_LINE + 5), "<stdin>:2: the line is longer than"),
        (b'{"a": ' * 10_000, "<stdin>:2: nested too deeply"),
    ],
)
def test_a_bad_line_is_named(line: bytes, complaint: str) -> None:
    lines = read_lines(io.BytesIO(b"{}\n" + line + b"\n{}"), "<stdin>")
    assert next(lines) == (1, "{}", {})
    with pytest.raises(InputError) as caught:
        next(lines)
    assert str(caught.value).startswith(complaint)


def test_all_lines_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "MAX_JSON_BYTES", 100)
    with pytest.raises(InputError, match="<stdin>:34: more than"):
        list(read_lines(io.BytesIO(b"{}\n" * 50), "<stdin>"))


def tables_of(path: Path) -> dict[str, Any]:
    return read_file(path)[1]


def check(read: outcome.Maybe[dict[str, Any]], place: str) -> None:
    if isinstance(read, outcome.Error):
        assert isinstance(read.error, InputError)
        assert str(read.error).startswith(place)
    else:
        assert isinstance(read.value, dict)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"a=1\r")
@example(b"\xef\xbb\xbf\xef\xbb\xbf")
def test_any_bytes_are_tables_or_one_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    for name in ("fuzz.toml", "fuzz.json"):
        path = tmp_path_factory.getbasetemp() / name
        path.write_bytes(content)
        check(outcome.capture(tables_of, path), str(path))


TOML_WORDS = st.sampled_from(
    [
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        ",",
        ".",
        "\n",
        " ",
        '"',
        "'",
        '"""',
        "#",
        "jobs",
        "a",
        "1",
        "1.5",
        "true",
        "é",
    ]
)


@given(st.lists(TOML_WORDS, max_size=40).map("".join))
def test_any_toml_like_text_is_tables_or_one_error(text: str) -> None:
    for parse in (parse_toml, parse_json):
        check(outcome.capture(parse, text, "f"), "f:")
