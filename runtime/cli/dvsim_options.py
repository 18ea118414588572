"""The options of the command ``dvsim``: those of ours, before the ``--``. What comes after it is DVSim's."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from runtime.cli.format_options import add_formats_of_run
from runtime.cli.option_values import size, whole
from runtime.cli.past_options import LATEST

DVSIM: Final = "dvsim"
"""The name of the command."""

_END: Final = "--"


def add_dvsim(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command ``dvsim`` to a parser of the command line.

    Args:
        add: `add_parser` of its commands.
    """
    dvsim = add(
        DVSIM,
        help="run DVSim's command line with this scheduler and its backends",
        usage="job-runtime dvsim [OPTIONS] -- ARGUMENTS OF DVSIM",
        description="Runs the command dvsim, which has to be installed in the same environment, with this scheduler in"
        " the place of its own. All that comes after -- is for dvsim, -- --help included.",
        epilog="Its display, its reports and its exit code are DVSim's; the run is recorded besides, for report,"
        " history and all other commands about runs.",
        allow_abbrev=False,
    )
    dvsim.add_argument(
        "--backend",
        metavar="NAME",
        help="run the jobs on this backend of ours, or on legacy:package.module:ClassName (default: as DVSim chooses)",
    )
    dvsim.add_argument(
        "--pythonpath",
        metavar="DIR",
        action="append",
        default=[],
        help="look for backends and launchers in DIR first; can be repeated",
    )
    dvsim.add_argument(
        "--max-parallel",
        metavar="N",
        type=_from_zero,
        help="jobs at once; 0 for no limit (default: that of dvsim, which is its --max-parallel)",
    )
    dvsim.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("results"), help="where run directories go (default: results)"
    )
    dvsim.add_argument(
        "--resume",
        metavar="RUN",
        nargs="?",
        const=LATEST,
        help="go on with a run that was stopped or killed: keep what passed, run the rest, with the same seeds; needs"
        " the arguments of dvsim again (default: the latest)",
    )
    dvsim.add_argument(
        "--seed-base",
        metavar="S",
        type=_from_zero,
        help="draw what dvsim draws at random from S: the same base gives the same seeds (default: random)",
    )
    failures = dvsim.add_mutually_exclusive_group()
    failures.add_argument("--fail-fast", action="store_true", help="stop after the first failure of the design")
    failures.add_argument(
        "--max-failures", metavar="N", type=lambda text: whole(text, 1), help="stop after N failures of the design"
    )
    dvsim.add_argument("--drain", action="store_true", help="at the first Ctrl-C, let running jobs finish")
    for name, what in (("mem", "memory"), ("disk", "disk space, where the run directory is,")):
        dvsim.add_argument(
            f"--{name}-free",
            metavar="SIZE",
            type=size,
            help=f"start nothing on this machine while less {what} is free, such as 2GiB",
        )
    dvsim.add_argument("--log-file", metavar="FILE", help="write the runtime's own log, with tracebacks, to FILE")
    add_formats_of_run(dvsim)
    dvsim.set_defaults(quiet=False, verbose=0, print_interval=0.0, max_odirs=None)


def split_arguments(words: Sequence[str]) -> tuple[Sequence[str], list[str] | None]:
    """Return the words of a command line up to the first ``--``, and those after it; `None` if there is none."""
    if _END not in words:
        return words, None
    end = words.index(_END)
    return words[:end], list(words[end + 1 :])


def _from_zero(text: str) -> int:
    return whole(text, 0)
