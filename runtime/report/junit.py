"""JUnit XML of a run, for Jenkins, GitLab and others that show tests. A function of its journal. Pure.

There is no standard. The elements are those of surefire's schema, in its order, and of the one that Jenkins checks;
``junit.xsd`` describes what is written here, which is a part of both, but for the attribute ``timestamp``, which the
first one lacks:

- https://maven.apache.org/surefire/maven-surefire-plugin/xsd/surefire-test-report.xsd
- https://github.com/jenkinsci/xunit-plugin/blob/master/src/main/resources/org/jenkinsci/plugins/xunit/types/model/xsd/junit-10.xsd

A job becomes a test case. One that failed has a *failure*, if that is for those who wrote it, and an *error* otherwise;
one that did not run because of another job, and one whose failure is known, is *skipped*.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from runtime.job import FailureClass, JobCompletionEvent, JobResult
from runtime.job.status import PASSED
from runtime.journal.columns import microseconds
from runtime.journal.descriptions import JobDescription
from runtime.journal.replay import RunState
from runtime.report.bucket_rules import BucketRules
from runtime.report.buckets import bucket_of_result, headline, headline_of, is_consequence
from runtime.report.reproduce import reproduce
from runtime.report.results import rules_of_run, run_table
from runtime.report.run_results import KnownResult, known_results

_FAILURE: Final = "failure"
_ERROR: Final = "error"
_SKIPPED: Final = "skipped"
_ORDER: Final = (_FAILURE, "rerunFailure", "flakyFailure", _SKIPPED, _ERROR, "rerunError", "flakyError")
"""The order that surefire's schema asks for."""

_PROPERTIES: Final = ("run", "state", "run_dir", "directory", "seed_base", "started", "ended", "stopped_by")
"""The keys of ``results.json`` that become properties, as far as they are known."""

