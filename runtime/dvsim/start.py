"""`dvsim_exit_code`: DVSim's command line in this process, with another scheduler; `check_version`: is it there?"""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Protocol

from runtime.cli.exit_codes import print_error
from runtime.jobfile.errors import InputError

EXPECTED: Final = "1.57"
"""The version of DVSim whose insides this package knows."""


def check_version() -> None:
    """Check that DVSim is installed in this environment, and is of the expected version.

    Raises:
        InputError: if it is not.
    """
    try:
        version = importlib.metadata.version("dvsim")
    except importlib.metadata.PackageNotFoundError:
        version = ""
    if version == EXPECTED or version.startswith(f"{EXPECTED}."):
        return
    what = f"dvsim {version} is installed" if version else "dvsim is not installed"
    raise InputError(f"{what} beside {sys.executable}; expected dvsim {EXPECTED}: pip install 'dvsim=={EXPECTED}.*'")


class FlowScheduler(Protocol):
    """What stands in for DVSim's scheduler."""

    failure: BaseException | None
    """What `run_scheduler` has raised."""

    @property
    def run_scheduler(self) -> Callable[..., Coroutine[Any, Any, Any]]:
        """A method that does what DVSim's function of this name does."""


def dvsim_exit_code(scheduler: FlowScheduler, arguments: Sequence[str], seed_base: int) -> int:
    """Run DVSim's command line; return its exit code. Changes this process, which should do nothing else afterwards.

    Args:
        scheduler: runs the jobs of the flow. What it raises is raised here.
        arguments: of DVSim.
        seed_base: what all is drawn from that DVSim draws at random.
    """
    # Here, as it takes a second, and sets up the logging of the process.
    from dvsim.cli import main
    from dvsim.flow import base

    from runtime.dvsim.safe_hooks import keep_current_directory
    from runtime.dvsim.seeds import draw_seeds_from

    keep_current_directory()
    draw_seeds_from(seed_base)
    base.run_scheduler = scheduler.run_scheduler
    os.environ.pop("MAKEFLAGS", None)  # as DVSim does for its jobs: a make around this process is not theirs
    sys.argv = ["dvsim", *arguments]  # where DVSim looks if it has no arguments
    try:
        main(list(arguments))
    except SystemExit as exc:
        if exc.code is None or isinstance(exc.code, int):
            return exc.code or 0
        print_error(str(exc.code))
        return 1
    except Exception as exc:
        if exc is scheduler.failure:
            raise
        sys.excepthook(type(exc), exc, exc.__traceback__)  # as DVSim does: it is a fault of the flow, or of DVSim
        return 1
    return 0
