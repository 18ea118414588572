"""`keep_current_directory`: a fault of DVSim 1.57 that costs files, made harmless.

Its hooks remove a coverage database before a build and after a test that failed, and where a flow has none, its path is
``""``. As a path that is the current directory: all that is in there is removed, and then the hook raises, which leaves
DVSim waiting for ever.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dvsim.job import deploy
from dvsim.logging import log


def keep_current_directory() -> None:
    """Let DVSim's hooks remove no directory that this process is in. Idempotent."""
    remove = deploy.rm_path
    if getattr(remove, "keeps_current_directory", False):
        return

    def guarded(path: Path, **options: Any) -> None:
        if path == Path():  # also that of an empty text, which stands for no directory
            log.debug("nothing is removed: a hook gave no path")
        elif Path.cwd().is_relative_to(path.resolve()):
            log.warning("%s is not removed, as a hook asks for: the current directory is in there", path)
        else:
            remove(path, **options)

    guarded.keeps_current_directory = True  # type: ignore[attr-defined]  # a function takes any attribute
    deploy.rm_path = guarded
