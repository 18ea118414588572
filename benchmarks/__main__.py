"""``python -m benchmarks``: take samples, print a table, write ``benchmarks/results``. See docs/performance.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks import environment, history, report
from benchmarks.arguments import Parser
from benchmarks.before import AGAIN, BEFORE, became_worse, checked_out, commit_before, with_baseline
from benchmarks.cleanup import Stopped, no_process_left
from benchmarks.figures import answer
from benchmarks.model import Answer, BenchmarkError, Contender, Measures, Question
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
            questions = _questions(names, options.quick)
            with _other_checkouts(options) as checkouts:
                answers = _answers(questions, options, checkouts)
            print(report.table(answers))
            report.write(RESULTS, answers, versions, machine)
            if not options.quick:
                history.append(RESULTS, answers, environment.commit(), machine, datetime.now(UTC))
    except BenchmarkError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    except Stopped as exc:
        print(f"stopped by {exc.signal.name}", file=sys.stderr)
        return 128 + exc.signal
    print(f"\nA ratio above 1 says that ours is better. Written: {RESULTS}")
    for line in became_worse(answers):
        print(f"WORSE: {line}")
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
        "--baseline",
        metavar="DIR",
        type=_checkout,
        help="another checkout of this project, as one more peer; instead of the commit before",
    )
    parser.add_argument("--alone", action="store_true", help="do not compare with the commit before")
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


@contextmanager
def _other_checkouts(options: argparse.Namespace) -> Iterator[Mapping[str, str]]:
    """Yield the checkouts that this one is compared with, by the name of the peers."""
    if options.baseline:
        yield {BASELINE: options.baseline}
    elif options.quick or options.alone or (commit := commit_before()) is None:
        yield {}
    else:
        print(f"{BEFORE}: {commit[:10]}", flush=True)
        with checked_out(commit) as tree:
            yield {AGAIN: tree, BEFORE: tree}


def _answers(questions: Sequence[Question], options: argparse.Namespace, checkouts: Mapping[str, str]) -> list[Answer]:
    for name, tree in checkouts.items():
        questions = [with_baseline(question, tree, name) for question in questions]
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


def _show(contender: Contender, measures: Measures) -> None:
    shown = ", ".join(f"{name} {report.number(value)}" for name, value in measures.items())
    print(f"  {contender.name}: {shown}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
