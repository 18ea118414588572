from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runtime.backend.legacy.job_view import DVSimView, named_paths, view_as_dvsim, view_for
from runtime.job import JobPaths, JobSpec, JobStatus


def test_a_job_is_shown_with_the_attributes_that_launchers_of_dvsim_read(tmp_path: Path) -> None:
    spec = JobSpec(
        name="smoke",
        full_name="aes:smoke",
        qual_name="0.smoke",
        cmd=["echo", "a b"],
        job_type="RunTest",
        target="run",
        seed=7,
        timeout=90,
        exports={"A": "1"},
        renew_odir=True,
        pass_patterns=["ok"],
        fail_patterns=["bad"],
        dependencies=["build"],
        weight=3,
    )
    shown = DVSimView(tmp_path, project="aes", tool="xcelium")(spec)
    assert shown.cmd == "echo 'a b'"
    assert (shown.id, shown.full_name, shown.qual_name, shown.name) == ("aes:smoke", "aes:smoke", "0.smoke", "smoke")
    assert (shown.job_type, shown.target, shown.seed, shown.weight) == ("RunTest", "run", 7, 3)
    assert (shown.block.name, shown.tool.name) == ("aes", "xcelium")
    assert (shown.timeout_mins, shown.timeout_secs) == (1.5, 90)
    assert (shown.exports, shown.dependencies) == ({"A": "1"}, ["build"])
    assert shown.odir == tmp_path / "aes@@3Asmoke"
    assert shown.log_path == shown.odir / "job.log"
    assert (shown.renew_odir, shown.dry_run, shown.interactive) == (True, False, False)
    assert (list(shown.pass_patterns), list(shown.fail_patterns)) == (["ok"], ["bad"])
    assert shown.workspace_cfg.scratch_path == tmp_path
    assert shown.workspace_cfg is DVSimView.__call__(shown._view, spec).workspace_cfg
    assert {type(shown.odir), type(shown.log_path), type(shown.workspace_cfg.project_root)} == {type(Path())}
    shown.pre_launch()
    shown.post_finish(SimpleNamespace(name="PASSED"))
    assert "aes:smoke" in repr(shown)


def test_its_own_paths_go_first(tmp_path: Path) -> None:
    shown = DVSimView(tmp_path)(JobSpec(name="a", cmd="true", odir="/o", log_path="/l/x.log"))
    assert (shown.odir, shown.log_path, shown.cmd) == (Path("/o"), Path("/l/x.log"), "true")
    assert (shown.timeout_mins, shown.timeout_secs) == (None, None)


def test_a_shell_with_options_is_a_part_of_the_command() -> None:
    spec = JobSpec(name="a", cmd="false; echo 'a b'", shell=["/bin/sh", "-ec"])
    assert shlex.split(view_as_dvsim(spec).cmd) == ["/bin/sh", "-ec", "false; echo 'a b'"]


