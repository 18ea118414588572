"""What the package exports, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from runtime import journal


def test_each_name_can_be_imported_and_no_other() -> None:
    assert all(getattr(journal, name) is not None for name in journal.__all__)
    with pytest.raises(AttributeError, match=r"'runtime\.journal' has no attribute 'JornalWriter'"):
        journal.JornalWriter  # type: ignore[attr-defined]  # noqa: B018 - mypy reports it, too


def test_reading_does_without_trio() -> None:
    program = "import sys, runtime.journal; print('trio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("False\n", "")
