"""The verdict on a job is the same, whichever way it is found, and each way keeps within its time."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runtime.job import FailureKind, JobSpec
from runtime.process import UNKNOWN, Exit
from runtime.verdict import PASSED, Verdict, Verdicts, needs_log, verdict, verdicts

WELL = Exit(code=0)
PLAIN = JobSpec(name="plain", cmd="true")
SPEC = JobSpec(
    name="job",
    cmd="true",
    pass_patterns=["^PASSED"],
    fail_patterns=["ERROR"],
    runtime_pattern=r"took (?P<value>\d+) (?P<unit>s)",
)
CAPPED = JobSpec(name="capped", cmd="true", pass_patterns=["^PASSED"], max_log=20)
QUADRATIC = JobSpec(name="quadratic", cmd="true", pass_patterns=[r"^PASSED(?!(x+)+y)"])


@pytest.fixture
def found() -> Iterator[Verdicts]:
    with closing(Verdicts()) as found:
        yield found


def write(directory: Path, text: bytes) -> str:
    (directory / "log").write_bytes(text)
    return str(directory / "log")


def parts(verdict: Verdict | None) -> tuple[Any, ...]:
    assert verdict is not None
    return verdict.status, verdict.reason, verdict.log


@pytest.mark.parametrize("job", [PLAIN, SPEC, CAPPED], ids=lambda job: job.name)
@pytest.mark.parametrize("how", [WELL, Exit(code=3), Exit(signal=11, core_dumped=True), UNKNOWN], ids=repr)
@pytest.mark.parametrize("text", [b"", b"PASSED\ntook 3 s\n", b"PASSED\n" + b"x\n" * 30, b"ERROR\nPASSED\nlast"])
def test_each_way_finds_the_same_verdict(tmp_path: Path, found: Verdicts, job: JobSpec, how: Exit, text: bytes) -> None:
    log = write(tmp_path, text)
    expected = parts(verdict(job, how, log))
    assert parts(found.of(job, how, log)) == expected
    assert parts(found.attempt(job, how, log)) == expected
    assert parts(found.soon(job, how, log)) == expected
    is_capped = job.max_log is not None and len(text) > job.max_log
    if is_capped:
        assert found.at_once(job, how, text) is None  # only the size of the file says how long the log is
    elif needs_log(job, how):
        assert parts(found.at_once(job, how, text)) == expected
    else:
        assert found.at_once(job, how, text) is PASSED


def test_where_there_is_nothing_to_look_for_no_log_is_needed(found: Verdicts) -> None:
    assert not needs_log(PLAIN, WELL)
    assert found.at_once(PLAIN, WELL, None) is PASSED
    for job, how in ((PLAIN, Exit(code=1)), (PLAIN, UNKNOWN), (SPEC, WELL)):
        assert needs_log(job, how)
        assert found.at_once(job, how, None) is None
    assert found.at_once(JobSpec(name="capped", cmd="true", max_log=20), WELL, None) is None


@pytest.mark.parametrize("pattern", ["pass_patterns", "fail_patterns", "runtime_pattern", "simulated_time_pattern"])
def test_each_pattern_needs_the_log(pattern: str) -> None:
    text = "(?P<value>.)(?P<unit>.)"
    value: Any = [text] if pattern.endswith("patterns") else text
    assert needs_log(JobSpec(name="job", cmd="true", **{pattern: value}), WELL)


def test_a_text_is_judged_at_once_when_a_log_was_judged_before(tmp_path: Path, found: Verdicts) -> None:
    assert found.at_once(SPEC, WELL, b"PASSED") is None  # RE2 may have to compile the patterns
    found.of(SPEC, WELL, write(tmp_path, b"PASSED"))
    assert found.at_once(SPEC, WELL, b"PASSED") == PASSED
    found.of(QUADRATIC, WELL, write(tmp_path, b"PASSED"))
    assert found.at_once(QUADRATIC, WELL, b"PASSED") is None


def test_short_texts_that_take_long_all_the_same_are_judged_at_once_a_few_times(tmp_path: Path) -> None:
    log = write(tmp_path, b"PASSED")
    clock = itertools.count()
    with closing(Verdicts(clock=lambda: next(clock) * step)) as found:
        step = 0.0
        found.of(SPEC, WELL, log)
        step = 1.0  # each reading of the processor's time is a second after the one before
        for _ in range(verdicts._MAX_OVERRUNS):
            assert found.at_once(SPEC, WELL, b"PASSED") == PASSED
        assert found.at_once(SPEC, WELL, b"PASSED") is None
        step = 0.0
        found.of(SPEC, WELL, log)
        assert found.at_once(SPEC, WELL, b"PASSED") is None


def test_what_may_take_long_is_not_done_soon(tmp_path: Path, found: Verdicts) -> None:
    log = write(tmp_path, b"PASSED\n" + b"x" * verdicts.SHORT_LOG)
    assert found.soon(SPEC, WELL, log) is None
    assert found.attempt(SPEC, WELL, log) == PASSED
    assert found.soon(PLAIN, Exit(code=1), log) is not None  # only its end is read
    assert found.soon(QUADRATIC, WELL, write(tmp_path, b"PASSED")) is None


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.EMFILE, "none left"), "[Errno 24] none left"),
        (MemoryError(), "there is no memory for that"),
    ],
)
def test_without_resources_it_can_be_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: Verdicts, error: Exception, message: str
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise error

    log = write(tmp_path, b"PASSED")
    monkeypatch.setattr(verdicts, "judge_log", fail)
    monkeypatch.setattr(verdicts, "read_tail", fail)
    for job in (SPEC, PLAIN):
        assert found.attempt(job, WELL, log) is None
        assert found.soon(job, WELL, log) is None
    assert found.of(PLAIN, WELL, log) == PASSED
    _, reason, _ = parts(found.of(SPEC, WELL, log))
    assert (reason.kind, reason.message) == (FailureKind.LOG_UNREADABLE, f"its log could not be judged: {message}")


def test_a_log_that_is_gone_is_in_the_verdict_of_each_way(tmp_path: Path, found: Verdicts) -> None:
    log = str(tmp_path / "gone")
    for found_it in (found.of(SPEC, WELL, log), found.attempt(SPEC, WELL, log), found.soon(SPEC, WELL, log)):
        _, reason, judgement = parts(found_it)
        assert (reason.kind, judgement) == (FailureKind.LOG_UNREADABLE, None)


def test_a_log_above_its_limit_fails_a_job_that_would_pass(tmp_path: Path, found: Verdicts) -> None:
    log = write(tmp_path, b"PASSED\n" + b"x" * 20)
    _, reason, judgement = parts(found.of(CAPPED, WELL, log))
    assert (reason.kind, reason.message) == (
        FailureKind.LOG_LIMIT,
        "its log has 27 bytes; expected at most 20 bytes (max_log)",
    )
    assert judgement.lines == 2
    assert parts(found.of(CAPPED, Exit(code=3), log))[1].kind is FailureKind.EXIT_CODE
