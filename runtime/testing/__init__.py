"""How is a backend proven? The conformance suite, scripted backends and launchers, fault injection.

For authors of backends and launchers: `check_backend` runs the whole contract against a backend, `History` says whether
each accepted job completed exactly once.
"""

from runtime.testing.backends import (
    Busy,
    Delay,
    FakeKit,
    Hang,
    Raise,
    ScriptedBackend,
    Step,
)
from runtime.testing.conformance import BUFFERS, CHECKS, check_backend, run_check
from runtime.testing.history import History
from runtime.testing.kit import BackendKit, Behaviour, Bench, Session

__all__ = (
    "BUFFERS",
    "CHECKS",
    "BackendKit",
    "Behaviour",
    "Bench",
    "Busy",
    "Delay",
    "FakeKit",
    "Hang",
    "History",
    "Raise",
    "ScriptedBackend",
    "Session",
    "Step",
    "check_backend",
    "run_check",
)
