"""Random records, and journals in which the records fit each other."""

from __future__ import annotations

from typing import Any, TypeVar

from hypothesis import strategies as st

from runtime.job import CustomKind, FailureKind, JobStatus, Kind
from runtime.journal.records import (
    Begin,
    End,
    Ended,
    Jobs,
    Kept,
    Progress,
    Record,
    Removed,
    Requested,
    Sampled,
    Starting,
    Stopping,
)

T = TypeVar("T")

TEXT = st.text(st.characters(), max_size=8)  # lone surrogates, NUL and line ends included
SURROGATES = st.text(st.sampled_from("\ud800\udbff\udc00\udfff\ufdd0\\ud😀\n"), max_size=8)
ANY_TEXT = TEXT | SURROGATES
MICROS = st.integers(0, 10**13).map(lambda micros: micros / 1e6)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.integers(-(2**70), 2**70)
NUMBER = st.integers(0, 12)
ATTEMPT = st.integers(1, 3)  # attempts are counted from 1, as the schema of the results says
ENDS = st.sampled_from([JobStatus.PASSED, JobStatus.FAILED, JobStatus.KILLED])
KIND: st.SearchStrategy[Kind] = st.sampled_from(FailureKind) | st.sampled_from("ab").map(CustomKind)
LINE = st.integers(1, 10**9) | st.tuples(st.integers(1, 99), st.integers(1, 99))
JSON = st.recursive(
    st.none() | st.booleans() | WHOLE | FINITE | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)


def columns(values: st.SearchStrategy[T], count: int) -> st.SearchStrategy[list[T]]:
    """Lists of `count` values, of which many are of one value."""
    return st.lists(values, min_size=count, max_size=count) | values.map(lambda value: [value] * count)


def tuples(values: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...] | None]:
    return st.none() | st.lists(values, max_size=3).map(tuple)


BEGIN = st.builds(
    Begin,
    token=ANY_TEXT,
    incarnation=st.integers(0, 9),
    at=MICROS,
    epoch=MICROS,
    host=ANY_TEXT,
    boot=ANY_TEXT,
    pid=WHOLE,
    start=WHOLE,
    details=st.dictionaries(ANY_TEXT, JSON, max_size=3),
)
END = st.builds(End, MICROS, st.none() | ANY_TEXT)


@st.composite
def batches(draw: st.DrawFn) -> Record:
    """A record with columns, for jobs with small numbers."""
    count = draw(st.integers(0, 4))
    jobs = draw(columns(NUMBER, count))
    attempts = draw(columns(ATTEMPT, count))
    kind = draw(st.sampled_from([Jobs, Starting, Progress, Ended, Kept, Removed]))
    if kind is Jobs:
        ids = st.sampled_from(["a", "b", "c"]) | ANY_TEXT
        words = st.none() | ANY_TEXT | st.lists(ANY_TEXT, max_size=3).map(tuple)
        columns_of_jobs: dict[str, st.SearchStrategy[Any]] = {
            "names": st.none() | ANY_TEXT,
            "qual_names": st.none() | ANY_TEXT,
            "seeds": st.none() | WHOLE,
            "tags": tuples(ANY_TEXT),
            "commands": words,
            "secret_cmds": st.none() | ANY_TEXT,
            "shells": words,
            "cwds": st.none() | ANY_TEXT,
            "odirs": st.none() | ANY_TEXT,
            "logs": st.none() | ANY_TEXT,
            "exports": st.none() | ANY_TEXT,
        }
        described = {name: draw(columns(each, count)) for name, each in columns_of_jobs.items() if draw(st.booleans())}
        counted = st.none() | st.lists(st.tuples(WHOLE, st.dictionaries(ANY_TEXT, JSON, max_size=3)), max_size=3)
        requirements = draw(counted.map(lambda pairs: None if pairs is None else tuple(pairs)))
        digests = draw(columns(ANY_TEXT, count))
        return Jobs(draw(columns(ids, count)), digests, **described, requirements=requirements)
    if kind is Starting:
        return Starting(draw(MICROS), draw(ANY_TEXT), jobs, attempts)
    if kind is Progress:
        statuses = st.sampled_from([JobStatus.QUEUED, JobStatus.RUNNING])
        notes = columns(st.none() | ANY_TEXT, count)
        return Progress(jobs, attempts, draw(columns(statuses, count)), draw(columns(MICROS, count)), draw(notes))
    if kind is Removed:
        return Removed(jobs)
    if kind is Kept:
        return Kept(jobs, draw(st.none() | ANY_TEXT))
    optional = {
        "started": MICROS,
        "messages": ANY_TEXT,
        "kinds": KIND,
        "causes": KIND,
        "known": ANY_TEXT,
        "cpu_seconds": MICROS,
        "peak_bytes": WHOLE,
        "exit_codes": WHOLE,
        "signals": WHOLE,
        "job_runtimes": FINITE,
        "simulated_times": FINITE,
        "odirs": ANY_TEXT,
        "logs": ANY_TEXT,
        "cwds": ANY_TEXT,
        "devices": WHOLE,
        "inodes": WHOLE,
        "log_sizes": WHOLE,
    }
    given: dict[str, Any] = {
        name: draw(columns(st.none() | values, count)) for name, values in optional.items() if draw(st.booleans())
    }
    return Ended(
        jobs,
        attempts,
        draw(columns(ENDS, count)),
        draw(columns(MICROS, count)),
        draw(columns(MICROS, count)),
        lines=draw(columns(tuples(LINE), count)),
        contexts=draw(columns(tuples(ANY_TEXT), count)),
        left_behind=draw(columns(tuples(ANY_TEXT), count)),
        again=draw(st.none() | st.just(True)),
        **given,
    )


STOPPING = st.builds(Stopping, MICROS, ANY_TEXT)
REQUESTED = st.builds(
    Requested,
    at=MICROS,
    by=ANY_TEXT,
    action=st.sampled_from(["kill", "pause", "limit"]) | ANY_TEXT,
    jobs=st.lists(WHOLE, max_size=4),
    force=st.none() | st.just(True),
    resource=st.none() | ANY_TEXT,
    limit=st.none() | WHOLE,
)
SAMPLED = st.builds(
    Sampled,
    MICROS,
    st.none() | FINITE,
    st.none() | WHOLE,
    st.dictionaries(ANY_TEXT, JSON | st.tuples(WHOLE, st.none() | WHOLE).map(list), max_size=3),
)
RECORD: st.SearchStrategy[Record] = BEGIN | STOPPING | REQUESTED | SAMPLED | END | batches()
RECORDS = st.lists(RECORD, max_size=12)
