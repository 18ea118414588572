from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from rich.cells import cell_len
from rich.text import Text

from runtime.job import FailureKind, JobResult, JobSpec, JobStatus
from runtime.report.live_area import LiveArea, render
from runtime.report.output import Output
from runtime.report.progress import RunSnapshot
from runtime.report.time_left import Estimate
from tests.report.results import result

S = JobStatus
EVIL = "x\x1b[2J\u202e\n[red]中"


def snapshot(running: int = 0, recent: tuple[JobResult[JobSpec], ...] = (), title: str = "fifo") -> RunSnapshot:
    counts = {S.PASSED: 10, S.FAILED: 1, S.KILLED: 2, S.RUNNING: running, S.QUEUED: 50}
    return RunSnapshot(title, 75.0, counts, [(f"job{n}", 1.5, "on host") for n in range(running)], recent)


def plain(picture: RunSnapshot, columns: int = 80, rows: int = 24) -> list[str]:
    lines = render(picture, Path("/out"), (columns, rows))
    return [Text.from_ansi(line).plain for line in lines]


def test_a_picture_has_a_bar_the_counts_running_jobs_and_recent_failures() -> None:
    lines = plain(snapshot(12, (result("bad", FailureKind.EXIT_CODE, "exit code 3"),)))
    assert lines[0].startswith("fifo  ━")
    assert lines[1] == "[1:15] 13/75 done: 10 passed, 1 failed, 2 killed, 12 running, 50 waiting"
    assert lines[2].split() == ["1.5", "s", "job0", "on", "host"]
    assert "… and 2 more" in lines
    assert lines[-1] == "FAILED bad: exit code 3  run/bad/job.log"


def test_resources_with_a_limit_have_a_row() -> None:
    resources = {"licence": (3, 4), "gpu\x1b": (0, 2), "disk": (7, None)}
    lines = plain(attrs.evolve(snapshot(1), resources=resources, lacking=("licence",)))
    assert lines[2] == "in use: gpu\\x1b 0 of 2, licence 3 of 4"
    assert "job0" in lines[3]
    assert "in use" not in "".join(plain(attrs.evolve(snapshot(1), resources={"disk": (7, None)})))
    many = attrs.evolve(snapshot(9), resources={f"limit{n}": (n, n) for n in range(50)})
    assert [any("in use" in line for line in plain(many, 50, rows)) for rows in (6, 7, 8, 9)] == [
        False,
        False,
        True,
        True,
    ]


def test_jobs_that_wait_have_what_the_running_ones_leave() -> None:
    waiting = [(f"queued{n}", 5.0, "waits for a line") for n in range(20)]
    lines = plain(attrs.evolve(snapshot(2), waiting=waiting))
    assert [line.split()[2] for line in lines[2:]] == ["job0", "job1", *(f"queued{n}" for n in range(8))]
    assert lines[-1].endswith("waits for a line")
    for running, rows in ((12, 24), (2, 5), (0, 3), (12, 4)):
        lines = plain(attrs.evolve(snapshot(running), waiting=waiting), rows=rows)
        assert len(lines) <= max(4, rows - 1)
        assert not any("queued" in line for line in lines) or running < 12


@pytest.mark.parametrize("columns", [50, 80])
def test_what_is_expected_and_why_jobs_wait_is_whole_on_a_narrow_terminal(columns: int) -> None:
    new = result("bad", FailureKind.EXIT_CODE, "exit code 3")
    reasons = [("for what they need", 4000), ("Priority\x1b", 12), ("Resources", 7)]
    picture = attrs.evolve(
        snapshot(2, (new,)), left=Estimate(750.0, 5), new=3, slow=2, reasons=reasons, new_ids={"bad"}
    )
    lines = plain(picture, columns)
    whole = " ".join(line.rstrip() for line in lines)
    assert "about 12 min left (as in 5 earlier runs), 3 new failures, 2 slow" in whole
    assert "waiting: 4000 for what they need, 12 Priority\\x1b, 7 Resources" in whole
    assert lines[-1].startswith("NEW FAILED bad: exit code 3")
    assert all(cell_len(line) < columns for line in lines)
    # On a small terminal the jobs matter more.
    assert not any("left" in line or "waiting: " in line for line in plain(picture, columns, 6))


