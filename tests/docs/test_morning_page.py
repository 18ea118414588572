"""docs/morning.md: its commands print what it says, also in the shell that it starts and the server."""

from __future__ import annotations

import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.cli.program import LIMIT, ROOT
from tests.docs.morning import PAGE, SIMULATOR, comparable, followed, following, on_the_page


@pytest.mark.slow
def test_each_command_prints_what_the_page_says(tmp_path: Path) -> None:
    printed = followed(tmp_path, SIMULATOR)
    for (command, expected), text in zip(on_the_page(), printed, strict=True):
        assert (command, comparable(text)) == (command, comparable(expected))
    _serves(tmp_path)


def _serves(checkout: Path) -> None:
    """The command that does not end by itself shows the runs."""
    (text,) = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    command = text.partition("#")[0].split()
    nights = checkout / "nights"
    with subprocess.Popen(
        [*command, "--port", "0"],
        cwd=nights,
        env=following(checkout, SIMULATOR),
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            found = re.fullmatch(r"(http://127\.0\.0\.1:\d+/) shows the runs in .*results\n", server.stdout.readline())
            assert found
            assert "shows the runs in" in text
            with urllib.request.urlopen(found[1], timeout=LIMIT) as answer:
                page = answer.read().decode()
            for run in (nights / "results").glob("2*"):
                assert run.name in page
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(LIMIT) in (0, 130)


def test_the_page_is_played_by_the_verb_that_it_names() -> None:
    assert "\tsh examples/rtl/two_nights.sh nights" in re.sub(r"\t@PATH=\S+ ", "\t", (ROOT / "Makefile").read_text())


def test_a_licence_is_refused_while_others_hold_all(tmp_path: Path) -> None:
    script = ["sh", str(ROOT / "examples" / "rtl" / "licence.sh"), str(tmp_path / "licences")]
    for count, code in ((1, 1), (2, 0)):
        # A child, so that the outer one goes on meanwhile.
        inner = ["sh", "-c", '"$@" || exit', "sh", *script, str(count), "true"]
        done = subprocess.run([*script, str(count), *inner], check=False, capture_output=True, text=True)
        assert done.returncode == code
        assert done.stdout.startswith("Licensed number of users already reached") == bool(code)
