"""The public names: those that the design fixes and the errors, no more and no fewer."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import runtime
from runtime import errors

# A name enters with its working code.
# fmt: off
NAMES = (
    "JobSpec", "JobStatus", "FailureKind", "JobStatusInfo", "JobHandle",
    "JobProgressEvent", "JobCompletionEvent", "JobUsage", "JobResult", "EventBatch",
    "RuntimeBackend", "LocalBackend", "LegacyLauncherAdapter", "FakeBackend",
    "Scheduler", "run_jobs",
    "BackendRegistry", "backends",
    "Launcher", "LauncherError", "LauncherBusyError", "ErrorMessage",
)
# fmt: on


def test_the_package_says_that_it_exports_exactly_the_public_names() -> None:
    assert sorted(runtime.__all__) == sorted([*NAMES, *errors.__all__])


def test_the_package_has_exactly_the_public_names() -> None:
    # Rooms become attributes when they are imported, and `annotations` when it comes from the future.
    named = {name for name, value in vars(runtime).items() if name[0] != "_" and not isinstance(value, ModuleType)}
    assert named - {"annotations"} == {*NAMES, *errors.__all__}


def test_the_errors_module_exports_all_errors_and_only_those() -> None:
    defined = [name for name, value in vars(errors).items() if isinstance(value, type)]
    assert sorted(errors.__all__) == sorted(defined)
    assert all(issubclass(getattr(errors, name), Exception) for name in errors.__all__)


def test_importing_the_package_needs_no_extra() -> None:
    program = """
import sys
for name in ("rich", "cattrs", "re2", "pytest", "hypothesis"):
    sys.modules[name] = None  # so that importing it raises
import runtime
print([name for name in sys.modules if name.startswith(("runtime.report", "runtime.cli", "runtime.testing"))])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("[]\n", "", 0)
