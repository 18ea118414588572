from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from runtime.backend.job_paths import job_paths
from runtime.backend.local import LocalBackend
from runtime.job import FailureKind, JobCompletionEvent, JobResult, JobSpec, JobStatus
from runtime.report.exports_script import SCRIPT_NAME, render_variables
from runtime.report.reproduce import reproduce
from runtime.scheduler.run import run_jobs
from tests.report.results import result

RUN_DIR = Path("/out/run")


@pytest.mark.parametrize(
    ("cmd", "fields", "line"),
    [
        ("./sim +seed=1 | tee x", {}, "cd /work && /bin/sh -c './sim +seed=1 | tee x'"),
        (["./sim", "a b"], {}, "cd /work && ./sim 'a b'"),
        ("x", {"shell": "/bin/bash", "cwd": "/a b"}, "cd '/a b' && /bin/bash -c x"),
        ("x", {"exports": {"B": "$1", "A": ""}}, "cd /work && sh /out/run/exports.sh job /bin/sh -c x"),
        ("x", {"cwd": None}, "cd /out/run/job && /bin/sh -c x"),
    ],
)
def test_the_line_that_runs_a_job_again(cmd: str | Sequence[str], fields: dict[str, Any], line: str) -> None:
    assert reproduce(result("job", cmd=cmd, **fields), RUN_DIR) == line


@pytest.mark.parametrize(("cwd", "line"), [("/a b", "cd '/a b' && /bin/sh -c x"), (None, "/bin/sh -c x")])
def test_the_line_of_a_job_that_never_ran_has_its_directory_if_it_names_one(cwd: str | None, line: str) -> None:
    assert reproduce(result("job", FailureKind.DEPENDENCY, attempt=0, cmd="x", cwd=cwd), RUN_DIR) == line


def test_the_line_does_in_a_shell_what_the_job_did(tmp_path: Path) -> None:
    directory = tmp_path / "it's $HOME\n`x`"
    directory.mkdir()
    job = JobSpec(
        name="job",
        cmd='printf \'%s|\' "$PWD" "$A B" \'{"x"}\' \\\\ # done\nprintf end',
        cwd=str(directory),
        exports={"A": "$(touch x)'\"\n*"},
    )
    (tmp_path / SCRIPT_NAME).write_bytes(b"".join(render_variables([job])))
    event = JobCompletionEvent("job", 1, JobStatus.PASSED, None, 0, 0, 0, paths=job_paths(job, str(tmp_path)))
    words = ["/bin/sh", "-c", reproduce(JobResult(job, event), tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == f'{directory}|$(touch x)\'"\n* B|{{"x"}}|\\|end'
    assert list(directory.iterdir()) == []


async def test_the_line_of_a_command_that_is_too_long_for_an_argument_names_its_file(tmp_path: Path) -> None:
    job = JobSpec(name="job", cmd="echo $0 # ".ljust(200_000, "x") + "\nexit 7", exports={"A": "1"})
    (ended,) = await run_jobs([job], LocalBackend(run_dir=tmp_path))
    assert (ended.usage.exit_code if ended.usage else None) == 7
    (tmp_path / SCRIPT_NAME).write_bytes(b"".join(render_variables([job])))
    line = reproduce(ended, tmp_path)
    assert len(line) < 1000
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "/bin/sh\n", "")
