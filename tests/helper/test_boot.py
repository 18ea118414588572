"""What helpers import, and that they can be run where the runtime is in no files."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.helper import boot, program

ROOT = Path(boot.__file__).parents[2]


def imports_of(module: str) -> Iterator[str]:
    """The modules that a module imports, except for a type checker."""
    tree = ast.parse((ROOT / module.replace(".", "/")).with_suffix(".py").read_text("utf-8"))
    for block in ast.walk(tree):
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            block.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert node.module is not None
            package = node.module in boot.PACKAGES
            yield from (f"{node.module}.{alias.name}" for alias in node.names) if package else (node.module,)


@pytest.mark.parametrize("module", program.MODULES)
def test_helpers_import_the_standard_library_and_each_other(module: str) -> None:
    assert module.rpartition(".")[0] in boot.PACKAGES
    for name in imports_of(module):
        assert name in program.MODULES or name.partition(".")[0] in sys.stdlib_module_names, name


def test_a_helper_imports_no_package_of_the_runtime() -> None:
    script = f"""
import sys
sys.path.append({str(ROOT / "runtime" / "helper")!r})
from boot import replace_packages
replace_packages({str(ROOT)!r})
import runtime.process.guard.supervisor_process, runtime.verdict.worker_program
print(sorted(name for name in sys.modules if name.startswith("runtime.")))
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-B", "-c", script], capture_output=True, check=True)
    expected = {*program.MODULES, *boot.PACKAGES} - {"runtime", "runtime.helper.boot"}
    assert done.stdout.decode() == f"{sorted(expected)}\n"
