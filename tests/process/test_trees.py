from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.process.trees import make_stop_file
from runtime.roots import Roots


@pytest.fixture
def roots(tmp_path: Path) -> Iterator[Roots]:
    roots = Roots(str(tmp_path))
    roots.open()
    yield roots
    roots.close()


def test_a_stop_file_is_made_and_what_is_there_is_not_changed(tmp_path: Path, roots: Roots) -> None:
    path = tmp_path / "STOP"
    assert make_stop_file(roots.run.below("STOP"))
    assert path.read_text() == ""
    path.write_text("mine")
    assert make_stop_file(roots.run.below("STOP"))
    assert path.read_text() == "mine"


def test_a_stop_file_that_cannot_be_made_is_reported(tmp_path: Path, roots: Roots) -> None:
    (tmp_path / "link").symlink_to("elsewhere")
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo", "no/such/directory"):
        assert not make_stop_file(roots.run.below(name))
    assert not (tmp_path / "elsewhere").exists()
