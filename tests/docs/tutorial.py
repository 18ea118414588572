"""docs/tutorial.md, followed word for word: ``python -m tests.docs.tutorial`` writes what it prints into it."""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.cli.program import ROOT, environment
from tests.docs.morning import comparable
from tests.docs.session import blocks, typed, with_outputs

PAGE: Final = ROOT / "docs" / "tutorial.md"
_DIRECTORY: Final = "/home/me/tutorial"
"""Where the page has been followed, as it says."""
_FILE: Final = re.compile(r"^`(\S+)`:\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def on_the_page() -> list[tuple[str, str]]:
    """Return the commands of the page, each with what the page says that it prints."""
    return [each for block in blocks(PAGE.read_text("utf-8")) for each in block]


def followed(directory: Path, variables: Mapping[str, str]) -> list[str]:
    """Write the files of the page into an empty directory, and type its commands there; return what they print.

    Args:
        directory: where.
        variables: of the environment, with a ``PATH`` in which ``job-runtime`` is found.
    """
    for name, text in _FILE.findall(PAGE.read_text("utf-8")):
        (directory / name).write_text(text, "utf-8")
    printed = typed([command for command, _ in on_the_page()], directory, {**variables, "SHELL": "/bin/bash"})
    return [text.replace(str(directory), _DIRECTORY) for text in printed]


def of_this_checkout(directory: Path) -> dict[str, str]:
    """Return an environment in which ``job-runtime`` is this checkout's: a script in `directory`, which it makes."""
    program = directory / ".venv" / "bin" / "job-runtime"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m runtime "$@"\n')
    program.chmod(0o755)
    return environment(PATH=os.pathsep.join([str(program.parent), os.environ["PATH"]]))


def compared(printed: Sequence[str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the commands of the page, each with what it says on each day: as printed now, and as on the page."""
    page = on_the_page()
    now = [(command, _on_each_day(text)) for (command, _), text in zip(page, printed, strict=True)]
    return now, [(command, _on_each_day(text)) for command, text in page]


def _on_each_day(text: str) -> str:
    """Jobs end in any order, any of a bucket may be the shortest, and a wait that takes no time is not told."""
    lines = [line for line in sorted(comparable(text).splitlines()) if not re.match(r"waited | AMOUNT (for|to) ", line)]
    return re.sub(r"seed[ =@]\d+|@ \d+ ns", "SEED", "\n".join(lines))


def main() -> None:
    """Follow the page, and write it anew."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary).resolve()
        printed = followed(directory, of_this_checkout(directory))
    PAGE.write_text(with_outputs(PAGE.read_text("utf-8"), printed), "utf-8")


if __name__ == "__main__":
    main()
