from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.backend.batch.system import (
    Accepted,
    Array,
    Doubtful,
    Phase,
    QueueFull,
    QueueListing,
    QueueRow,
    Refused,
    Unanswered,
)
from runtime.backend.lsf import command_text as text
from runtime.backend.lsf.states import STATES, ended_state, state_of
from runtime.job import FailureKind

ARRAY = Array("jr-a-b", 10, (), "/run/.batch/wrapper", ("/run/.batch/arrays/jr-a-b", "60"))


# ---------------------------------------------------------------------- bsub


def test_an_array_is_submitted_with_indices_from_one_and_a_command_of_one_word() -> None:
    words = text.bsub_arguments(ARRAY, ("-rn", "-q", "night"))
    assert " ".join(words[:-1]) == "bsub -J jr-a-b[1-10] -o /dev/null -cwd / -Q 99 -rn -q night"
    assert words[-1] == "/run/.batch/wrapper /run/.batch/arrays/jr-a-b 60"


def test_what_a_shell_would_read_otherwise_is_quoted() -> None:
    array = Array("jr-a-b", 1, (), "/run dir/$x/wrapper", ("/run dir/it's", "60"))
    assert text.bsub_arguments(array, ())[-1] == """'/run dir/$x/wrapper' '/run dir/it'"'"'s' 60"""


def test_a_job_s_exit_code_that_requeues_is_one_that_the_wrapper_does_not_exit_with() -> None:
    assert f"_jr_reserved={text.REQUEUED}\n" in text.PROLOGUE


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ((), ["-R", "select[hname!='n1' && hname!='n-2']"]),
        (("-R", "rusage[mem=9]"), ["-R", "rusage[mem=9]", "-R", "select[hname!='n1' && hname!='n-2']"]),
        (("-R", "1*{select[big]} + 3*{same[type]}"), ["-R", "1*{select[big]} + 3*{same[type]}"]),
    ],
)
def test_nodes_are_excluded_besides_what_is_requested(request_: Any, expected: list[str]) -> None:
    array = Array("jr-a-b", 1, (), "script", (), ("n1", "n-2"))
    assert text.bsub_arguments(array, request_)[-1 - len(expected) : -1] == expected


def test_what_waits_keeps_what_it_requested_when_nodes_are_excluded() -> None:
    requests = {"1": ("-q", "x", "-R", "span[hosts=1]"), "2": (), "3": ("-R", "2*{select[a]}")}
    assert list(text.exclude_arguments(requests, ["n1"])) == [
        ["bmod", "-R", "span[hosts=1]", "-R", "select[hname!='n1']", "1"],
        ["bmod", "-R", "select[hname!='n1']", "2"],
    ]
    assert text.read_bmod(0, "") is text.read_bmod(255, "Job <1[2]>: Job has started\n") is None
    assert isinstance(text.read_bmod(255, "LSF is down\n"), Unanswered)
    assert isinstance(text.read_bmod(None, ""), Unanswered)


SUBMITTED = "Job <7> is submitted to default queue <normal>.\n"


@pytest.mark.parametrize(
    ("code", "output", "errors", "answer"),
    [
        (0, SUBMITTED, "", Accepted("7")),
        (0, "Job <7> is submitted to queue <night>.\n", "Cannot connect to LSF. Please wait ...\n", Accepted("7")),
        (0, f"site: project is checked\n{SUBMITTED}", "", Accepted("7")),
        (0, SUBMITTED[:-20], "", Doubtful),
        (0, SUBMITTED * 2, "", Doubtful),
        (0, "", "", Doubtful),
        (None, "", "it did not return within 120 s", Doubtful("it did not return within 120 s")),
        (None, "", "User <u>: Pending job threshold reached. Retrying in 60 seconds...\n", "busy"),
        (255, "", "User <u>: Pending job threshold reached. Job not submitted.\n", QueueFull),
        (255, "", "Job array index too large. Job not submitted.\n", QueueFull),
        (255, "", "x: No such queue. Job not submitted.\n", Refused("x: No such queue. Job not submitted.")),
        (255, "", "Request aborted by esub. Job not submitted.\n", Refused),
        (255, "", "LSF is down. Job not submitted.\n", Unanswered),
        (255, "", "Communication time out. Job not submitted.\n", Doubtful),
        (255, "", "Failed in receiving message. Job not submitted.\n", Doubtful),
        (255, "", "lsb_init: Unable to open file lsf.conf\n", Unanswered),
        (255, "", "something else\n", Doubtful),
        (255, "", "", Doubtful("bsub ended with code 255 and no message")),
    ],
)
def test_what_a_submission_has_done_is_never_guessed(code: int | None, output: str, errors: str, answer: Any) -> None:
    found = text.read_bsub(code, output, errors)
    if answer == "busy":
        assert isinstance(found, Doubtful)
        assert found.busy
    elif isinstance(answer, type):
        assert type(found) is answer
    else:
        assert found == answer


# ---------------------------------------------------------------------- bjobs


