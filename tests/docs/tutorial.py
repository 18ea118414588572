"""docs/tutorial.md, followed word for word: ``python -m tests.docs.tutorial`` writes what it prints into it."""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.cli.program import ROOT, environment
from tests.docs.session import blocks, typed, with_outputs

PAGE: Final = ROOT / "docs" / "tutorial.md"
_DIRECTORY: Final = "/home/me/tutorial"
"""Where the page has been followed, as it says."""
_FILE: Final = re.compile(r"^`(\S+)`:\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def on_the_page() -> list[tuple[str, str]]:
    """Return the commands of the page, each with what the page says that it prints."""
    return [each for block in blocks(PAGE.read_text("utf-8")) for each in block]


def followed(directory: Path) -> list[str]:
    """Write the files of the page into an empty directory, and type its commands there; return what they print."""
    for name, text in _FILE.findall(PAGE.read_text("utf-8")):
        (directory / name).write_text(text, "utf-8")
    program = directory / ".venv" / "bin" / "job-runtime"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m runtime "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    commands = [command for command, _ in on_the_page()]
    printed = typed(commands, directory, environment(PATH=path, SHELL="/bin/bash"))
    return [text.replace(str(directory), _DIRECTORY) for text in printed]


def main() -> None:
    """Follow the page, and write it anew."""
    with tempfile.TemporaryDirectory() as temporary:
        printed = followed(Path(temporary).resolve())
    PAGE.write_text(with_outputs(PAGE.read_text("utf-8"), printed), "utf-8")


if __name__ == "__main__":
    main()
