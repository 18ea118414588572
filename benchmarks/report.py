"""The output of the benchmarks: a table, ``latest.json``, ``samples.json``, and a plot for each figure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.model import Answer, BenchmarkError
from benchmarks.plot import plot

_HEADINGS = ("figure", "unit", "ours", "peer", "", "ratio", "spread")


def table(answers: Sequence[Answer]) -> str:
    """Return a table with a line for each peer of each answer. A ratio above 1 means that ours is better."""
    rows = [_HEADINGS]
    for answer in answers:
        figure = answer.figure
        start = (figure.name, f"{figure.unit} ({figure.better} is better)", number(answer.ours))
        for name, value in answer.peers.items():
            low, high = answer.spreads[name]
            ratio = (f"{answer.ratios[name]:.2f}", f"{low:.2f} to {high:.2f}")
            rows.append((*start, name, number(value), *ratio))
            start = ("", "", "")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = (0, 1, 3)
    lines = [
        "  ".join(
            cell.ljust(width) if at in left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def number(value: float) -> str:
    """Return a number with three significant digits; from 100 on, as a whole number."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def latest(
    answers: Sequence[Answer], versions: Mapping[str, str], machine: Mapping[str, str | int | float]
) -> list[dict[str, Any]]:
    """Return the content of ``latest.json``: see docs/performance.md."""
    return [
        {
            "name": answer.figure.name,
            "unit": answer.figure.unit,
            "better": answer.figure.better,
            "ours": answer.ours,
            "peers": dict(answer.peers),
            "ratios": dict(answer.ratios),
            "versions": dict(versions),
            "machine": dict(machine),
        }
        for answer in answers
    ]


def write(
    folder: Path,
    answers: Sequence[Answer],
    versions: Mapping[str, str],
    machine: Mapping[str, str | int | float],
) -> None:
    """Write the files of these answers to `folder`. Files of an earlier run are replaced.

    Raises:
        BenchmarkError: if they cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_json(folder / "latest.json", latest(answers, versions, machine))
        _write_json(folder / "samples.json", {answer.figure.name: dict(answer.values) for answer in answers})
        for answer in answers:
            (folder / f"{answer.figure.name}.svg").write_text(plot(answer), encoding="utf-8")
    except OSError as exc:
        msg = f"the results cannot be written: {exc}"
        raise BenchmarkError(msg) from exc


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
