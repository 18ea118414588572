"""The public names: those that the design fixes and the errors, no more and no fewer."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import runtime
from runtime import errors

# A name is added together with its working code.
# fmt: off
NAMES = (
    "JobSpec", "JobStatus", "FailureKind", "FailureClass", "JobStatusInfo", "JobHandle",
    "CustomKind", "DEFAULT_KINDS", "Kind", "Kinds",
    "JobProgressEvent", "JobCompletionEvent", "JobUsage", "JobResult", "EventBatch", "JobPaths", "Retry", "RunIf",
    "RuntimeBackend", "LocalBackend", "LegacyLauncherAdapter", "SlurmBackend", "FakeBackend", "FakePolicy", "FakeRun",
    "BackendOptions", "GridEngineBackend", "LsfBackend", "BackendState", "BackendStatistics", "CommonOptions",
    "Control", "Driver", "LiveJob", "StopCause", "JobEnd",
    "Scheduler", "run_jobs", "Job", "Priority", "ResourceProvider", "SchedulerStatistics",
    "StatusChange", "StatusStream",
    "BackendRegistry", "backends",
    "AnyLauncher", "Launcher", "LauncherError", "LauncherBusyError", "ErrorMessage",
)
# fmt: on


def test_all_lists_exactly_the_public_names() -> None:
    assert sorted(runtime.__all__) == sorted([*NAMES, *errors.__all__])


def test_the_package_has_exactly_the_public_names() -> None:
    # Packages become attributes when they are imported; `annotations` comes from `__future__`.
    values = {name: getattr(runtime, name) for name in dir(runtime) if name[0] != "_"}
    named = {name for name, value in values.items() if not isinstance(value, ModuleType)}
    assert named - {"annotations", "TYPE_CHECKING"} == {*NAMES, *errors.__all__}
    with pytest.raises(AttributeError, match="module 'runtime' has no attribute 'JobSpce'"):
        runtime.JobSpce  # type: ignore[attr-defined]  # noqa: B018 - mypy reports it, too


def test_names_come_from_the_modules_that_a_type_checker_sees() -> None:
    tree = ast.parse(Path(runtime.__file__).read_text())
    seen = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("runtime.")
        for alias in node.names
    }
    assert sorted(seen) == sorted(runtime.__all__)
    for name, module in seen.items():
        assert getattr(runtime, name) is getattr(importlib.import_module(str(module)), name)


def test_importing_the_package_imports_no_slow_module() -> None:
    program = """
import sys, runtime
print(sorted({"trio", "attr", "importlib.metadata", "asyncio"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("[]\n", "", 0)


def test_the_registry_is_there_if_a_module_was_imported_first() -> None:
    program = """
import runtime.backend.local
import runtime
print(runtime.backends, runtime.LocalBackend is runtime.backends.load("local"))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("<BackendRegistry fake, gridengine, local, lsf, slurm> True\n", "")


def test_the_errors_module_exports_all_errors_and_only_those() -> None:
    defined = [name for name, value in vars(errors).items() if isinstance(value, type)]
    assert sorted(errors.__all__) == sorted(defined)
    assert all(issubclass(getattr(errors, name), Exception) for name in errors.__all__)


def test_importing_the_package_needs_no_extra() -> None:
    program = """
import sys
for name in ("rich", "cattrs", "re2", "hyperscan", "pytest", "hypothesis"):
    sys.modules[name] = None  # so that importing it raises
from runtime import *
print([name for name in sys.modules if name.startswith(("runtime.report", "runtime.cli", "runtime.testing"))])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("[]\n", "", 0)
