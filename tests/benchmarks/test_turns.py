"""Tests of `benchmarks.turns`: fresh processes in turns, and what is said when one of them fails."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from benchmarks.model import PEAK, BenchmarkError, Contender, Measures
from benchmarks.turns import take_sample, take_turns


def program(name: str, code: str, *arguments: str, tree: str | None = None) -> Contender:
    return Contender(name, [sys.executable, "-c", textwrap.dedent(code), *arguments], tree)


def test_contenders_take_turns_each_in_a_process_of_its_own() -> None:
    code = "import os, json; print('other words'); print(json.dumps({'pid': os.getpid()}))"
    order: list[str] = []

    def note(contender: Contender, measures: Measures) -> None:
        order.append(contender.name)
        assert measures["pid"]

    samples = take_turns([program("a", code), program("b", code)], 3, on_sample=note)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert [len(taken) for taken in samples.values()] == [3, 3]
    assert len({taken["pid"] for name in "ab" for taken in samples[name]}) == 6


def test_the_peak_is_that_of_the_process() -> None:
    small = take_sample(program("small", "print('{\"x\": 1}')"))
    large = take_sample(program("large", "page = b'x' * 600_000_000; print('{\"x\": 1}')"))
    assert small["x"] == 1
    assert 1 < small[PEAK] < 500  # this process counts, too, and has run many tests
    assert 600 < large[PEAK] < 650


def test_only_programs_of_ours_get_the_path_of_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "marker.py").write_text("VALUE = 7\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code = """
        try:
            import marker
        except ImportError:
            print('{"value": 0}')
        else:
            print('{"value": 7}')
    """
    assert take_sample(program("theirs", code))["value"] == 0
    assert take_sample(program("ours", code, tree=str(tmp_path)))["value"] == 7


def test_a_sample_that_fails_shows_what_it_said() -> None:
    with pytest.raises(BenchmarkError, match=r"(?s)^wrong: a sample failed with exit code 1: .*AssertionError: 3 of 4"):
        take_sample(program("wrong", "assert False, '3 of 4'"))


def test_a_sample_that_hangs_is_killed_with_all_that_it_started() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    with pytest.raises(BenchmarkError, match="signal 9"):
        take_sample(program("hangs", code), deadline=0.2)


@pytest.mark.parametrize("said", ["", "nothing", "{}", "[1]", '{"x": "fast"}', '{"x": null}'])
def test_a_sample_that_says_no_numbers_is_an_error(said: str) -> None:
    with pytest.raises(BenchmarkError, match=r"mute: a sample's last line is .*; wanted: a JSON object of numbers"):
        take_sample(program("mute", "import sys; print(sys.argv[1])", said))


def test_a_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(BenchmarkError, match="gone: cannot start '/no/such/program': No such file"):
        take_sample(Contender("gone", ["/no/such/program"]))
