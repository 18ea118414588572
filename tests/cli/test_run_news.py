"""What a page and a summary tell of earlier runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from runtime.cli.run_news import NEWS_TIMEOUT, news_in_time
from runtime.job import FailureKind, JobResult, JobSpec
from tests.cli.conftest import Here
from tests.cli.past_run import write_run
from tests.cli.program import call, job_file
from tests.report.html.page_text import Parsed
from tests.report.results import result
from tests.report.states import state_of

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
    assert f"What changed since {SECOND} 1 newly failing : a 1 fixed : b 1 added : d Failures of the design" in text
    assert parsed.data["charts"]["trend"]["rows"] == [[FIRST, 2, 1], [SECOND, 2, 1], [THIRD, 3, 1]]


def test_a_comparison_is_with_any_run(here: Here, tmp_path: Path, nights: Path) -> None:
    assert here("compare", SECOND, FIRST, "--html", "page.html").code == 0
    text, parsed = page(tmp_path)
    since = f"never passed, failing for 2 runs, since {FIRST}"
    assert f"What changed since {FIRST} 1 still failing : b ({since}) Failures of the design" in text
    assert [row[0] for row in parsed.data["charts"]["trend"]["rows"]] == [FIRST, SECOND]
    done = here("compare", SECOND, "nothing", "--html", "page.html")
    assert (done.code, done.err.count("\n")) == (2, 1)


def test_a_comparison_without_arguments_is_of_the_latest_run(here: Here, tmp_path: Path, nights: Path) -> None:
    done = here("compare", "--html", "page.html")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert f"What changed since {SECOND} 1 newly failing : a" in page(tmp_path)[0]
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

    monkeypatch.setattr("runtime.cli.run_news.ask_index", fail)
    done = here("report", "--html", "page.html")
    assert done.code == 0
    assert done.err.endswith("cannot be read, so nothing is said of earlier runs: Permission denied\n")
    assert "1 failed" in page(tmp_path)[0]


def test_a_run_and_its_report_begin_with_what_is_new(tmp_path: Path) -> None:
    jobs = {"a": {"cmd": "[ ! -e bad ] || { echo ERROR: lost; exit 1; }", "cwd": "."}, "b": {"cmd": "true"}}
    first = call(tmp_path, "run", job_file(tmp_path, jobs), "-q")
    assert (first.code, first.out.count("Since")) == (0, 0)
    (tmp_path / "bad").touch()
    done = call(tmp_path, "run", job_file(tmp_path, jobs, waves={"with": ["+waves"]}), "-q")
    assert (done.code, done.err) == (1, "")
    lines = done.out.splitlines()
    begin = next(index for index, line in enumerate(lines) if line.startswith("Since 20"))
    summary = lines[begin : lines.index(next(line for line in lines if line.startswith("2 jobs: "))) + 1]
    assert summary[1:4] == ["  1 newly failing: a", "Failures of the design (1 job)", "   1 x new: ERROR: lost"]
    again = next(line for line in summary if line.startswith("       again: ")).partition("again: ")[2]
    assert f"       waves: {again} --with +waves" in summary
    assert call(tmp_path, "report").out.splitlines()[1 : len(summary)] == summary[:-1]
    (tmp_path / "bad").unlink()
    assert call(tmp_path, *again.split()[1:], "-q").code == 0


@pytest.fixture
def asked() -> Iterator[threading.Event]:
    """An event that ends the calls which wait for it at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


async def test_a_run_does_not_wait_for_a_file_system_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, asked: threading.Event, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr("runtime.cli.run_news.history_in", lambda *_, **__: asked.wait())
    state = partial(state_of, [], "/out/run")
    assert await news_in_time(Path("/out"), state, trio.CancelScope()) is None
    assert trio.current_time() == NEWS_TIMEOUT
    assert [record.message for record in caplog.records] == [
        "earlier runs were not read within 10 s; job-runtime compare tells them"
    ]
    stopped = trio.CancelScope()
    stopped.cancel()
    assert await news_in_time(Path("/out"), state, stopped) is None
    assert trio.current_time() == NEWS_TIMEOUT
    assert len(caplog.records) == 1


async def test_an_error_costs_the_news_alone(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("x")

    monkeypatch.setattr("runtime.cli.run_news.history_in", fail)
    assert await news_in_time(Path("/out"), partial(state_of, [], "/out/run"), trio.CancelScope()) is None
    assert [record.message for record in caplog.records] == ["nothing is said of earlier runs: ValueError('x')"]
