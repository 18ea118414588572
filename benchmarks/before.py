"""The commit before, measured in turns with this one: what became worse?

Each program of ours is a contender three times: as it is here, as it was in the commit before, and as it was there once
more. The last two are the same, so how they differ is what chance does; a figure became worse if it differs by more.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

from benchmarks import environment
from benchmarks.instructions.record import export
from benchmarks.model import Answer, Contender, Figure, Question

BEFORE: Final = "before"
AGAIN: Final = "before, again"


def commit_before(tree: str = environment.TREE) -> str | None:
    """Return the commit to compare with: the last one, if the code has changed since, else the one before that.

    `None` if there is none, or `tree` is no checkout.
    """
    try:
        has_changed = _git(tree, "status", "--porcelain", "--", "runtime", "benchmarks")
        return _git(tree, "rev-parse", "--verify", "HEAD" if has_changed else "HEAD~1")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(tree: str, *arguments: str) -> str:
    command = ["git", "-C", tree, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def checked_out(commit: str) -> Iterator[str]:
    """Write what is measured of a commit to a directory for a block, and yield its path."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        export(Path(environment.TREE), commit, Path(directory))
        yield directory


def with_baseline(question: Question, tree: str, name: str) -> Question:
    """Return `question` with each program of this project also run from another checkout, with its `runtime`.

    Programs that the checkout does not have are left out.

    Args:
        question: what is asked.
        tree: the other checkout.
        name: of these peers.
    """
    compared = {figure.ours for figure in question.figures}
    contenders: list[Contender] = []
    added: set[str] = set()
    for contender in question.contenders:
        contenders.append(contender)
        if contender.name not in compared:
            continue
        # Its own programs, because they import the modules of their commit.
        command = [part.replace(f"{environment.HERE}/", f"{tree}/benchmarks/", 1) for part in contender.command]
        if all(Path(part).exists() for part, here in zip(command, contender.command, strict=True) if part != here):
            added.add(contender.name)
            contenders.append(attrs.evolve(contender, name=f"{contender.name}/{name}", command=command, tree=tree))
    figures = [_with_peer(figure, name) if figure.ours in added else figure for figure in question.figures]
    return attrs.evolve(question, contenders=contenders, figures=figures)


def _with_peer(figure: Figure, name: str) -> Figure:
    return attrs.evolve(figure, peers={**figure.peers, name: f"{figure.ours}/{name}"})


def became_worse(answers: Sequence[Answer]) -> list[str]:
    """Return a line for each figure that is worse than before by more than two runs of one commit differ."""
    lines = []
    for answer in answers:
        if AGAIN not in answer.peers:
            continue
        pairs = zip(answer.values[BEFORE], answer.values[AGAIN], strict=True)
        differs = max(max(one / other, other / one) for one, other in pairs)
        ratio = answer.ratios[BEFORE]
        if ratio * differs < 1:
            lines.append(
                f"{answer.figure.name}: {ratio:.2f} times as good as before;"
                f" two runs of the commit before differ by a factor of up to {differs:.2f}"
            )
    return lines
