"""The files for other programs: of a run when it has ended, and the same of its journal later."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.cli.format_options import FORMATS
from tests.cli.conftest import Here
from tests.cli.past_run import write_run
from tests.cli.program import call, job_file, results
from tests.report.results import result


@pytest.mark.slow
def test_a_run_writes_what_report_makes_of_its_journal_later(here: Here, tmp_path: Path) -> None:
    jobs = {"a": {"cmd": "true"}, "b": {"cmd": "echo '<&>'; exit 3"}, "c": {"cmd": "true", "needs": ["b"]}}
    done = call(tmp_path, "run", job_file(tmp_path, jobs), "-q", *(f"--{name}={name}" for name in FORMATS))
    assert (done.code, done.err) == (1, "")
    done = here("report", *(f"--{name}={name}.later" for name in FORMATS))
    assert (done.code, done.out, done.err) == (0, "", "")
    for name in FORMATS:
        text = (tmp_path / name).read_text()
        assert text == (tmp_path / f"{name}.later").read_text()
        assert here("report", f"--{name}", "-").out == text
        assert "<&>" not in text or name != "junit"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*FORMATS, *(f"{name}.later" for name in FORMATS), "jobs.json", "results"]
    )


@pytest.mark.slow
def test_a_rerun_writes_its_own(tmp_path: Path) -> None:
    assert call(tmp_path, "run", job_file(tmp_path, {"a": {"cmd": "exit 1"}}), "-q").code == 1
    done = call(tmp_path, "rerun", "latest", "a", "-q", "--junit", "junit.xml")
    assert (done.code, done.err) == (1, "")
    assert 'tests="1" failures="1"' in (tmp_path / "junit.xml").read_text()


def test_a_report_writes_files_and_at_most_one_to_standard_output(here: Here, tmp_path: Path) -> None:
    write_run(tmp_path / "results", [result("a")])
    done = here("report", "--json", "--junit", "junit.xml")
    assert (done.code, done.out) == (0, here("report", "--json").out)
    assert (tmp_path / "junit.xml").read_text() == here("report", "--junit", "-").out
    done = here("report", "--json", "--junit", "-")
    assert (done.code, done.out) == (2, "")
    assert done.err == ("job-runtime: --junit and --json are for standard output; expected at most one of them there\n")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/dev/null", 'is "/dev/null", which is no regular file; expected the path of a file'),
        ("folder", 'is "folder", which is no regular file; expected the path of a file'),
        ("folder/", 'is "folder/"; expected the path of a file'),
        ("-", 'is "-"; expected the path of a file'),
        ("", 'is ""; expected the path of a file'),
        ("none/junit.xml", 'is "none/junit.xml": No such file or directory; expected a directory that exists'),
    ],
)
def test_a_path_of_no_file_is_refused_before_anything_happens(here: Here, tmp_path: Path, path: str, why: str) -> None:
    (tmp_path / "folder").mkdir()
    done = here("run", job_file(tmp_path, {"a": {"cmd": "touch ran"}}), f"--junit={path}")
    assert (done.code, done.out, done.err) == (2, "", f"job-runtime: --junit {why}\n")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "jobs.json"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--trace", "--junit and --trace are both link; expected a file for each"),
        ("--events", "--events and --junit are both x; expected a file for each"),
    ],
)
def test_two_of_them_in_one_file_are_refused_before_anything_happens(
    here: Here, tmp_path: Path, option: str, message: str
) -> None:
    (tmp_path / "x").write_text("as it was")
    (tmp_path / "link").symlink_to("x")
    done = here("run", job_file(tmp_path, {"a": {"cmd": "touch ran"}}), option, "link", "--junit", "x")
    assert (done.code, done.out, done.err) == (2, "", f"job-runtime: {message}\n")
    assert (tmp_path / "x").read_text() == "as it was"
    assert not (tmp_path / "ran").exists()


def test_the_users_own_links_are_followed(here: Here, tmp_path: Path) -> None:
    write_run(tmp_path / "results", [result("a")])
    (tmp_path / "shared").mkdir()
    (tmp_path / "link").symlink_to("shared")
    (tmp_path / "shared" / "latest.xml").symlink_to("today.xml")
    assert here("report", "--junit", "link/latest.xml").code == 0
    assert (tmp_path / "shared" / "today.xml").read_text().startswith("<?xml")
    assert sorted(os.listdir(tmp_path / "shared")) == ["latest.xml", "today.xml"]


@pytest.mark.slow
def test_a_link_that_a_job_makes_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("precious")
    script = f"cd {tmp_path}; ln -s {tmp_path}/mine/precious reports/junit.xml; mv reports moved; ln -s mine reports"
    done = call(tmp_path, "run", job_file(tmp_path, {"a": {"cmd": script}}), "-q", "--junit", "reports/junit.xml")
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "mine" / "precious").read_text() == "precious"
    assert os.listdir(tmp_path / "mine") == ["precious"]
    assert (tmp_path / "moved" / "junit.xml").read_text().startswith("<?xml")


@pytest.mark.slow
def test_a_file_that_cannot_be_written_is_a_line_and_the_results_are_there(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    file = job_file(tmp_path, {"a": {"cmd": f"rmdir {tmp_path}/reports"}})
    done = call(tmp_path, "run", file, "-q", "--junit", "reports/junit.xml")
    assert (done.code, done.err) == (
        74,
        "job-runtime: --junit reports/junit.xml cannot be written: No such file or directory\n",
    )
    assert results(tmp_path)["counts"]["passed"] == 1


@pytest.mark.slow
def test_the_summary_is_appended_to_the_file_that_github_names_and_to_no_link_of_a_job(tmp_path: Path) -> None:
    (tmp_path / "summary").write_text("before\n")
    (tmp_path / "precious").write_text("precious")
    script = f"cd {tmp_path}; echo job >> $GITHUB_STEP_SUMMARY; mv summary moved; ln -s precious summary"
    path = str(tmp_path / "summary")
    done = call(tmp_path, "run", job_file(tmp_path, {"a": {"cmd": script}}), "-q", env={"GITHUB_STEP_SUMMARY": path})
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "moved").read_text().startswith("before\njob\n## `jobs`: all jobs passed\n")
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "why"), [("none/summary", "No such file or directory"), ("/dev/null", "it is no regular file")]
)
def test_a_file_for_github_that_is_not_there_is_a_warning(tmp_path: Path, path: str, why: str) -> None:
    done = call(tmp_path, "run", job_file(tmp_path, {"a": {"cmd": "true"}}), env={"GITHUB_STEP_SUMMARY": path})
    assert done.code == 0
    assert f"WARNING: GITHUB_STEP_SUMMARY: {path} cannot be opened: {why}\n" in done.err + done.out
