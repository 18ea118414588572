"""Which module may import which: the table of packages, compared with the imports of each module.

Every module is parsed, and none is run. Imports in functions and under `TYPE_CHECKING` count as well: a layer that is
crossed lazily is crossed.
"""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent

# The packages in `runtime`. Each imports itself and those before it.
PACKAGES = (
    "helper",
    "job",
    "verdict",
    "process",
    "backend",
    "journal",
    "ctl",
    "scheduler",
    "report",
    "history",
    "jobfile",
    "serve",
    "testing",
    "cli",
    "dvsim",
)
# Commands in packages of their own, which the command line alone starts, and nothing else imports.
COMMANDS = {"runtime.cli.main": "runtime.dvsim.command"}
# The modules that are in no package, and the package whose rights each has. `None`: it is below all packages.
TOP_LEVEL_MODULES = {
    "runtime.__main__": "cli",
    "runtime.errors": None,
    "runtime.exit_calls": None,
    "runtime.descriptors": None,
    "runtime.rooted": None,
    "runtime.roots": None,
    "runtime.signal_names": None,
}

# Values and decisions: no event loop, no clock, no files, and no import of a module that has them.
PURE = (
    "runtime.backend.batch.array_index",
    "runtime.backend.batch.bad_nodes",
    "runtime.backend.local.token_pool",
    "runtime.backend.batch.element",
    "runtime.backend.batch.grouping",
    "runtime.backend.batch.pace",
    "runtime.backend.batch.reactor",
    "runtime.backend.batch.exit_records",
    "runtime.backend.batch.rules",
    "runtime.backend.batch.submission",
    "runtime.backend.batch.system",
    "runtime.backend.batch.texts",
    "runtime.backend.batch.tokens",
    "runtime.backend.batch.transitions",
    "runtime.backend.log_clock",
    "runtime.backend.gridengine.command_text",
    "runtime.backend.gridengine.requests",
    "runtime.backend.gridengine.states",
    "runtime.backend.lsf.command_text",
    "runtime.backend.lsf.requests",
    "runtime.backend.lsf.states",
    "runtime.backend.slurm.requests",
    "runtime.backend.slurm.states",
    "runtime.backend.slurm.command_text",
    "runtime.cli.settled",
    "runtime.ctl.messages",
    "runtime.errors",
    "runtime.job",
    "runtime.journal.columns",
    "runtime.journal.completions",
    "runtime.journal.descriptions",
    "runtime.journal.digests",
    "runtime.journal.frames",
    "runtime.journal.json_text",
    "runtime.journal.paths",
    "runtime.journal.records",
    "runtime.journal.replay",
    "runtime.journal.requirements",
    "runtime.journal.resume",
    "runtime.journal.segments",
    "runtime.journal.unrecorded",
    "runtime.process.standstill",
    "runtime.process.stop_sequence",
    "runtime.report.normalise",
    "runtime.scheduler.actions",
    "runtime.scheduler.arbiter",
    "runtime.scheduler.backlog",
    "runtime.scheduler.backoff",
    "runtime.scheduler.collector",
    "runtime.scheduler.consequences",
    "runtime.scheduler.dispatcher",
    "runtime.scheduler.endings",
    "runtime.scheduler.facts",
    "runtime.scheduler.graph",
    "runtime.scheduler.limits",
    "runtime.scheduler.lowered",
    "runtime.scheduler.plan",
    "runtime.scheduler.priorities",
    "runtime.scheduler.ready",
    "runtime.scheduler.resources",
    "runtime.scheduler.retries",
    "runtime.scheduler.statistics",
    "runtime.scheduler.statuses",
    "runtime.verdict.explaining",
)
NOT_PURE = frozenset({"trio", "time", "os", "io", "pathlib", "shutil", "tempfile", "subprocess", "threading", "signal"})
VALUES = frozenset({"signal.Signals"})  # the names and numbers of signals
# A verdict is a function of a log; where that is computed, and how long it may take, is decided by a backend.
NOT_IN_LOGS = frozenset({"trio", "time"})

CORE = frozenset({"attr", "attrs", "outcome", "trio"}) | sys.stdlib_module_names
EXTRAS = {
    "rich": ("report", "cli"),
    "cattrs": ("report", "jobfile", "cli"),
    "jinja2": ("report", "serve"),
    "markupsafe": ("report",),
    "bokeh": ("report",),
    "numpy": ("report",),
    "starlette": ("serve",),
    "h11": ("serve",),
    "dvsim": ("dvsim",),
    "shtab": ("cli",),
    "re2": ("verdict",),
    "hyperscan": ("verdict",),
}
LAZY_EXTRAS = frozenset({"re2", "hyperscan"})

# Modules that run in processes of their own, and may change the signal handlers there.
PROGRAMS = frozenset({"runtime.process.default_signals", "runtime.verdict.worker_program"})
HANDLERS = frozenset({"signal.signal", "signal.set_wakeup_fd", "signal.siginterrupt", "trio.open_signal_receiver"})


class Import(NamedTuple):
    """One imported name: its absolute name, its line, and whether it is imported in a function."""

    target: str
    line: int
    lazy: bool


