"""The pages of a server in a browser, while a real run goes on: changes are seen, and what jobs write stays text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from tests.browser.chromium import Page
from tests.cli.past_run import held
from tests.cli.program import Fifo, end_of, job_file, started

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)>"


@attrs.frozen
class Live:
    """A run that goes on until `go` is said, and the address of the server that shows it."""

    address: str
    go: Fifo

    def end(self) -> None:
        """Let the run end."""
        self.go.say()


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    """Serve the runs of a directory for a block, and return the address."""
    with started(directory, "serve", "--port", "0") as server:
        assert server.stdout is not None
        found = re.match(r"(http://127.0.0.1:\d+)/ ", server.stdout.readline())
        assert found
        yield found[1]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    up, go = Fifo(tmp_path / "up"), Fifo(tmp_path / "go")
    jobs = {
        "bad": {"cmd": f"echo '{HOSTILE}'; exit 3", "seeds": 3, "weight": 9},
        "long": {"cmd": f"echo a line; echo up >{up.path}; read line <{go.path}", "needs": ["good"]},
        "good": {"cmd": "true"},
        "many": {"cmd": "true", "needs": ["long"], "seeds": 200},
        "late": {"cmd": "true", "needs": ["long"]},
    }
    with started(tmp_path, "run", job_file(tmp_path, jobs), "-q") as run:
        up.hear()
        with serving(tmp_path) as address:
            yield Live(address, go)
        go.say()
        end_of(run)


def text(page: Page, selector: str) -> str:
    return str(page.run(f"document.querySelector('{selector}').textContent"))


def test_a_run_is_seen_to_go_on_and_to_end(page: Page, live: Live) -> None:
    page.visit(f"{live.address}/runs/latest")
    page.wait("document.getElementById('state').textContent === 'running'")
    page.wait("document.querySelectorAll('#failures tbody tr').length === 3")
    assert text(page, "#buckets tbody tr td") == "3"
    assert text(page, "#running tbody a") == "long"
    assert HOSTILE in text(page, "#failures tbody")
    assert page.run("document.querySelectorAll('main img').length") == 0
    live.end()
    page.wait("document.getElementById('state').textContent === 'ended'")
    assert text(page, "#done") == "206 of 206 done"
    assert page.run("document.getElementById('running').closest('section').hidden")
    assert page.nodes() <= 3000
    assert page.complaints() == []
    assert all(url.startswith(live.address) for url in page.requests())


def test_from_the_list_by_keyboard_to_the_log_of_a_failure(page: Page, live: Live) -> None:
    page.visit(f"{live.address}/")
    page.press("TAB", "TAB", "TAB", "ENTER")
    page.wait("document.querySelectorAll('#failures tbody tr').length === 3")
    page.run("document.querySelector('#failures tbody a').focus()")
    page.press("ENTER")
    page.wait("document.querySelector('.log')")
    assert HOSTILE in text(page, ".log")
    assert page.run("document.querySelectorAll('main img').length") == 0
    page.run("document.querySelector('input[name=q]').focus()")
    page.press(*"onerror", "ENTER")
    page.wait("location.search === '?q=onerror'")
    assert "1 line has" in text(page, "main")
    assert page.complaints() == []


@pytest.mark.parametrize("path", ["/", "/runs/latest", "/runs/latest/jobs", "/runs/latest/jobs/0", "/history"])
def test_a_page_has_few_nodes(page: Page, live: Live, path: str) -> None:
    page.visit(live.address + path)
    assert page.nodes() <= 3000


def test_a_hundred_thousand_jobs_are_usable_after_two_seconds_of_work(page: Page, night_run: Path) -> None:
    with held(night_run), serving(night_run.parents[1]) as address:
        page.count_work()
        page.visit(f"{address}/runs/{night_run.name}")
        page.wait_usable()
        page.wait("document.getElementById('done').textContent === '99500 of 100000 done'")  # all was read
        assert text(page, "#note") == ""
        assert page.work() <= 2
        assert page.nodes() <= 3000


def test_rows_keep_the_focus_while_the_page_changes(page: Page, live: Live) -> None:
    page.visit(f"{live.address}/runs/latest")
    page.wait("document.querySelectorAll('#failures tbody tr').length === 3")
    page.run("document.querySelector('#failures tbody a').focus()")
    focused = text(page, "#failures tbody a")
    live.end()
    page.wait("document.getElementById('state').textContent === 'ended'")
    assert page.run("document.activeElement.textContent") == focused


@pytest.mark.parametrize(
    "path", ["/", "/runs/latest", "/runs/latest/jobs", "/runs/latest/jobs/0", "/history", "/nothing"]
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(page: Page, live: Live, axe: str, path: str, scheme: str) -> None:
    page.emulate(scheme=scheme)
    page.visit(live.address + path)
    if path == "/runs/latest":
        page.wait("document.querySelectorAll('#failures tbody tr').length === 3")
    page.add_script(axe)
    found = page.run_async("axe.run()")
    serious = [each["id"] for each in found["violations"] if each["impact"] in {"serious", "critical"}]
    assert serious == []
