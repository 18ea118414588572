"""The files that an interpreter runs as helpers, also where the runtime is in an archive."""

from __future__ import annotations

import os
import py_compile
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from runtime.helper import program
from runtime.verdict import worker_program

ROOT = Path(program.__file__).parents[2]


def test_outdated_bytecode_is_not_run(tmp_path: Path) -> None:
    source = tmp_path / "program.py"
    source.write_text("old = 1\n")
    compiled = py_compile.compile(str(source), str(tmp_path / "program.pyc"), doraise=True)
    module = ModuleType("program")
    module.__file__ = str(source)
    module.__spec__ = SimpleNamespace(cached=compiled)  # type: ignore[assignment]  # the only attribute that is read
    assert program.bytecode_or_source(module) == compiled
    source.write_text("newer = 1\n")
    assert program.bytecode_or_source(module) == str(source)
    (tmp_path / "program.pyc").unlink()
    assert program.bytecode_or_source(module) == str(source)


def test_bytecode_is_looked_for_where_the_runtime_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    words = program.words(worker_program)
    script = "import sys; print(sys.pycache_prefix, sys.dont_write_bytecode)"
    options = words[: words.index(str(ROOT)) - 1]
    done = subprocess.run([sys.executable, *options, "-c", script], capture_output=True, check=True)
    assert done.stdout.decode() == f"{tmp_path} True\n"


PROGRAM = """
import sys
import trio
from runtime import JobSpec, LocalBackend, run_jobs

async def main():
    jobs = [JobSpec(name="job", cmd="echo 'hello hello'", pass_patterns=[r"(hello) \\1"])]
    for result in await run_jobs(jobs, LocalBackend()):
        print(result.status.name, result.reason)

trio.run(main)
"""


def test_a_program_in_a_zip_archive_runs_jobs(tmp_path: Path) -> None:
    archive = tmp_path / "program.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted((ROOT / "runtime").rglob("*.py")):
            file.write(path, str(path.relative_to(ROOT)))
        file.writestr("__main__.py", PROGRAM)
    packages = os.path.dirname(os.path.dirname(pytest.__file__))
    (tmp_path / "temporary").mkdir()
    done = subprocess.run(
        [sys.executable, "-S", str(archive)],
        env={"PYTHONPATH": packages, "PATH": os.defpath, "TMPDIR": str(tmp_path / "temporary")},
        capture_output=True,
        check=False,
        cwd="/",
        timeout=120,
    )
    assert done.stdout == b"PASSED None\n", done.stderr
    assert not [path for path in (tmp_path / "temporary").iterdir() if "helpers" in path.name]
