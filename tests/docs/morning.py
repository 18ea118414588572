"""docs/morning.md, followed word for word: ``python -m tests.docs.morning`` writes what its commands print into it.

That is done with the real simulator, in two minutes. Its logs are recorded, so that a test can follow the page without
building one: see ``recorded_simulator/``. With ``--recorded`` they are used here, too, which is enough where only what
the commands say has changed. With ``--check`` nothing is written, and what differs from the page is an error.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from runtime.cli.past_runs import load_run
from tests.cli.program import ROOT, environment
from tests.docs.session import blocks, typed, with_outputs

PAGE: Final = ROOT / "docs" / "morning.md"
SIMULATOR: Final = Path(__file__).parent / "recorded_simulator"
_LOGS: Final = SIMULATOR / "logs.txt"
CHECKOUT: Final = "/home/me/runtime"
"""Where the page has been followed, as it says."""

PLAYED: Final = {"make nights": f"sh {shlex.quote(str(ROOT / 'examples' / 'rtl' / 'two_nights.sh'))} nights"}
"""What is run in place of a command of the page: `make` would install packages first."""

_VARYING: Final = (
    (r"\d{8}-\d{6}-[0-9a-f]{6}", "RUN"),
    (r"\b[0-9a-f]{12}\b|(?m:^[0-9a-f]{7,}\b)|(?<=\[main )[0-9a-f]{7,}|(?<=This reverts commit )[0-9a-f]+", "REVISION"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "TIME"),
    (r"(?m)^ Date: .*", "Date: TIME"),
    (r"\b\d+(\.\d+)? (s|min|h|kB|MB)\b", "AMOUNT"),
    (r"(?m)^- .*\n", ""),  # what Verilator says of itself
    (r"(?m)^ +AMOUNT  (for|to) .*\n", ""),  # what a job waited for, if that took any time
    (r"(?m)^ {7}(in .*); shortest.*\n( {7}\S.*\n)*", r"\1\n"),  # what there is of the job that ran the shortest time
    (r"such as \S+", "such as ANY"),
    (r" +", " "),
)
"""Patterns of what differs from one morning to another, and what stands for it in the comparison."""


def comparable(text: str) -> str:
    """Return what an output says on each morning."""
    for pattern, word in _VARYING:
        text = re.sub(pattern, word, text)
    return text


def on_the_page() -> list[tuple[str, str]]:
    """Return the commands of the page, each with what the page says that it prints."""
    return [each for block in blocks(PAGE.read_text("utf-8")) for each in block]


def followed(checkout: Path, simulator: Path) -> list[str]:
    """Type the commands of the page in a directory, as if it was a checkout; return what they print.

    Args:
        checkout: an empty directory.
        simulator: where ``verilator-cli`` is, and perhaps ``c++``.
    """
    commands = [PLAYED.get(command, command) for command, _ in on_the_page()]
    printed = typed(commands, checkout, following(checkout, simulator))
    return [text.replace(str(checkout), CHECKOUT) for text in printed]


def following(checkout: Path, simulator: Path) -> dict[str, str]:
    """Return the environment of somebody who follows the page, and has installed the command there."""
    program = checkout / ".venv" / "bin" / "job-runtime"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m runtime "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join([str(program.parent), str(simulator), os.environ["PATH"]])
    return environment(PATH=path, SHELL="/bin/bash", GIT_CONFIG_GLOBAL=os.devnull)


def _recorded(nights: Path) -> Iterator[str]:
    """Yield the logs of all simulations of the runs, each after a line that tells design, test and seed."""

    def tree(name: str) -> str:
        return subprocess.run(
            ["git", "rev-parse", name], cwd=nights, text=True, capture_output=True, check=True
        ).stdout.strip()

    for run_dir in sorted((nights / "results").glob("2*")):
        state = load_run(run_dir).state
        revision = state.revision(state.numbers["model"])
        design = f"{tree(f'{revision}:rtl')}-{tree(f'{revision}:tb')}"
        for log in sorted(run_dir.glob("*/job.log")):
            text = log.read_text("utf-8")
            if found := re.match(r"UVM_INFO @ 0 ns test (\w+), seed (\d+)", text):
                said = "".join(line for line in text.splitlines(True) if not line.startswith("- "))  # Verilator's times
                yield f"== {design} +test={found[1]} +seed={found[2]}\n{said}"


def main(*arguments: str) -> int:
    """Follow the page, and write it anew, or only compare it. Return the exit code."""
    is_recorded = "--recorded" in arguments
    with tempfile.TemporaryDirectory() as temporary:
        checkout = Path(temporary).resolve()
        printed = followed(checkout, SIMULATOR if is_recorded else Path(sys.executable).parent)
        if "--check" in arguments:
            return _compare(printed)
        if not is_recorded:
            _LOGS.write_text("".join(dict.fromkeys(_recorded(checkout / "nights"))), "utf-8")
    PAGE.write_text(with_outputs(PAGE.read_text("utf-8"), printed), "utf-8")
    return 0


def _compare(printed: Sequence[str]) -> int:
    """Print how the outputs differ from those of the page. Return the exit code."""
    before, after = (
        comparable("".join(texts)).splitlines() for texts in ([text for _, text in on_the_page()], printed)
    )
    difference = list(difflib.unified_diff(before, after, "the page", "today", lineterm=""))
    sys.stdout.write("\n".join(difference or ["The page is what its commands print."]) + "\n")
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
