"""The page of a run in a browser: what it costs, how it is used, and that what jobs write stays text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.journal import read, replay
from runtime.report.html.page import page_text
from runtime.report.text import printable
from tests.browser.chromium import Page
from tests.browser.conftest import HOSTILE
from tests.report.html.hostile import CORPUS
from tests.report.html.page_text import write_page

pytestmark = pytest.mark.browser

ROWS = "[...document.querySelectorAll('#grid .body .row')]"
# The canvases of an element, those inside components included.
CANVASES = """(function canvases(root) {
    return [...root.querySelectorAll('*')].flatMap((each) =>
        each.shadowRoot ? canvases(each.shadowRoot) : each.tagName === 'CANVAS' ? [each] : []);
})"""
ACTIVE = "document.getElementById(byId('grid').getAttribute('aria-activedescendant'))"


def cells(page: Page, column: str, count: int) -> list[str]:
    """The texts of a column in the first visible rows."""
    found: list[str] = page.run(f"{ROWS}.slice(0, {count}).map((row) => row.querySelector('.{column}').textContent)")
    return found


def active(page: Page) -> int:
    """The position, from 0, of the row that the keyboard is at."""
    return int(page.run(f"Number({ACTIVE}.getAttribute('aria-rowindex'))")) - 2


def shown(page: Page) -> str:
    """The words that say how many jobs are shown."""
    return str(page.run("byId('shown').textContent"))


# ---------------------------------------------------------------------- what it costs


def test_twenty_thousand_jobs_are_few_nodes_and_one_request(page: Page, large: Path) -> None:
    page.open(large)
    assert page.nodes() <= 3000
    assert page.requests() == [large.as_uri()]
    assert page.complaints() == []
    assert page.run(f"{ROWS}.length") < 60
    assert page.run("byId('grid').getAttribute('aria-rowcount')") == "20001"


def test_a_hundred_thousand_jobs_are_usable_after_two_seconds_of_work(page: Page, night_run: Path) -> None:
    state = replay(read(night_run / "journal.jsonl").records, str(night_run))
    path = write_page(night_run.parent / "page.html", "".join(page_text(state, is_live=True, path="run")))
    page.count_work()
    page.open(path)
    assert page.work() <= 2
    assert page.nodes() <= 3000


def test_charts_are_drawn_when_they_are_seen_and_send_no_request(page: Page, large: Path) -> None:
    page.open(large)
    page.requests()
    for name in ("jobs", "slots", "machine", "durations"):
        page.run(f"document.querySelector('#chart-{name}').scrollIntoView()")
        page.wait(f"{CANVASES}(document.querySelector('#chart-{name}')).length")
    assert (page.requests(), page.complaints()) == ([], [])


def test_each_chart_has_its_table(page: Page, large: Path) -> None:
    page.open(large)
    assert page.run("document.querySelectorAll('figure table').length") == 0  # not before somebody wants it
    for name in ("jobs", "slots", "machine", "durations"):
        page.run(f"document.querySelector('#chart-{name} summary').click()")
        page.wait(f"document.querySelector('#chart-{name} tbody tr')")
    texts = page.run("[...document.querySelectorAll('#chart-durations thead th')].map((each) => each.textContent)")
    assert texts == ["took", "passed", "did not pass"]


# ---------------------------------------------------------------------- search, filters, order


def test_a_search_finds_words_in_any_order(page: Page, large: Path) -> None:
    page.open(large)
    page.press("/")
    assert page.run("document.activeElement.id") == "search"
    page.press("width=4 DMA_burst")
    assert shown(page) == f"{page.run('grid.rows.length')} of 20,000 jobs"
    assert all(text.startswith("dma_burst.width=4.") for text in cells(page, "job", 20))
    assert page.run("location.hash") == "#filter=width%3D4%20DMA_burst"


def test_filters_add_up_and_one_button_ends_them(page: Page, small: Path) -> None:
    page.open(small)
    page.run("byId('status').value = 'not passed', byId('status').dispatchEvent(new Event('change'))")
    assert shown(page) == "5 of 8 jobs"
    page.run("byId('kind').value = 'licence', byId('kind').dispatchEvent(new Event('change'))")
    assert cells(page, "job", 9) == ["licence"]
    page.click("#clear")
    assert shown(page) == "8 of 8 jobs"
    assert page.run("byId('status').value + byId('kind').value") == ""


def test_a_group_of_failures_leads_to_its_jobs(page: Page, small: Path) -> None:
    page.open(small)
    page.click("#design .card h3 a")
    page.wait("grid.rows.length === 2")
    assert cells(page, "job", 9) == ["dma.width=4.seed=1", "dma.width=4.seed=2"]
    assert "in the group “ERROR at <n>”" in shown(page)
    assert page.run("document.activeElement.id") == "grid"


def test_the_table_is_sorted_by_any_column_in_both_directions(page: Page, large: Path) -> None:
    page.open(large)
    assert cells(page, "outcome", 3) == ["failed"] * 3  # failures come first
    page.click(".head .ran button")
    ran = page.run("grid.rows.map((row) => number('ran', row))")
    assert ran == sorted(ran)
    page.click(".head .ran button")
    assert page.run("grid.rows.map((row) => number('ran', row))") == sorted(ran, reverse=True)
    directions = page.run("[...document.querySelectorAll('[aria-sort]')].map((each) => each.getAttribute('aria-sort'))")
    assert directions == [*["none"] * 6, "descending", "none"]
    assert page.run("location.hash") == "#sort=-ran"
    page.click(".head .job button")
    ids = page.run("grid.rows.map(idOf)")
    assert ids == sorted(ids)


# ---------------------------------------------------------------------- keyboard


def test_the_keyboard_moves_opens_and_closes(page: Page, large: Path) -> None:
    page.open(large, "#sort=job")
    page.run("byId('grid').focus()")
    page.press("ARROW_DOWN", "ARROW_DOWN", "ARROW_UP")
    assert active(page) == 1
    page.press("END")
    page.wait(f"{ACTIVE}?.getAttribute('aria-rowindex') === '20001'")
    assert page.run(f"{ACTIVE}.getBoundingClientRect().bottom <= byId('grid').getBoundingClientRect().bottom + 1")
    page.press("PAGE_UP")
    assert 19_900 < active(page) < 19_999
    page.press("HOME")
    page.wait(f"{ACTIVE}?.getAttribute('aria-rowindex') === '2'")
    page.press("ARROW_DOWN", "ENTER")
    assert page.run("byId('details').open")
    assert page.run("byId('details-title').textContent") == cells(page, "job", 2)[1]
    assert page.run("document.activeElement.textContent") == "Close"
    page.press("ESCAPE")
    page.wait("!byId('details').open")
    assert page.run("document.activeElement.id") == "grid"
    assert active(page) == 1


def test_a_slash_in_the_search_is_a_character(page: Page, small: Path) -> None:
    page.open(small)
    page.press("/", "a/b")
    assert page.run("byId('search').value") == "a/b"


def test_rows_that_are_scrolled_to_are_those_of_their_places(page: Page, large: Path) -> None:
    page.open(large, "#sort=job")
    page.run("byId('grid').scrollTop = 10000 * ROW_HEIGHT")
    page.wait(f"{ROWS}.some((row) => row.getAttribute('aria-rowindex') === '10010')")
    assert page.run(
        f"{ROWS}.every((row) => row.querySelector('.job').textContent"
        " === idOf(grid.rows[row.getAttribute('aria-rowindex') - 2]))"
    )
    assert page.run("byId('grid').getAttribute('aria-activedescendant')") is None  # that row is not in the page


# ---------------------------------------------------------------------- links


def test_a_link_shows_what_somebody_saw(page: Page, large: Path) -> None:
    page.open(large, "#status=failed&filter=fifo&sort=-ran")
    assert page.run("[state.status, state.filter, state.sort]") == ["failed", "fifo", "-ran"]
    assert page.run("byId('search').value + byId('status').value") == "fifofailed"
    assert set(cells(page, "outcome", 5)) == {"failed"}


def test_a_link_to_a_job_opens_it(page: Page, small: Path) -> None:
    page.open(small, "#job=dma.width%3D4.seed%3D2")
    assert page.run("byId('details-title').textContent") == "dma.width=4.seed=2"
    texts = page.run("[...byId('details').querySelectorAll('.log span')].map((each) => each.textContent)")
    assert texts == ["8before", "9ERROR at 2", "10after"]
    assert page.run("byId('details').querySelector('.log .failing').textContent") == "9ERROR at 2"
    assert page.run("byId('details').querySelector('a').getAttribute('href')") == "./run/dma.width%404.seed%402/job.log"
    assert page.run("byId('details').querySelector('.command').textContent") == "cd /work && /bin/sh -c ./sim"
    page.press("ESCAPE")
    page.wait("location.hash === ''")


@pytest.mark.parametrize(
    "fragment",
    [
        "#job=none",
        "#job=__proto__&group=__proto__&kind=constructor",
        "#group=999999&status=none&sort=none",
        "#filter=%E0%A4%A&sort=%",
        "#job=%3Cimg%20src=x%20onerror=window.harmed=1%3E&filter=%3Cscript%3Ewindow.harmed=1%3C/script%3E",
    ],
)
def test_a_link_that_means_nothing_harms_nothing(page: Page, small: Path, fragment: str) -> None:
    page.open(small, fragment)
    assert page.complaints() == []
    assert page.run("[window.harmed, byId('details').open]") == [None, False]
    page.click("#clear")
    assert shown(page) == "8 of 8 jobs"


# ---------------------------------------------------------------------- what jobs write


def test_hostile_names_and_log_lines_stay_text(page: Page, hostile_page: Path) -> None:
    page.open(hostile_page)
    assert page.run("DATA.count") == len(HOSTILE)
    before = page.run("document.querySelectorAll('*').length")
    for row, text in enumerate(CORPUS):
        page.run(f"go({{ job: idOf({row}) }})")
        title, log = page.run(
            "[byId('details-title').textContent, byId('details').querySelector('.log span')?.lastChild.textContent]"
        )
        assert title == printable(text)
        assert log is None or "\n" not in log
    page.run("go({ job: '' })")
    page.run("byId('details').replaceChildren()")
    for key in ("reason", "job", "group"):
        page.run(f"go({{ sort: '{key}' }})")
        page.run("byId('grid').scrollTop = byId('grid').scrollHeight")
        page.run("grid.draw()")
    names = json.dumps(["img", "iframe", "svg", "base", "object", "embed", "link", "b[onclick]"])
    assert page.run(f"{names}.filter((name) => document.querySelector(name))") == []
    assert page.run("document.querySelectorAll('*').length") <= before + 20 * 9  # a few rows more are visible
    assert page.run("window.harmed") is None
    assert (page.complaints(), page.requests()) == ([], [hostile_page.as_uri()])


def test_every_link_to_a_log_leads_below_the_run_directory(page: Page, hostile_page: Path) -> None:
    page.open(hostile_page)
    run_dir = (hostile_page.parent / "run").as_uri() + "/"
    rows = "[...Array(DATA.count).keys()]"
    assert page.run(f"{rows}.filter((row) => logOf(row) !== null).length") > 1000
    urls = f"{rows}.map(logOf).filter((url) => url !== null).map((url) => new URL(url, location).href)"
    assert page.run(f"{urls}.filter((url) => !url.startsWith({json.dumps(run_dir)}))") == []
    links = "[...document.querySelectorAll('a[target]')].map((each) => each.href)"
    assert page.run(f"{links}.filter((url) => !url.startsWith({json.dumps(run_dir)}))") == []


def test_the_script_of_the_page_puts_back_what_the_table_stands_for(page: Page, hostile_page: Path) -> None:
    page.open(hostile_page)
    of_row = "number('message', row) === LEFT_OUT ? null : textOf('message', row)"
    reasons = page.run(f"DATA.columns.id.map((_, row) => {of_row})")
    for text, whole in zip(reasons, map(printable, HOSTILE), strict=True):
        assert text in {None, whole, f"{whole[:299]}…"}
    assert sum(text is not None for text in reasons) > 1000


def test_the_policy_refuses_what_is_not_in_the_page(page: Page, small: Path) -> None:
    page.open(small)
    page.add_script(
        "const made = document.createElement('script'); made.textContent = 'window.harmed = 1';"
        " document.body.append(made);"
    )
    page.add_script("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.harmed = 1\">');")
    assert "Failed to fetch" in page.run_async("fetch('https://example.invalid/')")
    assert page.run("window.harmed") is None
    assert len(page.complaints()) >= 3
    assert page.requests() == [small.as_uri()]


# ---------------------------------------------------------------------- everybody


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(page: Page, small: Path, axe: str, scheme: str) -> None:
    page.emulate(scheme=scheme)
    page.open(small)
    page.run("document.querySelectorAll('summary').forEach((each) => each.click())")
    page.wait("document.querySelectorAll('figure table').length === document.querySelectorAll('figure').length")
    page.add_script(axe)
    for job in ("", "dma.width=4.seed=1"):
        page.run(f"go({{ job: {json.dumps(job)} }})")
        found = page.run_async("axe.run(document, { resultTypes: ['violations'] })")
        faults = [(each["id"], each["nodes"][0]["html"]) for each in found["violations"] if each["impact"] != "minor"]
        assert faults == []
        assert len(found["passes"]) > 10


def test_the_dark_scheme_is_dark_and_charts_follow_a_change(page: Page, small: Path) -> None:
    page.emulate(scheme="dark")
    page.open(small)
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    page.run("document.querySelector('#chart-durations').scrollIntoView()")
    page.wait("drawn.size > 0")
    page.emulate()
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.wait(f"{CANVASES}(document.querySelector('#chart-durations')).length")
    assert page.complaints() == []


def test_printed_it_is_the_first_screen(page: Page, small: Path) -> None:
    page.emulate(media="print")
    page.open(small)
    sections = "[...document.querySelectorAll('main > section')]"
    texts = page.run(f"{sections}.filter((each) => each.offsetHeight).map((each) => each.innerText)")
    assert [text.split("\n")[0].split(" (")[0] for text in texts] == [
        "What changed since 20260527-202640-abcdef",
        "Failures of the design 2 jobs",
        "Failures of the infrastructure 1 job",
        "Known failures 1 job",
        "Never ran 1 job",
        "Pass rates",
    ]
