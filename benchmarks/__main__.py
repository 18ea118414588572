"""``python -m benchmarks``: take samples, print a table, write ``benchmarks/results``. See docs/performance.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from benchmarks import environment, report
from benchmarks.arguments import Parser
from benchmarks.cleanup import Stopped, no_process_left
from benchmarks.figures import answer
from benchmarks.model import Answer, BenchmarkError, Contender, Figure, Measures, Question
from benchmarks.questions import QUESTIONS
from benchmarks.sampling import take_samples

RESULTS: Final = environment.HERE / "results"
ROUNDS: Final = 5
"""Samples of each contender. Arbitrary: ten times more would take hours, one would have no spread."""
QUICK_ROUNDS: Final = 2
BASELINE: Final = "baseline"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks that the arguments choose; return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    names = [name for name in dict.fromkeys(options.only or QUESTIONS) if name not in options.without]
    if not names:
        parser.error("--only and --without leave no question")
    try:
        with no_process_left():
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
        msg = f"{text!r}; expected a whole number from 1"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _checkout(text: str) -> str:
    tree = Path(text).resolve()
    if not (tree / "runtime" / "__init__.py").is_file():
        msg = f"{text!r} is not a checkout of this project; expected a directory with runtime/__init__.py"
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
        with question.setup() as variables:
            samples = take_samples(question.contenders, rounds, on_sample=_show, variables=variables)
        answers += [answer(figure, samples) for figure in question.figures]
    return answers


def _questions(names: Sequence[str], quick: bool) -> list[Question]:
    """Return all questions. Made before the first is asked, so that one error names everything that is missing."""
    questions: list[Question] = []
    missing: dict[str, list[str]] = {}
    for name in names:
        try:
            questions.append(QUESTIONS[name](quick))
        except BenchmarkError as exc:
            missing.setdefault(str(exc), []).append(name)
    if missing:
        lines = [f"{', '.join(askers)}: {what}" for what, askers in missing.items()]
        raise BenchmarkError("\n".join([*lines, "Leave a question out with --without NAME."]))
    return questions


def with_baseline(question: Question, tree: str) -> Question:
    """Return `question` with each program of this project also run from another checkout, with its `runtime`."""
    compared = {figure.ours for figure in question.figures}
    contenders: list[Contender] = []
    for contender in question.contenders:
        contenders.append(contender)
        if contender.name in compared:
            # Its own programs, because they import the modules of their commit.
            command = [part.replace(f"{environment.HERE}/", f"{tree}/benchmarks/", 1) for part in contender.command]
            contenders.append(attrs.evolve(contender, name=f"{contender.name}/{BASELINE}", command=command, tree=tree))
    figures = [_figure_with_baseline(figure) for figure in question.figures]
    return attrs.evolve(question, contenders=contenders, figures=figures)


def _figure_with_baseline(figure: Figure) -> Figure:
    return attrs.evolve(figure, peers={**figure.peers, BASELINE: f"{figure.ours}/{BASELINE}"})


def _show(contender: Contender, measures: Measures) -> None:
    shown = ", ".join(f"{name} {report.number(value)}" for name, value in measures.items())
    print(f"  {contender.name}: {shown}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
