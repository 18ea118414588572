"""What a soft stop may be."""

from __future__ import annotations

import re
import signal

import pytest

from runtime.job import check_soft_stop


@pytest.mark.parametrize(
    ("given", "step"),
    [("SIGINT", 2), (signal.SIGUSR1, 10), ("STOP", "STOP"), ("./SIGHT", "./SIGHT"), ("/a/b", "/a/b")],
)
def test_a_soft_stop_is_a_signal_or_a_file(given: object, step: object) -> None:
    assert check_soft_stop(given) == step


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "''; expected a signal ('SIGINT', signal.SIGINT), the name of a file, or nothing"),
        (None, "None; expected a signal"),
        (2, "2; expected a signal"),
        (True, "True; expected a signal"),
        ("a\0b", "'a\\x00b'; expected a signal"),
        ("SIGITN", "'SIGITN', which is no signal; expected for a file of that name: './SIGITN'"),
        (["STOP"], "['STOP']; expected a signal"),
    ],
)
def test_what_is_no_soft_stop_is_named(given: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        check_soft_stop(given, "or nothing")
