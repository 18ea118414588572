from __future__ import annotations

from typing import Any

import pytest

from runtime.backend.batch.system import Accepted, Array, Doubtful, Phase, QueueFull, QueueListing, Refused, Unanswered
from runtime.backend.gridengine import command_text as text
from runtime.backend.gridengine.states import ended_state, note_of, state_of
from runtime.job import FailureKind

ARRAY = Array("jr-a-b", 10, (), "/run/.batch/wrapper", ("/run/.batch/arrays/jr-a-b", "60"))


# ---------------------------------------------------------------------- qsub


def test_an_array_is_submitted_with_indices_from_one() -> None:
    words = text.qsub_arguments(ARRAY, ("-r", "n", "-q", "all.q"))
    assert " ".join(words) == (
        "qsub -terse -N jr-a-b -t 1-10 -o /dev/null -j y -wd / -b n -S /usr/bin/env -w e -r n -q all.q"
        " /run/.batch/wrapper /run/.batch/arrays/jr-a-b 60"
    )


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ((), ["-l", "hostname=!n1&!n2"]),
        (("-l", "h_rt=60"), ["-l", "h_rt=60", "-l", "hostname=!n1&!n2"]),
        (("-l", "h=n*"), ["-l", "h=n*"]),
        (("-l", "a=1,hostname=n3"), ["-l", "a=1,hostname=n3"]),
        (("-soft", "-l", "a=1"), ["-soft", "-l", "a=1"]),
    ],
)
def test_nodes_are_excluded_unless_the_request_names_some_itself(request_: Any, expected: list[str]) -> None:
    array = Array("jr-a-b", 1, (), "script", (), ("n1", "n2"))
    assert text.qsub_arguments(array, request_)[-1 - len(expected) : -1] == expected


def test_what_waits_keeps_what_it_requested_when_nodes_are_excluded() -> None:
    requests = {"1": ("-l", "h_rt=60", "-q", "x"), "2": ("-l", "h_rt=60"), "3": (), "4": ("-l", "h=n1")}
    assert list(text.exclude_arguments(requests, ["n1"])) == [
        ["qalter", "-l", "h_rt=60,hostname=!n1", "1,2"],
        ["qalter", "-l", "hostname=!n1", "3"],
    ]


REFUSED = "Unable to run job: {}\nExiting.\n"
SEND = 'unable to send message to qmaster using port 6444 on host "localhost": got send error'
READ = "failed receiving gdi request response for mid=1 (got read error)"


@pytest.mark.parametrize(
    ("code", "output", "errors", "answer"),
    [
        (0, "7.1-10:1\n", "", Accepted("7")),
        (0, "7.1-10:1\n", "a warning\n", Accepted("7")),
        (0, "7.1-10:1", "", Doubtful("qsub printed '7.1-10:1'; expected an id")),
        (0, "", "", Doubtful("qsub printed ''; expected an id")),
        (0, "hello\n7.1-10:1\n", "", Doubtful("qsub printed 'hello; 7.1-10:1'; expected an id")),
        (None, "", "it did not return within 30 s", Doubtful("it did not return within 30 s")),
        (1, "", "", Doubtful("qsub ended with code 1 and no message")),
        (25, "", REFUSED.format("job rejected: only 2 jobs are allowed per user (current job count: 2)"), QueueFull),
        (25, "", REFUSED.format("job rejected: only 2 jobs are allowed per cluster"), QueueFull),
        (1, "", REFUSED.format("job rejected: you tried to submit a job with more than 5 tasks"), QueueFull),
        (1, "", f"error: commlib error: got select error (Connection refused)\n{REFUSED.format(SEND)}", Unanswered),
        (1, "", REFUSED.format(READ), Doubtful),
        (1, "", "error: commlib error: got read error (closing)\n" + REFUSED.format("no"), Doubtful),
        (
            14,
            "",
            "Unable to read script file because of error: error opening /x: No such file or directory",
            Unanswered,
        ),
        (1, "", REFUSED.format('Job was rejected because job requests unknown queue "x"'), Refused),
        (1, "", REFUSED.format("error: no suitable queues"), Refused("no suitable queues")),
        (1, "", REFUSED.format("warning: no queue\nYour job-array 7.1-1:1 has been submitted"), Doubtful),
        (2, "", 'qsub: invalid option argument "-bogus"\n', Refused('qsub: invalid option argument "-bogus"')),
        (1, "", 'cell directory "/x/default" doesn\'t exist\n', Unanswered),
    ],
)
def test_what_qsub_has_done_is_read_from_its_end(code: int | None, output: str, errors: str, answer: Any) -> None:
    found = text.read_qsub(code, output, errors)
    assert isinstance(found, answer) if isinstance(answer, type) else found == answer


# ---------------------------------------------------------------------- qstat

HEAD = "<?xml version='1.0'?>\n<job_info xmlns:xsd='x'>"


