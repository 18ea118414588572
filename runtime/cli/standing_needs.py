"""The run in which what chosen jobs need stands, for ``--without-needs``."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from runtime.cli.past_runs import load_directory, opened
from runtime.cli.runs import is_run_name
from runtime.cli.timed_calls import call_each_with_timeout
from runtime.errors import JournalVersionError
from runtime.job.shorten import some_of
from runtime.jobfile.errors import InputError, shown


def run_with(needs: Collection[str], out: Path) -> Path:
    """Return the directory of the latest run whose journal has all jobs of these ids. Blocks.

    What became of them there does not matter: a build that failed is not replaced by an older one in silence.

    Args:
        needs: the ids.
        out: the directory of the run directories; absolute.

    Raises:
        InputError: if there is none, or a file system does not answer.
    """
    found: list[Path] = []

    def look(path: str) -> None:
        try:
            with opened(Path(path)) as directory:
                state = load_directory(directory).state
        except (OSError, JournalVersionError):
            return
        if state.numbers.keys() >= set(needs):
            found.append(Path(path))

    names: list[str] = []
    call_each_with_timeout(lambda path: names.extend(_run_names(path)), [str(out)], what="--out")
    for name in sorted(names, reverse=True):  # the newest first: a name begins with the time
        call_each_with_timeout(look, [str(out / name)], what="the run directory")
        if found:
            return found[0]
    some = some_of([shown(need) for need in sorted(needs)], 3)
    raise InputError(
        f"--without-needs: no run in {out} has all that the chosen jobs need: {some}; expected one that has, or no"
        " --without-needs"
    )


def _run_names(out: str) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(out) if is_run_name(entry.name) and not entry.is_symlink()]
    except OSError:
        return []