def in_package(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def package_of(module: str) -> str | None:
    """The package of a module, `None` for one below all packages; `LookupError` if it is in no package of the table."""
    if module in TOP_LEVEL_MODULES:
        return TOP_LEVEL_MODULES[module]
    package = module.split(".")[1]
    if package not in PACKAGES:
        raise LookupError(package)
    return package


def imports_of(tree: ast.Module, package: str) -> Iterator[Import]:
    """All imports of a module that lives in `package`. `from a import b` is `a.b`, as `b` may be a module."""

    def walk(node: ast.AST, lazy: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, lazy)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *filter(None, [node.module])])
            for alias in node.names:
                yield Import(f"{base}.{alias.name}", node.lineno, lazy)
        elif isinstance(node, ast.Call) and _name_of(node.func).endswith(("import_module", "__import__")):
            for arg in node.args[:1]:
                if isinstance(arg, ast.Constant) and isinstance(arg.value, str):
                    yield Import(arg.value, node.lineno, lazy)
        lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, lazy)

    return walk(tree, lazy=False)


def _name_of(function: ast.expr) -> str:
    """The last name in what is called, or an empty text."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def handlers_of(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of each use of a function that installs a signal handler, under any alias."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used = f"{names.get(node.value.id)}.{node.attr}"
        elif isinstance(node, ast.Name):
            used = names.get(node.id, "")
        else:
            continue
        if used in HANDLERS:
            yield node.lineno, used


def _init_violations(tree: ast.Module) -> Iterator[str]:
    """The statements of `runtime/__init__.py` that do not re-export a name, at once or when it is first used."""
    for number, node in enumerate(tree.body):
        docstring = number == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        tools = ast.unparse(node) in {
            "from __future__ import annotations",
            "import importlib",
            "from typing import TYPE_CHECKING",
        }
        if not (docstring or tools or _reexports(node) or _is_table(node, "__all__") or _reexports_later(node)):
            yield f"line {node.lineno}: runtime/__init__.py only re-exports"


def _reexports(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and in_package(node.module or "", "runtime")


def _is_table(node: ast.stmt, name: str) -> bool:
    """Whether it assigns a literal to `name`."""
    if not (isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]):
        return False
    try:
        ast.literal_eval(node.value)
    except ValueError:
        return False
    return True


def _reexports_later(node: ast.stmt) -> bool:
    """Whether it imports names for a type checker, and for Python when they are first used."""
    return (
        isinstance(node, ast.If)
        and ast.unparse(node.test) == "TYPE_CHECKING"
        and all(map(_reexports, node.body))
        and all(
            _is_table(item, "_LAZY_IMPORTS")
            or (isinstance(item, ast.FunctionDef) and item.name in {"__getattr__", "__dir__"})
            for item in node.orelse
        )
    )


def _our_violations(module: str, target: str) -> Iterator[str]:
    """What is wrong with the import of a module of `runtime` by `module`."""
    known = {*PACKAGES, *(name.removeprefix("runtime.") for name in TOP_LEVEL_MODULES)}
    if target == "runtime" or target.split(".")[1] not in known:
        yield f"{target} is imported from runtime/__init__.py; import it from the module that defines it"
        return
    target_package = package_of(next((name for name in TOP_LEVEL_MODULES if in_package(target, name)), target))
    package = package_of(module)
    if COMMANDS.get(module) == target:
        return
    if target_package is not None and (package is None or PACKAGES.index(target_package) > PACKAGES.index(package)):
        yield f"{target} is in a later package than {module}"
    elif any(in_package(module, name) for name in PURE) and not any(in_package(target, name) for name in PURE):
        yield f"{module} is pure and {target} is not"


def _foreign_violations(module: str, item: Import) -> Iterator[str]:
    """What is wrong with the import of another module by `module`."""
    top = item.target.split(".", maxsplit=1)[0]
    package = package_of(module)
    if top in EXTRAS:
        if package not in EXTRAS[top]:
            yield f"{top} belongs to an extra and is for {', '.join(EXTRAS[top])} only"
        if top in LAZY_EXTRAS and not item.lazy:
            yield f"{top} belongs to an extra and is imported in a function only"
    elif top not in CORE:
        yield f"{top} is no dependency"
    if top in NOT_PURE and item.target not in VALUES and any(in_package(module, name) for name in PURE):
        yield f"{module} is pure and imports {top}"
    if top in NOT_IN_LOGS and package == "verdict":
        yield f"{module} is pure and imports {top}"


def violations(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """What is wrong with a module's imports, a line of text each.

    Args:
        module: its full name, without `__init__`.
        source: its text.
        is_package: whether it is the `__init__` of a package.
    """
    tree = ast.parse(source)
    if module == "runtime":
        return list(_init_violations(tree))
    try:
        package = package_of(module)
    except LookupError:
        return [f"{module} is in no package of the table"]
    found = []
    for item in imports_of(tree, module if is_package else module.rpartition(".")[0]):
        ours = in_package(item.target, "runtime")
        wrong = _our_violations(module, item.target) if ours else _foreign_violations(module, item)
        found += [f"line {item.line}: {text}" for text in wrong]
    if package not in {"cli", "dvsim"} and module not in PROGRAMS:
        found += [
            f"line {line}: {name} installs signal handlers; only the command line does"
            for line, name in handlers_of(tree)
        ]
    return found


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of `runtime` by its full name."""
    found = {}
    for path in sorted((ROOT / "runtime").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_what_its_package_may(module: str) -> None:
    path = modules()[module]
    assert violations(module, path.read_text("utf-8"), is_package=path.name == "__init__.py") == []


def test_all_pure_modules_exist() -> None:
    found = modules()
    assert [name for name in PURE if name not in found] == []


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("runtime.job.spec", "import runtime.backend.contract.control", "in a later package"),
        ("runtime.job.spec", "from ..backend import base", "in a later package"),
        ("runtime.backend.local", "from runtime.scheduler.run import Scheduler", "in a later package"),
        ("runtime.testing.suite", "from runtime import cli", "in a later package"),
        ("runtime.cli.run", "import runtime.dvsim.command", "in a later package"),
        ("runtime.cli.main", "import runtime.dvsim.flow", "in a later package"),
        ("runtime.verdict.scan", "def f():\n    import runtime.process.spawn", "in a later package"),
        (
            "runtime.verdict.scan",
            "import importlib\nimportlib.import_module('runtime.process')",
            "in a later package",
        ),
        ("runtime.errors", "from runtime.job import JobSpec", "in a later package"),
        ("runtime.cli.main", "from runtime import JobSpec", "imported from runtime/__init__.py"),
        ("runtime.cli.main", "import runtime", "imported from runtime/__init__.py"),
        ("runtime.job.spec", "import trio", "is pure and imports trio"),
        ("runtime.job.spec", "from os import path", "is pure and imports os"),
        ("runtime.job.spec", "import time", "is pure and imports time"),
        ("runtime.job.spec", "from signal import Signals, raise_signal", "is pure and imports signal"),
        ("runtime.scheduler.plan", "from trio import Event", "is pure and imports trio"),
        ("runtime.scheduler.graph", "import time", "is pure and imports time"),
        ("runtime.scheduler.resources", "from runtime.scheduler.run import Scheduler", "is pure and"),
        ("runtime.verdict.scan", "import trio.to_thread", "is pure and imports trio"),
        ("runtime.backend.local", "import psutil", "psutil is no dependency"),
        ("runtime.scheduler.run", "from rich.console import Console", "belongs to an extra"),
        ("runtime.backend.local", "import cattrs", "belongs to an extra"),
        ("runtime.backend.local", "def f():\n    import re2", "belongs to an extra"),
        ("runtime.verdict.scan", "import re2", "in a function only"),
        ("runtime.scheduler.run", "import signal\nsignal.signal(2, print)", "installs signal handlers"),
        ("runtime.backend.local", "import trio as t\nt.open_signal_receiver()", "installs signal handlers"),
        ("runtime.backend.local", "from signal import signal as s\ns(2, print)", "installs signal handlers"),
        ("runtime.utils", "", "in no package"),
        ("runtime.utils.text", "", "in no package"),
        ("runtime", "import trio", "only re-exports"),
        ("runtime", "from runtime.job import JobSpec\nJobSpec.x = 1", "only re-exports"),
        ("runtime", "def __getattr__(name): ...", "only re-exports"),
        ("runtime", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import trio", "only re-exports"),
        ("runtime", "if TYPE_CHECKING:\n    ...\nelse:\n    _LAZY_IMPORTS = f()", "only re-exports"),
        ("runtime", "if True:\n    from runtime.job import JobSpec", "only re-exports"),
    ],
)
def test_a_violation_is_seen(module: str, source: str, complaint: str) -> None:
    (found,) = violations(module, source)
    assert complaint in found


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "runtime.job.spec",
            "import attrs, re\nfrom signal import Signals\nfrom runtime.errors import SpecError\nfrom . import status",
        ),
        (
            "runtime.scheduler.plan",
            "from runtime.job import JobSpec\nfrom runtime.scheduler.graph import Graph",
        ),
        ("runtime.backend.local", "import signal, trio\nfrom runtime.verdict.scan import scan\nsignal.SIGTERM"),
        ("runtime.verdict.scan", "def f():\n    import re2"),
        ("runtime.cli.main", "def f():\n    import_module('runtime.dvsim.command')"),
        ("runtime.cli.main", "import rich, cattrs, trio\ntrio.open_signal_receiver()"),
        ("runtime.cli.main", "from runtime.testing.suite import check"),
        ("runtime.__main__", "from runtime.cli.main import main"),
        ("runtime", '"""Doc."""\nfrom runtime.job import JobSpec\n__all__ = ("JobSpec",)'),
        (
            "runtime",
            "if TYPE_CHECKING:\n  from runtime.job import X\nelse:\n  _LAZY_IMPORTS = {'x':('X',)}\n  def __dir__(): 0",
        ),
    ],
)
def test_an_allowed_import_is_no_violation(module: str, source: str) -> None:
    assert violations(module, source) == []
