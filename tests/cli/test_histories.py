"""`history` and `compare`, called as a user does, for runs as they leave their journals."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from runtime.job import FailureKind, JobResult, JobSpec
from runtime.journal import JSON, Begin, Record
from runtime.report.screen_fit import MOST
from tests.cli.conftest import Here
from tests.cli.past_run import held, write_journal
from tests.cli.program import Fifo, call, end_of, job_file, started
from tests.history import schema
from tests.report.results import result
from tests.report.states import records

Results = Sequence[JobResult[JobSpec]]
Night = Callable[..., str]


def begun(written: list[Record], at: float, details: Mapping[str, JSON]) -> list[Record]:
    begin, *rest = written
    assert isinstance(begin, Begin)
    return [attrs.evolve(begin, at=at, details={**begin.details, **details}), *rest]


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """Make the run of the next night; return its name."""
    out = tmp_path / "results"

    def make(*results: JobResult[JobSpec], revision: str = "aaa", ended: float | None = 5.5, **details: JSON) -> str:
        day = 1 + (sum(entry.is_dir() and not entry.is_symlink() for entry in out.iterdir()) if out.exists() else 0)
        name = f"202601{day:02}-020000-abcdef"
        git: JSON = {"revision": revision, "clean": True}
        written = records(results, out / name, ended=ended)
        write_journal(out / name, begun(written, 1e9 + day * 86400, {"git": git, **details}))
        (out / "latest").unlink(missing_ok=True)
        (out / "latest").symlink_to(name)
        return name

    return make


def failed(name: str, message: str = "mismatch", **fields: Any) -> JobResult[JobSpec]:
    return result(name, FailureKind.FAIL_PATTERN, message, lines=[3], **fields)


def test_a_comparison_tells_what_is_new_first(here: Here, night: Night) -> None:
    base = night(result("a"), failed("b"), failed("c"), result("gone"))
    run = night(failed("a"), failed("b"), result("c"), result("added"), revision="bbb")
    done = here("compare")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"fifo: {run} (ended, revision bbb) compared with {base} (ended, revision aaa)",
        "New failures (1)",
        f"     1 x mismatch  first seen in {base}",
        "         a",
        "Still failing (1)",
        f"     1 x mismatch  first seen in {base}",
        f"         b: never passed, failing for 2 runs, since {base} (revision aaa)",
        "Fixed (1): c",
        "Added (1): added",
        "Gone (1): gone",
        "4 jobs: 2 passed, 1 new, 1 still failing, 1 fixed, 1 added, 1 gone",
    ]


def test_runs_are_named_as_everywhere_and_the_second_is_the_earlier_one(
    here: Here, night: Night, tmp_path: Path
) -> None:
    first, second, third = night(result("a")), night(failed("a")), night(result("a"))
    assert "1 fixed" in here("compare").out
    assert f"{second} (ended, revision aaa) compared with {first}" in here("compare", second).out
    for words in ((third, first), ("latest", first), (f"results/{third}", f"{tmp_path}/results/{first}")):
        assert f"{third} (ended, revision aaa) compared with {first}" in here("compare", *words).out
    assert "1 new" in here("compare", second, third).out
    here("export", first, "-o", "first.tar.gz")
    assert f"compared with {first}" in here("compare", second, "first.tar.gz").out
    here("compare", "--out", "nothing", f"results/{second}", f"results/{first}")


def test_a_run_of_another_job_file_or_of_some_jobs_is_not_the_one_before(here: Here, night: Night) -> None:
    first = night(result("a"), result("b"))
    other = night(result("a"), name="other")
    night(result("a"), selected=True)
    last = night(failed("a"), result("b"))
    assert f"compared with {first}" in here("compare").out
    assert here("history", "a").out.count(" of fifo, in 3 runs") == 1
    assert here("history", "a").out.count(" of other, in 1 run:") == 1
    assert "  a of fifo  failing for 1 run" in here("history", "?").out
    assert f"  a of other  passed last in {other}" in here("history", "?").out
    done = here("compare", first)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert f"has no run of fifo that began before {first}; expected BASE" in done.err
    assert here("compare", first, last).code == 0


@pytest.mark.parametrize("words", [["compare", "nothing"], ["compare", "latest", "nothing"], ["history", "nothing"]])
def test_what_there_is_not_is_one_error(here: Here, night: Night, words: list[str]) -> None:
    night(result("a"))
    night(result("a"))
    done = here(*words)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    "words", [["compare"], ["history"], ["history", "a"], ["history", "--last", "0"], ["history", "a", "b"]]
)
def test_without_runs_and_with_wrong_options_there_is_one_error(here: Here, tmp_path: Path, words: list[str]) -> None:
    for directory in ("results", "file"):
        done = here(*words, "--out", directory)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        (tmp_path / "file").touch()
        (tmp_path / "results").mkdir(exist_ok=True)


def test_the_history_tells_of_what_fails_or_is_flaky(here: Here, night: Night) -> None:
    night(result("a"), result("b"), result("c"), failed("d"), failed("gone"))
    second = night(failed("a"), result("b"), failed("c"), failed("d"))
    third = night(failed("a"), result("b"), result("c"), failed("d", "another one"))
    done = here("history")
    assert (done.code, done.err) == (0, "")
    # For one revision, all of them had both results, but for `b` and `d`.
    flaky = "flaky: passed and failed with revision aaa, last in "
    assert done.out.splitlines() == [
        "Failing (2)",
        f"  a  failing for 2 runs, since {second} (revision aaa); {flaky}{third}: mismatch",
        "  d  never passed, failing for 3 runs, since 20260101-020000-abcdef (revision aaa): another one",
        "Flaky (1)",
        f"  c  passed last in {third}; {flaky}{second}",
    ]
    assert here("history", "?").out.splitlines()[-2:] == ["Passing (1)", f"  b  passed last in {third}"]


def test_the_history_of_a_job_has_its_runs_the_newest_first(here: Here, night: Night) -> None:
    first, second = night(result("a"), revision="0123456789abcdef"), night(failed("a"), failed("b"), revision="bbb")
    done = here("history", "a")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"a of fifo, in 2 runs: failing for 1 run, since {second} (revision bbb)",
        "Runs, the newest first",
        f"  {second}  failed             2.5 s  revision bbb  mismatch",
        f"  {first}  passed             2.5 s  revision 0123456789ab",
        "Failures by message",
        f"     1 x mismatch  first seen in {second}, last in {second}",
    ]
    assert here("history", "a", "--last", "1").out.count("  revision ") == 1


def test_the_seeds_of_a_test_are_shown_together_and_one_alone(here: Here, night: Night) -> None:
    def seeds(*numbers: int, bad: int) -> list[JobResult[JobSpec]]:
        return [
            (failed if number == bad else result)("smoke", full_name=f"smoke.seed={number}", seed=number)
            for number in numbers
        ]

    night(*seeds(1, 2, 3, bad=0))
    night(*seeds(4, 5, 6, bad=5))
    assert "1 of 3 failed" in here("history", "smoke").out
    alone = here("history", "smoke.seed=5").out
    assert alone.startswith("smoke.seed=5 of fifo, in 1 run: never passed, failing for 1 run")
    compared = here("compare").out
    assert "         smoke: 1 of 3 jobs, such as smoke.seed=5\n" in compared
    assert "added" not in compared
    assert here("history", "smoke.seed=7").code == 2


def test_of_a_live_run_and_of_one_that_died_it_tells_what_is_known(here: Here, night: Night, tmp_path: Path) -> None:
    night(result("a"), result("b"))
    name = night(failed("a"), ended=None, revision="bbb")
    with held(tmp_path / "results" / name):
        live = here("compare")
    died = here("compare")
    assert f"{name} (running," in live.out
    assert f"{name} (died," in died.out
    assert "1 new, 1 gone" in died.out


def test_json_has_all_of_it(here: Here, night: Night) -> None:
    base = night(result("a"), failed("b"))
    run = night(*(failed(f"n{number}", f"message {'x' * number}") for number in range(70)), failed("b"))
    document = json.loads(here("compare", "--json").out)
    schema.check(document, "comparison")
    assert (document["version"], document["run"]["run"], document["base"]["run"]) == (1, run, base)
    assert document["counts"] == {
        **dict.fromkeys(["fixed", "known", "flaky", "slower", "infrastructure", "never_ran", "unfinished"], 0),
        "new": 70,
        "still_failing": 1,
        "added": 70,
        "gone": 1,
    }
    assert len(document["new"]) == len(document["buckets"]) - 1 == 70
    (job,) = document["still_failing"]
    assert (job["id"], job["failing"], job["failing_since"], job["never_passed"]) == ("b", 2, base, True)
    assert job["now"]["failing"] == ["b"]
    history = json.loads(here("history", "b", "--json").out)
    schema.check(history, "history")
    schema.check(json.loads(here("history", "--json").out), "history")
    assert [each["run"] for each in history["jobs"][0]["runs"]] == [run, base]
    assert history["jobs"][0]["buckets"] == [
        {"bucket": "mismatch", "count": 2, "first_seen": base, "last_seen": run, "runs": 2}
    ]
    assert history["jobs"][0]["runs"][0]["started"] == "2001-09-11T01:46:40.000Z"


def test_it_is_at_most_a_screen_unless_all_is_asked_for(here: Here, night: Night) -> None:
    night(result("a"))
    night(*(failed(f"n{number}", f"message {chr(97 + number % 26)}{chr(97 + number // 26)}") for number in range(100)))
    short, whole = here("compare").out, here("compare", "--all").out
    assert short.count("\n") < 2 * MOST + 10
    assert whole.count("\n") > 100
    assert f"New failures (100)  ({100 - MOST} more: --all)" in short
    assert "--all" not in whole
    assert short.splitlines()[-1] == whole.splitlines()[-1]


@pytest.mark.parametrize("words", [["compare"], ["compare", "--all"], ["history"], ["history", "*"]])
def test_nothing_from_a_journal_controls_the_terminal(here: Here, night: Night, words: list[str]) -> None:
    hostile = "\x1b[2J\x1b]0;title\x07\x9b2J\u202e\r\n\udcff"
    for revision in ("a", "b"):
        night(
            failed("a" + hostile, "m" + hostile),
            result("b" + hostile, FailureKind.LICENCE, "m" + hostile),
            *([] if revision == "a" else [failed("c" + hostile, "x" + hostile)]),
            revision=revision + hostile,
            name="suite" + hostile,
        )
    for more in ([], ["--json"]):
        done = here(*words, *more)
        assert (done.code, done.err) == (0, "")
        assert done.out.replace("\n", "").isprintable()
    done = here("history", "a" + hostile)
    assert done.code == 0
    assert done.out.replace("\n", "").isprintable()
    done = here("history", "z" + hostile)
    assert done.code == 2
    assert done.err.replace("\n", "").isprintable()
    assert done.err.count("\n") == 1


def test_a_damaged_index_is_one_line_and_changes_no_answer(here: Here, night: Night, tmp_path: Path) -> None:
    night(result("a"))
    night(failed("a"))
    expected = here("compare").out
    (tmp_path / "results" / "history.sqlite").write_bytes(os.urandom(5000))
    done = here("compare")
    assert (done.code, done.out, done.err.count("\n")) == (0, expected, 1)
    assert "it is made again from the journals" in done.err
    assert here("compare").err == ""


def test_the_end_of_a_journal_that_cannot_be_read_is_one_line(here: Here, night: Night, tmp_path: Path) -> None:
    night(result("a"))
    name = night(failed("a"), ended=None)
    with (tmp_path / "results" / name / "journal.jsonl").open("ab") as file:
        file.write(b"0000")
    for _ in range(2):  # read, and then known
        done = here("compare")
        assert done.code == 0
        assert "1 new" in done.out
        assert done.err.startswith(f"job-runtime: {name}: the journal is read up to byte ")
        assert done.err.count("\n") == 1


@pytest.mark.slow
def test_real_runs_are_compared_while_one_goes_on(here: Here, tmp_path: Path) -> None:
    fifo = Fifo(tmp_path / "fifo")
    jobs: dict[str, Any] = {
        "smoke": {"cmd": "echo '{seed}'; test ! -e bug", "seeds": 3},
        "long": {"cmd": f"test ! -e bug || {{ echo here > {fifo.path}; sleep 1000; }}"},
    }
    file = job_file(tmp_path, jobs)
    assert call(tmp_path, "run", file, "-q").code == 0
    (tmp_path / "bug").touch()
    with started(tmp_path, "run", file, "-q") as program:
        assert fifo.hear() == "here"
        live = here("compare", "--json")
        program.terminate()
        end_of(program)
    document = json.loads(live.out)
    assert document["run"]["state"] == "running"
    assert "long" in [each["id"] for each in document["unfinished"]]
    ended = json.loads(here("compare", "--json").out)
    assert ended["run"]["state"] == "ended"
    assert [(each["id"], len(each["now"]["failing"])) for each in ended["new"]] == [("smoke", 3)]
    assert [each["id"] for each in ended["never_ran"]] == ["long"]
    assert not (tmp_path / "results" / "latest" / "history.sqlite").exists()