@pytest.mark.parametrize("cmd", ["pwd; false || true", ["sh", "-c", "pwd; false || true"]])
def test_the_command_goes_to_the_directory_to_run_in(tmp_path: Path, cmd: str | list[str]) -> None:
    cwd = tmp_path / "it's here"
    shown = view_as_dvsim(JobSpec(name="a", cmd=cmd, cwd=cwd))  # type: ignore[arg-type]  # any path will do
    cwd_missing = subprocess.run(shown.cmd, shell=True, capture_output=True, text=True, check=False)
    assert (cwd_missing.returncode != 0, cwd_missing.stdout) == (True, "")
    cwd.mkdir()
    done = subprocess.run(shown.cmd, shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{cwd}\n")


def test_no_plug_in_of_a_simulator_is_asked_for_where_no_simulator_is_named() -> None:
    types = ["RunTest", "CompileSim", "Lint", ""]
    jobs = [JobSpec(name="a", cmd="true", job_type=job_type) for job_type in types]
    assert [view_as_dvsim(job).job_type for job in jobs] == ["", "", "Lint", ""]
    assert [DVSimView(tool="vcs")(job).job_type for job in jobs] == types


def test_hooks_get_a_status_of_ours() -> None:
    seen: list[object] = []
    spec = JobSpec(name="a", cmd="true", pre_launch=lambda: seen.append("pre"), post_finish=seen.append)
    shown = view_as_dvsim(spec)
    shown.pre_launch()
    shown.post_finish(SimpleNamespace(name="FAILED"))
    assert seen == ["pre", JobStatus.FAILED]


def test_any_other_job_is_passed_on_untouched() -> None:
    foreign = SimpleNamespace(id="x")
    assert view_as_dvsim(foreign) is foreign


def test_an_embedded_run_gets_a_private_directory_when_it_needs_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    caplog.set_level("INFO", logger="runtime.backend.legacy")
    view = DVSimView()
    jobs = [view(JobSpec(name=name, cmd="true")) for name in "ab"]
    assert list(tmp_path.iterdir()) == []
    assert [job.odir.name for job in jobs] == ["a", "b"]
    (made,) = tmp_path.iterdir()
    assert {job.odir.parent for job in jobs} == {made}
    assert made.stat().st_mode & 0o077 == 0
    assert str(made) in caplog.text


def prepare_workspace(cfg: Any) -> None: ...


OF_DVSIM = type("X", (), {"prepare_workspace": staticmethod(prepare_workspace)})
OTHER = type("X", (), {})


def test_which_launchers_get_the_view() -> None:
    assert view_for(OF_DVSIM) is view_as_dvsim
    assert view_for(OTHER) is None


def test_in_a_run_with_a_directory_all_launchers_get_the_paths_of_files(tmp_path: Path) -> None:
    bare = JobSpec(name="a/b", cmd="true", seed=3)
    own = JobSpec(name="c", cmd="true", odir="/o", log_path="/l/x.log", cwd="/w")
    for launcher_cls in (OF_DVSIM, OTHER):
        view = view_for(launcher_cls, tmp_path)
        assert view is not None
        odir = tmp_path / "a@@2Fb"
        assert [str(view(bare).odir), str(view(bare).log_path)] == [str(odir), str(odir / "job.log")]
        assert [str(view(own).odir), str(view(own).log_path)] == ["/o", "/l/x.log"]
        assert view(bare).seed == 3
        assert view("foreign") == "foreign"
    with_paths = view_for(OTHER, tmp_path)
    assert with_paths is not None
    assert [with_paths(bare).cwd, with_paths(own).cwd] == [str(tmp_path / "a@@2Fb"), "/w"]
    assert list(tmp_path.iterdir()) == []


def test_a_view_tells_where_the_files_of_a_job_are(tmp_path: Path) -> None:
    bare = JobSpec(name="a/b", cmd="x")
    own = JobSpec(name="a", cmd="x", odir="/o", log_path="/l/x.log", cwd="/w")
    for launcher_cls in (OF_DVSIM, OTHER):
        view: Any = view_for(launcher_cls, tmp_path)
        odir = tmp_path / "a@@2Fb"
        assert view.paths_of(bare) == JobPaths(str(odir), f"{odir}/job.log", str(odir))
        assert view.paths_of(own) == JobPaths("/o", "/l/x.log", "/w")
        assert view.paths_of("foreign") is None


def test_a_view_makes_no_directory_to_tell_where_files_are() -> None:
    view = DVSimView()
    job = JobSpec(name="a", cmd="x")
    assert view.paths_of(job) is None
    shown = view(job).odir
    assert view.paths_of(job) == JobPaths(str(shown), f"{shown}/job.log", str(shown))
    shown.parent.rmdir()


def test_a_job_that_a_launcher_gets_unchanged_may_name_its_files() -> None:
    assert named_paths(JobSpec(name="a", cmd="x")) is None
    assert named_paths(JobSpec(name="a", cmd="x", odir="/o")) == JobPaths("/o", "/o/job.log", "/o")
    assert named_paths(SimpleNamespace(id="a", odir=Path("/o"), log_path=Path("/o/x.log"))) == JobPaths(
        "/o", "/o/x.log", "/o"
    )
    for foreign in ({}, {"odir": "/o"}, {"odir": 7, "log_path": "/l"}, {"log_path": "/l"}):
        assert named_paths(SimpleNamespace(id="a", **foreign)) is None
