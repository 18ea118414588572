"""Tests of `benchmarks.__main__`: the questions that are asked, the output, and the exit code."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import __main__ as program
from benchmarks import environment
from benchmarks.model import BenchmarkError, Contender, Figure, Question


def script(name: str, value: int, tree: str | None = None) -> Contender:
    return Contender(name, [sys.executable, "-c", f"print('{{\"x\": {value}}}')"], tree)


def speed(quick: bool) -> Question:
    contenders = [script("a", 6, environment.TREE), script("b", 3 if quick else 2)]
    return Question("speed", contenders, [Figure("speed", "x", "jobs/s", "higher", "a", {"peer": "b"})])


def broken(quick: bool) -> Question:
    raise BenchmarkError("no such peer")


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(program, "QUESTIONS", {"speed": speed, "broken": broken})
    monkeypatch.setattr(program, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(program, "commit_before", lambda: None)
    monkeypatch.setattr(environment, "versions", dict)
    return tmp_path / "results"


def test_one_question_is_asked_quickly(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--only", "speed", "--quick"]) == 0
    printed = capsys.readouterr()
    assert "speed: 2 samples each of a, b" in printed.out
    assert "2.00  2.00 to 2.00" in printed.out
    assert "only show that everything works" in printed.out
    assert printed.err.count("  a: x 6") == 2
    [answer] = json.loads((results / "latest.json").read_text())
    assert (answer["ours"], answer["peers"], answer["ratios"]) == (6, {"peer": 3}, {"peer": 2})


def test_full_sizes_have_at_least_five_samples_each(results: Path) -> None:
    assert program.ROUNDS >= 5
    assert program.main(["--only", "speed", "--rounds", "3"]) == 0
    assert json.loads((results / "samples.json").read_text()) == {"speed": {"ours": [6] * 3, "peer": [2] * 3}}


def test_a_missing_peer_is_known_before_anything_runs(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([]) == 1
    printed = capsys.readouterr()
    assert printed.err == "error: broken: no such peer\nLeave a question out with --without NAME.\n"
    assert printed.out == ""
    assert not results.exists()


def test_a_question_can_be_left_out(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--without", "broken", "--quick"]) == 0
    [answer] = json.loads((results / "latest.json").read_text())
    assert answer["name"] == "speed"


def test_samples_are_taken_within_the_setup_of_their_question(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story: list[str] = []

    @contextmanager
    def setup() -> Iterator[dict[str, str]]:
        story.append("up")
        yield {"WHERE_IT_IS": "7"}
        story.append("down")

    command = [sys.executable, "-c", "import os; print('{\"x\": ' + os.environ['WHERE_IT_IS'] + '}')"]
    asked = Question(
        "speed", [Contender("a", command)], [Figure("speed", "x", "s", "lower", "a", {"itself": "a"})], setup
    )
    monkeypatch.setattr(program, "QUESTIONS", {"speed": lambda quick: asked})
    assert program.main([]) == 0
    assert story == ["up", "down"]
    assert json.loads((results / "latest.json").read_text())[0]["ours"] == 7


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["--only", "typo"], r"argument --only: invalid choice: 'typo' \(choose from .*speed"),
        (["--without", "typo"], r"argument --without: invalid choice: 'typo' \(choose from .*speed"),
        (["--only", "speed", "--without", "speed"], "--only and --without leave no question"),
        (["--rounds", "0"], "argument --rounds: '0'; expected a whole number from 1"),
        (["--rounds", "two"], "argument --rounds: 'two'; expected a whole number from 1"),
        (["--baseline", "/nowhere"], "argument --baseline: '/nowhere' is not a checkout of this project"),
        (["speed"], "unrecognized arguments: speed"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments: list[str], printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(arguments)
    assert ended.value.code == 2
    assert re.fullmatch(rf"error: {printed}.* \(see python -m benchmarks --help\)\n", capsys.readouterr().err)


def test_a_question_is_asked_once(results: Path) -> None:
    assert program.main(["--only", "speed", "--only", "speed", "--quick"]) == 0
    assert len(json.loads((results / "latest.json").read_text())) == 1


def test_what_several_questions_miss_is_reported_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "QUESTIONS", {"speed": speed, "one": broken, "two": broken})
    assert program.main([]) == 1
    assert capsys.readouterr().err.splitlines()[0] == "error: one, two: no such peer"


def test_results_that_cannot_be_written_have_been_shown(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results.write_text("a file")
    assert program.main(["--only", "speed", "--quick"]) == 1
    printed = capsys.readouterr()
    assert "2.00 to 2.00" in printed.out
    assert printed.err.splitlines()[-1].startswith("error: the results cannot be written: ")


def test_a_full_run_adds_a_line_for_each_figure_to_the_history(results: Path) -> None:
    for _ in range(2):
        assert program.main(["--only", "speed", "--rounds", "3"]) == 0
    assert program.main(["--only", "speed", "--quick"]) == 0
    first, second = map(json.loads, (results / "history.jsonl").read_text().splitlines())
    assert (first["figure"], first["unit"], first["better"]) == ("speed", "jobs/s", "higher")
    assert (first["median"], first["samples"], first["commit"]) == (6, 3, environment.commit())
    assert first["date"] <= second["date"]
    assert "CPUs" in first["machine"]


def test_the_commit_before_is_measured_in_turns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def checked_out(commit: str) -> Iterator[str]:
        assert commit == "abc"
        yield "/other"

    monkeypatch.setattr(program, "commit_before", lambda: "abc")
    monkeypatch.setattr(program, "checked_out", checked_out)
    assert program.main(["--only", "speed"]) == 0
    printed = capsys.readouterr()
    assert "5 samples each of a, a/before, a/before, again, b" in printed.out
    assert "WORSE" not in printed.out
    assert program.main(["--only", "speed", "--alone"]) == 0
    assert "5 samples each of a, b" in capsys.readouterr().out
