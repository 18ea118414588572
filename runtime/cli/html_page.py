"""The report of a run as an HTML file: ``report --html FILE``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from runtime.cli.format_files import file_of
from runtime.cli.past_runs import PastRun
from runtime.jobfile.errors import InputError
from runtime.report.news import History
from runtime.report.result_files import write_atomically
from runtime.roots import RootedPath

_MODE: Final = 0o666


@contextmanager
def opened_page(path: str) -> Iterator[RootedPath]:
    """Hold the directory of the file for a block, and return the file. Blocks.

    Raises:
        InputError: if no file can be there, or the extra ``html`` is not installed.
    """
    try:
        import runtime.report.html.page  # noqa: F401 - the question is whether it can be imported
    except ImportError as exc:
        name = str(exc.name).partition(".")[0]
        raise InputError(
            f"--html needs the extra html: pip install '.[html]' in a checkout (there is no {name})"
        ) from exc
    file = file_of("--html", path)
    try:
        yield file
    finally:
        file.root.close()


def write_page(file: RootedPath, run: PastRun, history: History | None) -> None:
    """Write the page of a run to a file, as a whole or not at all. Blocks.

    Raises:
        OSError: if it cannot be written; an older file stays as it was.
    """
    from runtime.report.html.page import page_text

    directory = os.path.dirname(file.real)  # where the links of the page begin
    run_dir = None if run.is_exported else os.path.relpath(os.path.realpath(run.path), directory)
    text = page_text(run.state, is_live=run.is_live, path=run_dir, history=history)
    write_atomically(file, _MODE, (piece.encode() for piece in text))
