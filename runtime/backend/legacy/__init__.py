"""A backend for old blocking launcher classes, which run unmodified."""

from runtime.backend.legacy.adapter import LegacyLauncherAdapter
from runtime.backend.legacy.job_view import DVSimView, view_as_dvsim
from runtime.backend.legacy.launcher import AnyLauncher, ErrorMessage, Launcher, LauncherBusyError, LauncherError

__all__ = (
    "AnyLauncher",
    "DVSimView",
    "ErrorMessage",
    "Launcher",
    "LauncherBusyError",
    "LauncherError",
    "LegacyLauncherAdapter",
    "view_as_dvsim",
)
