"""`prove`: what it finds on backends that keep and break promises, and what its report says."""

from __future__ import annotations

import errno
import logging
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
import trio

from runtime.backend.contract.backend import RuntimeBackend
from runtime.backend.local import LocalBackend
from runtime.cli import prove as cli_prove
from runtime.cli.main import main
from runtime.cli.prove import report
from runtime.errors import DuplicateJobError
from runtime.job import JobHandle, JobStatus
from runtime.report.output import Output
from runtime.report.summary import Line
from runtime.testing import conformance, proof, semantics
from runtime.testing.checks.submitting import (
    a_job_twice_in_a_call_is_an_error,
    a_refused_job_has_no_event,
    a_start_is_reported,
)
from runtime.testing.fixture import RUN, CheckContext
from runtime.testing.history import History
from runtime.testing.proof import Finding, Part, Proven, prove
from tests.gridengine.cluster import Cluster as GridEngine
from tests.slurm.cluster import Cluster

FEW = (a_start_is_reported, a_job_twice_in_a_call_is_an_error, a_refused_job_has_no_event)


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """Give the log back to the other tests of this process: the command shows it on a standard error that is closed."""
    log = logging.getLogger("runtime")
    before = (list(log.handlers), log.level, log.propagate)
    yield
    log.handlers[:], log.level, log.propagate = before


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the checks and of the table: all of them run in the tests of each backend."""
    all_rows = semantics.rows
    monkeypatch.setattr(proof, "CHECKS", (*FEW, *conformance.ALONE))
    monkeypatch.setattr(proof, "rows", lambda root: all_rows(root)[::10])


class OnceMore(LocalBackend):
    """Accepts a job that is twice in a call."""

    async def submit_many(self, jobs: object, **options: object) -> dict[str, JobHandle]:
        try:
            return await super().submit_many(jobs, **options)  # type: ignore[arg-type]  # as it was called
        except DuplicateJobError:
            return {}


async def findings(make: proof.MakeBackend, directory: Path) -> Sequence[Finding]:
    told: list[Finding] = []

    async def note(finding: Finding) -> None:
        await trio.lowlevel.checkpoint()
        told.append(finding)

    found = await prove(make, directory, note)
    assert sorted(told, key=repr) == sorted(found, key=repr)
    return found


def make_local(run_dir: Path) -> RuntimeBackend:
    return LocalBackend(8, run_dir)


async def test_a_backend_that_keeps_all(tmp_path: Path) -> None:
    found = await findings(make_local, tmp_path)
    assert [each.name for each in found if each.proven is Proven.BROKEN] == []
    assert [each.name for each in found if each.proven is Proven.UNTRIED] == ["a_refused_job_has_no_event"]
    assert {each.part for each in found} == set(Part)


async def test_a_broken_promise_is_found_and_the_others_are_looked_at(tmp_path: Path) -> None:
    found = await findings(lambda run_dir: OnceMore(8, run_dir), tmp_path)
    (broken,) = [each for each in found if each.proven is Proven.BROKEN]
    assert broken.name == "a_job_twice_in_a_call_is_an_error"
    assert broken.promise.startswith("`DuplicateJobError`.")
    assert broken.text


async def test_a_job_that_means_something_else_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absolute = semantics.Row("absolute", {"cmd": ["printf", "y"]}, semantics.passes("x"))
    monkeypatch.setattr(proof, "rows", lambda _: [absolute])
    (found,) = [each for each in await findings(make_local, tmp_path) if each.part is Part.MEANING]
    assert (found.proven, "b'y'" in found.text) == (Proven.BROKEN, True)


def test_the_command_writes_a_report_and_leaves_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    threads: set[threading.Thread] = set()
    show = Output.show

    def noted(output: Output, lines: Iterable[Line]) -> None:
        threads.add(threading.current_thread())
        show(output, lines)

    monkeypatch.setattr(Output, "show", noted)
    assert main(["prove", "local", "--set", 'containment="group"', "--out", "here", "--at-once", "3"]) == 0
    assert threads
    assert threading.main_thread() not in threads  # where the event loop is, and the time of the other checks passes
    assert "0 BROKEN" in capfd.readouterr().out
    text = (tmp_path / "proof.md").read_text()
    assert text.startswith("# The backend `local`: ")
    assert "- options: `containment`\n" in text
    assert "- `a_start_is_reported`: " in text
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.slurm
@pytest.mark.root
@pytest.mark.slow
def test_a_real_slurm(slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prove_cluster("slurm", tmp_path, monkeypatch)
    assert slurm.call("squeue", "--noheader") == ""


@pytest.mark.gridengine
@pytest.mark.root
@pytest.mark.slow
def test_a_real_grid_engine(grid_engine: GridEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prove_cluster("gridengine", tmp_path, monkeypatch)
    assert grid_engine.jobs() == []


def prove_cluster(name: str, directory: Path, patch: pytest.MonkeyPatch) -> None:
    """Prove the backend of a cluster that the environment names, by the command."""
    patch.chdir(directory)
    code = main(["prove", name, "--set", "poll_interval=0.5", "--budget", "60"])
    text = (directory / "proof.md").read_text()
    assert code == 0, text
    assert text.startswith(f"# The backend `{name}`: ")
    assert list((directory / "results").iterdir()) == []


def test_a_signal_ends_the_jobs_and_then_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    histories: list[History] = []

    async def interrupted(context: CheckContext) -> None:
        async with context.session() as session:
            histories.append(session.history)
            async with session.open():
                await session.start(RUN)
                signal.raise_signal(signal.SIGTERM)
                await trio.sleep_forever()

    monkeypatch.setattr(proof, "CHECKS", (interrupted,))
    monkeypatch.setattr(proof, "ALONE", ())
    monkeypatch.chdir(tmp_path)
    elsewhere: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: elsewhere.append(number))
    try:
        code = main(["prove", "local", "--budget", "5"])
    finally:
        signal.signal(signal.SIGTERM, before)
    ends = [event.status for history in histories for event in history.completions]
    assert (code, ends, elsewhere) == (143, [JobStatus.KILLED], [])
    assert "ended by SIGTERM, without a report; what its jobs left is in results/proof-" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "nothing"),
        (["local", "--set", "x"], "KEY=VALUE"),
        (["local", "--set", "contaiment=1"], "containment"),
        (["local", "--set", "max_parallelism=3"], "max_parallelism is 3"),
        (["local", "--file", "no.toml"], "no.toml"),
        (["local", "--report", "no/proof.md"], "no/proof.md"),
        (["local", "--report", "/dev/null"], "no regular file"),
        (["local", "--budget", "0"], "'0' is given; expected a number of seconds above 0"),
        (["local", "--budget", "nan"], "above 0"),
        (["local", "--budget", "9e999"], "above 0"),
        (["local", "--out", "/dev/null/here"], "/dev/null/here: Not a directory"),
    ],
)
def test_wrong_input_is_one_line_and_makes_nothing(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code = main(["prove", *arguments])
    except SystemExit as exc:  # of argparse
        code = int(exc.code or 0)
    assert code == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert message in line
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(proof, "CHECKS", FEW[1:2])
    monkeypatch.setattr(proof, "ALONE", ())
    monkeypatch.setattr(proof, "rows", lambda _: [])
    monkeypatch.setattr(cli_prove, "write_atomically", fill_the_disk)
    monkeypatch.chdir(tmp_path)
    assert main(["prove", "local"]) == 74
    assert capfd.readouterr().err == "job-runtime: --report proof.md cannot be written: No space left on device\n"


def test_what_a_job_wrote_is_no_markup() -> None:
    finding = Finding(Part.MEANING, "a`b``c", "", Proven.BROKEN, "# no\n<b>\x1b[31m")
    text = report("x", [], [finding], 0.0)
    assert "- ```a`b``c```\n" in text
    assert "      # no\\n<b>\\x1b[31m\n" in text


def fill_the_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