_NOT_SHOWN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML 1.0 does not have, and C1 controls, which it has and a terminal obeys."""
_MARKUP: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_IN_ATTRIBUTE: Final = _MARKUP | str.maketrans({'"': "&quot;", "\t": "&#9;", "\n": "&#10;"})


def junit_lines(state: RunState, *, is_live: bool = False) -> Iterator[str]:
    """Yield JUnit XML of a run, one test case at a time.

    Args:
        state: of the run; its `run_dir` is an absolute path.
        is_live: whether a process runs it: then jobs that have not ended are skipped; else they did not pass.
    """
    run = run_table(state, is_live=is_live)
    # The counts come first in the file; to compute the results twice takes time, and to keep them, memory.
    counts = Counter(map(_outcome, known_results(state, is_live=is_live)))
    started, seconds = run["started"], run["seconds"]
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    attributes = {
        "name": str(run["name"] or run["run"]),
        "tests": str(counts.total()),
        "failures": str(counts[_FAILURE]),
        "errors": str(counts[_ERROR]),
        "skipped": str(counts[_SKIPPED]),
        # Of a run that has not ended it is not known; a clock that was set back makes nonsense of it.
        **({"time": f"{seconds:.3f}"} if isinstance(seconds, float) and seconds >= 0 else {}),
        **({"timestamp": started.partition(".")[0]} if isinstance(started, str) else {}),  # in UTC
    }
    yield f"<testsuite{_attributes(attributes)}>\n <properties>\n"
    for key in _PROPERTIES:
        if run[key] is not None:
            yield f"  <property{_attributes({'name': key, 'value': str(run[key])})}/>\n"
    yield " </properties>\n"
    run_dir, rules = Path(state.run_dir), rules_of_run(state)
    for known in known_results(state, is_live=is_live):
        yield _test_case(known, run_dir, rules)
    yield "</testsuite>\n"


def _outcome(known: KnownResult) -> str:
    """Return the element that a job gets; an empty text if it passed."""
    result = known.result
    if result is None:
        return _SKIPPED
    if result.status is PASSED:
        return ""
    if result.known is not None or (result.never_ran and is_consequence(result)):
        return _SKIPPED
    return _class_of(result.event)


def _class_of(event: JobCompletionEvent) -> str:
    """Return whether an attempt that did not pass is a failure or an error."""
    return _FAILURE if event.failure_class is FailureClass.DESIGN else _ERROR


def _test_case(known: KnownResult, run_dir: Path, rules: BucketRules) -> str:
    """Return the element of a job."""
    attributes = {"classname": known.job.name, "name": known.job.id, "time": f"{_seconds(known):.3f}"}
    inner = "".join(_inner(known, run_dir, rules))
    head = f" <testcase{_attributes(attributes)}"
    return f"{head}>\n{inner} </testcase>\n" if inner else f"{head}/>\n"


def _inner(known: KnownResult, run_dir: Path, rules: BucketRules) -> Iterator[str]:
    """Yield the elements in that of a job."""
    elements = sorted(_verdict(known, run_dir, rules), key=lambda each: _ORDER.index(each[0]))
    yield from (element for _, element in elements)
    if text := "\n".join(_out(known)):
        yield _element("system-out", {}, text)


def _verdict(known: KnownResult, run_dir: Path, rules: BucketRules) -> Iterator[tuple[str, str]]:
    """Yield tag and element of what is said about the attempts at a job. One that passed at once has none."""
    outcome, result = _outcome(known), known.result
    if outcome == _SKIPPED or result is None:
        yield _SKIPPED, _element(_SKIPPED, {"message": _why_skipped(known)})
        return
    if outcome:
        about = {"message": headline(result), "type": _type(result.event)}
        yield outcome, _element(outcome, about, _details(result, run_dir, rules))
    # Who passes when a licence is there at last is not flaky, and so is not shown to be.
    word = "rerun" if outcome else "flaky" if result.is_flaky else None
    for event in known.earlier if word is not None else ():
        tag = f"{word}{_class_of(event).capitalize()}"
        about = {"message": _message(event), "type": _type(event)}
        yield tag, _element(tag, about, trace="\n".join(_evidence(event)))


def _why_skipped(known: KnownResult) -> str:
    result = known.result
    if result is None:
        return f"the job is {known.status.name.lower()}: the run has not ended"
    return headline(result) if result.known is None else f"known failure {result.known}: {headline(result)}"


def _details(result: JobResult[JobDescription], run_dir: Path, rules: BucketRules) -> str:
    """Return what helps to find the cause of a failure: lines of the log, where that is, how to run it again, and its
    bucket.
    """
    command = reproduce(result, run_dir)
    bucket = bucket_of_result(result, rules)
    more = [("command", command), ("bucket", "" if bucket is None else bucket.message)]
    return "\n".join([*_evidence(result.event), *(f"{name}: {text}" for name, text in more if text)])


def _evidence(event: JobCompletionEvent) -> Iterator[str]:
    if event.reason is not None:
        yield from event.reason.context or ()
    if event.log_path is not None:
        yield f"log: {event.log_path}"


def _out(known: KnownResult) -> Iterator[str]:
    """Yield lines about the attempts before the last one, for those who do not know the elements of surefire."""
    result = known.result
    if result is not None and result.is_flaky:
        yield f"flaky: passed on attempt {result.attempt}"
    for event in known.earlier:
        log = "" if event.log_path is None else f"; log: {event.log_path}"
        yield f"attempt {event.attempt} {event.status.name.lower()}: {_message(event)}{log}"
    if known.origin is not None:
        yield f"the result is kept of the run {known.origin}"


def _message(event: JobCompletionEvent) -> str:
    return "" if event.reason is None else headline_of(event.reason)


def _type(event: JobCompletionEvent) -> str:
    """Return the kind of a failure; where there is none, its status."""
    return event.status.name.lower() if event.kind is None else event.kind.value


def _seconds(known: KnownResult) -> float:
    """Return how long a job ran; 0 if it did not, or that is not known."""
    result = known.result
    if result is None or not known.is_recorded or result.started is None:
        return 0
    return max(0, microseconds(result.ended) - microseconds(result.started)) / 1e6


def _element(tag: str, attributes: Mapping[str, str], text: str = "", *, trace: str | None = None) -> str:
    inner = _text(text) if trace is None else f"<stackTrace>{_text(trace)}</stackTrace>"
    return f"  <{tag}{_attributes(attributes)}>{inner}</{tag}>\n"


def _attributes(values: Mapping[str, str]) -> str:
    return "".join(f' {name}="{_shown(value).translate(_IN_ATTRIBUTE)}"' for name, value in values.items())


def _text(text: str) -> str:
    return _shown(text).translate(_MARKUP)


def _shown(text: str) -> str:
    r"""Return a text in which what XML does not have is written as ``\x1b``, as are bytes that are not UTF-8."""
    return _NOT_SHOWN.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004 - a byte, as `os.fsdecode` makes it
        code -= 0xDC00
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"  # noqa: PLR2004 - two digits
