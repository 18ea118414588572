"""The command ``run``: one scheduler and those who watch it, in one nursery; results in any case.

Who watches (the screen, the links) can neither hold a run up nor end it: they live on a subscription that may drop, do
their slow work in threads, and an error of theirs is kept for the end, where it makes the exit code.
"""

from __future__ import annotations

import argparse
import gc
import logging
import math
import os
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol, runtime_checkable

import trio

from runtime.backend.job_paths import JobPaths
from runtime.cli.answering import each_in_time
from runtime.cli.ending import EXIT_NOT_PASSED, EXIT_NOT_WRITTEN, EXIT_PASSED, complain, explain
from runtime.cli.logs import level_of, log_to
from runtime.cli.prepare import Prepared
from runtime.cli.quitting import before_quitting, exit_code, signal_name
from runtime.cli.screen import Screen
from runtime.cli.stopping import Stopper, stop_this_process
from runtime.exit_calls import exit_now
from runtime.job import FailureKind, JobCompletionEvent, JobResult, JobSpec, JobStatus, JobStatusInfo
from runtime.jobfile.errors import InputError
from runtime.process import Work, each_in_thread, in_thread
from runtime.report.links import Links, point_latest
from runtime.report.messages import USER_MESSAGES
from runtime.report.output import Output
from runtime.report.progress import RunProgress, RunSnapshot
from runtime.report.results import RunRecord, write_results
from runtime.report.summary import Line, summary
from runtime.report.text import printable
from runtime.scheduler.actions import StatusChange
from runtime.scheduler.stream import StatusStream

logger: Final = logging.getLogger("runtime.cli")

BUFFER: Final = 1 << 16
"""Status changes that wait for the screen and the links."""
LINK_INTERVAL: Final = 0.1
"""Seconds between two rounds of the links: what changes twice within it is linked once. Arbitrary."""
_LINK_THREADS: Final = 2
"""Threads that make links; for those that are stuck there are more. Arbitrary."""
_SETTLE_TIME: Final = 2.0
"""Seconds without one more link made after which the last ones are given up, at the end of a run. Arbitrary: what is
ten times longer looks like a program that hangs; a tenth gives up where a file system is slow."""
RESCUE_TIME: Final = 2.0
"""Seconds that writing the results may take when the process is told to exit at once. Arbitrary."""
GC_THRESHOLD: Final = 50_000
"""Allocations between two garbage collections. The graph, the bulk of all objects, is exempt from them."""

_Move = tuple[str, Any, JobStatus]
"""A job whose link is to be moved: its id, itself, its status."""


def look_less_for_garbage() -> None:
    """Let Python's garbage collector look less often, before the jobs are read.

    A graph of jobs is a lot of objects that live until the end; in them the collector looks for cycles again and again,
    in vain. So it is to look seldom while they are made, and never again at what is there when the run begins. Programs
    may do this; a library must not: it is a matter of the whole process.
    """
    gc.set_threshold(GC_THRESHOLD, 20, 100)


def run(
    prepared: Prepared,
    options: argparse.Namespace,
    command: Sequence[str],
    output: Output,
    errors: Output,
    log: logging.Handler | None = None,
) -> int:
    """Run what was prepared; return the exit code.

    Args:
        prepared: the run.
        options: of the command line.
        command: the command line itself, for the record.
        output: where the person looks.
        errors: where errors go.
        log: the handler that has shown the log so far; the run's screen does from now on.

    Raises:
        InputError: if the run's directory cannot be made; nothing was started.
    """
    this = Run(prepared, options, command, output, errors, log)
    this.make_directory()
    before_quitting(lambda: this.rescue("the run was told to exit before it began"))
    with closing(prepared.roots), closing(this.links):
        return _run(this)


def _run(this: Run) -> int:
    gc.freeze()  # see `look_less_for_garbage`
    try:
        trio.run(this.main)
    except BaseException:
        this.rescue("the run broke off")
        # An exception that comes from another thread may hit trio itself, which then warns of what it left behind.
        warnings.filterwarnings("ignore", "Trio guest run got abandoned", RuntimeWarning)
        raise
    return this.exit_code()


