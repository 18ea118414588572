"""How is a backend tested? The conformance suite, scripted backends and launchers, fault injection.

For authors of backends: `check_backend` checks every promise of the contract; `History` checks that each accepted job
completed exactly once; `cancel_at_every_step` finds the await at which a clean-up fails. For authors of launchers:
`check_launcher` reports how a class behaves; `scripted` makes launchers that misbehave.
"""

from runtime.testing.backends import Delay, FakeFixtures, Hang, Raise, Refuse, ScriptedBackend, ScriptPoint
from runtime.testing.cancellation import cancel_at_every_step
from runtime.testing.conformance import BUFFERS, CHECKS, check_backend, run_check
from runtime.testing.fixture import BackendFixture, Behaviour, CheckContext, Session
from runtime.testing.history import History
from runtime.testing.launcher_check import LauncherReport, check_launcher
from runtime.testing.launchers import Act, Script, ScriptedLauncher, raises, says, scripted
from runtime.testing.virtual import Gate, VirtualAdapter, spend

__all__ = (
    "BUFFERS",
    "CHECKS",
    "Act",
    "BackendFixture",
    "Behaviour",
    "CheckContext",
    "Delay",
    "FakeFixtures",
    "Gate",
    "Hang",
    "History",
    "LauncherReport",
    "Raise",
    "Refuse",
    "Script",
    "ScriptPoint",
    "ScriptedBackend",
    "ScriptedLauncher",
    "Session",
    "VirtualAdapter",
    "cancel_at_every_step",
    "check_backend",
    "check_launcher",
    "raises",
    "run_check",
    "says",
    "scripted",
    "spend",
)
