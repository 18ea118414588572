"""Pages of a few runs, and one browser that shows them. Whatever is missing is a failure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.job import FailureKind
from runtime.report.news import Change, Changed, History
from tests.browser.chromium import Page, chromium
from tests.cli.past_run import NAME, write_journal
from tests.report.html.hostile import CORPUS, fuzzed, hostile_run
from tests.report.html.page_text import RUN_DIR, page_of, write_page
from tests.report.html.synthetic import night, records_of
from tests.report.results import result

AXE = Path(__file__).parents[2] / "build" / "axe" / "axe.min.js"
"""What `make test-browser` gets from npm."""

HOSTILE = [*dict.fromkeys([*CORPUS, *fuzzed(5000, seed=23)])]
"""The names and lines in the page of `hostile_page`."""


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium") / "profile") as page:
        yield page


@pytest.fixture
def page(browser: Page) -> Page:
    """The browser, as a screen in the light, without messages of the test before."""
    browser.emulate()
    browser.complaints()
    browser.requests()
    return browser


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="session")
def large(pages: Path) -> Path:
    """The page of 20,000 jobs."""
    return write_page(pages / "large.html", page_of(night(20_000, RUN_DIR), path="run"))


@pytest.fixture(scope="session")
def night_run(pages: Path) -> Path:
    """The directory of a run of 100,000 jobs, some of which have not ended."""
    run_dir = pages / "results" / NAME
    return write_journal(run_dir, night(100_000, run_dir)[:-2])


@pytest.fixture(scope="session")
def small(pages: Path) -> Path:
    """The page of a run with everything that a page can show."""
    kinds = FailureKind
    results = [
        result("build", run_dir=RUN_DIR),
        *(
            result(
                f"dma.width={width}.seed={seed}",
                kinds.FAIL_PATTERN if width == 4 else None,
                f"a fail pattern matched: ERROR at {seed}",
                lines=[9, (8, 10)],
                context=["before", f"ERROR at {seed}", "after"],
                run_dir=RUN_DIR,
            )
            for width in (4, 8)
            for seed in (1, 2)
        ),
        result("licence", kinds.LICENCE, "no licence", run_dir=RUN_DIR),
        result("known", kinds.EXIT_CODE, "exit code 1", known="ticket 7", run_dir=RUN_DIR),
        result("after", kinds.DEPENDENCY, "dma did not pass", attempt=0, cause=kinds.FAIL_PATTERN),
    ]
    records = records_of([each.job for each in results], [each.event for each in results], RUN_DIR)
    changes = [Change("newly failing", [Changed("licence"), Changed("gone", "a test")]), Change("fixed", [])]
    runs = [("20260527-202640-abcdef", {"passed": 7, "failed": 1}), ("20260528-202640-abcdef", {"passed": 3})]
    history = History("20260527-202640-abcdef", changes, runs)
    return write_page(pages / "small.html", page_of(records, path="run", history=history))


@pytest.fixture(scope="session")
def hostile_page(pages: Path) -> Path:
    return write_page(pages / "hostile.html", page_of(hostile_run(HOSTILE), path="run"))


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core."""
    return AXE.read_text("utf-8")
