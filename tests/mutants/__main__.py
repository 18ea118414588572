"""``python -m tests.mutants [N] [--seed S]``: plant each bug, or N drawn at random, and report who was not caught."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.planting import TIMEOUT, Mutant, copy_tree, judge, read_mutants, run_tests


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def sound(mutants: list[Mutant]) -> bool:
    """Whether the tests pass in a copy without a bug: else they would catch anything."""
    with tempfile.TemporaryDirectory(prefix="mutant-none-") as name:
        tree = copy_tree(Path(name))
        for tests in sorted({mutant.tests for mutant in mutants}):
            code, text = run_tests(tree, tests)
            if code != 0:
                say(f"without any bug, {' '.join(tests)} says: {text}")
                return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, help="draw that many at random; all unless given")
    parser.add_argument("--seed", type=int, default=None, help="repeat an earlier draw")
    parser.add_argument("--only", default="", help="those whose name contains this")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds for the tests of one")
    options = parser.parse_args()

    mutants = [mutant for mutant in read_mutants() if options.only in mutant.name]
    if options.count is not None and options.count < len(mutants):
        seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
        mutants = random.Random(seed).sample(mutants, options.count)  # a draw, no secret
        say(f"seed {seed}")
    began = time.monotonic()
    if not sound(mutants):
        return 1
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        verdicts = []
        for verdict in pool.map(lambda mutant: judge(mutant, options.timeout), mutants):
            verdicts.append(verdict)
            say(f"{verdict.outcome.value:15} {verdict.mutant.name}: {verdict.mutant.breaks}")
            say(f"{'':15}   {verdict.text}")
    bad = [verdict.mutant.name for verdict in verdicts if not verdict.outcome.good]
    say(f"{len(verdicts) - len(bad)} of {len(verdicts)} mutants caught in {time.monotonic() - began:.0f} s")
    if bad:
        say(f"not caught: {', '.join(bad)}")
    return 1 if bad or not verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