@runtime_checkable
class Pausing(Protocol):
    """A backend whose jobs stop together with this process."""

    def pause(self) -> None:
        """Stop all jobs."""

    def unpause(self) -> None:
        """Continue them."""


class Run:
    """One run, from its directory to its exit code."""

    def __init__(
        self,
        prepared: Prepared,
        options: argparse.Namespace,
        command: Sequence[str],
        output: Output,
        errors: Output,
        log: logging.Handler | None,
    ) -> None:
        self._prepared = prepared
        self._options = options
        self._command = command
        self._output = output
        self._errors = errors
        self._before = log
        self._scheduler = prepared.scheduler
        self._run_dir = prepared.run_dir
        self._here = Path.cwd()  # asked once: a job may delete it
        self._is_interactive = any(job.interactive for job in prepared.jobs)
        self._roots = prepared.roots
        self.links = Links(self._roots)
        self._moves: dict[str, tuple[JobSpec, JobStatus]] = {}
        self._bugs: list[BaseException] = []
        self._fault: int | None = None
        """The exit code for the first of them."""
        self._written = False
        self._started = self._ended = 0.0
        # These need a running trio.
        self._screen: Screen
        self._stopper: Stopper
        self._progress: RunProgress
        self._moved: trio.Event

    def make_directory(self) -> None:
        """Make the directory of the run, and let ``latest`` lead to it.

        Raises:
            InputError: if it cannot be made, or a directory that the user named does not answer.
        """
        try:
            each_in_time(lambda _: self._make_run_directory(), [str(self._run_dir)], what="--out: the run's directory")
            each_in_time(self._resolve, self._named_paths(), what="the directory")
            self.links.make_folders()
        except OSError as exc:
            msg = f"--out: the run's directory {self._run_dir} cannot be made: {exc.strerror}"
            raise InputError(msg) from exc
        except InputError:
            if self._roots.is_open:  # else it is the one that does not answer
                with suppress(OSError):
                    self._run_dir.rmdir()
            raise
        try:
            point_latest(self._run_dir)
        except OSError as exc:
            logger.warning("%s/latest: %s", self._run_dir.parent, exc.strerror)

    def _make_run_directory(self) -> None:
        self._run_dir.parent.mkdir(parents=True, exist_ok=True)
        self._run_dir.mkdir()
        self._roots.open()

    def _resolve(self, path: str) -> None:
        try:
            self._roots.add(path)
        except OSError as exc:
            msg = f"the directory {path} cannot be resolved: {exc.strerror}"
            raise InputError(msg) from exc

    def _named_paths(self) -> Iterator[str]:
        """What the user named outside the run's directory. It is resolved before a job can have put anything there."""
        for job in self._prepared.jobs:
            if job.odir is not None or job.log_path is not None:
                places = JobPaths.of(job, self._roots.run_dir)
                yield places.odir
                yield os.path.dirname(places.log)
        regression = self._prepared.regression
        soft_stops = [
            *(entry.table.soft_stop for entry in regression.entries),
            *(table.get("soft_stop") for table, _ in regression.backends.values()),
        ]
        for stop in soft_stops:
            if isinstance(stop, str) and os.path.isabs(stop):
                yield os.path.dirname(os.path.normpath(stop))

    def exit_code(self) -> int:
        """Return the exit code of a run that has ended."""
        if self._fault is not None:
            return self._fault
        if not self._written:
            return EXIT_NOT_WRITTEN
        if self._stopper.first is not None:
            return exit_code(self._stopper.first)
        passed = all(result.status is JobStatus.PASSED for result in self._scheduler.results())
        return EXIT_PASSED if passed else EXIT_NOT_PASSED

    async def main(self) -> None:
        """Run the jobs, show them, and write the results."""
        options = self._options
        backends = self._prepared.backends.values()
        lenders = [backend for backend in backends if hasattr(backend, "lend_terminal")]
        # Nobody knows when an interactive job of another backend has the terminal.
        others = any(backend.supports_interactive and backend not in lenders for backend in backends)
        self._started = trio.current_time()
        self._moved = trio.Event()
        self._progress = RunProgress(self._prepared.regression.name, self._started)
        self._screen = Screen(
            self._output,
            self._run_dir,
            self._here,
            interval=math.inf if options.quiet or not options.print_interval else options.print_interval,
            live=not options.quiet and not (others and self._is_interactive),
        )
        for lender in lenders:
            lender.lend_terminal = self._screen.lent
        self._stopper = Stopper(
            self._scheduler, drain=options.drain, tell=self._tell, leave=self._leave, suspend=self._suspend
        )
        log_to(self._screen, level_of(options), instead_of=self._before)
        if options.quiet:
            USER_MESSAGES.info("%s", self._title())
        else:
            self._screen.say(self._title(), "bold")
        # Apart from each other: the links look at jobs' directories, on file systems that may not answer.
        results, links = trio.CapacityLimiter(1), trio.CapacityLimiter(_LINK_THREADS)
        async with trio.open_nursery() as nursery:
            await nursery.start(self._stopper.watch)
            async with trio.open_nursery() as watching:
                # Subscribed before the first job can move.
                watching.start_soon(self._guard, self._follow, self._scheduler.subscribe(BUFFER))
                watching.start_soon(self._guard, self._keep_links, links)
                watching.start_soon(self._guard, self._screen.follow, self._progress, self._moment)
                await self._guard(self._scheduler.run)
                self._ended = trio.current_time()
                await in_thread(self._write_results, limiter=results)
                watching.cancel_scope.cancel()
            await self._guard(self._settle, links)
            await self._guard(self._screen.finish, self._progress, self._last_words())
            nursery.cancel_scope.cancel()
        if self._bugs:
            why, self._fault = explain(self._bugs[0], self._roots.run)
            complain(why, self._errors)

    def rescue(self, why: str) -> None:
        """Write the results as far as they are known, from wherever this is called, unless they are written."""
        if self._written:
            return
        known = {result.id: result for result in self._scheduler.results()}
        now = max((result.ended for result in known.values()), default=self._started)
        with suppress(RuntimeError):
            now = trio.current_time()
        reason = JobStatusInfo(f"not known to have ended: {why}", kind=FailureKind.CANCELLED)
        progress = getattr(self, "_progress", None)
        results = []
        for job in self._prepared.jobs:
            since = None if progress is None else progress.started(job.id)
            event = JobCompletionEvent(job.id, int(since is not None), JobStatus.KILLED, reason, now, since, now)
            results.append(known.get(job.id) or JobResult(job, event))
        self._ended = now
        # What is stuck, such as a network's disk, must not stop the exit.
        writer = threading.Thread(target=self._write_results, args=[results], daemon=True)
        try:
            writer.start()
        except RuntimeError:  # no thread can be started
            self._write_results(results)
        else:
            writer.join(RESCUE_TIME)

    # ------------------------------------------------------------------ inside

    async def _guard(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run ``function(*args)``; an error in it is a bug, which is kept, and the run goes on."""
        try:
            await function(*args)
        except Exception as exc:
            self._bugs.append(exc)
            logger.debug("a bug", exc_info=exc)

    async def _follow(self, stream: StatusStream) -> None:
        with stream:
            async for change in stream:
                self._see(change)
                for following in stream.take_nowait():
                    self._see(following)

    def _see(self, change: StatusChange) -> None:
        self._progress.apply(change)
        self._moves[change.id] = (change.job, change.new)
        self._moved.set()
        if change.job.interactive:
            self._screen.held = change.new is JobStatus.RUNNING

    async def _keep_links(self, limiter: trio.CapacityLimiter) -> None:
        async with trio.open_nursery() as late:
            while True:
                await self._moved.wait()
                self._moved = trio.Event()
                moves, self._moves = self._moves, {}
                work = Work(self.links.move, [(job_id, *change) for job_id, change in moves.items()])
                await self._guard(self._move_links, work, limiter, late)
                await trio.sleep(LINK_INTERVAL)

    async def _settle(self, limiter: trio.CapacityLimiter) -> None:
        """Make the links right; of a job whose file system does not answer, there is none.

        There may be more such jobs than threads, so that the others' links wait for a thread in vain.
        """
        work = Work(self.links.move, [(result.id, result.job, result.status) for result in self._scheduler.results()])
        async with trio.open_nursery() as late:
            late.start_soon(self._give_up_links, work, late.cancel_scope)
            await self._guard(self._move_links, work, limiter, late)
            late.cancel_scope.cancel()

    async def _give_up_links(self, work: Work[_Move, None], scope: trio.CancelScope) -> None:
        ended = -1
        while ended < work.ended:
            ended = work.ended
            await trio.sleep(_SETTLE_TIME)
        scope.cancel()
        logger.warning("links of %d jobs were not made: their file systems do not answer", len(work.left()))

    async def _move_links(self, work: Work[_Move, None], limiter: trio.CapacityLimiter, late: trio.Nursery) -> None:
        await each_in_thread(work, limiter=limiter, nursery=late, done=lambda _: None)

    def _moment(self) -> RunSnapshot:
        now = self._scheduler.statistics()
        return self._progress.snapshot(now.counts, trio.current_time(), rows=100, never_ran=now.never_ran)

    def _tell(self, text: str) -> None:
        self._progress.stopping = text
        self._screen.say(text, "yellow")

    def _title(self) -> str:
        prepared = self._prepared
        count = len(prepared.jobs)
        return (
            f"{prepared.regression.name}: {count} {'job' if count == 1 else 'jobs'}, seed base {prepared.seed_base},"
            f" in {self._beside(self._run_dir)}"
        )

    def _last_words(self) -> list[Line]:
        results = self._scheduler.results()
        lines = summary(results, self._run_dir, seconds=self._ended - self._started, relative_to=self._here)
        if self._written:
            lines.append(((f"results: {self._beside(self._run_dir / 'results.json')}", "dim"),))
        return lines

    def _beside(self, path: Path) -> str:
        return printable(str(path.relative_to(self._here) if path.is_relative_to(self._here) else path))

    def _record(self) -> RunRecord:
        stopper = getattr(self, "_stopper", None)
        return RunRecord(
            run=self._prepared.run,
            name=self._prepared.regression.name,
            command=self._command,
            directory=str(self._here),
            seed_base=self._prepared.seed_base,
            epoch=self._scheduler.epoch,
            started=self._started,
            ended=self._ended,
            stopped_by=signal_name(stopper.first) if stopper is not None and stopper.first is not None else None,
        )

    def _write_results(self, results: Sequence[JobResult] | None = None) -> None:
        """Write ``results.json``; blocks. What fails is said, and makes the exit code 74."""
        path = self._roots.run.below("results.json")
        try:
            write_results(path, self._record(), self._scheduler.results() if results is None else results)
        except OSError as exc:
            complain(f"{path} cannot be written: {exc.strerror}", self._errors)
        else:
            self._written = True

    def _suspend(self) -> None:
        """Stop this process and all jobs that run on this machine, as Ctrl-Z does to a program and its children."""
        pausing = [backend for backend in self._prepared.backends.values() if isinstance(backend, Pausing)]
        for backend in pausing:
            backend.pause()
        self._restore_terminal()
        stop_this_process()
        if self._is_interactive:
            from runtime.process.terminal import take_terminals_again  # as below

            take_terminals_again()
        self._screen.leave()
        for backend in pausing:
            backend.unpause()

    def _restore_terminal(self) -> None:
        if self._is_interactive:
            from runtime.process.terminal import restore_terminals  # not for every system

            restore_terminals()

    def _leave(self, code: int) -> NoReturn:
        self.rescue("the run was told to exit at once")
        self._restore_terminal()
        complain("exit without waiting for the jobs", self._errors)
        exit_now(code)
