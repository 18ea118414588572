"""The pages, over a connection: what they show, and what they refuse."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from runtime.job import FailureKind, JobSpec
from runtime.serve import app
from runtime.serve.access import HEADERS
from runtime.serve.histories import Histories
from tests.cli.past_run import NAME, held, write_journal, write_run
from tests.report.results import result
from tests.report.states import records
from tests.serve.client import served

HOSTILE = "</script><script>alert(1)</script>\"'>\u202e\x1b[31m"


def run_of(out: Path) -> Path:
    """Make a run in which one job passed, and one failed, both with logs."""
    run_dir = out / NAME
    jobs = [
        result("good", run_dir=run_dir),
        result("bad", FailureKind.EXIT_CODE, "exit code 7", context=["first", "Error: 12"], run_dir=run_dir),
    ]
    write_run(out, jobs)
    for name in ("good", "bad"):
        (run_dir / name).mkdir()
        (run_dir / name / "job.log").write_text(f"this is {name}\nError: 12\n")
    return run_dir


async def test_all_runs_are_listed_the_newest_first(tmp_path: Path) -> None:
    run_of(tmp_path)
    write_run(tmp_path, [result()], name="20260203-030405-abcdef", ended=None, more=[JobSpec(name="late", cmd="true")])
    (tmp_path / "no-run").mkdir()
    (tmp_path / "20260101-000000-000000").mkdir()
    async with served(tmp_path) as site:
        page = (await site.get("/")).body
    assert page.index("20260203-030405-abcdef") < page.index(NAME)
    assert ">died<" in page
    assert ">ended<" in page
    assert page.count("<td>fifo</td>") == 2  # the name of the job file
    assert "no-run" not in page


async def test_many_runs_are_on_several_pages(tmp_path: Path) -> None:
    for number in range(51):
        write_run(tmp_path, [], name=f"run{number:02}")
    async with served(tmp_path) as site:
        newest, oldest, none = [(await site.get(f"/?from={first}")).body for first in (0, 51, 10**8)]
    assert (newest.count('href="/runs/'), oldest.count('href="/runs/')) == (50, 1)
    assert 'href="?from=50"' in newest
    assert 'href="?from=0"' in oldest
    assert 'href="/runs/' not in none


async def test_latest_leads_to_the_run_itself(tmp_path: Path) -> None:
    run_of(tmp_path)
    async with served(tmp_path) as site:
        answer = await site.get("/runs/latest")
        page = await site.get(answer.headers["location"])
    assert (answer.status, answer.headers["location"]) == (307, f"/runs/{NAME}")
    assert page.status == 200


@pytest.mark.parametrize("target", ["/etc", "..", "../runs", f"{NAME}/..", f"{NAME}/bad", "/", ".", f"./{NAME}"])
async def test_latest_is_followed_to_a_run_in_the_same_directory_only(tmp_path: Path, target: str) -> None:
    out = tmp_path / "runs"
    run_of(out)
    (out / "latest").unlink()
    (out / "latest").symlink_to(target)
    async with served(out) as site:
        assert (await site.get("/runs/latest")).status == 404


async def test_no_other_link_is_followed(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    run_dir = run_of(out)
    run_of(tmp_path / "elsewhere")
    (out / "other").symlink_to(tmp_path / "elsewhere" / NAME)
    secret = tmp_path / "secret"
    secret.write_text("SECRET")
    (run_dir / "bad" / "job.log").unlink()
    (run_dir / "bad" / "job.log").symlink_to(secret)
    os.rename(run_dir / "good", run_dir / "moved")
    (run_dir / "good").symlink_to(tmp_path / "elsewhere" / NAME / "good")
    async with served(out) as site:
        assert (await site.get("/runs/other")).status == 404
        assert ">other<" not in (await site.get("/")).body
        for number in (0, 1):
            page = await site.get(f"/runs/{NAME}/jobs/{number}")
            assert "It cannot be read" in page.body
            assert "SECRET" not in page.body
            assert "this is good" not in page.body


@pytest.mark.parametrize("log", ["/etc/passwd", "{run}/../../secret", "{run}/bad/../../../secret", "{out}x/secret"])
async def test_a_journal_cannot_name_a_file_outside_as_a_log(tmp_path: Path, log: str) -> None:
    out = tmp_path / "runs"
    (tmp_path / "secret").write_text("SECRET")
    (tmp_path / "runsx").mkdir()
    (tmp_path / "runsx" / "secret").write_text("SECRET")
    run_dir = out / NAME
    spec = JobSpec(name="a", cmd="true", log_path=log.format(run=run_dir, out=out))
    write_journal(run_dir, records([], run_dir, ended=None, more=[spec]))
    async with served(out) as site:
        page = await site.get(f"/runs/{NAME}/jobs/0")
    assert page.status == 200
    assert "It is not below the directory that is served" in page.body
    assert "SECRET" not in page.body
    assert "root:" not in page.body


async def test_a_job_has_its_facts_and_the_end_of_its_log(tmp_path: Path) -> None:
    run_of(tmp_path)
    async with served(tmp_path) as site:
        page = (await site.get(f"/runs/{NAME}/jobs/1")).body
        found = (await site.get(f"/runs/{NAME}/jobs/1?q=this+is")).body
    assert "exit code 7" in page
    assert "this is bad" in page
    assert "this is bad" in found
    assert "Error: 12\n</pre>" not in found[found.index('class="log"') :]


async def test_jobs_are_chosen_by_id_and_status(tmp_path: Path) -> None:
    run_of(tmp_path)
    async with served(tmp_path) as site:
        both = (await site.get(f"/runs/{NAME}/jobs")).body
        failed = (await site.get(f"/runs/{NAME}/jobs?status=failed")).body
        none = (await site.get(f"/runs/{NAME}/jobs?status=failed&q=GOO")).body
        good = (await site.get(f"/runs/{NAME}/jobs?q=GOO&status=nonsense&from=99999999999999")).body
    assert "2 jobs" in both
    assert "1 job<" in failed
    assert ">bad<" in failed
    assert "0 jobs" in none
    assert "1 job<" in good


async def test_what_a_job_has_written_is_never_markup(tmp_path: Path) -> None:
    run_dir = tmp_path / NAME
    job = result(HOSTILE, FailureKind.EXIT_CODE, HOSTILE, context=[HOSTILE], run_dir=run_dir)
    write_run(tmp_path, [job])
    log = Path(str(job.log_path))
    log.parent.mkdir(parents=True)
    log.write_text(HOSTILE)
    (tmp_path / HOSTILE.replace("/", "")).mkdir()
    write_run(tmp_path, [job], name=f"x{HOSTILE.replace('/', '')}")
    async with served(tmp_path) as site:
        pages = [
            await site.get(target)
            for target in (
                "/",
                f"/runs/{NAME}",
                f"/runs/{NAME}/jobs",
                f"/runs/{NAME}/jobs/0",
                f"/runs/{NAME}/jobs/0?q=alert",
            )
        ]
        async with site.view(NAME) as snapshots:
            last = await snapshots.until(lambda snapshot: snapshot["is_last"])
    for page in pages:
        assert page.status == 200
        assert "<script>alert" not in page.body
        assert "\u202e" not in page.body
        assert "\x1b" not in page.body
    assert last["failures"][0]["id"] == HOSTILE.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/runs/nothing", 404),
        ("/runs/..", 404),
        ("/runs/%2e%2e", 404),
        ("/runs/%2e%2e%2f%2e%2e%2fetc/jobs/0", 404),
        (f"/runs/{NAME}/jobs/99", 404),
        (f"/runs/{NAME}/jobs/-1", 404),
        (f"/runs/{NAME}/jobs/{'9' * 5000}", 404),
        (f"/runs/{NAME}/jobs/0%00", 404),
        (f"/runs/{NAME}/", 404),
        (f"/runs/{NAME}/journal.jsonl", 404),
        ("/static/../app.py", 404),
        ("/static/%2e%2e%2fapp.py", 404),
        ("/runs/%ff%00", 404),
        ("//evil.example/", 404),
        ("/nothing", 404),
    ],
)
async def test_what_is_not_there_is_not_found(tmp_path: Path, target: str, status: int) -> None:
    run_of(tmp_path)
    async with served(tmp_path) as site:
        answer = await site.get(target)
    assert answer.status == status
    assert "Traceback" not in answer.body
    assert answer.headers.items() >= {name.decode(): value.decode() for name, value in HEADERS.items()}.items()


async def test_a_name_that_is_no_text_can_be_looked_at(tmp_path: Path) -> None:
    name = os.fsdecode(b"run-\xff")
    write_run(tmp_path, [result()], name=name)
    async with served(tmp_path) as site:
        page = (await site.get("/")).body
        answer = await site.get("/runs/run-%FF/jobs")
    assert 'href="/runs/run-%FF"' in page
    assert answer.status == 200


async def test_nothing_is_written(tmp_path: Path) -> None:
    run_of(tmp_path)
    before = sorted((path, path.lstat().st_mtime_ns) for path in tmp_path.rglob("*"))
    async with served(tmp_path) as site:
        for target in ("/", f"/runs/{NAME}", f"/runs/{NAME}/jobs", f"/runs/{NAME}/jobs/0?q=is", f"/runs/{NAME}/events"):
            assert (await site.get(target)).status == 200
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
            assert (await site.get("/", method)).status == 405
    assert sorted((path, path.lstat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


async def test_a_run_without_a_journal_that_can_be_read_is_said_to_be_one(tmp_path: Path) -> None:
    run_dir = tmp_path / NAME
    run_dir.mkdir()
    (run_dir / "journal.jsonl").mkdir()
    async with served(tmp_path) as site:
        assert ">unknown<" in (await site.get("/")).body
        answer = await site.get(f"/runs/{NAME}/jobs")
    assert answer.status == 503
    assert "its journal cannot be read" in answer.body


async def test_the_history_is_that_of_all_runs_and_writes_no_index(tmp_path: Path) -> None:
    run_of(tmp_path)
    write_run(tmp_path, [result("bad", FailureKind.EXIT_CODE, "exit code 7")], name="20260203-030405-abcdef")
    async with served(tmp_path) as site:
        overview = (await site.get("/history")).body
        one = (await site.get("/history?job=bad")).body
        none = (await site.get("/history?job=nothing%FF%00")).body
    assert '<a href="/history?job=bad">bad</a>' in overview
    assert "Failing (1)" in overview
    assert "20260203-030405-abcdef" in one
    assert NAME in one
    assert "No run has such a job" in none
    assert not (tmp_path / "history.sqlite").exists()


@pytest.mark.parametrize("content", [b"nonsense", b"", b"SQLite format 3\0" + bytes(5000)])
async def test_an_index_that_is_damaged_is_made_again(tmp_path: Path, content: bytes) -> None:
    run_of(tmp_path)
    (tmp_path / "history.sqlite").write_bytes(content)
    async with served(tmp_path) as site:
        for _ in range(2):
            assert "Failing (1)" in (await site.get("/history")).body
    assert (tmp_path / "history.sqlite").read_bytes() == content


async def test_head_has_no_body(tmp_path: Path) -> None:
    run_of(tmp_path)
    async with served(tmp_path) as site:
        answer = await site.get("/", "HEAD")
    assert (answer.status, answer.body) == (200, "")


async def test_a_run_that_is_held_is_live(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path, [result()], ended=None, more=[JobSpec(name="late", cmd="true")])
    async with served(tmp_path) as site:
        async with site.view(NAME) as snapshots:
            with held(run_dir):
                pass
            last = await snapshots.until(lambda snapshot: snapshot["is_last"])
    assert last["state"] == "died"


@pytest.mark.parametrize(
    ("place", "name", "target", "most"),
    [(Histories, "sections", "/history?job=a", 1), (app, "search", f"/runs/{NAME}/jobs/0?q=a", 2)],
)
async def test_those_who_wait_for_one_another_leave_the_threads_to_other_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: object, name: str, target: str, most: int
) -> None:
    calls: list[object] = []
    go_on = threading.Event()

    def blocking(*args: object) -> None:
        calls.append(args)
        go_on.wait(60)

    monkeypatch.setattr(place, name, blocking)
    run_of(tmp_path)
    async with served(tmp_path) as site:
        try:
            async with trio.open_nursery() as nursery:
                for _ in range(8):
                    nursery.start_soon(site.get, target)
                while len(calls) < most:
                    await trio.lowlevel.checkpoint()
                for _ in range(8):
                    assert (await site.get(f"/runs/{NAME}/jobs/0")).status == 200
                assert len(calls) == most
                nursery.cancel_scope.cancel()
        finally:
            go_on.set()
