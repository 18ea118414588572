"""`check_version`: whether the DVSim that this package was written for is installed."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Final

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
