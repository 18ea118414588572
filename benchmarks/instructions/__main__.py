"""``python -m benchmarks.instructions``: count instructions per job, and compare with the recorded figures.

Exit codes: 0 if no figure has risen by more than the limit; 1 if one has, is not recorded, or cannot be counted; 2 for
a wrong argument; 128 plus its number after a signal.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.arguments import Parser
from benchmarks.cleanup import Stopped, no_process_left
from benchmarks.environment import MEMORY, TREE, need_module, need_programs, need_space
from benchmarks.instructions import record
from benchmarks.instructions.changes import LIMIT, Change, fails, updated
from benchmarks.instructions.counting import WORKLOADS, Workload, count, counted_with
from benchmarks.instructions.record import Record
from benchmarks.model import BenchmarkError

_NAMES: Final = [workload.name for workload in WORKLOADS]


def main(arguments: Sequence[str] | None = None) -> int:
    """Count and compare; return the exit code."""
    options = _parse(arguments)
    workloads = [workload for workload in WORKLOADS if workload.name in (options.only or _NAMES)]
    try:
        with no_process_left():
            need_programs(valgrind="valgrind", git="git")
            need_module("re2")
            need_module("hyperscan")
            need_space(MEMORY, megabytes=200)  # a log, and compiled modules
            return guard(Path(TREE), workloads, options.record)
    except BenchmarkError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    except Stopped as exc:
        print(f"stopped by {exc.signal.name}", file=sys.stderr)
        return 128 + exc.signal


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", choices=_NAMES, help=f"one of: {', '.join(_NAMES)}")
    parser.add_argument("--record", metavar="REASON", type=_reason, help="record figures that have changed, and why")
    return parser.parse_args(arguments)


def _reason(text: str) -> str:
    if not text.strip() or not text.isprintable():
        msg = f"{text!r}; expected why the figures have changed, in one line"
        raise argparse.ArgumentTypeError(msg)
    return text.strip()


def guard(tree: Path, workloads: Sequence[Workload], reason: str | None) -> int:
    """Count, compare, and, with a `reason`, record; return the exit code."""
    path = tree / record.FILE
    recorded = record.read(path)
    here = counted_with()
    expected = _expected(tree, workloads, recorded, here)
    now = count(tree, workloads, _show)
    changes = [
        Change(workload.name, workload.unit, expected.get(workload.name), now[workload.name]) for workload in workloads
    ]
    for change in changes:
        print(change)
    if reason is not None:
        whole = len(workloads) == len(WORKLOADS)
        if here != recorded.counted_with and not whole:
            msg = "the figures were recorded with other versions than those here: leave out --only, to record all anew"
            raise BenchmarkError(msg)
        figures = updated(recorded.figures, changes, reason, keep_absent=not whole)
        record.write(path, Record(here, figures))
        print(f"recorded in {record.FILE}")
        return 0
    for line in advice(changes):
        print(line)
    return int(fails(changes))


def _expected(tree: Path, workloads: Sequence[Workload], recorded: Record, here: dict[str, str]) -> dict[str, float]:
    """Return the counts to compare with: the recorded ones, or, with other versions, counts of their commit."""
    figures = recorded.figures
    if not figures or here == recorded.counted_with:
        return {name: float(figure.instructions) for name, figure in figures.items()}
    different = [name for name in here if here[name] != recorded.counted_with.get(name)]
    commit = record.base_commit(tree)
    print(
        f"The figures were recorded with another {', '.join(different)}: they are counted anew, at {commit[:10]}.",
        flush=True,
    )
    with tempfile.TemporaryDirectory(dir=MEMORY, ignore_cleanup_errors=True) as directory:
        record.export(tree, commit, Path(directory))
        return count(Path(directory), [workload for workload in workloads if workload.name in figures], _show)


def advice(changes: Sequence[Change]) -> list[str]:
    """Return lines that say what to do about the figures that have changed."""
    lines = []
    risen = [change.name for change in changes if change.kind == "rise"]
    fallen = [change.name for change in changes if change.kind == "fall"]
    new = [change.name for change in changes if change.kind == "new"]
    how = "make instructions ARGS=\"--record 'the reason'\""
    limit = f"{LIMIT:.0%}".replace("%", " %")
    if risen:
        lines.append(
            f"error: {', '.join(risen)}: more than {limit} above the expected count. Find the cause, as "
            "docs/performance.md says; or, if what you gain is worth it, record the new figure with the reason, and "
            f"commit it: {how}"
        )
    if new:
        lines.append(f"error: {', '.join(new)}: not recorded yet. Record the figure, and commit it: {how}")
    if fallen:
        lines.append(
            f"{', '.join(fallen)}: more than {limit} below the expected count. Record the new figure, so that a later "
            f"rise is seen, and commit it: {how}"
        )
    return lines


def _show(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
