"""Tests of `benchmarks.before`: another checkout as a peer, and what became worse."""

from __future__ import annotations

import subprocess
from pathlib import Path

import attrs

from benchmarks import environment
from benchmarks.before import AGAIN, BEFORE, became_worse, commit_before, with_baseline
from benchmarks.figures import answer
from benchmarks.model import Answer, Contender, Figure, Question

FIGURE = Figure("speed", "x", "jobs/s", "higher", "a", {"peer": "b"})


def a_question(*contenders: Contender) -> Question:
    return Question("speed", [*contenders, Contender("b", ["b"])], [FIGURE])


def test_a_baseline_is_a_peer_of_each_figure_of_ours() -> None:
    ours = Contender("a", ["python", "-c", "pass"], environment.TREE)
    unasked = Contender("c", ["c"], environment.TREE)  # such as an idle loop: only peers are compared with it
    question = with_baseline(a_question(ours, unasked), "/other", "baseline")
    assert [(contender.name, contender.tree) for contender in question.contenders] == [
        ("a", environment.TREE),
        ("a/baseline", "/other"),
        ("c", environment.TREE),
        ("b", None),
    ]
    assert question.contenders[1].command == question.contenders[0].command, "it is no program of ours"
    assert question.figures[0].peers == {"peer": "b", "baseline": "a/baseline"}


def test_a_program_of_ours_is_that_of_the_other_checkout(tmp_path: Path) -> None:
    asked = a_question(environment.ours("a", "log.py", 3))
    assert with_baseline(asked, str(tmp_path), "baseline") == asked, "it has no such program"
    (tmp_path / "benchmarks" / "samples").mkdir(parents=True)
    (tmp_path / "benchmarks" / "samples" / "log.py").touch()
    own, other, _ = with_baseline(asked, str(tmp_path), "baseline").contenders
    assert other.command == [own.command[0], f"{tmp_path}/benchmarks/samples/log.py", "3"]


def answered(ours: list[float], before: list[float], again: list[float], figure: Figure = FIGURE) -> Answer:
    figure = attrs.evolve(figure, peers={BEFORE: "before", AGAIN: "again"})
    samples = {"a": ours, "before": before, "again": again}
    return answer(figure, {name: [{"x": value} for value in values] for name, values in samples.items()})


def test_a_figure_is_worse_if_it_differs_by_more_than_two_runs_of_one_commit_do() -> None:
    lower = attrs.evolve(FIGURE, better="lower")
    assert became_worse([answered([80, 80], [100, 100], [110, 100])]) == [
        "speed: 0.80 times as good as before; two runs of the commit before differ by a factor of up to 1.10"
    ]
    assert became_worse([answered([80, 80], [100, 100], [100, 70])]) == []
    assert became_worse([answered([120, 120], [100, 100], [100, 100])]) == []
    assert len(became_worse([answered([120, 120], [100, 100], [101, 100], lower)])) == 1
    assert became_worse([answered([80, 80], [100, 100], [101, 100], lower)]) == []


def test_the_commit_before_is_the_last_one_if_the_code_has_changed(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    assert commit_before(str(tmp_path)) is None
    git("init", "-q")
    code = tmp_path / "runtime" / "a.py"
    code.parent.mkdir()
    commits = []
    for text in ("1", "2"):
        code.write_text(text)
        git("add", ".")
        git("commit", "-q", "-m", text)
        commits.append(git("rev-parse", "HEAD"))
    assert commit_before(str(tmp_path)) == commits[0]
    code.write_text("3")
    assert commit_before(str(tmp_path)) == commits[1]


def test_nothing_is_worse_without_the_commit_before() -> None:
    assert became_worse([answer(attrs.evolve(FIGURE, peers={}), {"a": [{"x": 1.0}]})]) == []
