from __future__ import annotations

import pytest

from runtime.report.html.log_links import base_of, link, log_below


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("/out/run/a/job.log", "a/job.log"),
        ("/out/run/a/../b/log", "b/log"),
        ("/out/run/javascript:alert(1)", "javascript:alert(1)"),
        ("/out/run/../other/log", None),
        ("/out/running/log", None),
        ("/out/run", None),
        ("/etc/passwd", None),
        ("a/job.log", None),
        ("/out/run/a\n/log", None),
        ("/out/run/a\\log", None),
        ("/out/run/\udcff", None),
        ("/out/run/log.html", None),
        ("/out/run/log.SVG", None),
        (None, None),
    ],
)
def test_a_log_is_below_the_run_directory_and_plain_text_or_there_is_no_link(log: str | None, expected: str) -> None:
    assert log_below(log, "/out/run") == expected


@pytest.mark.parametrize(
    ("path", "base"),
    [
        ("run", "./run/"),
        (".", "./"),
        ("../a b/run", "../a%20b/run/"),
        ("javascript:x", "./javascript%3Ax/"),
        ("..", "../"),
        ("no text \udcff", "./no%20text%20%FF/"),
    ],
)
def test_a_url_is_relative_and_never_has_a_scheme(path: str, base: str) -> None:
    assert base_of(path) == base


def test_the_parts_of_a_url_are_encoded() -> None:
    assert link("./run/", "a#b?/c%d/é") == "./run/a%23b%3F/c%25d/%C3%A9"
    assert link(None, "a") is link("./", None) is None
