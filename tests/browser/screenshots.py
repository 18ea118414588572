"""The pictures of pages in the documentation: ``python -m tests.browser.screenshots [DIRECTORY]``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image

from tests.browser.chromium import Page, chromium
from tests.docs.morning import CHECKOUT, PLAYED, SIMULATOR, following
from tests.docs.session import typed
from tests.report.html.page_text import RUN_DIR, page_of, write_page
from tests.report.html.synthetic import night

_DIRECTORY: Final = Path(__file__).parents[2] / "docs" / "images"
_COLOURS: Final = 256
"""In a picture: as many as a small file has."""


def main(directory: Path = _DIRECTORY) -> None:
    """Write the pictures."""
    directory.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        path = write_page(Path(temporary) / "page.html", page_of(night(2000, RUN_DIR, slots=16), path="run"))
        with chromium(Path(temporary) / "profile") as page:
            page.open(path)
            _write(page, directory / "report-light.png")
            page.emulate(scheme="dark")
            page.open(path, "#status=failed")
            page.run("window.scrollBy(0, -230)")
            _write(page, directory / "report-dark.png")
            page.emulate()
            page.open(path)
            page.run("document.querySelector('#chart-jobs').scrollIntoView()")
            page.wait("drawn.size >= 3")
            _write(page, directory / "report-charts.png")
            page.click("#design .card h3 + p a")
            _write(page, directory / "report-failure.png")
            page.open(_changed(Path(temporary).resolve()))
            _write(page, directory / "report-changed.png")


def _changed(checkout: Path) -> Path:
    """Return the page that ``docs/morning.md`` makes of what changed between its two nights."""
    commands = [PLAYED["make nights"], "cd nights", "job-runtime compare --html changed.html"]
    typed(commands, checkout, following(checkout, SIMULATOR))
    path = checkout / "nights" / "changed.html"
    return write_page(path, path.read_text("utf-8").replace(str(checkout), CHECKOUT))


def _write(page: Page, path: Path) -> None:
    page.run_async("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.screenshot(path)
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