LONG = "random_traffic.width=32.mode=burst_full_empty.clock_ratio=2.seed=1234567890"


@pytest.mark.parametrize("columns", [50, 80, 200])
def test_columns_keep_their_width_whatever_is_in_them(columns: int) -> None:
    contents = [
        ("a", 1.5, ""),
        (LONG, 59.94, "slurm job 1234_5 on a node with a long name"),
        ("中" * 60, 360_000, "pid 9"),
    ]
    pictures = [RunSnapshot("fifo", 75.0, {S.RUNNING: len(some)}, some, ()) for some in ([each] for each in contents)]
    rows = [plain(picture, columns)[-1] for picture in pictures]
    assert rows[0] == "    1.5 s  a"
    assert rows[1].startswith("   59.9 s  random_traffic.")
    assert rows[2].startswith("100:00:00  中")
    notes = {cell_len(row[: row.index(word)]) for row, word in zip(rows[1:], ("slurm", "pid"), strict=True)}
    assert len(notes) == 1, rows
    together = plain(RunSnapshot("fifo", 75.0, {S.RUNNING: 3}, contents, ()), columns)
    assert together[-3:] == rows


def test_counts_that_do_not_fit_one_line_go_on_in_the_next() -> None:
    counts = {S.PASSED: 1000, S.FAILED: 100, S.KILLED: 2000, S.RUNNING: 16, S.QUEUED: 5000}
    ends = {"passed": 1000, "failed": 100, "killed": 1, "never_ran": 1999}
    lines = plain(RunSnapshot("fifo", 75.0, counts, [], (), "", ends), 50)
    assert lines[1:] == [
        "[1:15] 3100/8116 done: 1000 passed, 100 failed, ",
        "1 killed, 1999 never ran, 16 running, 5000 waiting",
    ] or lines[1:] == [
        "[1:15] 3100/8116 done: 1000 passed, 100 failed, ",
        "1 killed, 1999 never ran, 16 running, ",
        "5000 waiting",
    ]


@pytest.mark.parametrize("columns", [1, 20, 40, 80, 300])
@pytest.mark.parametrize("rows", [1, 4, 6, 10, 50])
def test_a_picture_fits_its_terminal(columns: int, rows: int) -> None:
    recent = tuple(result(f"{EVIL * 20}{n}", FailureKind.EXIT_CODE, "y" * 500) for n in range(5))
    lines = plain(snapshot(100, recent, title=EVIL * 3), columns, rows)
    assert len(lines) <= max(4, rows - 1)
    assert all(cell_len(line) <= max(20, columns - 1) for line in lines)


def test_names_reach_the_terminal_escaped_and_as_no_markup() -> None:
    lines = plain(snapshot(0, (result(EVIL, FailureKind.EXIT_CODE, EVIL),), title=EVIL), 200)
    assert all(line.isprintable() for line in lines)
    assert "x\\x1b[2J\\u202e\\n[red]中" in lines[0]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, Output]]:
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    with open(theirs, "w", encoding="utf-8") as stream, open(ours, "rb", buffering=0) as reader:
        yield reader.fileno(), Output(stream)


def test_a_picture_replaces_the_last_and_kept_lines_stay_above(screen: tuple[int, Output]) -> None:
    reader, output = screen
    area = LiveArea(output)
    area.draw(["one", "two"])
    assert os.read(reader, 1000) == b"one\r\ntwo\r\n"
    area.draw(["three"], above=[(("kept", ""),)])
    assert os.read(reader, 1000) == b"\r\x1b[2A\x1b[Jkept\r\nthree\r\n"
    area.clear()
    assert os.read(reader, 1000) == b"\r\x1b[1A\x1b[J"
    area.clear()
    area.draw([])
    output.write("end")
    assert os.read(reader, 1000) == b"end"
