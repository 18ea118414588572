"""The options of the command ``serve``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

from runtime.cli.option_values import whole
from runtime.jobfile.errors import InputError

SERVE: Final = "serve"
"""The name of the command."""
TOKEN_VARIABLE: Final = "JOB_RUNTIME_TOKEN"
"""The environment variable whose value is the token that is asked for."""
LOOPBACK: Final = "127.0.0.1"
"""The address that is served by default, which only this machine reaches."""
PORT: Final = 8000
_LAST_PORT: Final = 65535
_EXTRA: Final = ("starlette", "anyio", "h11", "jinja2")
"""The packages of the extra ``serve``, and what they cannot do without."""


def add_serve(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command ``serve`` to a parser of the command line.

    Args:
        add: `add_parser` of its commands.
    """
    serve = add(
        SERVE,
        help="show runs in a browser, also while they go on",
        description="Shows all runs of a directory in a browser: each as it goes, its failures, and the logs of its"
        " jobs. It reads journals and logs, and can change nothing. Ctrl-C ends it.",
        epilog=f"Where another machine can reach it, it asks for a token: the value of {TOKEN_VARIABLE}, or one that is"
        " drawn and printed.",
        allow_abbrev=False,
    )
    serve.add_argument(
        "results",
        metavar="RESULTS",
        type=Path,
        nargs="?",
        default=Path("results"),
        help="where run directories are (default: results)",
    )
    serve.add_argument(
        "--host",
        metavar="HOST",
        default=LOOPBACK,
        help=f"the address or name of this machine to serve at; 0.0.0.0 for all of them (default: {LOOPBACK})",
    )
    serve.add_argument(
        "--port", metavar="N", type=_port, default=PORT, help=f"the port; 0 for any that is free (default: {PORT})"
    )


def check_extra() -> None:
    """Check that all is installed which `runtime.serve` imports.

    Raises:
        InputError: if a package is missing.
    """
    from importlib.util import find_spec

    missing = next((name for name in _EXTRA if find_spec(name) is None), None)
    if missing is not None:
        msg = f"serve needs the extra serve: pip install '.[serve]' in a checkout (there is no {missing})"
        raise InputError(msg)


def _port(text: str) -> int:
    port = whole(text, 0)
    if port > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is given; expected a port, from 0 to {_LAST_PORT}")
    return port
