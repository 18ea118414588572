"""The environment of programs that coverage is not to measure: they have limits, or it matters how soon they exit."""

from __future__ import annotations

import os
from typing import Final

UNMEASURED: Final = {name: "" for name in os.environ if name.startswith("COVERAGE_")}
"""Variables with which a new interpreter does not measure, for `tests.cli.program`; none where nothing is measured."""


def unmeasured() -> dict[str, str]:
    """Return the environment of this process without what makes coverage measure in a program.

    Measuring takes memory, time, a descriptor and a file that another user may not write: more than a limit leaves.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
