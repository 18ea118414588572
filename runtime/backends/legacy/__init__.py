"""Old blocking launcher classes, run unmodified behind the contract of a backend."""

from runtime.backends.legacy.adapter import LegacyLauncherAdapter
from runtime.backends.legacy.launcher import ErrorMessage, Launcher, LauncherBusyError, LauncherError
from runtime.backends.legacy.view import DVSimView, view_as_dvsim

__all__ = (
    "DVSimView",
    "ErrorMessage",
    "Launcher",
    "LauncherBusyError",
    "LauncherError",
    "LegacyLauncherAdapter",
    "view_as_dvsim",
)
