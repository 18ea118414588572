"""Keys in docs/gridengine.md exist, and its job file is valid."""

from __future__ import annotations

import re
from pathlib import Path

from runtime.backend.gridengine import GridEngineBackend
from runtime.backend.registry import backends
from runtime.cli.make_backends import key_names
from runtime.job import JobSpec
from runtime.jobfile.regression import load

PAGE = (Path(__file__).parents[2] / "docs" / "gridengine.md").read_text("utf-8")


def test_its_job_file_makes_a_backend_that_asks_for_what_the_page_says(tmp_path: Path) -> None:
    found = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    path = tmp_path / "regression.toml"
    path.write_text(found[1])
    regression = load(str(path))
    options, _ = regression.backends["gridengine"]
    backend = backends.create("gridengine", **options)
    assert isinstance(backend, GridEngineBackend)
    (entry,) = regression.entries
    words = backend.requests.of(JobSpec(name="smoke", cmd="true", resources=entry.table.resources, target="build"))
    asked = "-q fast.q -P verification -pe smp 2 -l mem_free=2000M -l vcs_lic=1 -l arch=lx-amd64"
    assert " ".join(words) == f"-r n {asked}"


def test_each_key_in_its_table_exists_and_each_option_is_listed() -> None:
    rows = re.findall(r"^\| (`[^|]+`) \| ", PAGE.partition("## Where it differs")[0], re.MULTILINE)
    keys = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
    ours = set(key_names(backends, "gridengine")) - {"max_parallelism", "drain_timeout"}
    assert keys == ours - {"max_output_dirs"}
