"""What a resume keeps and what it runs: the table, and random nights that die again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.journal.digests import recorded_digest
from runtime.journal.records import End, Jobs, Kept, OutputIdentity, Record, Removed
from runtime.journal.replay import RunState, replay
from runtime.journal.resume import Decision, JobToResume, decide, first_attempts
from tests.journal.journals import FAILED, HERE, KILLED, begin, ended, running, starting

RESTS: dict[str, str] = {"": ""}
"""By the digest of a job: what is in the column `digests` of its `Jobs`."""


def to_resume(job_id: str, rest: str, needs: Sequence[str] = ()) -> JobToResume:
    """A job of today; `rest` stands for all of its specification but its id."""
    found = recorded_digest(Jobs([job_id], [rest]), 0)
    RESTS[found] = rest
    return JobToResume(job_id, found, needs)


def changes(state: RunState, jobs: Sequence[JobToResume], decisions: Mapping[str, Decision]) -> list[Record]:
    """The records of a resume that follow its `Begin`, as `Recorder` writes them."""
    numbers = state.numbers
    new = [job for job in jobs if job.id not in numbers or state.digest(numbers[job.id]) != job.digest]
    kept = [numbers[job.id] for job in jobs if decisions[job.id].keep]
    records: list[Record] = [Jobs([job.id for job in new], [RESTS[job.digest] for job in new])] if new else []
    return [*records, Kept(kept)] if kept else records


BUILD = to_resume("build", "BUILD")
SIM = to_resume("sim", "SIM", ["build"])
COV = to_resume("cov", "COV", ["sim"])
JOBS = [BUILD, SIM, COV]
OUTPUTS: Mapping[str, OutputIdentity | None] = {"build": HERE, "sim": HERE, "cov": HERE}

START: list[Record] = [begin(), Jobs(["build", "sim", "cov"], ["BUILD", "SIM", "COV"])]
PASSED_ALL: list[Record] = [*START, starting(0), ended(0), starting(1), ended(1), starting(2), ended(2)]
"""A chain in which each job passed."""

KEPT = {"build": "it passed", "sim": "it passed", "cov": "it passed"}
SIM_RUNS = "it needs 'sim', which runs again"
BUILD_RUNS = "it needs 'build', which runs again"


def changed(job: JobToResume, *, rest: str = "other", needs: Iterable[str] | None = None) -> list[JobToResume]:
    """The three jobs, one of them with another specification."""
    other = to_resume(job.id, rest, job.needs if needs is None else [*needs])
    return [other if each.id == job.id else each for each in JOBS]


Case = tuple[list[Record], list[JobToResume], Mapping[str, OutputIdentity | None], Mapping[str, str]]
"""A journal, today's jobs, their outputs; and the reason for each job, all of which are run but those that passed."""

