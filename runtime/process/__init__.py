"""How is a process tree started, watched and ended? `terminal` is for Linux alone, and not imported from here."""

from runtime.process.child import BUSY_ERRORS, UNKNOWN, Child, Exit, spawn
from runtime.process.environment import inherited_environment, render_environment
from runtime.process.group import Census, GroupEnd, sweep_group, terminate_group

__all__ = (
    "BUSY_ERRORS",
    "UNKNOWN",
    "Census",
    "Child",
    "Exit",
    "GroupEnd",
    "inherited_environment",
    "render_environment",
    "spawn",
    "sweep_group",
    "terminate_group",
)
