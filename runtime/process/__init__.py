"""How is a process tree started, watched and ended? `terminal`, `supervisor`, `shim` need Linux, and an import."""

from runtime.errors import BUSY_ERRORS, is_out_of_resources
from runtime.process.batched_calls import Work, each_in_thread
from runtime.process.child import SIGCHLD_IGNORED, UNKNOWN, Child, Exit, ignores_sigchld, spawn
from runtime.process.environment import (
    EnvironmentDumps,
    inherited_environment,
    job_environment,
    job_identity,
    job_variables,
    outliving_environment,
    render_environment,
)
from runtime.process.group import GroupEnd, ProcessTable, sweep_group, terminate_group
from runtime.process.inherited import FIRST_INHERITED
from runtime.process.soft_steps import SoftStep, SoftSteps
from runtime.process.start import SharedEnvironment
from runtime.process.threads import in_thread
from runtime.process.trees import GroupTree, NotMadeError, ProcessTree, StopSteps, TreeEnd

__all__ = (
    "BUSY_ERRORS",
    "FIRST_INHERITED",
    "SIGCHLD_IGNORED",
    "UNKNOWN",
    "Child",
    "EnvironmentDumps",
    "Exit",
    "GroupEnd",
    "GroupTree",
    "NotMadeError",
    "ProcessTable",
    "ProcessTree",
    "SharedEnvironment",
    "SoftStep",
    "SoftSteps",
    "StopSteps",
    "TreeEnd",
    "Work",
    "each_in_thread",
    "ignores_sigchld",
    "in_thread",
    "inherited_environment",
    "is_out_of_resources",
    "job_environment",
    "job_identity",
    "job_variables",
    "outliving_environment",
    "render_environment",
    "spawn",
    "sweep_group",
    "terminate_group",
)