TABLE: Mapping[str, Case] = {
    "all passed": (PASSED_ALL, JOBS, OUTPUTS, KEPT),
    "all passed, and the run ended in order": ([*PASSED_ALL, End(9.0)], JOBS, OUTPUTS, KEPT),
    "nothing has run": (
        START,
        JOBS,
        OUTPUTS,
        {"build": "it has not run", "sim": "it has not run", "cov": "it has not run"},
    ),
    "the journal is empty": (
        [],
        [BUILD],
        OUTPUTS,
        {"build": "it is not in the journal"},
    ),
    "a job is unknown to the journal": (
        PASSED_ALL,
        [*JOBS, to_resume("new", "NEW", ["build"])],
        OUTPUTS,
        {**KEPT, "new": "it is not in the journal"},
    ),
    "a job is no longer wanted": (PASSED_ALL, [BUILD, SIM], OUTPUTS, {"build": "it passed", "sim": "it passed"}),
    "the specification of a test changed": (
        PASSED_ALL,
        changed(SIM),
        OUTPUTS,
        {"build": "it passed", "sim": "its specification changed", "cov": SIM_RUNS},
    ),
    "the specification of the last one changed": (
        PASSED_ALL,
        changed(COV),
        OUTPUTS,
        {**KEPT, "cov": "its specification changed"},
    ),
    "a need was added, and so the specification changed": (
        PASSED_ALL,
        changed(COV, needs=["sim", "build"]),
        OUTPUTS,
        {**KEPT, "cov": "its specification changed"},
    ),
    "the build changed under an unchanged test": (
        PASSED_ALL,
        changed(BUILD),
        OUTPUTS,
        {"build": "its specification changed", "sim": BUILD_RUNS, "cov": SIM_RUNS},
    ),
    "the specification of a test that failed changed": (
        [*START, starting(0), ended(0), starting(1), ended(1, status=FAILED)],
        changed(SIM),
        OUTPUTS,
        {"build": "it passed", "sim": "its specification changed", "cov": "it has not run"},
    ),
    "a specification cannot be compared": (
        [begin(), Jobs(["build"], [""]), starting(0), ended(0)],
        [JobToResume("build", "")],
        OUTPUTS,
        {"build": "its specification cannot be compared"},
    ),
    "an output directory was deleted": (
        PASSED_ALL,
        JOBS,
        {**OUTPUTS, "build": None},
        {"build": "its output directory is gone", "sim": BUILD_RUNS, "cov": SIM_RUNS},
    ),
    "an output directory was made again": (
        PASSED_ALL,
        JOBS,
        {**OUTPUTS, "cov": HERE._replace(inode=78)},
        {**KEPT, "cov": "its output directory is another one"},
    ),
    "an output directory is on another file system": (
        PASSED_ALL,
        JOBS,
        {**OUTPUTS, "cov": HERE._replace(device=1)},
        {**KEPT, "cov": "its output directory is another one"},
    ),
    "a log grew": (
        PASSED_ALL,
        JOBS,
        {**OUTPUTS, "cov": HERE._replace(log_size=101)},
        {**KEPT, "cov": "its log has another size"},
    ),
    "a log was deleted": (
        PASSED_ALL,
        JOBS,
        {**OUTPUTS, "cov": HERE._replace(log_size=None)},
        {**KEPT, "cov": "its log is gone"},
    ),
    "a job without a log passed": (
        [*START, starting(0), ended(0, output=HERE._replace(log_size=None))],
        [BUILD],
        {"build": HERE._replace(log_size=None)},
        {"build": "it passed"},
    ),
    "an output was never known": ([*START, starting(0), ended(0, output=None)], [BUILD], {}, {"build": "it passed"}),
    "an output is known only now": (
        [*START, starting(0), ended(0, output=None)],
        [BUILD],
        OUTPUTS,
        {"build": "its output directory is not in the journal"},
    ),
    "an ancestor ran again after it": (
        [*PASSED_ALL, begin(1), starting(0, attempt=2), ended(0, attempt=2)],
        JOBS,
        OUTPUTS,
        {"build": "it passed on attempt 2", "sim": "'build' ran again after it", "cov": SIM_RUNS},
    ),
    "an ancestor with a new specification ran after it": (
        [*PASSED_ALL, begin(1), Jobs(["build"], ["other"]), starting(3, attempt=2), ended(3, attempt=2)],
        changed(BUILD),
        OUTPUTS,
        {"build": "it passed on attempt 2", "sim": "'build' ran again after it", "cov": SIM_RUNS},
    ),
    "an ancestor was running again": (
        [*PASSED_ALL, begin(1), starting(0, attempt=2)],
        JOBS,
        OUTPUTS,
        {"build": "its end is not known", "sim": BUILD_RUNS, "cov": SIM_RUNS},
    ),
    "all ran again, in their order": (
        [
            *PASSED_ALL,
            begin(1),
            starting(0, attempt=2),
            ended(0, attempt=2),
            starting(1, attempt=2),
            ended(1, attempt=2),
            starting(2, attempt=2),
            ended(2, attempt=2),
        ],
        JOBS,
        OUTPUTS,
        dict.fromkeys(KEPT, "it passed on attempt 2"),
    ),
    "a result is not to be kept although nothing has changed": (
        PASSED_ALL,
        [attrs.evolve(BUILD, obstacle="the tree has changed"), SIM, COV],
        OUTPUTS,
        {"build": "the tree has changed", "sim": BUILD_RUNS, "cov": SIM_RUNS},
    ),
    "it passed on attempt 2": (
        [*START, starting(0), ended(0, status=FAILED, again=True), starting(0, attempt=2), ended(0, attempt=2)],
        [BUILD],
        OUTPUTS,
        {"build": "it passed on attempt 2"},
    ),
    "it failed": ([*START, starting(0), ended(0, status=FAILED)], [BUILD], OUTPUTS, {"build": "it did not pass"}),
    "it was killed": ([*START, starting(0), ended(0, status=KILLED)], [BUILD], OUTPUTS, {"build": "it did not pass"}),
    "it never ran, because of another": (
        [*START, starting(0), ended(0, status=FAILED), ended(1, 2, status=KILLED, attempt=0)],
        JOBS,
        OUTPUTS,
        {"build": "it did not pass", "sim": "it did not pass", "cov": "it did not pass"},
    ),
    "it passed, and failed when it ran again": (
        [*START, starting(0), ended(0), starting(0, attempt=2), ended(0, status=FAILED, attempt=2)],
        [BUILD],
        OUTPUTS,
        {"build": "it did not pass"},
    ),
    "it was about to start": ([*START, starting(0)], [BUILD], OUTPUTS, {"build": "its end is not known"}),
    "it was running": ([*START, starting(0), running(0)], [BUILD], OUTPUTS, {"build": "its end is not known"}),
    "it was to be tried again": (
        [*START, starting(0), ended(0, status=FAILED, again=True)],
        [BUILD],
        OUTPUTS,
        {"build": "it was to be tried again"},
    ),
    "it was tried again": (
        [*START, starting(0), ended(0, status=FAILED, again=True), starting(0, attempt=2)],
        [BUILD],
        OUTPUTS,
        {"build": "its end is not known"},
    ),
    "it passed, and was running again": (
        [*START, starting(0), ended(0), starting(0, attempt=2), running(0, attempt=2)],
        [BUILD],
        OUTPUTS,
        {"build": "its end is not known"},
    ),
    "it needs a job that is not in this run": (
        PASSED_ALL,
        [SIM, COV],
        OUTPUTS,
        {"sim": "it needs 'build', which is not in this run", "cov": SIM_RUNS},
    ),
    "it failed although what it needs runs again": (
        [*START, starting(0), ended(0), starting(1), ended(1, status=FAILED)],
        JOBS,
        {**OUTPUTS, "build": None},
        {"build": "its output directory is gone", "sim": "it did not pass", "cov": "it has not run"},
    ),
    "output directories were removed": (
        [*PASSED_ALL, Removed([2, 1, 0])],
        JOBS,
        {},
        dict.fromkeys(KEPT, "it passed; its output directory was removed"),
    ),
    "output directories were to be removed, and are there": (
        [*PASSED_ALL, Removed([0, 1, 2])],
        JOBS,
        {**OUTPUTS, "sim": HERE._replace(log_size=None), "cov": HERE._replace(inode=78)},
        dict.fromkeys(KEPT, "it passed; its output directory was removed"),
    ),
    "a job that was removed is needed by one that did not pass": (
        [*START, starting(0), ended(0), starting(1), ended(1, status=FAILED), Removed([0])],
        JOBS,
        {},
        {
            "build": "its output directory was removed, and 'sim' needs it",
            "sim": "it did not pass",
            "cov": "it has not run",
        },
    ),
    "a job that was removed is needed by a new one": (
        [*PASSED_ALL, Removed([0])],
        [*JOBS, to_resume("new", "NEW", ["build"])],
        OUTPUTS,
        {
            "build": "its output directory was removed, and 'new' needs it",
            "sim": BUILD_RUNS,
            "cov": SIM_RUNS,
            "new": "it is not in the journal",
        },
    ),
    "all that was removed is needed by the last one": (
        [*PASSED_ALL, Removed([0, 1])],
        changed(COV),
        OUTPUTS,
        {
            "build": "its output directory was removed, and 'sim' needs it",
            "sim": "its output directory was removed, and 'cov' needs it",
            "cov": "its specification changed",
        },
    ),
    "a job that was removed changed": (
        [*PASSED_ALL, Removed([0, 1, 2])],
        changed(COV),
        {},
        {
            "build": "its output directory was removed, and 'sim' needs it",
            "sim": "its output directory was removed, and 'cov' needs it",
            "cov": "its specification changed",
        },
    ),
    "a job that was removed ran again": (
        [*PASSED_ALL, Removed([2]), begin(1), starting(2, attempt=2), ended(2, attempt=2)],
        JOBS,
        {**OUTPUTS, "cov": None},
        {**KEPT, "cov": "its output directory is gone"},
    ),
    "the result of another run is kept": (
        [*START, ended(0, 1, attempt=3), Kept([0, 1], "monday")],
        [BUILD, SIM],
        OUTPUTS,
        {"build": "it passed on attempt 3 in the run 'monday'", "sim": "it passed on attempt 3 in the run 'monday'"},
    ),
}


