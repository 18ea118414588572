"""Tests of `benchmarks.environment`: a missing peer is an error that says how to get it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import environment
from benchmarks.environment import (
    DVSIM_PYTHON,
    compiled,
    dvsim,
    in_memory,
    machine,
    need_module,
    need_programs,
    need_space,
    ours,
    peer,
)
from benchmarks.model import BenchmarkError


@pytest.fixture(autouse=True)
def _forget_dvsim() -> Iterator[None]:
    environment.dvsim_python.cache_clear()
    environment.compiled.cache_clear()
    yield
    environment.dvsim_python.cache_clear()
    environment.compiled.cache_clear()


def test_ours_is_a_program_of_samples_run_on_this_checkout() -> None:
    contender = ours("cli", "scheduler.py", 1000, "--as-cli")
    interpreter, script, *arguments = contender.command
    assert interpreter == sys.executable
    assert Path(script).is_file()
    assert arguments == ["1000", "--as-cli"]
    assert contender.tree == str(Path(__file__).resolve().parent.parent.parent)


def test_a_peer_without_an_interpreter_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DVSIM_PYTHON, raising=False)
    with pytest.raises(BenchmarkError, match=r"DVSIM_PYTHON is not set. `make bench` sets it up"):
        dvsim("dvsim", "dvsim_scheduler.py")


def test_an_interpreter_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DVSIM_PYTHON, "/no/such/python")
    with pytest.raises(BenchmarkError, match=r"is '/no/such/python', where it does not work: .*No such file"):
        dvsim("dvsim", "dvsim_scheduler.py")


def test_an_interpreter_without_dvsim_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DVSIM_PYTHON, sys.executable)
    with pytest.raises(BenchmarkError, match="where it does not work: ModuleNotFoundError: No module named 'dvsim'"):
        dvsim("dvsim", "dvsim_scheduler.py")


def test_the_machine_is_described() -> None:
    found = machine()
    assert found.keys() == {"system", "processor", "cpus", "load"}
    assert isinstance(found["cpus"], int)
    assert found["cpus"] >= 1
    assert found["processor"]


def test_a_peer_imports_nothing_of_this_checkout() -> None:
    contender = peer("xargs", "spawn_programs.py", "xargs", 1, 2)
    assert contender.tree is None
    assert Path(contender.command[1]).is_file()


def test_programs_that_are_missing_are_named_with_their_packages() -> None:
    need_programs(sh="dash")
    with pytest.raises(
        BenchmarkError, match=r"not installed: no-such-a, no-such-b\. .*Debian: apt install some-package\)"
    ):
        need_programs(**{"sh": "dash", "no-such-a": "some-package", "no-such-b": "some-package"})


def test_a_module_that_is_missing_is_named() -> None:
    need_module("json")
    with pytest.raises(BenchmarkError, match="the module no_such_module is not installed"):
        need_module("no_such_module")


def test_a_program_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text(f'#!/bin/sh\necho "$4" >> {tmp_path}/calls; cp /bin/true "$3"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    program = Path(compiled("spawn.c"))
    assert compiled("spawn.c") == str(program)
    assert program.is_file()
    assert (tmp_path / "calls").read_text() == f"{environment.HERE}/peers/spawn.c\n"


def test_a_compiler_that_is_missing_or_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "/no/such/cc")
    with pytest.raises(BenchmarkError, match=r"there is no C compiler '/no/such/cc'.*apt install gcc"):
        compiled("spawn.c")
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho no stdio.h >&2; exit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    with pytest.raises(BenchmarkError, match=r"does not compile spawn.c: no stdio.h"):
        compiled("spawn.c")


def test_space_in_memory_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        BenchmarkError, match=r"a file system in memory at /no/such/place, .*: No such file or directory"
    ):
        need_space("/no/such/place", megabytes=1)
    with pytest.raises(BenchmarkError, match=r"needs a file system in memory at /proc\. Mount one"):
        need_space("/proc", megabytes=1)
    memory = next(
        line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[2] == "tmpfs"
    )
    need_space(memory, megabytes=0)
    with pytest.raises(BenchmarkError, match=r"has \d+ MB free; expected 1000000000000 MB"):
        need_space(memory, megabytes=10**12)


def test_temporary_directories_can_be_in_memory() -> None:
    with in_memory() as variables:
        assert variables == {"TMPDIR": environment.MEMORY}


def test_versions_are_those_of_what_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "parallel"
    program.write_text("#!/bin/sh\necho parallel 7\necho and more\n")
    program.chmod(0o755)
    for name, code in (("xargs", "exit 1"), ("slurmctld", "echo slurm-wlm 1.2")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{code}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(environment, "dvsim_python", lambda: sys.executable)
    monkeypatch.setattr(environment, "ask", lambda *_: "1.57.0 3.11.7")
    found = environment.versions()
    assert found.keys() >= {"runtime", "python", "trio", "dvsim", "hyperqueue", "grep", "cc"}
    assert (found["dvsim"], found["parallel"], found["xargs"]) == ("1.57.0", "parallel 7", "not installed")
    assert found["slurm"] == "slurm-wlm 1.2"


def test_dvsim_is_needed_only_by_the_questions_that_measure_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DVSIM_PYTHON, raising=False)
    assert environment.versions()["dvsim"] == "not installed"
