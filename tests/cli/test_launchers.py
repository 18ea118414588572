"""Legacy launchers from the command line: DVSim's own under its interpreter, and modules that lack something."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runtime.job import safe_id
from tests.cli.program import LIMIT, Done, call, environment, links, results, statuses
from tests.dvsim.running import dvsim_python

SRUN = """#!/bin/sh
while [ "$1" != bash ]; do shift; done
exec "$@"
"""
"""Takes the place of Slurm's `srun`, and runs the command on this machine."""

JOBS = """
[defaults]
pass_patterns = ["^GOOD"]
[jobs.build]
cmd = "cat given.txt > {odir}/built; echo GOOD"
[jobs.sim]
needs = ["build"]
cmd = ["sh", "-c", 'cat {run_dir}/build/built; echo "$WORD $0 {seed}"', "a  b"]
exports = { WORD = "it's" }
seeds = [1, 2]
[jobs.fails]
cmd = "echo GOOD; exit 3"
[jobs.never]
needs = ["fails"]
cmd = "true"
"""


def run_there(directory: Path, *arguments: str, **variables: str) -> Done:
    """Run the command line in `directory` under DVSim's interpreter."""
    done = subprocess.run(
        [dvsim_python(), "-m", "runtime", *arguments],
        cwd=directory,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A job file in a directory of its own, away from where the command line runs."""
    there = tmp_path / "jobs here"
    there.mkdir()
    (there / "jobs.toml").write_text(JOBS)
    (there / "given.txt").write_text("GOOD as given\n")
    return there / "jobs.toml"


def check_run(directory: Path, done: Done) -> None:
    assert (done.code, done.err) == (1, "")
    assert statuses(directory) == {
        "build": "passed",
        "sim.seed=1": "passed",
        "sim.seed=2": "passed",
        "fails": "failed",
        "never": "killed",
    }
    assert links(directory) == {"passed": ["build", "sim.seed@1", "sim.seed@2"], "failed": ["fails"]}
    for job in results(directory)["jobs"]:
        if job["id"].startswith("sim"):
            assert Path(job["log"]).parent == (directory / "results" / "latest" / safe_id(job["id"])).resolve()
            assert f"it's a  b {job['seed']}\n" in Path(job["log"]).read_text()
    assert list((directory / "tmp").iterdir()) == []


@pytest.mark.slow
def test_the_slurm_launcher_of_dvsim_runs_a_job_file(tmp_path: Path, files: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "srun").write_text(SRUN)
    (tmp_path / "bin" / "srun").chmod(0o755)
    (tmp_path / "tmp").mkdir()
    backend = "legacy:dvsim.launcher.slurm:SlurmLauncher"
    path = f"{tmp_path / 'bin'}:{environment()['PATH']}"
    done = run_there(tmp_path, "run", str(files), "--backend", backend, TMPDIR=str(tmp_path / "tmp"), PATH=path)
    check_run(tmp_path, done)


@pytest.mark.slow
def test_a_launcher_derived_from_dvsim_s_is_found_by_pythonpath(tmp_path: Path, files: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "farm.py").write_text(
        "from tests.dvsim.programs.own import ShellLauncher\n\nclass FarmLauncher(ShellLauncher):\n    pass\n"
    )
    (tmp_path / "tmp").mkdir()
    with files.open("a") as file:
        file.write('[backends."legacy:farm:FarmLauncher"]\npoll_interval = 0.02\n')
    words = ["run", str(files), "--backend", "legacy:farm:FarmLauncher", "--pythonpath", "lib"]
    check_run(tmp_path, run_there(tmp_path, *words, TMPDIR=str(tmp_path / "tmp")))


@pytest.mark.parametrize(
    ("module", "name", "message"),
    [
        (None, "farm:FarmLauncher", "importing 'farm' failed: ModuleNotFoundError: No module named 'farm'"),
        (
            "import farm_tools",
            "farm:FarmLauncher",
            "importing 'farm' failed: ModuleNotFoundError: No module named 'farm_to",
        ),
        ("def f(:", "farm:FarmLauncher", "importing 'farm' failed: SyntaxError: invalid syntax (farm.py, line 1)"),
        ("raise SystemExit('one\\ntwo')", "farm:FarmLauncher", "importing 'farm' failed: SystemExit: one"),
        ("class FarmLauncher: ...", "farm:FarmLaucher", "'farm' has no 'FarmLaucher'; did you mean 'FarmLauncher'?"),
        (
            "class FarmLauncher:\n def launch(self): ...",
            "farm:FarmLauncher",
            "FarmLauncher, which has no poll, no kill; ",
        ),
        (
            "FarmLauncher = 3",
            "farm:FarmLauncher",
            "stands for 3; expected a launcher class with launch(), poll() and kill()",
        ),
        (
            "class FarmLauncher:\n max_poll = -1\n launch = poll = kill = lambda self: None",
            "farm:FarmLauncher",
            "FarmLauncher.max_poll is -1; expected ",
        ),
        ("", "farm", "'farm' names nothing that could be imported; expected legacy:package.module:ClassName"),
    ],
)
def test_what_a_launcher_s_module_lacks_is_said_in_one_line(
    tmp_path: Path, module: str | None, name: str, message: str
) -> None:
    if module is not None:
        (tmp_path / "farm.py").write_text(module)
    (tmp_path / "jobs.toml").write_text('[jobs.a]\ncmd = "true"\n')
    done = call(tmp_path, "run", "jobs.toml", "--backend", f"legacy:{name}", "--pythonpath", ".")
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert done.err.startswith("job-runtime: ")
    assert done.err.count("\n") == 1
    assert not (tmp_path / "results").exists()
