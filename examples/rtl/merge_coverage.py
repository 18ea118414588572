# SPDX-License-Identifier: Apache-2.0
# Copyright The runtime authors
"""Merge the coverage of all simulations of a run, and print the bins that none of them hit.

usage: python3 merge_coverage.py RUN_DIRECTORY OUTPUT

Reads RUN_DIRECTORY/*/coverage.txt, whose lines are `group.bin hits`, and writes their sum to OUTPUT in the
same form. Only simulations that passed wrote such a file. Exit code 0 when each bin was hit, 1 when one was
not, or when there is no file.
"""

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path


def read_hits(path: Path) -> dict[str, int]:
    """The hits of each bin in one file. A line that is not `name number` raises `ValueError`."""
    pairs = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    return {name: int(hits) for name, hits in pairs}


def merge(files: Iterable[Path]) -> dict[str, int]:
    """The sum of the hits of each bin, in the order of the names; a bin of no hits stays, with 0."""
    total: Counter[str] = Counter()
    for path in files:
        total.update(read_hits(path))
    return dict(sorted(total.items()))


def table(total: dict[str, int]) -> list[str]:
    """A line for each group of bins: how many there are, how many were hit, the fewest hits."""
    groups: dict[str, list[int]] = {}
    for name, hits in total.items():
        groups.setdefault(name.rpartition(".")[0], []).append(hits)
    width = max(map(len, groups))
    lines = [f"{'group':{width}}  bins   hit  fewest hits"]
    for group, bins in groups.items():
        lines.append(f"{group:{width}}  {len(bins):4}  {sum(map(bool, bins)):4}  {min(bins):11}")
    return lines


def main(run_directory: str, output: str) -> int:
    """Merge, write, print. The exit code."""
    files = sorted(Path(run_directory).glob("*/coverage.txt"))
    if not files:
        print(f"NO COVERAGE: no file {run_directory}/*/coverage.txt")
        return 1
    total = merge(files)
    Path(output).write_text("".join(f"{name} {hits}\n" for name, hits in total.items()), encoding="ascii")
    print("\n".join(table(total)))
    missed = [name for name, hits in total.items() if not hits]
    for name in missed:
        print(f"NEVER HIT {name}")
    share = 100 * (len(total) - len(missed)) / len(total)
    print(f"{len(files)} simulations hit {len(total) - len(missed)} of {len(total)} bins, {share:.1f} %")
    print("COVERAGE HAS HOLES" if missed else "COVERAGE COMPLETE")
    return 1 if missed else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
