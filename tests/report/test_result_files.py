from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.job import JobSpec
from runtime.report.result_files import write_results, write_variables
from runtime.roots import RootedPath, Roots


@contextmanager
def opened(path: Path) -> Iterator[RootedPath]:
    roots = Roots(str(path))
    roots.open()
    try:
        yield roots.run
    finally:
        roots.close()


@pytest.mark.parametrize("name", ["results.json", "exports.sh"])
def test_a_directory_in_its_place_is_moved_aside(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / name / "inner").mkdir(parents=True)
    (tmp_path / name / "file").write_text("theirs")
    with opened(tmp_path) as run:
        write_results(run.below("results.json"), ["{", "}\n"])
        write_variables(run, [JobSpec(name="a", cmd="x", exports={"A": "1"})])
    assert (tmp_path / "results.json").read_text() == "{}\n"
    assert (tmp_path / "exports.sh").stat().st_mode & 0o777 == 0o600
    (aside,) = tmp_path.glob(f"{name}.*.moved")
    assert (aside / "file").read_text() == "theirs"
    assert f"{name} was a directory; it is renamed to {aside.name}" in caplog.text


def test_without_variables_there_is_no_script(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        write_variables(run, [JobSpec(name="a", cmd="x")])
    assert list(tmp_path.iterdir()) == []


def test_an_older_file_is_replaced_as_a_whole_or_stays(tmp_path: Path) -> None:
    def broken() -> Iterator[str]:
        yield "new"
        raise AttributeError

    with opened(tmp_path) as run:
        write_results(run.below("results.json"), ["old"])
        with pytest.raises(AttributeError):
            write_results(run.below("results.json"), broken())
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    assert (tmp_path / "results.json").read_text() == "old"


def test_a_link_in_its_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "results.json").symlink_to("../precious")
    with opened(run_dir) as run:
        write_results(run.below("results.json"), ["{}"])
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (run_dir / "results.json").is_symlink()
