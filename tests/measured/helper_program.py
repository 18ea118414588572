"""Runs a helper process as its interpreter would, and measures its coverage.

Helpers run without site-packages and with an empty environment, so coverage does not start in them by itself. With
``JOB_RUNTIME_PYTHON`` the runtime starts `python`, the script beside this file, in place of an interpreter; that runs
this file with the same words. What a helper has run is written when it exits, and is lost if it is killed.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / ".coverage"


def main(words: list[str]) -> None:
    """Do what an interpreter does with these words."""
    while words[0].startswith("-"):
        option = words.pop(0)
        if option == "-c":  # it is asked for its version, see `runtime.helper.interpreter`
            exec(words[0], {})
            return
        if option == "-X":
            words.pop(0)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    sys.path.append(str(ROOT / ".venv" / "lib" / version / "site-packages"))
    import coverage

    # By its directory, as `runtime` cannot be imported here.
    settings, package = str(ROOT / "pyproject.toml"), str(ROOT / "runtime")
    measuring = coverage.Coverage(DATA, data_suffix=True, config_file=settings, source=[package])
    measuring.start()
    sys.path.pop()  # a helper finds the standard library only
    sys.argv[:] = words
    try:
        runpy.run_path(words[0], run_name="__main__")
    finally:
        measuring.save()  # as it does before `os._exit`


main(sys.argv[1:])
