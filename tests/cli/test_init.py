from __future__ import annotations

import json
import resource
from pathlib import Path

import jsonschema
import pytest

from runtime.cli.init import JOB_FILE, schema_text
from runtime.cli.new_file import write_new_file
from runtime.jobfile.errors import InputError
from runtime.jobfile.read import parse_toml
from tests.cli.conftest import Here
from tests.cli.program import call


def test_the_job_file_is_valid_and_all_its_jobs_pass(tmp_path: Path, here: Here) -> None:
    jsonschema.Draft4Validator(json.loads(schema_text())).validate(parse_toml(JOB_FILE, "f"))
    done = here("init")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("regression.toml is written. To see its jobs: job-runtime list regression.toml. To run")
    done = call(tmp_path, "run", "regression.toml", "-q")
    assert done.code == 0, done
    results = json.loads((tmp_path / "results" / "latest" / "results.json").read_text())
    assert results["counts"]["passed"] == 8
    assert "#:schema" in (tmp_path / "regression.toml").read_text()


def test_a_file_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("mine")
    with pytest.raises(InputError, match=r"FILE is .*a\.toml, which exists; expected the name of a new file"):
        write_new_file(path, JOB_FILE, "FILE")
    assert path.read_text() == "mine"
    with pytest.raises(InputError, match="cannot be written: No such file"):
        write_new_file(tmp_path / "no" / "a.toml", JOB_FILE, "FILE")
    with pytest.raises(InputError, match="cannot be written"):
        write_new_file(Path("nul\0name"), JOB_FILE, "FILE")


def test_the_schema_is_printed(here: Here) -> None:
    done = here("schema")
    assert (done.code, done.out) == (0, schema_text())


def test_of_a_file_that_does_not_fit_nothing_stays(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with pytest.raises(InputError, match="cannot be written: File too large"):
            write_new_file(tmp_path / "new.toml", JOB_FILE, "FILE")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
