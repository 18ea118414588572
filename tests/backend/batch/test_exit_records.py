from __future__ import annotations

import pytest

from runtime.backend.batch.exit_records import ExitRecord, parse_record
from tests.backend.batch.scripted import record_text


def parsed(**fields: str) -> ExitRecord | None:
    return parse_record(record_text("t", **fields).encode(), "t")  # type: ignore[arg-type]  # one of them is a number


def test_a_record_says_how_it_ended_and_what_it_used() -> None:
    raw = record_text("t", status="3").replace("peak ", "peak 4096").encode()
    assert parse_record(raw, "t") == ExitRecord(
        restarts=0, id="1_0", host="n1", code=3, seconds=2.5, cpu_seconds=0.75, peak_bytes=4096
    )


@pytest.mark.parametrize(
    ("status", "code", "signal"),
    [("0", 0, None), ("128", 128, None), ("137", None, 9), ("192", None, 64), ("193", 193, None), ("255", 255, None)],
)
def test_a_code_that_a_shell_makes_of_a_signal_is_that_signal(
    status: str, code: int | None, signal: int | None
) -> None:
    record = parsed(status=status)
    assert record is not None
    assert (record.code, record.signal) == (code, signal)


def test_what_could_not_be_launched_has_no_code() -> None:
    record = parsed(status="", launch="program")
    assert record is not None
    assert record.launch_error == "there is no such program, or it may not be executed"
    assert (record.code, record.signal) == (None, None)


def test_a_signal_that_the_wrapper_was_sent_is_told() -> None:
    record = parsed(stopped="TERM", status="0")
    assert record is not None
    assert (record.stopped, record.code) == ("TERM", 0)


def test_a_record_that_is_cut_off_anywhere_is_none() -> None:
    whole = record_text("t").encode()
    assert parse_record(whole, "t") is not None
    assert [length for length in range(len(whole)) if parse_record(whole[:length], "t") is not None] == []


def test_a_record_of_another_job_is_none() -> None:
    assert parse_record(record_text("u").encode(), "t") is None
    assert parse_record(record_text("u").encode() + b"end t\n", "t") is None
    mixed = record_text("u").replace("end u", "end t").encode()
    assert parse_record(mixed, "t") is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("end 1", "end 2"),
        ("status 0", "status zero"),
        ("status 0", "status -1"),
        ("status 0", "status ٣"),
        ("restart 0", "restart"),
        ("restart 0", "restarts 0"),
        ("launch ", "launch moon"),
        ("uptime 100.00 102.50", "uptime 100.00"),
        ("uptime 100.00 102.50", "uptime then now"),
        ("peak ", "peak much"),
        ("0m0.250000s 0m0.500000s", "0m0.25s"),
        ("host n1\n", ""),
        ("host n1", "host n1\nhost n2"),
    ],
)
def test_a_record_that_reads_wrongly_is_none(old: str, new: str) -> None:
    text = record_text("t")
    assert old in text
    assert parse_record(text.replace(old, new, 1).encode(), "t") is None


def test_garbage_is_none() -> None:
    assert parse_record(b"", "t") is None
    assert parse_record(b"\xff\xfe\x00" * 100, "t") is None
    assert parse_record(b"\nend t\n", "t") is None
