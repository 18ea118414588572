"""What a person is told, as a logger, so that a log file has it, too. Apart, as ``--help`` needs no `logging`."""

from __future__ import annotations

import logging
from typing import Final

SAID: Final = logging.getLogger("job-runtime.said")
"""It is none of the package's log, whose lines a person is told of, too."""

SAID.propagate = False
SAID.setLevel(logging.CRITICAL + 1)
