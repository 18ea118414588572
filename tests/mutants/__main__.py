"""``python -m tests.mutants [N] [--seed S]``: apply each mutant, or N random ones, and report which were not caught."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.planting import (
    MIN_TIMEOUT,
    ROOT,
    TIMEOUT_FACTOR,
    Mutant,
    Verdict,
    copy_tree,
    judge,
    plant,
    read_mutants,
    run_tests,
)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def timeouts(mutants: list[Mutant], workers: ThreadPoolExecutor) -> dict[tuple[str, ...], float]:
    """Return the timeout of each group of tests in seconds, measured in a copy without a bug.

    A group that fails there has none: it would catch any mutant.
    """

    def measure(tests: tuple[str, ...]) -> tuple[tuple[str, ...], float, int | None, str]:
        began = time.monotonic()
        code, text = run_tests(tree, tests, timeout=300)
        return tests, max(MIN_TIMEOUT, TIMEOUT_FACTOR * (time.monotonic() - began)), code, text

    with tempfile.TemporaryDirectory(prefix="mutant-none-") as name:
        tree = copy_tree(Path(name))
        measured = list(workers.map(measure, sorted({mutant.tests for mutant in mutants})))
    for tests, _, code, text in measured:
        if code != 0:
            say(f"fails without a mutant: {' '.join(tests)}: {text}")
    return {tests: limit for tests, limit, code, _ in measured if code == 0}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, help="the number of random mutants; all by default")
    parser.add_argument("--seed", type=int, default=None, help="the seed of an earlier run")
    parser.add_argument("--only", default="", help="mutants whose name contains this")
    options = parser.parse_args()

    mutants = list(read_mutants())
    # All of them, also if few are drawn: a change of the code shows at once which patches must be made again.
    stale = [mutant.name for mutant in mutants if plant(mutant, ROOT, "--check")]
    if stale:
        say(f"patches that do not apply: {', '.join(stale)}")
        return 1
    mutants = [mutant for mutant in mutants if options.only in mutant.name]
    if options.count is not None and options.count < len(mutants):
        seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
        mutants = random.Random(seed).sample(mutants, options.count)  # a draw, no secret
        say(f"seed {seed}")
    began = time.monotonic()
    verdicts: list[Verdict] = []
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        limits = timeouts(mutants, workers)
        unjudged = [mutant.name for mutant in mutants if mutant.tests not in limits]
        judged = [mutant for mutant in mutants if mutant.tests in limits]
        for verdict in workers.map(lambda mutant: judge(mutant, limits[mutant.tests]), judged):
            verdicts.append(verdict)
            say(f"{verdict.outcome.value:15} {verdict.mutant.name}: {verdict.mutant.breaks}")
            say(f"{'':15}   {verdict.text}")
    bad = [verdict.mutant.name for verdict in verdicts if not verdict.outcome.good]
    say(f"{len(verdicts) - len(bad)} of {len(verdicts)} mutants caught in {time.monotonic() - began:.0f} s")
    if bad:
        say(f"not caught: {', '.join(bad)}")
    if unjudged:
        say(f"not judged, because their tests fail without them: {', '.join(unjudged)}")
    return 1 if bad or unjudged or not verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
