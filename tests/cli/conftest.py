"""A fixture that several files of tests of the command line share."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.cli.main import main
from tests.cli.program import Done

Here = Callable[..., Done]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Here]:
    """Call the command line in this process, which is much faster than a new one; for calls that start no job."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JOB_RUNTIME_BACKEND", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    log = logging.getLogger("runtime")
    before = (list(log.handlers), log.level, log.propagate)

    def call_here(*arguments: str, stdin: bytes = b"") -> Done:
        log.handlers[:] = before[0]
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            code = main(arguments)
        except SystemExit as exc:
            code = int(exc.code or 0)
        return Done(code, *capfd.readouterr())

    yield call_here
    log.handlers[:], log.level, log.propagate = before
