"""What somebody types who follows a page: the commands of its blocks ``console``, in one shell, and what they print."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_BLOCK: Final = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PROMPT: Final = "$ "
_MARK: Final = "@@@ the command has ended"
_LIMIT: Final = 300
"""Seconds for all commands: with a real simulator, builds take a minute."""


def blocks(page: str) -> list[list[tuple[str, str]]]:
    """Return the commands of each block of a page, each with what the page says that it prints."""
    found = []
    for text in _BLOCK.findall(page):
        parts = re.split(r"^\$ (.*)\n", text, flags=re.MULTILINE)
        assert not parts[0], f"a block begins without a prompt: {parts[0]}"
        found.append(list(zip(parts[1::2], parts[2::2], strict=True)))
    return found


def typed(commands: Sequence[str], directory: Path, environment: Mapping[str, str]) -> list[str]:
    """Type the commands into one shell, which starts in `directory`; return what each prints.

    They stand in its standard input, so a shell that one of them starts reads those that come next.
    """
    lines = "".join(f"{command}\necho '{_MARK}'\n" for command in commands)
    done = subprocess.run(
        ["bash"],
        input=lines,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=directory,
        env=environment,
        text=True,
        timeout=_LIMIT,
        check=False,
    )
    *printed, rest = done.stdout.split(f"{_MARK}\n")
    assert len(printed) == len(commands), f"the shell has ended early, after {len(printed)} commands: {printed} {rest}"
    return printed


def with_outputs(page: str, outputs: Sequence[str]) -> str:
    """Return the page with other outputs of its commands."""
    rest = iter(outputs)

    def block(match: re.Match[str]) -> str:
        (commands,) = blocks(match[0])
        return "```console\n" + "".join(f"{_PROMPT}{command}\n{next(rest)}" for command, _ in commands) + "```"

    return _BLOCK.sub(block, page)
