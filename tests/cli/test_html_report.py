from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from runtime.cli import html_page
from runtime.job import FailureKind
from tests.cli.conftest import Here
from tests.cli.past_run import NAME, write_run
from tests.report.html.page_text import Parsed
from tests.report.results import result


def write(tmp_path: Path) -> Path:
    out = tmp_path / "results"
    failure = result("b c", FailureKind.EXIT_CODE, "exit code 1", run_dir=out / NAME)
    return write_run(out, [result("a", run_dir=out / NAME), failure])


def test_a_page_is_written_and_its_links_lead_from_there_to_the_logs(here: Here, tmp_path: Path) -> None:
    run_dir = write(tmp_path)
    (tmp_path / "pages").mkdir()
    done = here("report", "--html", "pages/night.html")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert os.listdir(tmp_path / "pages") == ["night.html"]
    page = Parsed((tmp_path / "pages" / "night.html").read_text("utf-8"))
    assert [link for link in page.links if not link.startswith("#")] == [f"../results/{NAME}/b%40%4020c/job.log"]
    assert page.data["count"] == 2
    done = here("report", NAME, "--html", str(run_dir / "page.html"))
    assert done.code == 0
    assert Parsed((run_dir / "page.html").read_text("utf-8")).data["base"] == "./"


def test_the_page_of_an_exported_run_has_no_links_to_logs(here: Here, tmp_path: Path) -> None:
    write(tmp_path)
    assert here("export", "-o", "run.tar.gz").code == 0
    assert here("report", "./run.tar.gz", "--html", "page.html").code == 0
    page = Parsed((tmp_path / "page.html").read_text("utf-8"))
    assert [link for link in page.links if not link.startswith("#")] == []


def test_where_no_file_can_be_nothing_is_written(here: Here, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "taken").mkdir()
    for path in ("nowhere/page.html", "taken", "-", ""):
        done = here("report", f"--html={path}")
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        assert f'--html is "{path}"' in done.err
    assert sorted(os.listdir(tmp_path)) == ["results", "taken"]


def test_the_page_and_another_format_in_one_file_are_refused(here: Here, tmp_path: Path) -> None:
    write_run(tmp_path / "results", [result("a")])
    (tmp_path / "link").symlink_to("page")
    done = here("report", "--html", "page", "--junit", "link")
    assert (done.code, done.err) == (2, "job-runtime: --html and --junit are both page; expected a file for each\n")
    assert not (tmp_path / "page").exists()


def test_a_full_disk_is_one_line_and_leaves_nothing(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)

    def fail(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(html_page, "write_atomically", fail)
    done = here("report", "--html", "page.html")
    assert (done.code, done.out) == (74, "")
    assert done.err == "job-runtime: --html page.html cannot be written: No space left on device\n"


@pytest.mark.parametrize("module", ["bokeh", "jinja2"])
def test_a_missing_extra_is_one_line(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    write(tmp_path)
    for name in [name for name in sys.modules if name.startswith(("runtime.report.html", module))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    done = here("report", "--html", "page.html")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"job-runtime: --html needs the extra html: pip install '.[html]' in a checkout (there is no {module})\n"
    )


def test_other_forms_are_written_besides(here: Here, tmp_path: Path) -> None:
    write(tmp_path)
    done = here("report", "--json", "--html", "page.html", "--junit", "junit.xml")
    assert (done.code, done.out) == (0, here("report", "--json").out)
    assert {"page.html", "junit.xml"} < {*os.listdir(tmp_path)}
