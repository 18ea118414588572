"""The picture of a live page in the documentation: ``python -m tests.browser.live_screenshot [DIRECTORY]``."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image

from tests.browser.chromium import chromium
from tests.cli.program import Fifo, end_of, job_file, started

_DIRECTORY: Final = Path(__file__).parents[2] / "docs" / "images"
_COLOURS: Final = 64
"""In a picture: as many as a small file has."""
_ERROR: Final = "UVM_ERROR scoreboard.sv(88) @ {seed}: uvm_test_top.env.sb [SB] expected 12, got 13"


def main(directory: Path = _DIRECTORY) -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        up, go = Fifo(root / "up"), Fifo(root / "go")
        fails = {"cmd": f"echo '{_ERROR}'; exit 1", "fail_patterns": ["^UVM_ERROR"], "needs": ["build"], "weight": 9}
        jobs = {
            "build": {"cmd": "true", "weight": 10},
            "dma_burst": {**fails, "seeds": 8},
            "fifo_smoke": {"cmd": "true", "needs": ["build"], "seeds": 40, "weight": 8},
            "reset": {"cmd": "echo 'reset did not end'; exit 3", "needs": ["build"], "seeds": 2, "weight": 9},
            "soak": {"cmd": f"echo up >{up.path}; read line <{go.path}", "needs": ["build"], "seeds": 4},
            "coverage": {"cmd": "true", "needs": ["soak"]},
        }
        name = job_file(root, jobs)
        with started(root, "run", name, "-q", "--max-parallel", "4", "--seed-base", "7") as run:
            up.hear()
            with started(root, "serve", "--port", "0") as server, chromium(root / "profile") as page:
                assert server.stdout is not None
                found = re.match(r"(http://127.0.0.1:\d+)/ ", server.stdout.readline())
                assert found
                page.visit(f"{found[1]}/runs/latest")
                page.wait("document.querySelectorAll('#running tbody tr').length === 4")
                path = directory / "serve.png"
                page.screenshot(path)
            for _ in range(4):
                go.say()
            end_of(run)
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
