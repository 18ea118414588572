"""What a job needed, waited for, did and left is computed from the journal, whatever has become of its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
from hypothesis import given

from runtime.job import FailureKind, JobSpec, JobStatus, JobUsage
from runtime.journal import JSON, Recorder
from runtime.journal.records import Progress, Record, Starting
from runtime.journal.replay import replay
from runtime.report.explanation import ExplainedRun, explanation
from runtime.report.screen_fit import fit
from tests.journal.sink import Sink
from tests.journal.strategies import RECORDS
from tests.report.results import result
from tests.report.states import DETAILS, EPOCH, in_a_file, records

RUN_DIR = Path("/out/run")


def explained(written: Sequence[Record], job_id: str, *, now: float | None = None) -> str:
    state = replay(written, str(RUN_DIR))
    run = ExplainedRun(state, written, is_live=now is not None, now=EPOCH + (now or 0), relative_to=Path("/out"))
    return "\n".join("".join(text for text, _ in line) for line in lines_of(run, state.numbers[job_id]))


def lines_of(run: ExplainedRun, number: int, rows: int | None = None) -> list[tuple[tuple[str, str], ...]]:
    return fit(explanation(run, number), rows, 80)


def begun(jobs: Sequence[JobSpec]) -> tuple[Sink, Recorder]:
    sink = Sink()
    recorder = Recorder(sink, str(RUN_DIR))
    recorder.begin("token", EPOCH)
    recorder.add(jobs)
    sink.records[0] = attrs.evolve(sink.records[0], at=EPOCH)  # type: ignore[arg-type]  # it is a `Begin`
    return sink, recorder


def test_a_failure_is_explained_as_a_whole() -> None:
    build = result("build", cmd="make")
    context = ["seed 7", "UVM_ERROR @ 12: [SB] mismatch"]
    smoke = result(
        "smoke",
        FailureKind.EXIT_CODE,
        "exit code 3",
        lines=[2, (1, 2)],
        context=context,
        usage=JobUsage(cpu_seconds=1.5, peak_bytes=3 << 20, exit_code=3),
        dependencies=["build"],
        timeout=600,
        memory=1 << 30,
        resources={"licence": 1},
        cwd=None,
    )
    details: Mapping[str, JSON] = {**DETAILS, "files": ["fifo.toml"], "waves": ["--with", "+waves"]}
    written = in_a_file(records([build, smoke], RUN_DIR, details=details))
    assert (
        explained(written, "smoke")
        == """\
smoke: failed, in run
  reason     exit code 3: UVM_ERROR @ 12: [SB] mismatch
  bucket     UVM_ERROR @ <time>: [SB] mismatch
needs 1 job: all must pass
  passed in 2.5 s  build
limits and resources
  timeout 10:00; memory 1 GiB; licence 1
waited 1.0 s
      1.0 s  to be started by local
1 attempt on local
  1  failed, exit code 3: 2001-09-09T01:46:42.000Z for 2.5 s; CPU 1.5 s; memory 3 MiB
from its log
       1  seed 7
       2  UVM_ERROR @ 12: [SB] mismatch
