"""``python -m benchmarks``: ask the questions, print a table, write ``benchmarks/results``. See docs/performance.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from benchmarks import environment, report
from benchmarks.arguments import Parser
from benchmarks.ending import Stopped, nothing_outlives
from benchmarks.figures import answer
from benchmarks.model import Answer, BenchmarkError, Contender, Figure, Measures, Question
from benchmarks.questions import QUESTIONS
from benchmarks.turns import take_turns

RESULTS: Final = environment.HERE / "results"
ROUNDS: Final = 5
QUICK_ROUNDS: Final = 2
BASELINE: Final = "baseline"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    names = [name for name in dict.fromkeys(options.only or QUESTIONS) if name not in options.without]
    if not names:
        parser.error("--only and --without leave no question")
    try:
        with nothing_outlives():
            versions, machine = environment.versions(), environment.machine()
            answers = _answers(names, options)
            print(report.table(answers))
            report.write(RESULTS, answers, versions, machine)
    except BenchmarkError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    except Stopped as exc:
        print(f"stopped by {exc.signal.name}", file=sys.stderr)
        return 128 + exc.signal
    print(f"\nA ratio above 1 says that ours is better. Written: {RESULTS}")
    if options.quick:
        print("These sizes only show that everything works; their figures mean nothing.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", metavar="NAME", action="append", choices=list(QUESTIONS), help=f"one of: {', '.join(QUESTIONS)}"
    )
    parser.add_argument(
        "--without", metavar="NAME", action="append", default=[], choices=list(QUESTIONS), help="all but this one"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, few samples: whether it works, not how fast")
    parser.add_argument(
        "--rounds",
        metavar="N",
        type=_rounds,
        help=f"samples of each contender, {ROUNDS} by default",
    )
    parser.add_argument(
        "--baseline", metavar="DIR", type=_checkout, help="another checkout of this project, as one more peer"
    )
    return parser


def _rounds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        msg = f"{text!r}; wanted: a whole number from 1"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _checkout(text: str) -> str:
    tree = Path(text).resolve()
    if not (tree / "runtime" / "__init__.py").is_file():
        msg = f"{text!r} is no checkout of this project"
        raise argparse.ArgumentTypeError(msg)
    return str(tree)


def _answers(names: Sequence[str], options: argparse.Namespace) -> list[Answer]:
    questions = _questions(names, options.quick)
    if options.baseline:
        questions = [with_baseline(question, options.baseline) for question in questions]
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    answers = []
    for question in questions:
        print(f"{question.name}: {rounds} samples each of {', '.join(c.name for c in question.contenders)}", flush=True)
        with question.surroundings() as variables:
            samples = take_turns(question.contenders, rounds, on_sample=_show, variables=variables)
        answers += [answer(figure, samples) for figure in question.figures]
    return answers


def _questions(names: Sequence[str], quick: bool) -> list[Question]:
    """Return all questions, before the first is asked, so that all that is missing is known at once."""
    questions: list[Question] = []
    missing: dict[str, list[str]] = {}
    for name in names:
        try:
            questions.append(QUESTIONS[name](quick))
        except BenchmarkError as exc:
            missing.setdefault(str(exc), []).append(name)
    if missing:
        lines = [f"{', '.join(askers)}: {what}" for what, askers in missing.items()]
        raise BenchmarkError("\n".join([*lines, "A question is left out by --without NAME."]))
    return questions


def with_baseline(question: Question, tree: str) -> Question:
    """Return `question` with the programs of this project run on the `runtime` of another checkout, too."""
    compared = {figure.ours for figure in question.figures}
    contenders: list[Contender] = []
    for contender in question.contenders:
        contenders.append(contender)
        if contender.name in compared:
            contenders.append(attrs.evolve(contender, name=f"{contender.name}/{BASELINE}", tree=tree))
    figures = [_figure_with_baseline(figure) for figure in question.figures]
    return attrs.evolve(question, contenders=contenders, figures=figures)


def _figure_with_baseline(figure: Figure) -> Figure:
    return attrs.evolve(figure, peers={**figure.peers, BASELINE: f"{figure.ours}/{BASELINE}"})


def _show(contender: Contender, measures: Measures) -> None:
    shown = ", ".join(f"{name} {report.number(value)}" for name, value in measures.items())
    print(f"  {contender.name}: {shown}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
