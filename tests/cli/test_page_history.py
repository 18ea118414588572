"""What a page tells of earlier runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.job import FailureKind, JobResult, JobSpec
from tests.cli.conftest import Here
from tests.cli.past_run import write_run
from tests.report.html.page_text import Parsed
from tests.report.results import result

FIRST, SECOND, THIRD = (f"2026010{day}-020000-abcdef" for day in (1, 2, 3))


def failed(name: str) -> JobResult[JobSpec]:
    return result(name, FailureKind.EXIT_CODE, "exit code 1")


@pytest.fixture
def nights(tmp_path: Path) -> Path:
    """The directory of three runs."""
    out = tmp_path / "results"
    write_run(out, [result("a"), failed("b"), result("c")], name=FIRST)
    write_run(out, [result("a"), failed("b"), result("c")], name=SECOND)
    write_run(out, [failed("a"), result("b"), result("c"), result("d")], name=THIRD)
    return out


def page(tmp_path: Path) -> tuple[str, Parsed]:
    found = Parsed((tmp_path / "page.html").read_text("utf-8"))
    return " ".join(" ".join(found.texts).split()), found


def test_a_report_is_compared_with_the_run_before(here: Here, tmp_path: Path, nights: Path) -> None:
    assert here("report", "--html", "page.html").code == 0
    text, parsed = page(tmp_path)
    assert f"What changed since {SECOND} 1 new failures a 1 fixed b 1 added d Failures of the design" in text
    assert parsed.data["charts"]["trend"]["rows"] == [[FIRST, 2, 1], [SECOND, 2, 1], [THIRD, 3, 1]]


def test_a_comparison_is_with_any_run(here: Here, tmp_path: Path, nights: Path) -> None:
    assert here("compare", SECOND, FIRST, "--html", "page.html").code == 0
    text, parsed = page(tmp_path)
    assert f"What changed since {FIRST} 1 still failing b Failures of the design" in text
    assert [row[0] for row in parsed.data["charts"]["trend"]["rows"]] == [FIRST, SECOND]
    done = here("compare", SECOND, "nothing", "--html", "page.html")
    assert (done.code, done.err.count("\n")) == (2, 1)


def test_a_comparison_without_arguments_is_of_the_latest_run(here: Here, tmp_path: Path, nights: Path) -> None:
    done = here("compare", "--html", "page.html")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert f"What changed since {SECOND} 1 new failures a" in page(tmp_path)[0]
    (tmp_path / "page.html").unlink()
    done = here("compare", "--html", "page.html", "--json")
    assert (done.code, done.out) == (0, here("compare", "--json").out)
    assert (tmp_path / "page.html").exists()


def test_the_first_run_has_nothing_to_be_compared_with(here: Here, tmp_path: Path, nights: Path) -> None:
    assert here("report", FIRST, "--html", "page.html").code == 0
    text, parsed = page(tmp_path)
    assert "What changed" not in text
    assert "trend" not in parsed.data["charts"]


def test_of_a_run_alone_no_index_is_made(here: Here, tmp_path: Path) -> None:
    write_run(tmp_path / "results", [result("a")])
    assert here("report", "--html", "page.html").code == 0
    assert not (tmp_path / "results" / "history.sqlite").exists()


def test_a_page_is_written_although_the_other_runs_cannot_be_asked(
    here: Here, tmp_path: Path, nights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("runtime.cli.page_history.ask_index", fail)
    done = here("report", "--html", "page.html")
    assert done.code == 0
    assert done.err == (f"job-runtime: {nights} cannot be read, so the page has no earlier runs: Permission denied\n")
    assert "1 failed" in page(tmp_path)[0]