def job(tasks: str = "3", state: str = "r", name: str = "jr-a", **fields: str) -> str:
    values = {"JB_job_number": "7", "JB_name": name, "state": state, "slots": "1", "tasks": tasks, **fields}
    return "<job_list>" + "".join(f"<{tag}>{value}</{tag}>" for tag, value in values.items()) + "</job_list>"


def answer(running: str = "", waiting: str = "", queue: str = "all.q@n1", state: str = "") -> str:
    part = f"<Queue-List><name>{queue}</name>{state and f'<state>{state}</state>'}{running}</Queue-List>"
    return f"{HEAD}<queue_info>{part}</queue_info><job_info>{waiting}</job_info></job_info>\n"


def test_rows_are_elements_with_indices_from_zero() -> None:
    listing = text.read_qstat(answer(job("3"), job("1,5,7-9:2", "qw")), {"jr-a"})
    assert listing.unparsed == 0
    assert [(row.array, row.index, row.state.phase, row.note) for row in listing.rows] == [
        ("7", 2, Phase.RUNNING, "n1"),
        *(("7", index, Phase.PENDING, None) for index in (0, 4, 6, 8)),
    ]


def test_jobs_of_other_names_are_left_out_whatever_they_look_like() -> None:
    other = job("x", "?", "mine")
    assert text.read_qstat(answer(other, other), {"jr-a"}) == QueueListing([], 0)
    assert text.read_qstat(answer(), set()) == QueueListing([], 0)


@pytest.mark.parametrize(
    "output",
    ["", "\n", "error\n", answer(job())[:-30], answer(job())[len(HEAD) :], f"{HEAD}</job_info>", "<x/>", "\0"],
)
def test_an_answer_that_is_not_whole_says_nothing(output: str) -> None:
    assert text.read_qstat(output, {"jr-a"}) == QueueListing([], 1)


@pytest.mark.parametrize(
    "row", [job("3.5"), job(""), job("-1"), job("1:2"), job(state=""), job(name=""), job(JB_job_number="x")]
)
def test_a_job_that_cannot_be_parsed_is_counted(row: str) -> None:
    listing = text.read_qstat(answer(row + job("9")), {"jr-a"})
    assert (len(listing.rows), listing.unparsed) == (1, 1)


def test_a_node_that_does_not_answer_has_ended_its_jobs_and_they_are_still_cancelled() -> None:
    (row,) = text.read_qstat(answer(job(), state="adu"), None).rows
    assert (row.state.phase, row.state.kind, row.state.lingers) == (Phase.ENDED, FailureKind.NODE_FAILURE, True)
    assert (row.word, row.note) == ("r (its node does not answer the master)", "n1")
    (row,) = text.read_qstat(answer(job(state="dr"), state="u"), None).rows
    assert (row.state.phase, row.state.lingers) == (Phase.ENDED, False)
    (row,) = text.read_qstat(answer(job(), state="d"), None).rows
    assert row.state.phase is Phase.RUNNING


@pytest.mark.parametrize(
    ("letters", "phase", "note"),
    [
        ("qw", Phase.PENDING, None),
        ("hqw", Phase.PENDING, "hqw (held)"),
        ("Rq", Phase.PENDING, "Rq (started again)"),
        ("hRwq", Phase.PENDING, "hRwq (held, started again)"),
        ("Eqw", Phase.PENDING, "Eqw (in error)"),
        ("t", Phase.PENDING, "t (being started) on n1"),
        ("Rt", Phase.PENDING, "Rt (started again, being started) on n1"),
        ("r", Phase.RUNNING, "n1"),
        ("Rr", Phase.RUNNING, "n1"),
        ("s", Phase.RUNNING, "s (suspended) on n1"),
        ("tS", Phase.PENDING, "tS (being started, suspended with its queue) on n1"),
        ("T", Phase.RUNNING, "T (suspended at a threshold) on n1"),
        ("dr", Phase.RUNNING, "dr (being deleted) on n1"),
        ("dt", Phase.PENDING, "dt (being deleted, being started) on n1"),
        ("dqw", Phase.PENDING, "dqw (being deleted)"),
        ("X", Phase.UNKNOWN, "X on n1"),
        ("d", Phase.UNKNOWN, "d (being deleted) on n1"),
    ],
)
def test_letters_have_a_meaning(letters: str, phase: Phase, note: str | None) -> None:
    assert state_of(letters).phase is phase
    assert note_of(letters, "" if "q" in letters else "n1") == note


def test_a_letter_tells_whether_it_was_started_again() -> None:
    rows = text.read_qstat(answer(job("1", "Rr") + job("2", "r"), job("3", "Rq")), None).rows
    assert [row.restarts for row in rows] == [1, 0, 1]


# ---------------------------------------------------------------------- qdel and qalter


def test_a_thousand_elements_are_cancelled_by_one_command() -> None:
    assert list(text.qdel_arguments({"7": range(1000)})) == [["qdel", "7.1-1000"]]
    assert list(text.qdel_arguments({"7": [0, 2, 3], "9": [4]})) == [["qdel", "7.1", "7.3-4", "9.5"]]
    assert [len(words) for words in text.qdel_arguments({"7": range(0, 5000, 2)})] == [2001, 501]