@pytest.mark.parametrize(("records", "jobs", "outputs", "reasons"), TABLE.values(), ids=TABLE)
def test_the_table_of_keep_and_run(
    records: list[Record],
    jobs: list[JobToResume],
    outputs: Mapping[str, OutputIdentity | None],
    reasons: Mapping[str, str],
) -> None:
    decisions = decide(replay(records), jobs, outputs.get)
    assert {name: decision.reason for name, decision in decisions.items()} == reasons
    assert {name for name, decision in decisions.items() if decision.keep} == {
        name for name, reason in reasons.items() if reason.startswith("it passed")
    }


@pytest.mark.parametrize("case", TABLE)
def test_a_resume_of_a_resume_decides_the_same(case: str) -> None:
    records, jobs, outputs, _ = TABLE[case]
    check_again([*records], jobs, outputs.get)


def check_again(
    records: list[Record], jobs: list[JobToResume], outputs: Callable[[str], OutputIdentity | None]
) -> dict[str, Decision]:
    """Check that a resume which dies at once changes no decision; return the decisions."""
    state = replay(records)
    first = decide(state, jobs, outputs)
    told = changes(state, jobs, first)
    again = replay([*records, begin(1), *told])
    second = decide(again, jobs, outputs)
    for name, decision in first.items():
        # The reasons of jobs that are run may differ: one that changed has not run, since then.
        assert second[name] == decision or second[name].keep == decision.keep is False
    assert changes(again, jobs, second) == [record for record in told if isinstance(record, Kept)]
    assert again.segments[-1].kept == sum(decision.keep for decision in first.values())
    return first


