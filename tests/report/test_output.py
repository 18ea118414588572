from __future__ import annotations

import io
import os
import pty
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from runtime.report.output import Output

LINES = [(("FAILED", "bold red"), (" [red]a[/red] ", "")), (), (("x" * 200, "dim"),)]
PLAIN = "FAILED [red]a[/red] \n\n" + "x" * 200 + "\n"


@contextmanager
def pipe() -> Iterator[tuple[int, Output]]:
    reading, writing = os.pipe()
    with open(writing, "w", encoding="utf-8") as stream, open(reading, "rb", closefd=True) as reader:
        yield reader.fileno(), Output(stream)


@contextmanager
def terminal() -> Iterator[tuple[int, Output]]:
    ours, theirs = pty.openpty()
    with open(theirs, "w", encoding="utf-8") as stream, open(ours, "rb", buffering=0) as reader:
        yield reader.fileno(), Output(stream)


def test_lines_are_plain_if_the_output_is_no_terminal() -> None:
    with pipe() as (reader, output):
        output.show(LINES)
        assert not output.is_terminal
        assert os.read(reader, 1000).decode() == PLAIN
        assert output.size == (80, 24)


def test_on_a_terminal_lines_have_colours_and_are_wrapped_by_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with terminal() as (reader, output):
        assert output.is_terminal
        output.show(LINES)
        text = os.read(reader, 5000).decode()
        assert "\x1b[1;31mFAILED\x1b[0m [red]a[/red] \r\n" in text
        assert "x" * 200 in text


def test_a_dumb_terminal_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with terminal() as (reader, output):
        output.show(LINES)
        assert not output.is_terminal
        assert os.read(reader, 5000).decode().replace("\r\n", "\n") == PLAIN


def test_characters_that_the_encoding_lacks_are_escaped() -> None:
    reading, writing = os.pipe()
    with open(writing, "w", encoding="ascii") as stream, open(reading, "rb") as reader:
        Output(stream).write("é\ud800\n")
        stream.close()
        assert reader.read() == b"\\xe9\\ud800\n"


def test_once_the_reader_has_gone_text_is_dropped() -> None:
    with pipe() as (reader, output):
        assert not output.gone
        os.dup2(os.open("/dev/null", os.O_RDONLY), reader)
        output.write("x")
        assert output.gone
        output.write("x" * 1_000_000)


def test_once_the_device_is_full_text_is_dropped() -> None:
    with open("/dev/full", "w") as stream:
        output = Output(stream)
        output.write("x")
        assert output.gone


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_without_a_descriptor_text_is_dropped(stream: io.StringIO | None) -> None:
    output = Output(stream)
    output.write("x")
    assert output.gone
    assert not output.is_terminal


def test_a_descriptor_that_does_not_block_gets_all_of_it() -> None:
    text = "0123456789" * 100_000
    with pipe() as (reader, output):
        os.set_blocking(output._descriptor, False)
        writer = threading.Thread(target=output.write, args=[text])
        writer.start()
        got = b""
        while len(got) < len(text):
            got += os.read(reader, 1 << 16)
        writer.join()
        assert got.decode() == text
