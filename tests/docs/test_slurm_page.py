"""Keys, variables and methods in docs/slurm.md exist, and its job file is valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runtime.backend.batch.system import System
from runtime.backend.registry import backends
from runtime.backend.slurm import SlurmBackend
from runtime.backend.slurm.requests import VARIABLES
from runtime.cli.make_backends import key_names
from runtime.job import JobSpec
from runtime.jobfile.regression import load

PAGE = (Path(__file__).parents[2] / "docs" / "slurm.md").read_text("utf-8")


def code(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_its_job_file_makes_a_backend_that_asks_for_what_the_page_says(tmp_path: Path) -> None:
    path = tmp_path / "regression.toml"
    path.write_text(code("toml"))
    regression = load(str(path))
    options, _ = regression.backends["slurm"]
    backend = backends.create("slurm", **options)
    assert isinstance(backend, SlurmBackend)
    (entry,) = regression.entries
    words = backend.requests.of(JobSpec(name="smoke", cmd="true", resources=entry.table.resources, target="build"))
    assert "--partition=fast" in words
    assert "--licenses=vcs_runtime@flex:1" in words
    assert "--mem=4000M" in words


def test_each_key_in_its_table_exists_and_each_option_is_listed() -> None:
    rows = re.findall(r"^\| (`[^|]+`) \| ", PAGE.partition("## What is promised")[0], re.MULTILINE)
    keys = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
    ours = set(key_names(backends, "slurm")) - {"max_parallelism", "drain_timeout"}
    assert keys - {"key"} == ours - {"max_output_dirs"}


@pytest.mark.parametrize("variable", VARIABLES)
def test_each_variable_is_listed(variable: str) -> None:
    assert variable in PAGE


def test_the_methods_of_a_system_are_those_of_the_protocol() -> None:
    table = PAGE.partition("| method | Slurm | LSF |")[2].partition("\n\n")[0]
    listed = set(re.findall(r"^\| `(\w+)\(", table, re.MULTILINE))
    assert listed == {name for name, value in vars(System).items() if callable(value) and not name.startswith("_")}
