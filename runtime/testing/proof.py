"""`prove`: which promises does a backend keep where it lives, on a site's own cluster, with its own launchers?

It runs the conformance suite and the table of `semantics` with jobs that every system can run: shell commands. Nothing
is raised for a broken promise: all are looked at, and each is a `Finding`.
"""

from __future__ import annotations

import enum
import inspect
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs
import trio

from runtime.backend.contract.backend import RuntimeBackend
from runtime.backend.job_paths import job_paths
from runtime.backend.legacy.adapter import LegacyLauncherAdapter
from runtime.job import JobResult, JobSpec
from runtime.process.threads import in_thread
from runtime.scheduler.run import run_jobs
from runtime.testing.checks.submitting import a_refused_job_has_no_event, submit_is_submit_many_for_one
from runtime.testing.conformance import ALONE, CHECKS, Check, run_check
from runtime.testing.fixture import BackendFixture, Behaviour
from runtime.testing.semantics import Outcome, Row, judge, judge_message, lay_out, rows

MakeBackend = Callable[[Path], RuntimeBackend]
"""A function that returns a new backend with this run directory, which does not exist yet."""

AT_ONCE: Final = 8
"""Checks that run at once. Arbitrary: a check mostly waits for the next poll; each has up to ten jobs."""

BUDGET: Final = 300.0
"""Seconds for one check, and for each hundred jobs of the table. Arbitrary: a busy cluster starts a job in minutes; ten
times more, and a backend that hangs is told after a night."""

BUFFERS: Final = (0, 1)
"""Sizes of the channel's buffer, in batches. Without a limit a backend is never held up, which is the easiest case."""

MOST_JOBS: Final = 20
"""Jobs that a check submits at once, at most."""

COMMANDS: Final[Mapping[Behaviour, str | Sequence[str]]] = {
    Behaviour.PASS: "true",
    Behaviour.FAIL: "false",
    Behaviour.RUN_UNTIL_KILLED: "sleep 1000 & sleep 1000",
    Behaviour.IGNORE_SIGTERM: "trap '' TERM; while :; do sleep 1000; done",
    Behaviour.CANNOT_LAUNCH: ["/no/such/program"],
    Behaviour.BUSY_ONCE: "true",
}
"""What a job of the suite runs."""

_NEED_A_REFUSAL: Final[tuple[Check, ...]] = (a_refused_job_has_no_event, submit_is_submit_many_for_one)


class Proven(enum.Enum):
    """What was found about a promise."""

    KEPT = "kept"
    BROKEN = "BROKEN"
    UNTRIED = "not tried"


class Part(enum.Enum):
    """Where a promise stands."""

    CONTRACT = "contract"
    """A check of the conformance suite."""
    MEANING = "meaning"
    """A job of the table of `semantics`."""


@attrs.frozen
class Finding:
    """A promise, and whether it was kept."""

    part: Part
    name: str
    promise: str
    """What is promised, in a sentence; empty if the name tells."""
    proven: Proven
    text: str = ""
    """What was found instead of what was expected, or why it was not tried. It may have any characters."""


Note = Callable[[Finding], Awaitable[object]]
"""A function that is told each finding as soon as it is known. The checks that go on do not wait for it."""


async def prove(
    make: MakeBackend,
    directory: Path,
    note: Note,
    *,
    buffers: Iterable[float] = BUFFERS,
    at_once: int = AT_ONCE,
    budget: float = BUDGET,
) -> list[Finding]:
    """Return what was found about each promise; of the contract in the order of `CHECKS`, then of the table.

    A cancel ends it as it ends any program with a backend: all jobs are killed.

    Args:
        make: makes the backends.
        directory: exists, is empty, and is at the same path wherever jobs run. What is in it afterwards may be deleted.
        note: told each finding, of several checks at the same time.
        buffers: sizes of the channel's buffer that each check is run with, in batches.
        at_once: checks that run at the same time.
        budget: seconds for one check, and for each hundred jobs of the table.

    Raises:
        OSError: if the files of the table cannot be made.
    """
    found = await _prove_contract(make, directory, note, tuple(buffers), at_once, budget)
    return found + await _prove_meaning(make, directory, note, budget)


