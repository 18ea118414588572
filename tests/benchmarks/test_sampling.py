"""Tests of `benchmarks.sampling`: fresh processes in rounds, and the error when one of them fails."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from benchmarks.model import PEAK, BenchmarkError, Contender, Measures
from benchmarks.sampling import in_order, take_sample, take_samples


def program(name: str, code: str, *arguments: str, tree: str | None = None) -> Contender:
    return Contender(name, [sys.executable, "-c", textwrap.dedent(code), *arguments], tree)


def test_the_order_changes_from_round_to_round() -> None:
    three, two = ([program(name, "") for name in names] for names in ("abc", "ab"))
    orders = ["".join(each.name for each in in_order(three, number)) for number in range(7)]
    assert orders == ["abc", "cba", "bca", "acb", "cab", "bac", "abc"]  # all orders, then the first again
    assert ["".join(each.name for each in in_order(two, number)) for number in range(4)] == ["ab", "ba", "ba", "ab"]


def test_each_round_runs_all_contenders_each_in_a_process_of_its_own() -> None:
    code = "import os, json; print('other words'); print(json.dumps({'pid': os.getpid()}))"
    order: list[str] = []

    def note(contender: Contender, measures: Measures) -> None:
        order.append(contender.name)
        assert measures["pid"]

    samples = take_samples([program("a", code), program("b", code)], 3, on_sample=note)
    assert order == ["a", "b", "b", "a", "b", "a"]
    assert [len(measures) for measures in samples.values()] == [3, 3]
    assert len({measures["pid"] for name in "ab" for measures in samples[name]}) == 6


def test_the_peak_is_that_of_the_process() -> None:
    small = take_sample(program("small", "print('{\"x\": 1}')"))
    large = take_sample(program("large", "page = b'x' * 600_000_000; print('{\"x\": 1}')"))
    assert small["x"] == 1
    assert 1 < small[PEAK] < 500  # includes what this process held at the fork, after many tests
    assert 600 < large[PEAK] < 650


def test_only_programs_of_ours_get_the_path_of_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "marker.py").write_text("VALUE = 7\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code = """
        try:
            import marker
        except ImportError:
            print('{"value": 1}')
        else:
            print('{"value": 7}')
    """
    assert take_sample(program("theirs", code))["value"] == 1
    assert take_sample(program("ours", code, tree=str(tmp_path)))["value"] == 7


def test_a_sample_that_fails_shows_its_output() -> None:
    with pytest.raises(BenchmarkError, match=r"(?s)^wrong: a sample failed with exit code 1: .*AssertionError: 3 of 4"):
        take_sample(program("wrong", "assert False, '3 of 4'"))


def test_a_sample_that_is_killed_leaves_no_temporary_files(tmp_path: Path) -> None:
    code = """
        import os, signal, tempfile
        open(os.path.join(tempfile.mkdtemp(), "large"), "w").write("x")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    with pytest.raises(BenchmarkError, match="signal 9"):
        take_sample(program("dies", code), variables={"TMPDIR": str(tmp_path)})
    assert not list(tmp_path.iterdir())


def test_a_removal_that_a_signal_interrupts_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    removals: list[str] = []
    cleanup = TemporaryDirectory.cleanup

    def interrupted(directory: TemporaryDirectory[str]) -> None:
        removals.append(directory.name)
        if len(removals) == 1:
            raise KeyboardInterrupt
        cleanup(directory)

    monkeypatch.setattr(TemporaryDirectory, "cleanup", interrupted)
    with pytest.raises(KeyboardInterrupt):
        take_sample(program("a", "print('{\"x\": 1}')"), variables={"TMPDIR": str(tmp_path)})
    assert len(removals) == 2
    assert not list(tmp_path.iterdir())


def test_options_of_the_interpreter_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    with pytest.raises(BenchmarkError, match="AssertionError"):
        take_sample(program("checks", "assert False"))


def test_a_sample_that_hangs_is_killed_with_all_that_it_started() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    with pytest.raises(BenchmarkError, match="signal 9"):
        take_sample(program("hangs", code), deadline=0.2)


@pytest.mark.parametrize(
    "output", ["", "nothing", "{}", "[1]", '{"x": "fast"}', '{"x": null}', '{"x": 0}', '{"x": NaN}']
)
def test_a_sample_without_numbers_is_an_error(output: str) -> None:
    with pytest.raises(
        BenchmarkError, match=r"mute: the last line of a sample is .*; expected a JSON object of positive numbers"
    ):
        take_sample(program("mute", "import sys; print(sys.argv[1])", output))


def test_a_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(BenchmarkError, match="gone: cannot start '/no/such/program': No such file"):
        take_sample(Contender("gone", ["/no/such/program"]))
