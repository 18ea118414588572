"""The environment of a program that has limits of its own, without the measuring of coverage."""

from __future__ import annotations

import os


def unmeasured() -> dict[str, str]:
    """Return the environment of this process without what makes coverage measure in a program.

    Measuring takes memory, time, a descriptor and a file that another user may not write: more than a limit leaves.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
