"""What a page costs: ``python -m tests.browser.measure [JOBS]...``. It prints a line for each number of jobs.

*First look* is that at the page of ``serve`` while the run goes on, for which the server reads the journal; *next look*
is another one.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.browser.chromium import Page, chromium
from tests.cli.past_run import held, write_journal
from tests.cli.program import started
from tests.report.html.synthetic import night

_RUNS = 5
"""How often a page is loaded. The median counts."""


def main(counts: list[int]) -> None:
    """Measure pages of so many jobs."""
    print("  jobs     MB  written in, s  CPU, s  peak, MB  usable after, s  nodes  first look, s  next look, s  nodes")
    with tempfile.TemporaryDirectory() as temporary, chromium(Path(temporary) / "profile") as page:
        for count in counts:
            run_dir = Path(temporary) / str(count) / "run"  # without others, which would be read as well
            write_journal(run_dir, night(count, run_dir)[:-2])
            path = Path(temporary) / f"{count}.html"
            seconds, cpu, peak = _write(run_dir, path)
            loads = sorted(_load(page, path) for _ in range(_RUNS))
            size = path.stat().st_size / 1e6
            usable = loads[_RUNS // 2]
            line = f"{count:6} {size:6.2f} {seconds:14.1f} {cpu:7.1f} {peak:9.0f} {usable:16.2f} {page.nodes():6}"
            first, *others = _looks(page, run_dir)
            print(f"{line} {first:14.2f} {sorted(others)[_RUNS // 2]:13.2f} {page.nodes():6}", flush=True)


def _write(run_dir: Path, path: Path) -> tuple[float, float, float]:
    """Write a page as a user does; return the seconds, and CPU seconds and largest memory, in MB, of that process."""
    begun = time.perf_counter()
    words = [sys.executable, "-m", "runtime", "report", str(run_dir), "--html", str(path)]
    _, status, usage = os.wait4(os.spawnv(os.P_NOWAIT, sys.executable, words), 0)
    if status:
        raise SystemExit(f"the page was not written: {status}")
    return time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6


def _load(page: Page, path: Path) -> float:
    """Return the seconds after which the table of a page is there, and its charts can be drawn."""
    page.open(path)
    return page.wait_usable()


def _looks(page: Page, run_dir: Path) -> list[float]:
    """Return the seconds after which the page of a run that goes on shows it, when a new server is asked again."""
    looks = []
    with held(run_dir), started(run_dir.parent, "serve", ".", "--port", "0") as server:
        assert server.stdout is not None
        address = server.stdout.readline().split()[0]
        for _ in range(_RUNS + 1):
            page.visit(f"{address}runs/{run_dir.name}")
            looks.append(page.wait_usable())
    return looks


if __name__ == "__main__":
    main([int(each) for each in sys.argv[1:]] or [20_000, 100_000])
