"""Keys in docs/lsf.md exist, and its job file is valid."""

from __future__ import annotations

import re
from pathlib import Path

from runtime.backend.lsf import LsfBackend
from runtime.backend.registry import backends
from runtime.cli.make_backends import key_names
from runtime.job import JobSpec
from runtime.jobfile.regression import load

PAGE = (Path(__file__).parents[2] / "docs" / "lsf.md").read_text("utf-8")


def test_its_job_file_makes_a_backend_that_asks_for_what_the_page_says(tmp_path: Path) -> None:
    found = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    path = tmp_path / "regression.toml"
    path.write_text(found[1])
    regression = load(str(path))
    options, _ = regression.backends["lsf"]
    backend = backends.create("lsf", **options)
    assert isinstance(backend, LsfBackend)
    (entry,) = regression.entries
    words = backend.requests.of(JobSpec(name="smoke", cmd="true", resources=entry.table.resources, target="build"))
    asked = "-q short -P verification -n 2 -R span[hosts=1] -R rusage[mem=4000MB/host,vcs_lic=1/job] -sp 10"
    assert " ".join(words) == f"-rn {asked}"


def test_it_says_first_that_no_real_lsf_has_run_it() -> None:
    assert "Not yet run on a real LSF" in PAGE.partition("## ")[0]
    assert "Not yet run on a real LSF" in (LsfBackend.__doc__ or "").partition("\n")[0]


def test_each_key_in_its_table_exists_and_each_option_is_listed() -> None:
    rows = re.findall(r"^\| (`[^|]+`) \| ", PAGE.partition("## Where it differs")[0], re.MULTILINE)
    keys = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
    ours = set(key_names(backends, "lsf")) - {"max_parallelism", "drain_timeout"}
    assert keys == ours - {"max_output_dirs"}