@pytest.mark.parametrize(
    ("code", "output", "accepted"),
    [
        (0, "root has registered the job-array task 4.1 for deletion\n", True),
        (0, "root has deleted job-array tasks 35,36 of job 4\n", True),
        (0, "", True),
        (1, 'job "24" task "5" does not exist\ndenied: job "999" does not exist\njob 2 is already in deletion\n', True),
        (1, 'modified hard resource list of job 28\ndenied: job "7778" does not exist\n', True),
        (1, f"{SEND}\n", False),
        (1, "", False),
        (None, "", False),
        (
            1,
            'root has deleted job 4\nmallory - you do not have the necessary privileges to delete the job "5"\n',
            False,
        ),
    ],
)
def test_a_change_is_accepted_if_all_that_is_said_is_about_jobs_that_ended(
    code: int | None, output: str, accepted: bool
) -> None:
    assert (text.read_change(code, output, "") is None) is accepted


def test_a_change_that_is_not_accepted_says_why() -> None:
    said = f"root has deleted job 4\n{SEND}\n"
    assert text.read_change(1, said, "error: commlib error\n") == Unanswered(f"{SEND}; commlib error")
    assert text.read_change(None, "", "") == Unanswered("it ended with a signal")


# ---------------------------------------------------------------------- accounting

ACCOUNT = """\
==============================================================
qname        main.q
hostname     n1
jobname      jr-a
jobnumber    7
taskid       {task}
failed       {failed}
exit_status  {status}
"""


def account(task: str = "1", failed: str = "0    ", status: str = "0                   ") -> str:
    return ACCOUNT.format(task=task, failed=failed, status=status)


def test_accounting_tells_how_elements_ended() -> None:
    listing = text.read_qacct(0, account("2", status="113") + account("3", "100 : assumedly after job", "137"), "")
    assert isinstance(listing, QueueListing)
    first, second = listing.rows
    assert (first.name, first.array, first.index, first.note, first.code) == ("jr-a", "7", 1, "n1", 113)
    assert (first.state.phase, first.state.kind, first.word) == (Phase.ENDED, None, "exit_status 113")
    assert (second.index, second.code, second.word) == (2, None, "failed 100 : assumedly after job")
    assert second.state.may_be_memory


def test_a_start_that_was_not_the_last_one_is_no_end() -> None:
    listing = text.read_qacct(0, account(failed="25  : rescheduling") + account(status="3"), "")
    assert isinstance(listing, QueueListing)
    assert [row.code for row in listing.rows] == [3]


@pytest.mark.parametrize("broken", [{"task": "undefined"}, {"failed": "x"}, {"status": ""}])
def test_an_account_that_cannot_be_parsed_is_counted(broken: dict[str, str]) -> None:
    listing = text.read_qacct(0, account(**broken), "")
    assert isinstance(listing, QueueListing)
    assert (listing.rows, listing.unparsed) == ([], 1)


@pytest.mark.parametrize("errors", ["error: job id 7 not found\n", "/x/common/accounting: No such file or directory\n"])
def test_what_accounting_does_not_know_is_no_failure_of_it(errors: str) -> None:
    assert text.read_qacct(1, "", errors) == QueueListing([])
    assert text.read_qacct(1, "", "error: no\n") == Unanswered("no")


@pytest.mark.parametrize(("failed", "kind"), [(0, None), (1, "node_failure"), (37, "timeout"), (100, None), (26, None)])
def test_a_failure_has_a_kind_where_that_is_sure(failed: int, kind: str | None) -> None:
    assert ended_state(failed).kind == (None if kind is None else FailureKind(kind))


# ---------------------------------------------------------------------- the configuration

CONFIG = """\
#global:
reporting_params             accounting={} reporting=false \\
                             flush_time=00:00:15 joblog=false
max_aj_instances             2000
max_aj_tasks                 {}
"""


@pytest.mark.parametrize(("most", "limit"), [("100", 100), ("0", 75_000)])
def test_limits_are_read_from_the_configuration(most: str, limit: int) -> None:
    limits = text.read_config(CONFIG.format("true", most), "SGE 8.1.9\nusage: qconf\n")
    assert (limits.version, limits.max_array, limits.accounting) == ("SGE 8.1.9", limit, True)
    assert not text.read_config(CONFIG.format("false", most), "").accounting


def test_what_is_no_configuration_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"qconf -sconf printed 'hello'; expected max_aj_tasks"):
        text.read_config("hello\n", "")


def test_the_environment_keeps_the_cell_and_loses_the_outer_job() -> None:
    environment = {"PATH": "/bin", "SGE_ROOT": "/r", "SGE_CELL": "c", "SGE_TASK_ID": "7", "JOB_ID": "1", "NSLOTS": "4"}
    assert text.clean_environment(environment) == {"PATH": "/bin", "SGE_ROOT": "/r", "SGE_CELL": "c"}