def test_the_records_of_a_resume() -> None:
    state = replay(PASSED_ALL)
    jobs = [*changed(COV), to_resume("new", "NEW")]
    told = changes(state, jobs, decide(state, jobs, OUTPUTS.get))
    assert told == [Jobs(["cov", "new"], ["other", "NEW"]), Kept([0, 1])]
    assert changes(state, JOBS, decide(state, JOBS, OUTPUTS.get)) == [Kept([0, 1, 2])]
    assert changes(replay(START), JOBS, decide(replay(START), JOBS, OUTPUTS.get)) == []


def test_only_outputs_that_matter_are_looked_at() -> None:
    asked = []

    def output(name: str) -> OutputIdentity | None:
        asked.append(name)
        return HERE

    records = [*START, starting(0, 1), ended(0), ended(1, status=FAILED)]
    decide(replay(records), JOBS, output)
    assert asked == ["build"]


def test_a_long_chain_runs_again_without_a_recursion() -> None:
    count = 20_000
    names = [str(number) for number in range(count)]
    records: list[Record] = [begin(), Jobs(names, ["d"] * count), ended(*range(count))]
    jobs = [to_resume(name, "d", [str(int(name) - 1)] if name != "0" else []) for name in names]
    kept = decide(replay(records), jobs, lambda _: HERE)
    assert all(decision.keep for decision in kept.values())
    run = decide(replay(records), jobs, lambda name: None if name == "0" else HERE)
    assert not any(decision.keep for decision in run.values())
    assert run["19999"].reason == "it needs '19998', which runs again"


