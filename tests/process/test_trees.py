from __future__ import annotations

from pathlib import Path

from runtime.process.trees import make_stop_file


def test_a_stop_file_is_made_and_what_is_there_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "STOP"
    assert make_stop_file(str(path))
    assert path.read_text() == ""
    path.write_text("mine")
    assert make_stop_file(str(path))
    assert path.read_text() == "mine"


def test_where_no_file_can_be_made_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("elsewhere")
    assert not make_stop_file(str(tmp_path / "link"))
    assert not (tmp_path / "elsewhere").exists()
    assert not make_stop_file(str(tmp_path / "no" / "such" / "directory"))
