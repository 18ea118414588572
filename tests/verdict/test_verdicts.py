"""The verdict on a job is the same, whichever way it is found, and each way keeps within its time."""

from __future__ import annotations

import errno
import functools
import itertools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from runtime.job import CustomKind, FailureKind, JobSpec
from runtime.process import UNKNOWN, Exit
from runtime.verdict import PASSED, Verdict, Verdicts, needs_log, verdict, verdicts
from runtime.verdict.file import judge_log

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
    assert found.soon(PLAIN, Exit(code=1), log) is None  # it is searched for what explains the failure
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
    assert judgement.missing == ()
    assert parts(found.of(CAPPED, Exit(code=3), log))[1].kind is FailureKind.EXIT_CODE


def test_lines_are_counted_where_their_numbers_are_shown(tmp_path: Path, found: Verdicts) -> None:
    log = write(tmp_path, b"PASSED\nx\n")
    assert parts(found.of(SPEC, WELL, log))[2].lines is None
    _, reason, judgement = parts(found.of(SPEC, Exit(code=3), log))
    assert (reason.lines, judgement.lines) == ([(1, 2)], 2)
    _, reason, judgement = parts(found.of(SPEC, WELL, write(tmp_path, b"x\n" * 30)))
    assert (reason.lines, judgement.lines) == ([(21, 30)], 30)


# ---------------------------------------------------------------------- kinds of failure that the log shows

KINDS = {"licence": ["^no licence", "^Licence checkout failed"], "network": ["unreachable"]}
OF_KINDS = attrs.evolve(SPEC, name="kinds", kinds=KINDS)
MISSING = b"start\nLicence checkout failed: VCS\nERROR: gave up\n"


@pytest.mark.parametrize("how", [WELL, Exit(code=3), Exit(signal=11)], ids=repr)
def test_a_line_of_a_log_that_did_not_pass_gives_the_kind_before_all_else(
    tmp_path: Path, found: Verdicts, how: Exit
) -> None:
    log = write(tmp_path, MISSING)
    reason = verdict(OF_KINDS, how, log).reason
    before = verdict(SPEC, how, log).reason
    assert reason is not None
    assert before is not None
    assert (reason.kind, reason.lines) == (FailureKind.LICENCE, [2, (1, 3)])
    assert reason.message == f"licence: Licence checkout failed: VCS; {before.message}"
    assert reason.context == ("start", "Licence checkout failed: VCS", "ERROR: gave up")


@pytest.mark.parametrize("text", [MISSING, b"PASSED\n", b"PASSED\nno licence\n", b"", b"x\n" * 40 + b"unreachable"])
@pytest.mark.parametrize("how", [WELL, Exit(code=3), Exit(signal=11), UNKNOWN], ids=repr)
def test_each_way_finds_the_same_kind(tmp_path: Path, found: Verdicts, how: Exit, text: bytes) -> None:
    log = write(tmp_path, text)
    expected = parts(verdict(OF_KINDS, how, log))
    assert parts(found.of(OF_KINDS, how, log)) == expected
    assert parts(found.attempt(OF_KINDS, how, log)) == expected
    assert parts(found.soon(OF_KINDS, how, log)) == expected
    at_once = found.at_once(OF_KINDS, how, text)
    assert at_once is None or parts(at_once) == expected
    assert (at_once is not None) == (how is UNKNOWN or expected[1] is None)  # a second search is not done at once


def test_a_job_that_passed_has_passed_whatever_its_log_says_about_the_infrastructure(
    tmp_path: Path, found: Verdicts, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = []

    def counted(log: Any, patterns: Any, *args: Any, **options: Any) -> Any:
        searched.append(patterns.failing)
        return judge_log(log, patterns, *args, **options)

    monkeypatch.setattr(verdicts, "judge_log", counted)
    log = write(tmp_path, b"Licence checkout failed, again in 10 s\nPASSED\n")
    assert found.of(OF_KINDS, WELL, log).passed
    assert searched == [("ERROR",)]
    assert found.of(OF_KINDS, Exit(code=1), log).reason.kind is FailureKind.LICENCE  # type: ignore[union-attr]  # it has failed
    assert searched == [("ERROR",), ("ERROR",), (*KINDS["licence"], *KINDS["network"])]


def test_of_several_lines_the_first_one_counts(tmp_path: Path, found: Verdicts) -> None:
    log = write(tmp_path, b"ERROR\nhost unreachable\nno licence\n")
    reason = found.of(OF_KINDS, WELL, log).reason
    assert reason is not None
    assert (reason.kind, reason.message) == (
        CustomKind("network"),
        "network: host unreachable; a fail pattern matched: ERROR",
    )


def test_what_was_stopped_and_what_wrote_too_much_keeps_its_reason(tmp_path: Path, found: Verdicts) -> None:
    log = write(tmp_path, b"PASSED\nno licence\n" + b"x" * 99)
    capped = attrs.evolve(CAPPED, kinds=KINDS)
    assert found.of(capped, WELL, log).reason.kind is FailureKind.LOG_LIMIT  # type: ignore[union-attr]  # it has failed
    assert found.of(OF_KINDS, UNKNOWN, log) == found.of(SPEC, UNKNOWN, log)


def test_a_log_that_is_not_there_shows_no_kind(tmp_path: Path, found: Verdicts) -> None:
    log = str(tmp_path / "none")
    (tmp_path / "fifo").mkdir()
    for path in (log, str(tmp_path / "fifo")):
        assert found.of(OF_KINDS, Exit(code=1), path) == found.of(SPEC, Exit(code=1), path)
        assert found.attempt(OF_KINDS, Exit(code=1), path) == found.of(SPEC, Exit(code=1), path)


def test_a_pattern_of_a_kind_that_takes_too_long_is_named_and_the_job_keeps_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "judge_log", functools.partial(judge_log, budget=0.1))
    log = write(tmp_path, b"x" * 60 + b"\n")
    job = JobSpec(name="slow", cmd="false", kinds={"network": [r"(?!y)(x+x+)+y"]})
    with closing(Verdicts()) as found:
        assert found.soon(job, Exit(code=1), log) is None
        reason = found.of(job, Exit(code=1), log).reason
    assert reason is not None
    assert reason.kind is FailureKind.EXIT_CODE
    assert reason.message.startswith("exit code 1; which kind of failure its log shows is not known: ")
    assert "(?!y)(x+x+)+y" in reason.message


def test_without_resources_to_search_for_the_kind_the_verdict_is_asked_for_again(
    tmp_path: Path, found: Verdicts, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = write(tmp_path, MISSING)
    plain = attrs.evolve(PLAIN, kinds=KINDS)
    with monkeypatch.context() as patch:

        def fail(*_: Any, **__: Any) -> Any:
            raise OSError(errno.EMFILE, "too many open files")

        patch.setattr(verdicts, "judge_log", fail)
        assert found.attempt(plain, Exit(code=1), log) is None
    assert found.attempt(plain, Exit(code=1), log).reason.kind is FailureKind.LICENCE  # type: ignore[union-attr]  # it has failed
