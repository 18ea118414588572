"""Runs with as many jobs as a test wants, as a night of simulations has them: made of records, without a clock."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from runtime.backend.job_paths import job_paths
from runtime.job import FailureKind, JobCompletionEvent, JobSpec, JobStatus, JobStatusInfo, JobUsage, Kind
from runtime.journal import JSON, Begin, Record, Recorder
from tests.journal.sink import Sink

EPOCH: Final = 1_780_000_000.0
"""The wall time at which the runs begin."""

_TESTS: Final = ("smoke", "fifo_random", "cache_stress", "irq_nested", "dma_burst", "axi_reorder", "uart_loop", "spi")
_WIDTHS: Final = (4, 8, 16)
_PER_RECORD: Final = 500


def night(count: int, run_dir: Path | str, *, slots: int = 64) -> list[Record]:
    """Return the records of a run of a build and so many simulations less one.

    All of ``cache_stress`` with a width of 4 fail; a few others fail, run out of time, get no licence or crash.
    """
    chance = random.Random(count)
    jobs = [JobSpec(name="build", cmd="make -C rtl sim")]
    for index in range(count - 1):
        test, width = _TESTS[index % len(_TESTS)], _WIDTHS[index // len(_TESTS) % len(_WIDTHS)]
        seed = chance.randrange(2**31)
        command = f"/proj/chip/build/sim +UVM_TESTNAME={test}_test +width={width} +seed={seed}"
        jobs.append(JobSpec(name=f"{test}.width={width}.seed={seed}", cmd=command, seed=seed))
    return records_of(jobs, list(_events(jobs, str(run_dir), slots, chance)), run_dir)


def records_of(jobs: Sequence[JobSpec], events: Sequence[JobCompletionEvent], run_dir: Path | str) -> list[Record]:
    """Return the records of a run of these jobs, which ended so."""
    sink = Sink()
    details: Mapping[str, JSON] = {
        "name": "nightly",
        "command": ["job-runtime", "run", "nightly.toml"],
        "directory": "/proj/chip",
        "files": {"nightly.toml": ""},
        "waves": ["--with", "+waves"],
    }
    recorder = Recorder(sink, str(run_dir), details=details)
    recorder.begin("token", EPOCH)
    recorder.add(jobs)
    events = sorted(events, key=lambda event: event.ended)
    for first in range(0, len(events), _PER_RECORD):
        part = events[first : first + _PER_RECORD]
        launched = [event for event in part if event.attempt]
        recorder.starting("local", [event.job_id for event in launched], [event.attempt for event in launched], 1.0)
        recorder.ended(part)
    recorder.end(events[-1].ended + 1, None)
    begin, *others = sink.records
    assert isinstance(begin, Begin)
    return [attrs.evolve(begin, at=EPOCH, host="sim01"), *others]


def _events(jobs: Sequence[JobSpec], run_dir: str, slots: int, chance: random.Random) -> Iterator[JobCompletionEvent]:
    free = [1.0] * slots
    for job in jobs:
        submitted = heapq.heappop(free)
        started = submitted + chance.random()
        ended = started + (40.0 if job.name == "build" else chance.lognormvariate(3.2, 0.9))
        heapq.heappush(free, ended)
        reason = None if job.name == "build" else _reason(job, chance)
        kind: Kind | None = None if reason is None else reason.kind
        if kind is FailureKind.DEPENDENCY:
            yield JobCompletionEvent(job.id, 0, JobStatus.KILLED, reason, submitted, None, submitted)
            continue
        usage = JobUsage(0.9 * (ended - started), chance.randrange(10**8, 10**9), int(kind is not None))
        status = JobStatus.PASSED if kind is None else kind.status
        yield JobCompletionEvent(job.id, 1, status, reason, submitted, started, ended, usage, job_paths(job, run_dir))


def _reason(job: JobSpec, chance: random.Random) -> JobStatusInfo | None:
    draw = chance.random()
    if job.name.startswith("cache_stress.width=4"):
        return _mismatch(chance)
    if draw < 0.004:
        end = ("UVM_INFO @ 88000ns: reporter [DMA] waiting for dma_done",) * 3
        return JobStatusInfo("it ran longer than its timeout of 10 min", [(77, 79)], end, FailureKind.TIMEOUT)
    if draw < 0.007:
        line = "Licensed number of users already reached. (-4,132:104)"
        return JobStatusInfo(f"licence: {line}", [2, (1, 2)], ("Checking out VCSRuntime", line), FailureKind.LICENCE)
    if draw < 0.009:
        crash = ("Segmentation fault (core dumped) in dpi_memory.c:88",)
        return JobStatusInfo("exit code 139", [(412, 412)], crash, FailureKind.EXIT_CODE)
    if draw < 0.010:
        why = "build.fpga, which it needs, did not pass"
        return JobStatusInfo(why, kind=FailureKind.DEPENDENCY, cause=FailureKind.EXIT_CODE)
    return None


def _mismatch(chance: random.Random) -> JobStatusInfo:
    number, time = chance.randrange(900, 5000), chance.randrange(10**6)
    line = (
        f"UVM_ERROR ../tb/cache_scoreboard.sv(211) @ {time}ns: uvm_test_top.env.sb [CACHE_SB] line"
        f" 0x{chance.randrange(2**20):x}: expected 0x{chance.randrange(2**32):08x}, got 0x00000000"
    )
    before = [
        f"UVM_INFO @ {time - 10 * each}ns: uvm_test_top.env.agent [DRV] write 0x{64 * each:x}" for each in (3, 2, 1)
    ]
    after = [f"UVM_INFO @ {time + each}ns: uvm_test_top.env.agent [DRV] idle" for each in range(3)]
    message = f"a fail pattern matched: {line}"
    return JobStatusInfo(message, [number, (number - 3, number + 3)], [*before, line, *after], FailureKind.FAIL_PATTERN)
