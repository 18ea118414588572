"""Tests of `benchmarks.environment`: a peer that is missing is an error that says how to get it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import environment
from benchmarks.environment import DVSIM_PYTHON, dvsim, machine, ours
from benchmarks.model import BenchmarkError


@pytest.fixture(autouse=True)
def _forget_dvsim() -> Iterator[None]:
    environment.dvsim_python.cache_clear()
    yield
    environment.dvsim_python.cache_clear()


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
