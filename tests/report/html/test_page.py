from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence

import pytest

from runtime.job import FailureKind, JobResult, JobSpec
from runtime.journal import Record, replay
from runtime.report.html.numbers import NOT_KNOWN
from runtime.report.html.page import page_text
from runtime.report.html.texts import LEFT_OUT
from runtime.report.news import Change, Changed, History
from runtime.report.text import printable
from tests.calls import calls_of
from tests.report.html.hostile import CORPUS, fuzzed, hostile_run
from tests.report.html.page_text import RUN_DIR, Parsed, page_of
from tests.report.html.synthetic import night, records_of
from tests.report.results import result

K = FailureKind
_LINK = re.compile(r"#[a-z-]*(=\S*)?|\.\./run/[A-Za-z0-9/._~%-]+")


def of(*results: JobResult[JobSpec], path: str | None = "../run", history: History | None = None) -> Parsed:
    records = records_of([each.job for each in results], [each.event for each in results], RUN_DIR)
    return Parsed(page_of(records, path=path, history=history))


def words(page: Parsed) -> str:
    """What a person reads, with one space between words."""
    return " ".join(" ".join(page.texts).split())


def test_the_policy_allows_the_two_scripts_by_their_hashes_and_nothing_else() -> None:
    page = of(result("a"))
    (policy,) = [value for tag, name, value in page.attributes if (tag, name) == ("meta", "content") and "src" in value]
    data, *scripts = page.scripts
    hashes = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in scripts]
    assert len(scripts) == 2
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}' 'sha256-{hashes[1]}'; style-src 'unsafe-inline';"
        " img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert json.loads(data)["count"] == 1


def test_a_script_of_the_page_neither_ends_its_element_nor_begins_a_comment() -> None:
    for script in of(result("a")).scripts:
        assert not re.search(r"</script|<!--|\r", script, re.IGNORECASE)


def test_nothing_that_a_page_refers_to_is_elsewhere() -> None:
    page = of(result("a", K.EXIT_CODE, run_dir=RUN_DIR))
    assert [
        (tag, name) for tag, name, _ in page.attributes if name in {"src", "srcset", "action", "data", "poster"}
    ] == []
    assert [link for link in page.links if not _LINK.fullmatch(link)] == []
    assert "link" not in page.tags


def test_the_first_screen_tells_apart_who_looks_at_what() -> None:
    page = of(
        result("a", K.FAIL_PATTERN, "it is 3", run_dir=RUN_DIR),
        result("b", K.FAIL_PATTERN, "it is 4", run_dir=RUN_DIR),
        result("c", K.LICENCE, "none left", run_dir=RUN_DIR),
        result("d", K.DEPENDENCY, "a did not pass", attempt=0, cause=K.FAIL_PATTERN),
        result("e", K.EXIT_CODE, "x", known="ticket 7", run_dir=RUN_DIR),
        result("f", run_dir=RUN_DIR),
    )
    text = words(page)
    order = [
        "Failures of the design 2 jobs",
        "2 × it is <n>",
        "Failures of the infrastructure 1 job",
        "1 × none left",
        "Known failures 1 job",
        "1 × ticket 7",
        "Never ran 1 job",
        "1 × a did not pass such as d",
    ]
    positions = [text.index(each) for each in order]
    assert positions == sorted(positions)


def test_a_card_has_the_shortest_failure_its_lines_its_log_and_its_commands() -> None:
    page = of(
        result("a.seed=1", K.FAIL_PATTERN, "bad", lines=[9, (8, 10)], context=["so", "bad", "end"], run_dir=RUN_DIR),
        result("b", K.LICENCE, "none left", run_dir=RUN_DIR),
    )
    text = words(page)
    again = f"job-runtime rerun {RUN_DIR.rpartition('/')[2]} a.seed=1 --out /out"
    assert f"1 × bad in a.seed=1 , 2.5 s · log 8 so 9 bad 10 end {again} {again} --with +waves Failures of" in text
    assert text.count("job-runtime rerun") == 2  # to run another failure again would show nothing
    assert "../run/a.seed%401/job.log" in page.links


def test_what_all_failures_have_in_common_is_seen() -> None:
    page = of(
        *(
            result(f"t.width={width}.seed={seed}", K.EXIT_CODE if width == 4 else None, run_dir=RUN_DIR)
            for width in (4, 8)
            for seed in (1, 2)
        )
    )
    text = words(page)
    assert "t 2 of 4 50 %" in text
    assert "width=4 0 of 2 0 % width=8 2 of 2 100 %" in text


