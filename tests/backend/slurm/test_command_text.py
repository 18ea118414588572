"""The arguments and the output of Slurm's commands. Texts marked *real* were taken from Slurm 22.05.8."""

from __future__ import annotations

import attrs
import pytest

from runtime.backend.batch.system import (
    Accepted,
    Array,
    Doubtful,
    Limits,
    Phase,
    QueueFull,
    Refused,
    Unanswered,
)
from runtime.backend.slurm.command_text import (
    clean_environment,
    exclude_arguments,
    one_line,
    read_config,
    read_sacct,
    read_sbatch,
    read_scancel,
    read_squeue,
    read_update,
    sacct_arguments,
    sbatch_arguments,
    scancel_arguments,
    squeue_arguments,
)
from runtime.job import FailureKind

ARRAY = Array("jr-1-2", 1001, ("--no-requeue",), "/run/.batch/wrapper", ["/run/.batch/arrays/jr-1-2", "60"])

SQUEUE = """\
6|0|jr-a|CANCELLED|36608|0|n1|None|
6|2|jr-a|COMPLETING|0|0|n2|None|
7|1|jr-b|RUNNING|0|0|n1|None|
8|0|jr-c|PENDING|0|0||Resources|
1|3|jr-abc-def|FAILED|28928|0|n1|NonZeroExitCode|
1|5|jr-abc-def|FAILED|9|0|n1|JobLaunchFailure|
1024|N/A|jr-h3|CANCELLED|0|0||JobHeldUser|
1032|0|jr-s|PENDING|0|1||job requeued in held state|
"""
"""Real."""

FULL = """\
sbatch: error: AssocMaxSubmitJobLimit
sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or\
 time limits)
"""

CONFIG = """\
Configuration data as of 2026-11-26T06:59:09
AccountingStorageEnforce = none
AccountingStorageType   = {storage}
KillWait                = 2 sec
MaxArraySize            = {array}
MaxJobCount             = {jobs}
MinJobAge               = 300 sec
SLURM_VERSION           = 22.05.8

Slurmctld(primary) at localhost is UP
"""


def test_an_array_is_submitted_as_one_command() -> None:
    assert sbatch_arguments(ARRAY, ("--no-requeue", "--mem=10M")) == [
        "sbatch",
        "--parsable",
        "--job-name=jr-1-2",
        "--array=0-1000",
        "--output=/dev/null",
        "--chdir=/",
        "--export=ALL",
        "--no-requeue",
        "--mem=10M",
        "/run/.batch/wrapper",
        "/run/.batch/arrays/jr-1-2",
        "60",
    ]


@pytest.mark.parametrize(
    ("request_", "options"),
    [
        (("--mem=1M",), ["--mem=1M", "--exclude=n1,n2"]),
        (("--exclude=n7,n[8-9]", "--mem=1M"), ["--mem=1M", "--exclude=n7,n[8-9],n1,n2"]),
        (("-xn7",), ["--exclude=n7,n1,n2"]),
        (("--exclude=/home/me/nodes",), ["--exclude=/home/me/nodes"]),
        (("--exclusive",), ["--exclusive", "--exclude=n1,n2"]),
    ],
)
def test_nodes_are_excluded_besides_those_of_the_user(request_: tuple[str, ...], options: list[str]) -> None:
    command = sbatch_arguments(attrs.evolve(ARRAY, excluded=("n1", "n2")), request_)
    assert command[7:-3] == options
    assert sbatch_arguments(ARRAY, request_)[7:-3] == list(request_)


def test_what_waits_is_kept_away_in_one_command_for_arrays_that_exclude_the_same() -> None:
    arrays = {"7": ("--mem=1M",), "8": ("--exclude=n9",), "9": (), "10": ("-x/home/me/nodes",)}
    assert list(exclude_arguments(arrays, ["n1", "n2"])) == [
        ["scontrol", "update", "JobId=7,9", "ExcNodeList=n1,n2"],
        ["scontrol", "update", "JobId=8", "ExcNodeList=n9,n1,n2"],
    ]


@pytest.mark.parametrize(
    ("code", "errors", "accepted"),
    [
        (0, "", True),
        (1, "53_0-15: Job is no longer pending execution\n53_16-40: No error\n", True),
        (1, "53_0-31: Job has already finished\n", True),
        (1, "Invalid job id specified for job 53\n", True),
        (1, "57_0-2: Invalid node name specified\n", False),
        (1, "53_0: Job has already finished\nslurm_update error: Unable to contact slurm controller\n", False),
        (1, "", False),
        (None, "", False),
    ],
)
def test_an_update_is_accepted_if_all_that_waits_is_changed(code: int | None, errors: str, accepted: bool) -> None:
    assert (read_update(code, errors) is None) is accepted