def test_one_pattern_covers_all_arrays_that_are_asked_for() -> None:
    def pattern(names: list[str] | None) -> str:
        return text.bjobs_arguments(names)[3]

    assert pattern(["jr-aa-12", "jr-aa-13", "jr-aa-2"]) == "jr-aa-*"
    assert pattern(["jr-aa-12"]) == "jr-aa-12*"
    assert pattern(None) == "jr-*"
    assert pattern([]) == "jr-none*"
    words = text.bjobs_arguments(None)
    assert (words[0:2], words[-1]) == (["bjobs", "-a"], "-json")


def record(**fields: str) -> dict[str, str]:
    return {
        "JOBID": "7",
        "JOBINDEX": "3",
        "JOB_NAME": "jr-a[3]",
        "STAT": "RUN",
        "EXIT_CODE": "",
        "EXIT_REASON": "",
        "EXEC_HOST": "n1",
        "PEND_REASON": "",
        **fields,
    }


def listing(*records: object, **fields: object) -> str:
    return json.dumps({"COMMAND": "bjobs", "JOBS": len(records), "RECORDS": records, **fields})


def row(**fields: str) -> QueueRow:
    found = text.read_bjobs(0, listing(record(**fields)), "")
    assert isinstance(found, QueueListing)
    assert found.unparsed == 0
    return found.rows[0]


def test_a_record_is_a_row_whose_index_begins_at_0() -> None:
    found = row()
    assert (found.name, found.array, found.index, found.note, found.code) == ("jr-a", "7", 2, "n1", None)
    assert found == row(JOBID="7[3]") == row(JOB_NAME="jr-a")
    assert row(EXEC_HOST="4*n1:2*n2").note == "n1"
    assert row(EXEC_HOST="n1:n1").note == "n1"


@pytest.mark.parametrize(
    ("fields", "phase", "word", "note"),
    [
        ({"STAT": "PEND", "EXEC_HOST": "-", "PEND_REASON": "New job;"}, Phase.PENDING, "PEND", "New job"),
        ({"STAT": "PEND", "EXEC_HOST": "-"}, Phase.PENDING, "PEND", None),
        ({"STAT": "PSUSP", "EXEC_HOST": "", "PEND_REASON": "a;"}, Phase.PENDING, "PSUSP", "PSUSP (held): a"),
        ({"STAT": "USUSP"}, Phase.RUNNING, "USUSP", "USUSP (suspended by somebody) on n1"),
        ({"STAT": "UNKWN"}, Phase.ENDED, "UNKWN (its node does not answer)", "n1"),
        ({"STAT": "NEW"}, Phase.UNKNOWN, "NEW", "n1"),
        ({"STAT": "DONE"}, Phase.ENDED, "DONE", "n1"),
        ({"STAT": "EXIT", "EXIT_CODE": "3"}, Phase.ENDED, "EXIT (exit code 3)", "n1"),
    ],
)
def test_a_state_has_a_word_and_a_note(fields: dict[str, str], phase: Phase, word: str, note: str | None) -> None:
    found = row(**fields)
    assert (found.state.phase, found.word, found.note) == (phase, word, note)


@pytest.mark.parametrize(
    ("reason", "code", "kind", "shown"),
    [
        ("TERM_OWNER: job killed by owner", "130", "cancelled", None),
        ("TERM_RUNLIMIT: job killed after reaching LSF run time limit", "113", "timeout", None),
        ("TERM_MEMLIMIT: job killed after reaching LSF memory usage limit", "1", "out_of_memory", None),
        ("TERM_PREEMPT", "143", "preempted", None),
        ("TERM_ZOMBIE", "", "node_failure", None),
        ("TERM_NEW: in a later version", "1", None, None),
        ("", "113", None, 113),
        ("-", "2", None, 2),
        ("", "", "cancelled", None),  # it waited when it was cancelled
    ],
)
def test_an_exit_code_is_the_wrapper_s_only_if_lsf_has_no_reason_of_its_own(
    reason: str, code: str, kind: str | None, shown: int | None
) -> None:
    found = row(STAT="EXIT", EXIT_CODE=code, EXIT_REASON=reason)
    assert found.state.kind == (None if kind is None else FailureKind(kind))
    assert found.code == shown


def test_what_the_kernel_may_have_killed_for_memory_is_told_apart() -> None:
    assert ended_state("TERM_EXTERNAL_SIGNAL", 137).may_be_memory
    assert ended_state("", 137).may_be_memory
    assert not ended_state("", 1).may_be_memory
    assert not ended_state("TERM_OWNER", 137).may_be_memory


def test_a_state_that_is_not_in_the_table_is_waited_for() -> None:
    assert state_of("SOMETHING").phase is Phase.UNKNOWN
    assert {"PEND", "RUN", "PSUSP", "USUSP", "SSUSP", "DONE", "EXIT", "UNKWN", "ZOMBI", "WAIT"} <= STATES.keys()


