"""`USER_MESSAGES`: a logger that gets what is shown to the user, so that ``--log-file`` has it as well.

In a module of its own, because ``--help`` must not pay for importing `logging`.
"""

from __future__ import annotations

import logging
from typing import Final

USER_MESSAGES: Final = logging.getLogger("job-runtime.messages")
"""Not below the logger ``runtime``, whose records are shown to the user: each message would be shown twice."""

USER_MESSAGES.propagate = False
USER_MESSAGES.setLevel(logging.CRITICAL + 1)  # off until ``--log-file`` asks for it