def test_what_is_new_comes_first() -> None:
    changes = [Change("newly failing", [Changed("b"), Changed("c.<x>", "why")]), Change("fixed", [])]
    history = History("20260101-000000-aaaaaa", changes, revisions="then <a>, now b")
    page = of(result("b", K.EXIT_CODE), history=history)
    text = words(page)
    since = "What changed since 20260101-000000-aaaaaa: then <a>, now b"
    expected = f"{since} 2 newly failing : b , c.<x> (why) Failures of the design"
    assert expected in text
    assert page.links[page.links.index("#job=b") + 1] == "#filter=c.%3Cx%3E"  # it is no job of this run
    assert "fixed" not in text


def test_of_runs_before_there_is_a_trend() -> None:
    runs = [("one", {"passed": 3, "failed": 1}), ("two", {"passed": 4})]
    page = of(result("a"), history=History("one", runs=runs))
    assert page.data["charts"]["trend"]["rows"] == [["one", 3, 1], ["two", 4, 0]]


def test_a_run_without_jobs_and_a_job_without_times_have_a_page() -> None:
    assert "No job failed." in words(of(result("a")))
    page = Parsed(page_of([]))
    assert (page.data["count"], page.data["charts"]) == (0, {})
    page = of(result("a", K.CANCELLED, "stopped", attempt=0))
    assert page.data["columns"]["ran"] == NOT_KNOWN
    assert page.data["charts"] == {}


def test_a_page_elsewhere_has_no_links_to_logs() -> None:
    page = of(result("a", K.EXIT_CODE, run_dir=RUN_DIR), path=None)
    assert [link for link in page.links if not link.startswith("#")] == []
    assert page.data["base"] is None


def check_harmless(texts: Sequence[str], records: Sequence[Record]) -> None:
    """Check that a page with these texts has no other elements, attributes and links than any page."""
    page = Parsed(page_of(records, path="../run"))
    usual = Parsed(page_of(night(2000, RUN_DIR), path="../run"))
    assert set(page.tags) <= {*usual.tags, "ul", "li", "dl"}
    assert page.tags.count("script") == 3
    assert {(tag, name) for tag, name, _ in page.attributes} <= {(tag, name) for tag, name, _ in usual.attributes}
    assert [link for link in page.links if not _LINK.fullmatch(link)] == []
    assert [link for link in page.links if link[0] != "#" and "/../" in link[3:]] == []
    assert [text for text in page.texts if not text.replace("\n", "").replace("\t", "").isprintable()] == []
    shown = page.data["columns"]["id"]
    assert shown == [printable(text) for text in texts]
    assert page.scripts[1:] == usual.scripts[1:]


def test_hostile_names_and_log_lines_are_text() -> None:
    check_harmless(CORPUS, hostile_run(CORPUS))


@pytest.mark.slow
def test_five_thousand_fuzzed_names_and_log_lines_are_text() -> None:
    texts = fuzzed(5000, seed=17)
    check_harmless(texts, hostile_run(texts))


def calls_for(count: int) -> int:
    """How many calls the page of a run with so many jobs takes."""
    state = replay(night(count, RUN_DIR), RUN_DIR)
    return calls_of(lambda: sum(map(len, page_text(state, path="results"))))


def test_a_job_more_takes_few_calls() -> None:
    """Most jobs have no object of their own: with one each, it would be some hundred calls."""
    calls_for(10)  # what is made once
    few, many = calls_for(500), calls_for(1500)
    assert many - few < 80 * 1000


@pytest.mark.slow
@pytest.mark.parametrize(("count", "most"), [(20_000, 5_000_000), (100_000, 15_000_000)])
def test_a_page_has_a_limit(count: int, most: int) -> None:
    assert len(page_of(night(count, RUN_DIR)).encode()) <= most


@pytest.mark.slow
def test_a_page_has_a_limit_also_if_each_job_fails_with_a_log_of_its_own() -> None:
    results = [
        result(
            f"test_{index}.seed={7919 * index}",
            K.FAIL_PATTERN,
            f"{index} is wrong: {'x' * 200}",
            lines=[(1, 5)],
            context=[f"{index} {line} {'y' * 400}" for line in range(5)],
            cmd=f"./sim --output={index:0200}",
            run_dir=RUN_DIR,
        )
        for index in range(20_000)
    ]
    page = page_of(records_of([each.job for each in results], [each.event for each in results], RUN_DIR))
    assert len(page.encode()) <= 5_000_000
    data = Parsed(page).data
    assert data["bad"]["excerpt"].count(LEFT_OUT) > 10_000  # the page says so of them
    assert data["bad"]["excerpt"][0] > LEFT_OUT
