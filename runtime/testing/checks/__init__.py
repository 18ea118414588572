"""The checks of the conformance suite: functions of a `CheckContext`, each named after the promise that it checks."""

from runtime.testing.checks.delivering import DELIVERING
from runtime.testing.checks.ending import ENDING
from runtime.testing.checks.killing import KILLING
from runtime.testing.checks.submitting import SUBMITTING

__all__ = ("DELIVERING", "ENDING", "KILLING", "SUBMITTING")