files and commands
  log        run/smoke/job.log
  directory  run/smoke
  again      job-runtime rerun run smoke --out .
  waves      job-runtime rerun run smoke --out . --with +waves
  by hand    cd /out/run/smoke && /bin/sh -c ./sim"""
    )


def test_a_known_failure_has_its_issue() -> None:
    failed = result("smoke", FailureKind.EXIT_CODE, known="credit")
    details: Mapping[str, JSON] = {**DETAILS, "known": {"credit": {"issue": "tracker/17", "expires": "2126-12-31"}}}
    text = explained(records([failed], RUN_DIR, details=details), "smoke")
    assert "  known      credit (tracker/17, until 2126-12-31)\n" in text
    assert "  known      credit\n" in explained(records([failed], RUN_DIR), "smoke")


def test_of_a_run_without_a_job_file_there_is_only_the_command() -> None:
    text = explained(records([result("smoke", FailureKind.EXIT_CODE, cwd=None)], RUN_DIR), "smoke")
    assert text.endswith("  directory  run/smoke\n  by hand    cd /out/run/smoke && /bin/sh -c ./sim")


def test_all_that_a_job_waited_for_is_told() -> None:
    jobs = [
        JobSpec(name="build", cmd="x"),
        JobSpec(name="sim", cmd="x", dependencies=["build"], resources={"licence": 1, "none": 0}),
    ]
    sink, recorder = begun(jobs)
    passed = result("build").event
    recorder.ended([attrs.evolve(passed, ended=10.0)])
    failed = result("sim", FailureKind.LICENCE, "no licence").event
    recorder.starting("slurm", ["sim"], [1], 25.0, queued=True)
    sink.append(Progress([1], [1], [JobStatus.QUEUED], [26.0], ["Priority"]))
    sink.append(Progress([1, 0], [1, 1], [JobStatus.QUEUED] * 2, [30.0] * 2, ["Resources", "other"]))
    sink.append(Progress([1], [1], [JobStatus.RUNNING], [40.0], ["node7"]))
    recorder.ended([attrs.evolve(failed, submitted=25.0, started=40.0, ended=50.0)], again=True)
    recorder.starting("slurm", ["sim"], [2], 57.0, queued=True)
    sink.append(Progress([1], [2], [JobStatus.RUNNING], [58.0], ["node8"]))
    text = explained(sink.records, "sim", now=61.0)
    assert text.startswith("sim: running, in run\n")
    _, _, waited = text.partition("waited ")
    waited, _, attempts = waited.partition("\n2 attempts on slurm\n")
    assert waited.splitlines() == [
        "48.0 s",
        "     10.0 s  for what it needs: build ended last",
        "     15.0 s  for a slot, or for licence",
        "     15.0 s  in the queue of slurm: Priority; Resources",
        "      7.0 s  to be tried again: attempt 2",
        "      1.0 s  in the queue of slurm",
    ]
    assert "  2  began 2001-09-09T01:47:38.000Z, node8\n" in attempts


def test_of_a_job_that_waits_it_is_told_for_what() -> None:
    jobs = [JobSpec(name="build", cmd="x"), JobSpec(name="lint", cmd="x")]
    jobs.append(JobSpec(name="sim", cmd="x", dependencies=["build", "lint", "gone"], run_if="ended"))
    sink, recorder = begun(jobs)
    recorder.ended([result("lint").event])
    recorder.starting("local", ["build"], [1], 3.0)
    text = explained(sink.records, "sim", now=20.0)
    assert text.splitlines()[:6] == [
        "sim: waiting, in run",
        "needs 3 jobs: all must end",
        "  running  build",
        "  not in this run  gone",
        "  passed in 2.5 s  lint",
        "waited 20.0 s",
    ]
    assert "     20.0 s  for what it needs: build\n" in text
    recorder.requested(4.0, "ctl of root", "pause")
    assert "for a slot" not in explained(sink.records, "sim", now=20.0)
    recorder.ended([attrs.evolve(result("build").event, ended=8.0)])
    assert "     12.0 s  for a slot; launching is paused by ctl of root\n" in explained(sink.records, "sim", now=20.0)


def test_a_job_that_never_ran_is_called_that_as_in_the_summary() -> None:
    kind, message = FailureKind.DEPENDENCY, "it needs 'a', which ended as FAILED"
    unit = result("unit", kind, message, attempt=0, dependencies=["a"])
    system = result("system", kind, message, attempt=0, dependencies=["unit"])
    text = explained(records([result("a", FailureKind.EXIT_CODE), unit, system], RUN_DIR), "system")
    assert text.startswith("system: never ran, in run\n")
    assert "\n  never ran  unit\n" in text
    killed = explained(records([result("slow", FailureKind.TIMEOUT)], RUN_DIR), "slow")
    assert killed.startswith("slow: killed, in run\n")


def test_of_a_run_that_died_no_end_is_made_up() -> None:
    sink, recorder = begun([JobSpec(name="a", cmd="x"), JobSpec(name="b", cmd="x", dependencies=["a"])])
    recorder.starting("local", ["a"], [1], 3.0)
    text = explained(sink.records, "a")
    assert text.startswith("a: its end is not known, in run\n")
    assert "began 2001-09-09T01:46:43.000Z, its end is not known" in text
    text = explained(sink.records, "b")
    assert text.startswith("b: never ran, in run\n")
    assert "          ?  for what it needs: a\n" in text


def test_it_fits_on_a_screen() -> None:
    needs = [JobSpec(name=f"unit{n}", cmd="x") for n in range(100)]
    failure = result(
        "link",
        FailureKind.EXIT_CODE,
        context=["x" * 300] * 50,
        dependencies=[each.name for each in needs],
    )
    written = records([failure], RUN_DIR, more=needs)
    state = replay(written, str(RUN_DIR))
    run = ExplainedRun(state, written, is_live=False, now=0.0, relative_to=Path("/out"))
    lines = lines_of(run, state.numbers["link"], 23)
    assert sum(-(-len("".join(text for text, _ in line)) // 80) for line in lines) <= 23
    assert lines[0][0][0] == "link"
    assert "  log        run/link/job.log" in ["".join(text for text, _ in line) for line in lines]


@given(RECORDS)
def test_whatever_a_job_writes_into_a_journal_nothing_raises_and_nothing_is_unescaped(written: list[Record]) -> None:
    state = replay(written, str(RUN_DIR))
    for is_live in (True, False):
        run = ExplainedRun(state, written, is_live=is_live, now=EPOCH, relative_to=Path("/out"))
        for number in state.numbers.values():
            for line in lines_of(run, number):
                assert all(text.isprintable() for text, _ in line)


def test_a_start_that_names_a_job_of_no_number_is_no_error() -> None:
    sink, _ = begun([JobSpec(name="a", cmd="x")])
    sink.append(Starting(1.0, "local", [7, 0], [1, 1]))
    assert "1 attempt on local" in explained(sink.records, "a", now=2.0)
