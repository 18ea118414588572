"""The command ``dvsim`` where DVSim is missing, or another one: the environment of the tests has none."""

from __future__ import annotations

import importlib.metadata
import sys

import pytest

from runtime.cli.main import main

PIP = "expected dvsim 1.57: pip install 'dvsim==1.57.*'"


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (None, "dvsim is not installed beside "),
        ("1.40.2", "dvsim 1.40.2 is installed beside "),
        ("1.570.1", "dvsim 1.570.1 is installed beside "),
    ],
)
def test_a_missing_or_wrong_dvsim_is_one_line(
    version: str | None, said: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def found(name: str) -> str:
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", found)
    assert main(["dvsim", "--", "cfg.hjson"]) == 2
    assert capfd.readouterr() == ("", f"job-runtime: {said}{sys.executable}; {PIP}\n")


def test_arguments_of_dvsim_come_after_a_double_dash(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["dvsim", "--out", "somewhere"]) == 2
    assert capfd.readouterr().err == (
        "job-runtime: there is no -- before the arguments of dvsim;"
        " expected job-runtime dvsim [OPTIONS] -- CFG.hjson …\n"
    )


def test_events_on_standard_output_would_mix_with_dvsim_s(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["dvsim", "--events", "-", "--", "cfg.hjson"]) == 2
    assert capfd.readouterr().err == (
        "job-runtime: --events is -, and DVSim writes to standard output, too; expected a file\n"
    )
