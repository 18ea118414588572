"""What is remembered of a run and of each of its jobs, computed from its journal. Pure.

Jobs that differ only in their seed are one *test*. Seeds are drawn anew for each run, so most ids of one night are not
in the next one: what has a history is the test.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from runtime.job import FailureClass, JobCompletionEvent, JobResult, JobStatus
from runtime.journal.descriptions import JobDescription
from runtime.journal.json_text import JSON
from runtime.journal.replay import RunState
from runtime.report.bucket_rules import BucketRules
from runtime.report.buckets import bucket_of, is_consequence
from runtime.report.results import rules_of_run, run_state
from runtime.report.run_results import KnownResult, known_results
from runtime.report.seeds import seed_suffix, split_seed

MAX_SECONDS: Final = 1e9
"""Seconds of the longest run time that is remembered: 30 years, so a longer one is none."""
MAX_ATTEMPT: Final = 10**9
"""The highest number of an attempt that is remembered."""

_HASH_SIZE: Final = 7
"""Bytes of the hash of a command: as many as surely fit into a signed integer of the index."""


class Standing(enum.IntEnum):
    """What the result of a job says. The numbers are in the index: none is ever given another meaning."""

    PASSED = 0
    FAILED = 1
    """A failure of the design: also of a job that was killed because it took too long."""
    KNOWN = 2
    """A failure of the design that somebody works on."""
    INFRASTRUCTURE = 3
    """It did not pass, which says nothing about the design."""
    NEVER_RAN = 4
    """It never ran to an end of its own: it was stopped, or a job that it needs did not pass."""
    UNFINISHED = 5
    """Its run goes on, and so may the job."""

    @property
    def word(self) -> str:
        """The word for people and programs."""
        return self.name.lower()


FAILING: Final = frozenset({Standing.FAILED, Standing.KNOWN})
"""The standings of which each says that the design does not work."""
EVIDENCE: Final = FAILING | {Standing.PASSED}
"""The standings that say anything about the design."""

_WORST_FIRST: Final = (
    Standing.FAILED,
    Standing.KNOWN,
    Standing.UNFINISHED,  # before PASSED: that all seeds of a test pass is known when the last one has ended
    Standing.PASSED,
    Standing.INFRASTRUCTURE,
    Standing.NEVER_RAN,
)


@attrs.frozen
class Outcome:
    """What became of one job in one run."""

    test: str
    seed: int | None
    """The seed that its id ends with; `None` for none."""
    standing: Standing
    attempt: int = 1
    """The last attempt, from 1; 0 if there was none."""
    flaky: bool = False
    """Whether it passed after a failure of its own, in this run."""
    kept: bool = False
    """Whether the result is of another run, and so says nothing new."""
    seconds: float | None = None
    """How long the last attempt ran, in whole milliseconds; `None` if that is not known."""
    bucket: str | None = None
    """The failure bucket; of a flaky job that passed, that of its last failure; `None` for none."""
    revision: str | None = None
    """The git revision of a clean source tree; `None` if it is not known, or the tree was not clean."""
    command: int = 0
    """A hash of its command and of the names of its variables: what is run with other words is not the same."""

    @property
    def id(self) -> str:
        """The id of the job."""
        return self.test if self.seed is None else f"{self.test}{seed_suffix(self.seed)}"


@attrs.frozen(kw_only=True)
class RunHead:
    """What is remembered of a run besides the outcomes of its jobs."""

    name: str
    """The name of its directory."""
    began: float = 0.0
    """When it began, in seconds since 1970; 0 if that is not known."""
    state: str = "ended"
    """``running``, ``ended`` or ``died``."""
    suite: str = ""
    """The name of its job file; ``""`` if that is not known. Jobs of different suites are different jobs."""
    revision: str | None = None
    """The git revision of its source tree; `None` if it is not known."""
    is_clean: bool = False
    """Whether that tree was clean."""
    partial: bool = False
    """Whether jobs of the job file were left out, by ``--select`` or a rerun: then none of them is gone."""
    note: str | None = None
    """What cannot be read at the end of its journal, in a line; `None` if nothing."""

    @property
    def order(self) -> tuple[float, str]:
        """The sort key of runs, the oldest first."""
        return self.began, self.name


@attrs.frozen
class RememberedRun:
    """A run and the outcomes of its jobs, in the order of their ids in the journal."""

    head: RunHead
    outcomes: Sequence[Outcome]


def combined(outcomes: Iterable[Outcome]) -> Standing | None:
    """Return the standing of several jobs that are one test: that of the one that matters most; `None` for no jobs."""
    found = {outcome.standing for outcome in outcomes}
    return next((standing for standing in _WORST_FIRST if standing in found), None)


def remembered(state: RunState, *, is_live: bool, note: str | None = None) -> RememberedRun:
    """Return what is remembered of a run.

    Args:
        state: of the run; its `run_dir` is an absolute path.
        is_live: whether a process runs it.
        note: what cannot be read at the end of its journal.
    """
    first = state.segments[0].begin if state.segments else None
    last = state.segments[-1].begin if state.segments else None
    details = {} if last is None else last.details
    git = details.get("git")
    git = git if isinstance(git, dict) else {}
    head = RunHead(
        name=state.run_dir.rpartition("/")[2],
        began=0.0 if first is None else first.at,
        state=run_state(state, is_live=is_live),
        suite=_text(details.get("name")) or "",
        revision=_text(git.get("revision")),
        is_clean=git.get("clean") is True,
        partial=bool(state.segments) and all(each.begin.details.get("selected") is True for each in state.segments),
        note=note,
    )
    run_dir = _text(details.get("run_dir")) or state.run_dir
    numbers, rules = iter(state.numbers.values()), rules_of_run(state)
    return RememberedRun(
        head,
        [
            _outcome(known, state.revision(number), run_dir, rules)
            for number, known in zip(numbers, known_results(state, is_live=is_live), strict=True)
        ],
    )


def _outcome(known: KnownResult, revision: str | None, run_dir: str, rules: BucketRules) -> Outcome:
    test, seed = split_seed(known.job.id, known.job.seed)
    result = known.result
    return Outcome(
        test=test,
        seed=seed,
        standing=Standing.UNFINISHED if result is None else standing_of(result),
        attempt=max(0, min(known.attempt, MAX_ATTEMPT)),
        flaky=result is not None and result.is_flaky,
        kept=known.origin is not None,
        seconds=None if result is None or not known.is_recorded else _run_seconds(result.started, result.ended),
        bucket=None if result is None else _bucket(result, known.earlier, rules),
        revision=revision,
        command=_hash(known.job, run_dir),
    )


def standing_of(result: JobResult[JobDescription]) -> Standing:
    """Return what the result of a job that has ended says."""
    if result.status is JobStatus.PASSED:
        return Standing.PASSED
    if result.known is not None:
        return Standing.KNOWN
    if is_consequence(result):  # also if its cause is one of the infrastructure: that job says so itself
        return Standing.NEVER_RAN
    return Standing.INFRASTRUCTURE if result.failure_class is FailureClass.INFRASTRUCTURE else Standing.FAILED


def _bucket(result: JobResult[JobDescription], earlier: Sequence[JobCompletionEvent], rules: BucketRules) -> str | None:
    """Return the bucket of a result; of a flaky one that passed, that of its last attempt that failed."""
    if result.status is not JobStatus.PASSED:
        reason = None if is_consequence(result) else result.reason
    else:
        reason = earlier[-1].reason if result.is_flaky and earlier else None
    return None if reason is None else bucket_of(reason, rules).message


def _run_seconds(started: float | None, ended: float) -> float | None:
    if started is None or not 0 <= ended - started <= MAX_SECONDS:  # a job can write a journal
        return None
    return round((ended - started) * 1000) / 1000


def _hash(job: JobDescription, run_dir: str) -> int:
    """Return a hash of what a job runs, the same in every run: the run directory, which is in most, does not count."""
    words = (job.cmd,) if isinstance(job.cmd, str) else tuple(job.cmd)
    text = ascii((words, sorted(job.exports))).replace(ascii(run_dir)[1:-1], "")
    return int.from_bytes(hashlib.blake2b(text.encode("ascii"), digest_size=_HASH_SIZE).digest(), "big")


def _text(value: JSON) -> str | None:
    """Return a text of the details of a journal, whose classes are what its writer put there."""
    return value if isinstance(value, str) else None