@pytest.mark.parametrize("code", [0, 255])
def test_the_exit_code_of_bjobs_tells_nothing(code: int) -> None:
    found = text.read_bjobs(code, listing(record()), "")
    assert isinstance(found, QueueListing)
    assert (len(found.rows), found.unparsed) == (1, 0)
    assert text.read_bjobs(code, "", "No matching job found\n") == QueueListing([])
    assert text.read_bjobs(code, listing(), "") == QueueListing([])
    assert text.read_bjobs(code, f"Cannot connect to LSF. Please wait ...\n{listing()}", "") == QueueListing([])


@pytest.mark.parametrize(
    ("code", "errors"), [(None, "it did not return within 120 s"), (255, "LSF is down"), (255, ""), (None, "")]
)
def test_no_answer_is_no_listing(code: int | None, errors: str) -> None:
    assert isinstance(text.read_bjobs(code, "", errors), Unanswered)
    assert isinstance(text.read_bjobs(None, listing(), errors), Unanswered)


@pytest.mark.parametrize(
    "output",
    [
        "",
        "hello",
        listing(record())[:-5],
        listing(record(), JOBS=2),
        listing(record(), JOBS="many"),
        listing(RECORDS={}),
        "[]",
        "{" + "[" * 100_000,
    ],
    ids=["nothing", "words", "cut", "too few", "no count", "no list", "another", "deep"],
)
def test_an_answer_that_is_not_whole_is_counted(output: str) -> None:
    assert text.read_bjobs(0, output, "") == QueueListing([], 1)


@pytest.mark.parametrize(
    "broken",
    [
        *({"JOBID": "x"}, {"JOBINDEX": "0"}, {"JOBINDEX": "x"}, {"JOBID": "7[4]"}, {"JOB_NAME": "jr-a[4]"}),
        *({"JOB_NAME": ""}, {"JOB_NAME": "[3]"}, {"STAT": ""}, {"STAT": "EXIT", "EXIT_CODE": "x"}),
    ],
)
def test_a_record_that_cannot_be_parsed_is_counted(broken: dict[str, str]) -> None:
    without_state = {key: value for key, value in record().items() if key != "STAT"}
    found = text.read_bjobs(0, listing(record(), record(**broken), without_state, None, {**record(), "STAT": 3}), "")
    assert isinstance(found, QueueListing)
    assert (len(found.rows), found.unparsed) == (1, 4)


# ---------------------------------------------------------------------- bkill


def test_a_thousand_elements_are_cancelled_by_one_command() -> None:
    assert list(text.bkill_arguments({"7": range(1000)}, None)) == [["bkill", "7[1-1000]"]]
    assert list(text.bkill_arguments({"7": [0, 2, 3], "9": [4]}, 10)) == [["bkill", "-s", "10", "7[1,3-4]", "9[5]"]]
    assert [len(words) for words in text.bkill_arguments({str(each): [0] for each in range(600)}, None)] == [501, 101]


@pytest.mark.parametrize(
    ("code", "output", "errors", "accepted"),
    [
        (0, "Job <7[1]> is being terminated\n", "", True),
        (0, "", "", True),
        (255, "Job <7[1]> is being terminated\n", "Job <7[2]>: Job has already finished\n", True),
        (255, "", "Job <7[2]>: No matching job found\n", True),
        (255, "", "Job <7[2]>: User permission denied\n", False),
        (255, "", "LSF is down\n", False),
        (255, "", "", False),
        (None, "Job <7[1]> is being terminated\n", "", False),
    ],
)
def test_a_cancel_is_accepted_if_all_that_is_said_is_about_jobs_that_ended(
    code: int | None, output: str, errors: str, accepted: bool
) -> None:
    assert (text.read_bkill(code, output, errors) is None) is accepted


# ---------------------------------------------------------------------- the configuration


def test_limits_are_read_from_the_parameters() -> None:
    limits = text.read_config("    MAX_JOB_ARRAY_SIZE = 500\n    CLEAN_PERIOD = 3600\n", "IBM Spectrum LSF 10.1.0.14\n")
    assert (limits.version, limits.max_array, limits.accounting) == ("IBM Spectrum LSF 10.1.0.14", 500, False)
    assert text.read_config("CLEAN_PERIOD = 3600\n", "").max_array == 1000
    with pytest.raises(ValueError, match=r"bparams -a printed 'hello'; expected parameters"):
        text.read_config("hello\n", "")


def test_the_environment_keeps_the_configuration_and_loses_the_outer_job() -> None:
    kept = {"PATH": "/bin", "LSF_ENVDIR": "/etc", "LSF_SERVERDIR": "/s", "LSB_DEFAULTQUEUE": "q"}
    lost = {"LSB_JOBID": "1", "LSB_JOBINDEX": "2", "LSB_RESTART": "Y", "LS_SUBCWD": "/", "BSUB_QUIET": "y"}
    assert text.clean_environment({**kept, **lost, "LSB_BJOBS_FORMAT": "x"}) == kept