@given(st.randoms(use_true_random=False))
def test_nothing_runs_without_what_it_needs_whatever_was_removed(random: Random) -> None:
    names = "abcdef"
    needs = {name: [need for need in names[:at] if random.random() < 0.4] for at, name in enumerate(names)}
    jobs = [to_resume(name, "d", needs[name]) for name in names]
    removed = [number for number in range(len(names)) if random.random() < 0.5]
    bad = {name for name in names if random.random() < 0.2}
    records: list[Record] = [begin(), Jobs(list(names), ["d"] * len(names)), ended(*range(len(names)))]
    before = replay([*records, Removed(removed)])
    decisions = check_again(
        [*records, Removed(removed)],
        [to_resume(job.id, "new", job.needs) if job.id in bad else job for job in jobs],
        lambda _: HERE,
    )
    runs = {name for name, decision in decisions.items() if not decision.keep}
    # The least set that has what changed, with each job that needs one of it, and each removed one that it needs.
    expected, size = set(bad), -1
    while size < len(expected):
        size = len(expected)
        expected |= {name for name in names if expected.intersection(needs[name])}
        expected |= {need for name in expected for need in needs[name] if before.is_removed(names.index(need))}
    assert runs == expected
    for name in runs - bad:
        reason = decisions[name].reason
        assert any(f"{other!r}" in reason for other in runs - {name}), reason


def test_needs_in_a_circle_are_no_endless_loop() -> None:
    records: list[Record] = [begin(), Jobs(["a", "b"], ["d", "d"]), ended(0), ended(1, status=FAILED)]
    jobs = [to_resume("a", "d", ["b"]), to_resume("b", "d", ["a"])]
    assert not any(decision.keep for decision in decide(replay(records), jobs, lambda _: HERE).values())


