"""``history.jsonl``: a line for each figure of each full run, to follow a figure from commit to commit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from benchmarks.model import OURS, Answer, BenchmarkError

NAME: Final = "history.jsonl"


def append(
    folder: Path, answers: Sequence[Answer], commit: str, machine: Mapping[str, str | int | float], now: datetime
) -> None:
    """Append the figures of a run to the history in `folder`, which exists.

    Args:
        folder: that of the results.
        answers: the figures.
        commit: what was measured, as git describes it.
        machine: where, as `environment.machine` returns it.
        now: when; aware of its time zone.

    Raises:
        BenchmarkError: if it cannot be written.
    """
    lines = [
        json.dumps(
            {
                "date": now.isoformat(timespec="seconds"),
                "commit": commit,
                "machine": f"{machine['processor']}, {machine['cpus']} CPUs, {machine['system']}",
                "load": machine["load"],
                "figure": answer.figure.name,
                "unit": answer.figure.unit,
                "better": answer.figure.better,
                "median": answer.ours,
                "samples": len(answer.values[OURS]),
            }
        )
        for answer in answers
    ]
    try:
        with open(folder / NAME, "a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))
    except OSError as exc:
        msg = f"the history cannot be written: {exc}"
        raise BenchmarkError(msg) from exc