@pytest.mark.parametrize(("output", "array"), [("15\n", "15"), ("15;cluster-2\n", "15")])
def test_an_id_is_an_acceptance(output: str, array: str) -> None:
    assert read_sbatch(0, output, "") == Accepted(array)
    assert read_sbatch(0, output, "sbatch: warning: something\n") == Accepted(array)


@pytest.mark.parametrize("output", ["", "15", "15\n16\n", "Submitted batch job 15\n", "warning\n15\n", "x15\n", "٣\n"])
def test_what_is_not_exactly_an_id_is_a_doubt(output: str) -> None:
    assert isinstance(read_sbatch(0, output, ""), Doubtful)


@pytest.mark.parametrize(
    ("errors", "answer"),
    [
        # Real.
        ("sbatch: error: Batch job submission failed: Invalid partition name specified", Refused),
        ("sbatch: error: Memory specification can not be satisfied", Refused),
        ("sbatch: error: Invalid --time specification", Refused),
        ("sbatch: error: Batch job submission failed: Invalid license specification", Refused),
        ("sbatch: unrecognized option '--bogus'", Refused),
        ("sbatch: error: Batch job submission failed: Invalid job array specification", QueueFull),
        (
            "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
            Unanswered,
        ),
        # From Slurm's sources and users' reports.
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", Doubtful),
        ("sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received", Doubtful),
        (FULL, QueueFull),
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying", QueueFull),
        ("sbatch: error: Batch job submission failed: Slurm backup controller in standby mode", Unanswered),
        ("", Doubtful),
    ],
)
def test_refusals_are_told_apart(errors: str, answer: type) -> None:
    assert isinstance(read_sbatch(1, "", errors), answer)


def test_an_sbatch_that_was_killed_leaves_a_doubt_and_says_whether_the_queue_was_full() -> None:
    waiting = "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\n"
    assert read_sbatch(None, "", waiting) == Doubtful(one_line(waiting), busy=True)
    assert read_sbatch(None, "15\n", "") == Doubtful("sbatch ended with a signal and no message")


def test_the_queue_is_asked_for_the_names_of_ours_only() -> None:
    fields = "ArrayJobID:|,ArrayTaskID:|,Name:|,State:|,exit_code:|,RestartCnt:|,NodeList:|,Reason:|"
    asked = squeue_arguments(1000, ["a", "b"])
    assert asked[:5] == ["squeue", "--noheader", "--array", "--states=all", "--user=1000"]
    assert asked[5:] == ["--name=a,b", f"--Format={fields}"]
    assert "--name=jr-none" in squeue_arguments(1000, [])
    assert not any(word.startswith("--name") for word in squeue_arguments(1000, None))
    many = [f"jr-{number:032}" for number in range(5000)]
    assert max(map(len, squeue_arguments(1000, many))) < 128 * 1024


def test_rows_are_read() -> None:
    snapshot = read_squeue(SQUEUE)
    assert snapshot.unparsed == 0
    assert [(row.name, row.array, row.index, row.state.phase, row.note) for row in snapshot.rows] == [
        ("jr-a", "6", 0, Phase.ENDED, "n1"),
        ("jr-a", "6", 2, Phase.ENDING, "n2"),
        ("jr-b", "7", 1, Phase.RUNNING, "n1"),
        ("jr-c", "8", 0, Phase.PENDING, "Resources"),
        ("jr-abc-def", "1", 3, Phase.ENDED, "n1"),
        ("jr-abc-def", "1", 5, Phase.ENDED, "n1"),
        ("jr-h3", "1024", None, Phase.ENDED, None),
        ("jr-s", "1032", 0, Phase.PENDING, "job requeued in held state"),
    ]
    cancelled, _, running, _, failed, killed, _, requeued = snapshot.rows
    assert (cancelled.code, cancelled.state.kind) == (143, FailureKind.CANCELLED)
    assert (failed.code, failed.word) == (113, "FAILED (NonZeroExitCode)")
    assert killed.code is None
    assert running.code == 0
    assert requeued.restarts == 1


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("1|0|a|SUSPENDED|0|0|n1|None|", "suspended on n1"),
        ("1|0|a|REQUEUE_HOLD|0|0||None|", "REQUEUE_HOLD"),
        ("1|0|a|CONFIGURING|0|0|n1|None|", "CONFIGURING"),
        ("1|0|a|TELEPORTING|0|0|n1|Physics|", "TELEPORTING: Physics"),
        ("1|0|a|PENDING|0|0||None|", None),
    ],
)
def test_states_that_need_a_word_get_it(line: str, note: str | None) -> None:
    (row,) = read_squeue(f"{line}\n").rows
    assert row.note == note


