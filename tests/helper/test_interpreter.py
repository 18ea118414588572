"""The interpreter that runs helpers: in frozen programs, and inside other programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.helper import interpreter
from runtime.helper.interpreter import NoInterpreterError
from runtime.process.supervisor import Supervisor


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
    supervisor.destroy()


def test_a_frozen_programs_own_libraries_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/of/the/program")
    assert interpreter.loader_path() == {"LD_LIBRARY_PATH": "/of/the/program"}
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert interpreter.loader_path() == {}
    assert "LD_LIBRARY_PATH" not in interpreter.environment()
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/before")
    assert interpreter.environment()["LD_LIBRARY_PATH"] == "/before"
