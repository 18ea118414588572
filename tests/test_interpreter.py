"""The interpreter and the files that run helpers: in frozen programs, in archives, and inside other programs."""

from __future__ import annotations

import os
import py_compile
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from runtime import interpreter, rooted
from runtime.interpreter import NoInterpreterError
from runtime.process import supervisor_program
from runtime.process.supervisor import Supervisor

ROOT = Path(interpreter.__file__).parents[1]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    interpreter._search.cache_clear()
    yield
    interpreter._search.cache_clear()


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A program that leaves a file when it is started."""
    path = tmp_path / "app"
    path.write_text(f"#!/bin/sh\necho started >> {tmp_path}/started\n")
    path.chmod(0o755)
    return path


def test_sys_executable_is_used_if_it_is_an_interpreter() -> None:
    assert interpreter.interpreter() == sys.executable


def test_a_frozen_program_never_starts_itself(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (app.parent / "python3").symlink_to(app)  # no interpreter, despite its name
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(app))
    monkeypatch.setattr(sys, "_base_executable", str(app))
    monkeypatch.setenv("PATH", "/no/such/directory")
    with pytest.raises(
        NoInterpreterError, match=r"app\', which is no Python interpreter, .* set JOB_RUNTIME_PYTHON to"
    ):
        Supervisor.start({}, kill_timeout=1)
    assert not (app.parent / "started").exists()
    monkeypatch.setenv("PATH", os.path.join(sys.base_prefix, "bin"))
    interpreter._search.cache_clear()
    assert os.path.dirname(interpreter.interpreter()) == os.path.join(sys.base_prefix, "bin")
    assert not (app.parent / "started").exists()


@pytest.mark.parametrize("executable", ["", "app"])
def test_a_program_that_embeds_python_uses_the_interpreter_of_its_library(
    app: Path, monkeypatch: pytest.MonkeyPatch, executable: str
) -> None:
    monkeypatch.setattr(sys, "executable", executable and str(app))
    monkeypatch.setattr(sys, "_base_executable", executable and str(app))
    monkeypatch.setenv("PATH", "/no/such/directory")
    assert os.path.basename(interpreter.interpreter()).startswith("python3")
    assert not (app.parent / "started").exists()


def test_an_interpreter_may_be_named_and_must_be_one(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_RUNTIME_PYTHON", str(app))
    with pytest.raises(NoInterpreterError, match=r"JOB_RUNTIME_PYTHON is '.*app'; expected the path of a Python 3"):
        interpreter.interpreter()
    assert not (app.parent / "started").exists()
    (app.parent / "python-of-the-site").symlink_to(sys.executable)
    monkeypatch.setenv("JOB_RUNTIME_PYTHON", str(app.parent / "python-of-the-site"))
    assert interpreter.interpreter() == str(app.parent / "python-of-the-site")


def test_an_interpreter_finds_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = f"""#!/bin/sh
case $LD_LIBRARY_PATH in *of-the-site*) exec "{sys.executable}" "$@";; esac
echo cannot open shared object file >&2
exit 127
"""
    (tmp_path / "python3").write_text(script)
    (tmp_path / "python3").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
    with pytest.raises(OSError, match="cannot open shared object file"):
        Supervisor.start({}, kill_timeout=1)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/of-the-site/lib")
    supervisor = Supervisor.start({}, kill_timeout=1)
    supervisor._process.kill()
    supervisor._process.wait()
    supervisor._close()


def test_a_frozen_programs_own_libraries_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/of/the/program")
    assert interpreter.library_path() == {"LD_LIBRARY_PATH": "/of/the/program"}
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert interpreter.library_path() == {}
    assert "LD_LIBRARY_PATH" not in interpreter.environment()
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/before")
    assert interpreter.environment()["LD_LIBRARY_PATH"] == "/before"


def test_outdated_bytecode_is_not_run(tmp_path: Path) -> None:
    source = tmp_path / "program.py"
    source.write_text("old = 1\n")
    compiled = py_compile.compile(str(source), str(tmp_path / "program.pyc"), doraise=True)
    module = ModuleType("program")
    module.__file__ = str(source)
    module.__spec__ = SimpleNamespace(cached=compiled)  # type: ignore[assignment]  # the only attribute that is read
    assert interpreter.program(module) == compiled
    source.write_text("newer = 1\n")
    assert interpreter.program(module) == str(source)
    (tmp_path / "program.pyc").unlink()
    assert interpreter.program(module) == str(source)
    assert interpreter.program(supervisor_program).endswith((".py", ".pyc"))
    assert interpreter.directory(rooted) == str(ROOT / "runtime")


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
