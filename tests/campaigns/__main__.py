"""Runs campaigns, and prints how to repeat them."""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
import traceback

from tests.campaigns import campaigns


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    known = campaigns()
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns", description="Long random runs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"campaigns; all by default: {', '.join(known)}")
    parser.add_argument("--seed", type=int, help="the seed of an earlier run")
    parser.add_argument("--count", type=int, help="the number of runs of each; by default each campaign has its own")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"there is no campaign {', '.join(unknown)}; there are: {', '.join(known)}")
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed

    logging.getLogger("runtime").addHandler(logging.NullHandler())  # campaigns provoke its warnings
    failed = []
    for name in options.names or known:
        campaign = known[name]
        count = campaign.count if options.count is None else options.count
        lack = campaign.lacks()
        if lack is not None:
            say(f"{name}: skipped: {lack}")
            continue
        say(f"{name}: {campaign.question} N={count} seed={seed}")
        began = time.monotonic()
        try:
            seen = campaign.run(seed, count)
        except Exception:  # noqa: BLE001 - printed and counted; the other campaigns go on
            failed.append(name)
            traceback.print_exc(file=sys.stdout)
            say(f"{name}: VIOLATED; repeat with --seed {seed} --count {count} {name}")
        else:
            say(f"{name}: {seen}, in {time.monotonic() - began:.1f} s")
    say(f"{len(failed)} campaigns found a violation" + (f": {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
