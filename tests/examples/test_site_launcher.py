"""The example of a site's launcher: installed by pip, found by its entry point, and run from the command line."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.program import ROOT, Done, Fifo, call, end_of, environment, is_alive, links, results, started, statuses

pytestmark = pytest.mark.slow

SOURCE = ROOT / "examples" / "site_launcher"

JOBS = """
[jobs.build]
cmd = "cat given.txt > {odir}/built"
[jobs.sim]
needs = ["build"]
cmd = ["sh", "-c", 'cat {run_dir}/build/built; echo "$WORD $0 {seed}"', "a  b"]
exports = { WORD = "it's" }
seeds = [1, 2]
pass_patterns = ["^GOOD", "a  b [12]$"]
[jobs.exits]
cmd = "exit 3"
[jobs.says_no]
cmd = "echo ERROR one"
fail_patterns = ["^ERROR"]
[jobs.silent]
cmd = "true"
pass_patterns = ["^GOOD"]
[jobs.never]
needs = ["exits"]
cmd = "true"
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of packages with the example in it, as pip installs it."""
    place = tmp_path_factory.mktemp("site")
    shutil.copytree(SOURCE, place / "source")  # a build may leave files
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--no-index"]
    done = subprocess.run(
        [*pip, "--no-build-isolation", "--target", place / "lib", place / "source"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return place / "lib"


@pytest.fixture
def here(tmp_path: Path, installed: Path) -> Callable[..., Done]:
    def here(*arguments: str) -> Done:
        return call(tmp_path, *arguments, env={"PYTHONPATH": f"{ROOT}:{installed}"})

    return here


def test_it_is_listed(here: Callable[..., Done]) -> None:
    assert "site  Runs a job as a local process that ignores SIGHUP.  (launcher SiteLauncher)" in here("backends").out


def test_it_runs_a_job_file(tmp_path: Path, here: Callable[..., Done]) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "jobs.toml").write_text(JOBS)
    (tmp_path / "jobs" / "given.txt").write_text("GOOD as given\n")
    done = here("run", "jobs/jobs.toml", "--backend", "site")
    assert (done.code, done.err) == (1, "")
    found = {job["id"]: (job["status"], job["message"]) for job in results(tmp_path)["jobs"]}
    assert found == {
        "build": ("passed", None),
        "sim.seed=1": ("passed", None),
        "sim.seed=2": ("passed", None),
        "exits": ("failed", "exit code 3"),
        "says_no": ("failed", "ERROR one"),
        "silent": ("failed", "nothing in the log matches ^GOOD"),
        "never": ("killed", "it needs 'exits', which ended as FAILED"),
    }
    assert links(tmp_path) == {
        "passed": ["build", "sim.seed@1", "sim.seed@2"],
        "failed": ["exits", "says_no", "silent"],
    }
    log = tmp_path / "results" / "latest" / "sim.seed@2" / "job.log"
    assert log.read_text() == "GOOD as given\nit's a  b 2\n"


def test_a_job_file_names_it_and_sets_its_limits(tmp_path: Path, here: Callable[..., Done]) -> None:
    (tmp_path / "jobs.toml").write_text(
        '[backends.site]\nmax_parallelism = 1\npoll_interval = 0.01\n[jobs.a]\nbackend = "site"\ncmd = "true"\n'
    )
    assert here("run", "jobs.toml").code == 0
    assert statuses(tmp_path) == {"a": "passed"}


def test_ctrl_c_ends_what_it_runs(tmp_path: Path, installed: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    (tmp_path / "jobs.toml").write_text(
        f"[jobs.a]\ncmd = '''echo $$ > {fifo.path}; sleep 1000 & sleep 1000'''\n", encoding="utf-8"
    )
    variables = {"PYTHONPATH": f"{ROOT}:{installed}"}
    with started(tmp_path, "run", "jobs.toml", "--backend", "site", env=variables) as program:
        pid = int(fifo.hear())
        program.send_signal(signal.SIGINT)
        assert end_of(program).code == 130
    assert not is_alive(pid)
    assert statuses(tmp_path) == {"a": "killed"}


def test_it_needs_no_package_if_its_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "jobs.toml").write_text('[jobs.a]\ncmd = "true"\n')
    words = ["--backend", "legacy:site_launcher:SiteLauncher", "--pythonpath", str(SOURCE)]
    assert call(tmp_path, "run", "jobs.toml", *words).code == 0
    assert environment()["PYTHONPATH"] == str(ROOT)
