"""Every byte of a journal, cut, flipped and zeroed: what stands before the damage is read, and a line says the rest."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.journal import frames
from runtime.journal.frames import MAX_TEXT, Scanner, encode

TEXTS = [f'{{"n":{number},"x":"{"y" * (number * 7 % 40)}"}}' for number in range(50)]
FRAMES = [encode(text) for text in TEXTS]
WHOLE = b"".join(FRAMES)
ENDS = [sum(map(len, FRAMES[: number + 1])) for number in range(len(FRAMES))]


def scan(data: bytes, piece: int = 1 << 20) -> tuple[list[str], Scanner[str]]:
    scanner = Scanner(str)
    found = [text for begin in range(0, len(data), piece) for text in scanner.feed(data[begin : begin + piece])]
    return found, scanner


def frames_before(offset: int) -> int:
    """How many frames end at this byte or before it."""
    return sum(end <= offset for end in ENDS)


def check(damaged: bytes, offset: int) -> str:
    """Check that all frames before `offset`, and no others, are found; return the note."""
    found, scanner = scan(damaged)
    whole = frames_before(offset)
    assert found == TEXTS[:whole]
    assert scanner.end == (ENDS[whole - 1] if whole else 0)
    assert scanner.note is not None
    assert scanner.note.startswith(f"byte {scanner.end}: ")
    assert scanner.note.isprintable()
    return scanner.note


def test_a_frame_is_a_line_with_the_length_and_the_checksum_of_its_text() -> None:
    assert encode('{"a":1}') == b"00000007 %08x " % zlib.crc32(b'{"a":1}') + b'{"a":1}\n'


def test_all_frames_are_found() -> None:
    found, scanner = scan(WHOLE)
    assert (found, scanner.end, scanner.note, scanner.is_broken) == (TEXTS, len(WHOLE), None, False)


@pytest.mark.parametrize("piece", [1, 7, 18, 19, 1000])
def test_the_size_of_the_pieces_does_not_matter(piece: int) -> None:
    found, scanner = scan(WHOLE + b"0000", piece)
    assert (found, scanner.end) == (TEXTS, len(WHOLE))
    assert scanner.note == f"byte {len(WHOLE)}: a frame is cut off after 4 bytes"


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_a_hole_in_a_frame_of_any_size_is_not_read_to_its_end(piece: int) -> None:
    found, scanner = scan(WHOLE + b"0fffffff 00000000 {" + bytes(100_000), piece)
    assert (found, scanner.end, scanner.is_broken) == (TEXTS, len(WHOLE), True)


def test_a_frame_that_is_longer_than_any_that_is_written_is_not_read_to_its_end() -> None:
    longest, longer = (b"%08x 00000000 {" % length for length in (MAX_TEXT, MAX_TEXT + 1))
    assert not scan(WHOLE + longest)[1].is_broken
    found, scanner = scan(WHOLE + longer)
    assert (found, scanner.end) == (TEXTS, len(WHOLE))
    assert "more than any that is written" in str(scanner.note)


def test_a_text_that_is_too_long_makes_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_TEXT", 10)
    assert scan(encode("x" * 10))[0] == ["x" * 10]
    with pytest.raises(ValueError, match="a record of 11 bytes; expected at most 10"):
        encode("x" * 11)


def test_nothing_is_an_empty_journal() -> None:
    _, scanner = scan(b"")
    assert (scanner.end, scanner.note) == (0, None)


@pytest.mark.slow
def test_cut_at_every_byte() -> None:
    for offset in range(len(WHOLE)):
        if offset in (0, *ENDS):
            found, scanner = scan(WHOLE[:offset])
            assert (found, scanner.note) == (TEXTS[: frames_before(offset)], None)
        else:
            note = check(WHOLE[:offset], offset)
            assert re.search(r": a frame (of \d+ bytes )?is cut off after \d+( bytes?)?\Z", note)


@pytest.mark.slow
def test_a_cut_frame_may_be_continued() -> None:
    for offset in range(len(WHOLE)):
        scanner = Scanner(str)
        assert scanner.feed(WHOLE[:offset]) + scanner.feed(WHOLE[offset:]) == TEXTS
        assert scanner.note is None


@pytest.mark.slow
def test_a_bit_of_every_byte_flipped() -> None:
    for offset, byte in enumerate(WHOLE):
        damaged = bytearray(WHOLE)
        damaged[offset] = byte ^ 1 << offset % 8
        check(bytes(damaged), offset)


@pytest.mark.parametrize("bit", range(8))
def test_each_bit_of_a_frame_flipped(bit: int) -> None:
    for offset in range(len(FRAMES[0])):
        damaged = bytearray(FRAMES[0])
        damaged[offset] ^= 1 << bit
        found, scanner = scan(bytes(damaged))
        assert (found, scanner.end) == ([], 0)


@pytest.mark.slow
def test_zeros_from_every_byte_on() -> None:
    for offset in range(len(WHOLE)):
        note = check(WHOLE[:offset] + bytes(len(WHOLE) - offset), offset)
        if offset in ENDS:
            left = len(WHOLE) - offset
            count = f"{left} bytes"
            assert note == f"byte {offset}: {count} of zero; {count} from there on cannot be read"


@pytest.mark.slow
def test_one_byte_zeroed_everywhere() -> None:
    for offset in range(len(WHOLE)):
        damaged = bytearray(WHOLE)
        damaged[offset] = 0
        check(bytes(damaged), offset)


def damages() -> Iterator[tuple[str, bytes, str]]:
    head = b"%08x " % 7
    right = b"%08x " % zlib.crc32(b'{"a":1}')
    yield "another digit", b"00000007 00000000 {}", "a frame of 26 bytes is cut off after 20"
    yield "checksum", head + b'00000000 {"a":1}\n', "the checksum of a frame of 26 bytes does not match"
    yield "capital letter", encode('{"a":1}').replace(right, right.upper()), "no frame begins here"
    yield "end", encode('{"a":1}')[:-1] + b" ", "a frame of 26 bytes has no line feed at its end"
    yield "text", b"hello, world\n", "no frame begins here"
    yield "huge length", b"ffffffff 00000000 {}", "a frame of 4294967314 bytes, more than any that is written"
    yield "huge hole", b"0fffffff 00000000 {" + bytes(9), "a frame of 268435474 bytes has zeros in it"
    yield "one zero", b"\0", "1 byte of zero"
    raw = "é".encode()
    yield "not ASCII", b"%08x %08x %b\n" % (len(raw), zlib.crc32(raw), raw), "the text of a frame is not ASCII"


@pytest.mark.parametrize(("data", "why"), [case[1:] for case in damages()], ids=[case[0] for case in damages()])
def test_what_is_wrong_is_said(data: bytes, why: str) -> None:
    found, scanner = scan(encode("{}") + data)
    assert found == ["{}"]
    assert scanner.note is not None
    assert scanner.note.startswith(f"byte 21: {why}")


def test_the_first_flaw_ends_it_for_good() -> None:
    scanner = Scanner(str)
    assert scanner.feed(encode("1") + b"no") == ["1"]
    assert scanner.is_broken
    assert scanner.feed(encode("2")) == []
    assert scanner.note == "byte 20: no frame begins here; 22 bytes from there on cannot be read"


def test_a_text_that_cannot_be_parsed_is_no_frame() -> None:
    scanner = Scanner(int)
    assert scanner.feed(encode("1") + encode("x") + encode("2")) == [1]
    assert scanner.end == 20
    assert scanner.note is not None
    assert scanner.note.startswith("byte 20: a frame is no record: invalid literal")


@given(st.binary(max_size=200), st.integers(0, len(WHOLE)))
def test_no_bytes_are_an_exception(noise: bytes, offset: int) -> None:
    for data in (noise, WHOLE[:offset] + noise, WHOLE[:offset] + noise + WHOLE[offset:]):
        found, scanner = scan(data)
        assert data.startswith(b"".join(map(encode, found)))
        assert scanner.end == len(b"".join(map(encode, found)))
        assert (scanner.note is None) == (scanner.end == len(data))