async def _prove_contract(
    make: MakeBackend,
    directory: Path,
    note: Note,
    buffers: Sequence[float],
    at_once: int,
    budget: float,
) -> list[Finding]:
    found: dict[Check, Finding] = {}
    limiter = trio.CapacityLimiter(at_once)
    fixtures = ShellFixtures(make, directory)

    @trio.lowlevel.enable_ki_protection
    async def prove_one(check: Check) -> None:
        async with limiter:
            finding = found[check] = await _try(check, fixtures, buffers, budget)
        await note(finding)

    async with trio.open_nursery() as nursery:
        for check in CHECKS:
            if check not in ALONE:
                nursery.start_soon(prove_one, check)
    for check in ALONE:
        await prove_one(check)
    return [found[check] for check in CHECKS]


async def _try(check: Check, fixtures: ShellFixtures, buffers: Sequence[float], budget: float) -> Finding:
    def finding(proven: Proven, text: str = "") -> Finding:
        promise = " ".join((inspect.getdoc(check) or "").split())
        return Finding(Part.CONTRACT, getattr(check, "__name__", repr(check)), promise, proven, text)

    if check in _NEED_A_REFUSAL:
        return finding(Proven.UNTRIED, "nothing here makes this backend refuse a job once as busy")
    for buffer in buffers:
        try:
            await run_check(check, fixtures, buffer, budget=budget)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the promise was not kept
            return finding(Proven.BROKEN, f"with a buffer of {buffer}: {_described(exc, budget)}")
    return finding(Proven.KEPT)


def _described(error: Exception, budget: float) -> str:
    if isinstance(error, AssertionError):
        return str(error)
    if isinstance(error, trio.TooSlowError):
        return f"it took more than {budget:g} s"
    if isinstance(error, ExceptionGroup):
        return "; ".join(_described(each, budget) for each in error.exceptions)
    return repr(error)


class ShellFixtures:
    """Makes fixtures whose jobs are `COMMANDS`. It is itself the factory that the conformance suite expects.

    Args:
        make: makes the backends.
        directory: in which their run directories are to be.
    """

    def __init__(self, make: MakeBackend, directory: Path) -> None:
        self._make = make
        self._directory = directory

    def __call__(self) -> BackendFixture:
        """Return a fixture."""
        return BackendFixture(self._make(self._directory / uuid.uuid4().hex), self._job)

    def _job(self, behaviour: Behaviour, id: str, *, timeout: float | None = None) -> JobSpec:  # noqa: A002 - its name in `MakeJob`
        return JobSpec(name=id, cmd=COMMANDS[behaviour], timeout=timeout)


async def _prove_meaning(make: MakeBackend, directory: Path, note: Note, budget: float) -> list[Finding]:
    limiter = trio.CapacityLimiter(1)
    root, run_dir = directory / "table", directory / "run"
    await in_thread(_make_files, root, limiter=limiter)
    table = rows(str(root))
    backend = make(run_dir)
    seconds = budget * len(table) / 100
    try:
        with trio.fail_after(seconds):
            results = await run_jobs([row.spec() for row in table], backend)
    except Exception as exc:  # noqa: BLE001 - whatever it is, the jobs did not run as they should
        found = [Finding(Part.MEANING, "all jobs", "", Proven.BROKEN, _described(exc, seconds))]
    else:
        by_message = isinstance(backend, LegacyLauncherAdapter)  # a launcher tells only a status and a message
        logs = await in_thread(_read_logs, [result.job for result in results], run_dir, limiter=limiter)
        found = [
            _judged(row, result, log, by_message=by_message)
            for row, result, log in zip(table, results, logs, strict=True)
        ]
    for finding in found:
        await note(finding)
    return found


def _make_files(root: Path) -> None:
    root.mkdir()
    lay_out(str(root))


def _read_logs(jobs: Sequence[JobSpec], run_dir: Path) -> list[bytes]:
    paths = [Path(job_paths(job, str(run_dir)).log) for job in jobs]
    return [path.read_bytes() if path.exists() else b"" for path in paths]


def _judged(row: Row, result: JobResult[JobSpec], log: bytes, *, by_message: bool) -> Finding:
    difference = judge_message(row, result, log) if by_message else judge(row, Outcome.of(result, log))
    proven = Proven.KEPT if difference is None else Proven.BROKEN
    return Finding(Part.MEANING, row.name, row.why, proven, difference or "")
