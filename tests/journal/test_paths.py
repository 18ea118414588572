"""A path in a journal is short, and becomes the same path again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.journal.paths import absolute, relative

PATHS = st.text(st.sampled_from("/./a\udce9"), max_size=8)
DIRECTORIES = PATHS.map(lambda path: f"/{path}")


@pytest.mark.parametrize(
    ("path", "directory", "text"),
    [
        ("/run/a/job.log", "/run", "a/job.log"),
        ("/run/a/job.log", "/run/", "a/job.log"),
        ("/run", "/run", "."),
        ("/runs/a", "/run", "/runs/a"),
        ("/a", "/", "a"),
        ("/", "/", "."),
        ("out/a", "/run", "./out/a"),
        ("./out/a", "/run", "././out/a"),
        ("out/a/log", "out/a", "log"),
        ("", "/run", "./"),
        ("/run/./a", "/run", "/run/./a"),
        ("/run/.", "/run", "/run/."),
        ("/run//a", "/run", "/run//a"),
    ],
)
def test_the_text_of_a_path(path: str, directory: str, text: str) -> None:
    assert relative(path, directory) == text
    assert absolute(text, directory) == path


@given(PATHS | DIRECTORIES, DIRECTORIES | PATHS)
def test_every_path_becomes_the_same_again(path: str, directory: str) -> None:
    assert absolute(relative(path, directory), directory) == path


def test_a_run_that_was_moved_is_found_in_its_new_directory() -> None:
    assert absolute(relative("/old/a/job.log", "/old"), "/new") == "/new/a/job.log"
    assert absolute(relative("/elsewhere/job.log", "/old"), "/new") == "/elsewhere/job.log"
