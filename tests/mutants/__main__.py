"""``python -m tests.mutants [N] [--seed S]``: apply each mutant, or N random ones, and report which were not caught."""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.planting import HERE, ROOT, Limits, Verdict, copy_tree, judge, plant, read_mutants

RECORDED = HERE / "caught_by.toml"
HEAD = "# The test that caught each mutant when `python -m tests.mutants --record` was last run; it is run first.\n\n"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def record(verdicts: list[Verdict]) -> None:
    """Write which test caught each mutant. Those that were not run keep what they have."""
    known = {mutant.name: mutant.caught_by for mutant in read_mutants()}
    known |= {verdict.mutant.name: verdict.test for verdict in verdicts if verdict.outcome.good}
    lines = [f"{name} = {json.dumps(test)}\n" for name, test in sorted(known.items()) if test is not None]
    RECORDED.write_text(HEAD + "".join(lines), "utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, help="the number of random mutants; all by default")
    parser.add_argument("--seed", type=int, default=None, help="the seed of an earlier run")
    parser.add_argument("--only", default="", help="mutants whose name contains this")
    parser.add_argument("--record", action="store_true", help=f"write which test caught each into {RECORDED.name}")
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
    with ThreadPoolExecutor(os.cpu_count()) as workers, tempfile.TemporaryDirectory(prefix="mutant-none-") as name:
        limits = Limits(copy_tree(Path(name)))
        for verdict in workers.map(lambda mutant: judge(mutant, limits), mutants):
            verdicts.append(verdict)
            say(f"{verdict.outcome.value:16} {verdict.mutant.name}: {verdict.mutant.breaks}")
            say(f"{'':16}   {verdict.text}")
    if options.record:
        record(verdicts)
    bad = [verdict.mutant.name for verdict in verdicts if not verdict.outcome.good]
    say(f"{len(verdicts) - len(bad)} of {len(verdicts)} mutants caught in {time.monotonic() - began:.0f} s")
    if bad:
        say(f"not caught: {', '.join(bad)}")
    return 1 if bad or not verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