@pytest.mark.parametrize(
    "line",
    [
        "",
        "garbage",
        "1|0|a|RUNNING|0|0|n1|None",
        "1|0|a|b|RUNNING|0|0|n1|None|",
        "x|0|a|RUNNING|0|0|n1|None|",
        "1|zero|a|RUNNING|0|0|n1|None|",
        "1|0|a||0|0|n1|None|",
        "1|0|a|RUNNING|0|many|n1|None|",
        "\x00\xff|||||||",
        "slurm_load_jobs error: Unable to contact slurm controller",
    ],
)
def test_a_line_that_is_not_understood_costs_that_line_and_the_answer_s_completeness(line: str) -> None:
    snapshot = read_squeue(f"1|0|a|RUNNING|0|0|n1|None|\n{line}\n2|0|b|RUNNING|0|0|n1|None|\n")
    assert [row.name for row in snapshot.rows] == ["a", "b"]
    assert snapshot.unparsed == 1


def test_an_answer_that_is_cut_off_anywhere_is_not_complete() -> None:
    for length in range(1, len(SQUEUE)):
        snapshot = read_squeue(SQUEUE[:length])
        assert snapshot.unparsed or SQUEUE[length - 1] == "\n"
        whole = read_squeue(SQUEUE).rows
        assert list(snapshot.rows) == list(whole[: len(snapshot.rows)])


def test_an_end_is_asked_for_by_ranges_in_few_commands() -> None:
    (command,) = scancel_arguments({"7": [3, 1, 2, 9], "8": [0]}, None)
    assert command == ["scancel", "7_[1-3,9]", "8_[0]"]
    (command,) = scancel_arguments({"7": [0]}, 2)
    assert command == ["scancel", "--signal=2", "--full", "7_[0]"]
    commands = list(scancel_arguments({str(array): [0] for array in range(1200)}, None))
    assert [len(words) - 1 for words in commands] == [500, 500, 200]
    assert list(scancel_arguments({}, None)) == []


@pytest.mark.parametrize(
    ("code", "errors", "done"),
    [
        (0, "", True),
        (0, "scancel: error: Kill job error on job id 7_[1]: Job/step already completing or completed\n", True),
        (1, "scancel: error: Kill job error on job id 7: Invalid job id specified\n", True),
        (1, "scancel: error: Unable to contact slurm controller (connect failure)\n", False),
        (1, "", False),
        (None, "", False),
    ],
)
def test_a_cancel_that_did_not_reach_anybody_is_told_from_one_that_came_too_late(
    code: int | None, errors: str, done: bool
) -> None:
    assert (read_scancel(code, errors) is None) is done


def test_accounting_is_asked_by_array_and_read_by_element() -> None:
    assert sacct_arguments({"8", "7"})[-2:] == ["--jobs=7,8", "-oJobID,JobName,State,ExitCode,NodeList"]
    output = (
        "7_0|jr-a|COMPLETED|0:0|n1\n7_1|jr-a|CANCELLED by 1000|0:15|n1\n7_[2-9]|jr-a|PENDING|0:0|None assigned\nx|y\n"
    )
    snapshot = read_sacct(output)
    assert [(row.array, row.index, row.state.phase, row.state.kind, row.code) for row in snapshot.rows] == [
        ("7", 0, Phase.ENDED, None, 0),
        ("7", 1, Phase.ENDED, FailureKind.CANCELLED, None),
    ]
    assert snapshot.unparsed == 1


@pytest.mark.parametrize(
    ("array", "jobs", "storage", "limits"),
    [
        ("1001", "10000", "accounting_storage/none", Limits("22.05.8", 1001, accounting=False)),
        ("1001", "500", "accounting_storage/slurmdbd", Limits("22.05.8", 500, accounting=True)),
        ("0", "10000", "(null)", Limits("22.05.8", 1, accounting=False)),
    ],
)
def test_limits_are_read_from_the_configuration(array: str, jobs: str, storage: str, limits: Limits) -> None:
    assert read_config(CONFIG.format(array=array, jobs=jobs, storage=storage)) == limits


@pytest.mark.parametrize("output", ["", "garbage", "MaxArraySize = many\nSLURM_VERSION = 1\n", "MaxArraySize = 10\n"])
def test_what_is_no_configuration_is_said(output: str) -> None:
    with pytest.raises(ValueError, match=r"scontrol show config printed .*; expected SLURM_VERSION and MaxArraySize"):
        read_config(output)


def test_variables_that_change_what_commands_do_are_left_out() -> None:
    environment = {"PATH": "/bin", "SLURM_CONF": "/c", "SLURM_JOB_ID": "7", "SQUEUE_FORMAT": "%i", "SBATCH_WAIT": "1"}
    assert clean_environment(environment) == {"PATH": "/bin", "SLURM_CONF": "/c"}


def test_what_a_command_said_becomes_one_line() -> None:
    said = "sbatch: error: QOSMaxSubmitJobPerUserLimit\n\nsbatch: error: Batch job submission failed: no\n"
    assert one_line(said) == "QOSMaxSubmitJobPerUserLimit; Batch job submission failed: no"
    assert len(one_line("x" * 10_000)) == 500