class Night:
    """Runs of a few jobs, each of which dies, and of which each resumes the one before.

    It knows what truly happened: which execution of a job used which executions of those that it needs.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.needs = {name: [need for need in "abcde"[:at] if random.random() < 0.5] for at, name in enumerate("abcde")}
        self.versions = dict.fromkeys(self.needs, 0)
        self.records: list[Record] = []
        self.outputs: dict[str, OutputIdentity] = {}
        self.executions = 0
        self.executed: dict[str, int] = {}
        """Job to its last execution that is known to have passed."""
        self.used: dict[int, tuple[int, OutputIdentity, dict[str, int | None]]] = {}
        """Execution to version, output, and executions of what it needs."""
        self.ran = 0

    @property
    def jobs(self) -> list[JobToResume]:
        return [to_resume(name, str(self.versions[name]), needs) for name, needs in self.needs.items()]

    def is_good(self, name: str) -> bool:
        """Whether the last result of a job is what another execution would give."""
        execution = self.executed.get(name)
        if execution is None:
            return False
        version, output, used = self.used[execution]
        needs_good = all(self.is_good(need) and used[need] == self.executed[need] for need in self.needs[name])
        return needs_good and version == self.versions[name] and output == self.outputs.get(name)

    def edit(self) -> None:
        """Somebody changes jobs, and deletes directories."""
        for name in self.needs:
            if self.random.random() < 0.1:
                self.versions[name] += 1
            if self.random.random() < 0.1:
                self.outputs.pop(name, None)

    def resume(self, limit: float) -> RunState:
        """Run what has to be run; die after `limit` records, perhaps before the last of them is written."""
        good = {name for name in self.needs if self.is_good(name)}
        decisions = check_again(self.records, self.jobs, self.outputs.get)
        assert {name for name, decision in decisions.items() if decision.keep} == good
        left = limit
        records = [begin(len(self.records)), *changes(replay(self.records), self.jobs, decisions)]
        while records and left > 0:
            self.records.append(records.pop(0))
            left -= 1
        for name in self.needs:
            if left <= 0:
                break
            if not decisions[name].keep:
                left = self.run(name, left)
        return replay(self.records)

    def run(self, name: str, left: float) -> float:
        """Run a job, if what it needs has passed; return how many records may still be written."""
        state = replay(self.records)
        number = state.numbers[name]
        if not all(self.is_good(need) for need in self.needs[name]):
            self.records.append(ended(number, status=KILLED, attempt=0))
            self.executed.pop(name, None)
            return left - 1
        attempt = state.attempts[number] + 1
        self.records.append(starting(number, attempt=attempt))
        self.executed.pop(name, None)
        if left <= 1 and self.random.random() < 0.5:
            return 0
        self.executions += 1
        self.ran += 1
        output = self.outputs[name] = OutputIdentity(1, self.executions, 10)
        self.used[self.executions] = (self.versions[name], output, {n: self.executed[n] for n in self.needs[name]})
        if left <= 1:  # it ran, and nobody wrote it down
            return 0
        if self.random.random() < 0.2:
            self.records.append(ended(number, status=FAILED, attempt=attempt))
        else:
            self.records.append(ended(number, attempt=attempt, output=output))
            self.executed[name] = self.executions
        return left - 2


@given(st.randoms(use_true_random=False))
def test_a_run_that_dies_again_and_again_keeps_exactly_what_is_still_true(random: Random) -> None:
    night = Night(random)
    for _ in range(random.randrange(1, 6)):
        night.resume(random.randrange(12))
        night.edit()
    night.resume(float("inf"))
    ran = night.ran
    good = {name for name in night.needs if night.is_good(name)}
    # Resumed once more, it runs what did not pass, and nothing else.
    state = night.resume(float("inf"))
    assert night.ran - ran <= len(night.needs) - len(good)
    assert len(list(state.results())) == len(night.needs)


FOLLOWED = "it may be in flight, and is followed if it is"

ATTEMPTS: Mapping[str, tuple[list[Record], list[JobToResume], Mapping[str, int], str]] = {
    "nothing has run": (START, JOBS, {}, "it has not run"),
    "all passed": (PASSED_ALL, JOBS, {}, "it passed"),
    "a local job was in flight": (
        [*START, starting(0), ended(0), starting(1)],
        JOBS,
        {"sim": 2},
        "its end is not known",
    ),
    "an element was in flight": (
        [*START, starting(0), ended(0), starting(1, backend="slurm")],
        JOBS,
        {},
        FOLLOWED,
    ),
    "an element was in flight, on its third attempt": (
        [*START, starting(0), ended(0), starting(1, backend="slurm", attempt=3), running(1, attempt=3)],
        JOBS,
        {"sim": 3},
        FOLLOWED,
    ),
    "an element was in flight, and its specification changed": (
        [*START, starting(0), ended(0), starting(1, backend="slurm")],
        changed(SIM),
        {"sim": 2},
        "its specification changed",
    ),
    "an element was in flight, and what it needs runs again": (
        [*START, starting(0), ended(0), starting(1, backend="slurm")],
        changed(BUILD),
        {"build": 2, "sim": 2},
        "its end is not known",
    ),
    "an element was in flight, and what it needs ran again after it": (
        [*START, starting(0), ended(0), starting(1, backend="slurm"), starting(0, attempt=2), ended(0, attempt=2)],
        JOBS,
        {"sim": 2},
        "its end is not known",
    ),
    "it failed": (
        [*START, starting(0), ended(0), starting(1), ended(1, status=FAILED)],
        JOBS,
        {"sim": 2},
        "it did not pass",
    ),
    "an element failed, and waited for its next attempt": (
        [*START, starting(0), ended(0), starting(1, backend="slurm"), ended(1, status=FAILED, again=True)],
        JOBS,
        {"sim": 2},
        "it was to be tried again",
    ),
}


@pytest.mark.parametrize("case", ATTEMPTS)
def test_which_attempt_is_next_and_which_element_is_followed(case: str) -> None:
    records, jobs, expected, reason = ATTEMPTS[case]
    state = replay(records)
    told, attempts = first_attempts(state, jobs, decide(state, jobs, OUTPUTS.get), {"slurm"})
    assert attempts == expected
    assert told["sim"].reason == reason
