"""The command ``run``: a scheduler and its watchers in one nursery, and results in any case.

The watchers (the screen, the links) can neither delay a run nor end it: they read from a stream that drops changes if
they are slow, work in threads, and their errors are kept for the end, where they make the exit code.
"""

from __future__ import annotations

import argparse
import gc
import logging
import math
import os
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, NoReturn, Protocol, runtime_checkable

import trio

from runtime.cli.ctl_requests import CtlRequests
from runtime.cli.earlier import SELECTED
from runtime.cli.events_file import STDOUT
from runtime.cli.exit_codes import EXIT_NOT_WRITTEN, describe_fatal_error, print_error
from runtime.cli.exit_on_signal import call_before_exit, exit_code
from runtime.cli.link_updates import LinkUpdates
from runtime.cli.linked_directories import change_links
from runtime.cli.load_samples import record_samples
from runtime.cli.logs import level_of, log_to
from runtime.cli.prepare import Prepared
from runtime.cli.removals import Removals
from runtime.cli.resuming import end_what_is_left
from runtime.cli.run_exit_code import exit_code_of
from runtime.cli.run_expectations import expectations_of
from runtime.cli.run_news import news_in_time
from runtime.cli.run_outputs import RunOutputs
from runtime.cli.screen import Screen
from runtime.cli.stop_on_signal import Stopper, stop_this_process
from runtime.cli.timed_calls import call_each_with_timeout
from runtime.ctl.inbox import Inbox
from runtime.exit_calls import exit_now
from runtime.job import JobPaths, JobResult, JobSpec, JobStatus
from runtime.jobfile.errors import InputError
from runtime.process import in_thread
from runtime.process.environment import HERE_VARIABLE, RUN_VARIABLE
from runtime.report.again import Again
from runtime.report.bucket_rules import BucketRules
from runtime.report.group_lines import View
from runtime.report.known_issues import issues_of
from runtime.report.links import Links, point_latest
from runtime.report.news import History
from runtime.report.output import Output
from runtime.report.progress import RunProgress, RunSnapshot
from runtime.report.result_files import write_results, write_variables
from runtime.report.results import RESULTS_NAME, results_lines
from runtime.report.screen_fit import Section, screen_lines
from runtime.report.summary import Line, removed_line
from runtime.report.summary_sections import summary_sections
from runtime.report.text import path_text, quantity
from runtime.report.user_messages import USER_MESSAGES
from runtime.scheduler.statuses import StatusChange
from runtime.scheduler.stream import StatusStream

logger: Final = logging.getLogger("runtime.cli")

BUFFER: Final = 1 << 16
"""Status changes that may wait for the screen and the links; older ones are dropped. Arbitrary: ten times more
could hold some 100 MB; ten times fewer would drop changes when a large run is killed (the last links are made in any
case, from the results)."""
RESCUE_TIMEOUT: Final = 2.0
"""Seconds for writing the results when the process is told to exit at once. Arbitrary: ten times longer, the third
Ctrl-C seems to do nothing; ten times shorter, the results of a large run may be lost."""


@runtime_checkable
class Pausing(Protocol):
    """A backend that can stop its jobs together with this process."""

    def pause(self) -> None:
        """Stop all jobs, with SIGSTOP."""

    def unpause(self) -> None:
        """Continue all jobs."""


class Run:
    """One run, from its directory to its exit code.

    Args:
        prepared: the run.
        options: of the command line.
        command: the words of the command line, for ``results.json``.
        output: standard output.
        errors: standard error.
        log: the handler that has shown the log so far; the run's screen replaces it.
        make_screen: makes the run's screen, with the arguments of `Screen`.
    """

    def __init__(
        self,
        prepared: Prepared,
        options: argparse.Namespace,
        command: Sequence[str],
        output: Output,
        errors: Output,
        log: logging.Handler,
        make_screen: Callable[..., Screen] = Screen,
    ) -> None:
        self._prepared = prepared
        self._options = options
        self._command = command
        self._output = output
        self._errors = errors
        self._log_before = log
        self._make_screen = make_screen
        self._scheduler = prepared.scheduler
        self._run_dir = prepared.run_dir
        self._here = Path.cwd()  # read once: a job may delete it
        self._is_interactive = any(job.interactive for job in prepared.jobs)
        self._roots = prepared.roots
        self._journal = prepared.journal
        self._links = Links(self._roots)
        self._outputs = RunOutputs(options, errors)
        self._bugs: list[BaseException] = []
        """Errors of the scheduler and the watchers."""
        self._bug_code: int | None = None
        """The exit code for the first of them."""
        self._written = False
        """Whether ``results.json`` is complete."""
        self._results: Sequence[JobResult[JobSpec]] = ()
        """Those of all jobs, when the scheduler has ended."""
        self._started = self._ended = 0.0
        self._describing = trio.CancelScope()
        self._reading = trio.CancelScope()
        # Set by `_make_watchers`, as they need a running trio.
        self._screen: Screen
        self._stopper: Stopper
        self._progress: RunProgress
        self._link_updates: LinkUpdates
        self._removals: Removals

    def run(self) -> int:
        """Run the jobs; return the exit code. Raises as `opened`."""
        with self.opened():
            trio.run(self.main)
            return self.exit_code()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make the run's directory, or open it again, for a block in which `main` is run.

        Raises:
            InputError: if the run's directory cannot be made, or the file system of a directory that the user named
                does not answer; then nothing was started.
        """
        self._make_directory()
        os.environ |= dict.fromkeys((RUN_VARIABLE, HERE_VARIABLE), self._prepared.token)  # for all that it starts
        call_before_exit(lambda: self._rescue("a signal before it began"))
        with closing(self._roots), closing(self._journal), closing(self._links), closing(self._outputs):
            gc.freeze()  # see `raise_gc_threshold`
            try:
                yield
            except BaseException:
                self._rescue("an error of the runtime")
                # Foreign code can raise an exception in this thread at any line, also in trio itself, which then warns
                # that it did not finish. The error is one line, without that warning.
                warnings.filterwarnings("ignore", "Trio guest run got abandoned", RuntimeWarning)
                raise

    def _make_directory(self) -> None:
        """Make the directory of the run, and point the link ``latest`` to it."""
        try:
            self._outputs.open()
            call_each_with_timeout(
                lambda _: self._make_run_directory(), [str(self._run_dir)], what="--out: the run's directory"
            )
            call_each_with_timeout(self._resolve, self._named_paths(), what="the directory")
            if self._prepared.is_resumed:
                end_what_is_left(self._prepared.token)
            if (keeps := self._prepared.keeps) is not None:
                change_links(self._roots, keeps.links, not_at=keeps.places, is_new=not self._prepared.is_resumed)
            self._links.make_folders()
            self._journal.write_secrets()
        except (OSError, InputError) as exc:
            # Nothing was started, so no empty directory stays. If `_roots` is not open, it is the run's directory that
            # does not answer, or cannot be made: do not touch it again.
            if self._roots.is_open:
                self._journal.close()
                with suppress(OSError):
                    self._run_dir.rmdir()
            if isinstance(exc, InputError):
                raise
            raise InputError(f"--out: the run's directory {self._run_dir} cannot be made: {exc.strerror}") from exc
        try:
            point_latest(self._run_dir)
        except OSError as exc:
            logger.warning("%s/latest: %s", self._run_dir.parent, exc.strerror)

    def _make_run_directory(self) -> None:
        if not self._prepared.is_resumed:
            self._run_dir.parent.mkdir(parents=True, exist_ok=True)
            self._run_dir.mkdir()
            self._roots.open()
        self._journal.lock()

    def _resolve(self, path: str) -> None:
        try:
            self._roots.add(path)
        except (OSError, ValueError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else exc
            raise InputError(f"the directory {path} cannot be resolved: {why}") from exc

    def _named_paths(self) -> Iterator[str]:
        """Yield directories outside the run's directory that the user named.

        They are resolved before the run: later a job may have replaced one with a link.
        """
        if self._prepared.keeps is not None:
            yield from self._prepared.keeps.directories
        for job in self._prepared.jobs:
            if job.odir is not None or job.log_path is not None:
                paths = self._paths_of(job)
                if paths is None:
                    continue
                yield paths.odir
                yield os.path.dirname(paths.log)
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
        # In this order: a bug or missing results make everything else doubtful.
        if self._bug_code is not None:
            return self._bug_code
        if not self._written or self._journal.failure is not None or self._outputs.failed:
            return EXIT_NOT_WRITTEN
        if self._stopper.first is not None:
            return exit_code(self._stopper.first)
        return exit_code_of(self._results)

    async def main(self) -> None:
        """Run the jobs, show their progress, and write the results. For `opened`, once."""
        self._make_watchers()
        requests = self._ctl_requests()
        # Two nurseries: signals are handled until the last line is shown, when the watchers have ended.
        async with trio.open_nursery() as nursery:
            await nursery.start(self._stopper.watch)
            nursery.start_soon(self._call_safely, self._outputs.follow, self._roots.run)
            async with trio.open_nursery() as watching:
                # Subscribed before the scheduler runs: no change is missed.
                watching.start_soon(self._call_safely, self._follow, self._scheduler.subscribe(BUFFER))
                watching.start_soon(self._call_safely, self._screen.follow, self._progress, self._snapshot)
                for task in (self._link_updates.run, self._removals.run, requests.run):
                    watching.start_soon(self._call_safely, task)
                for task in (self._write_variables_early, self._expect, self._record_load):
                    watching.start_soon(self._call_safely, task)
                await self._call_safely(self._describe)
                if self._prepared.keeps is not None:
                    epoch = time.time() - trio.current_time()
                    keeps = self._prepared.keeps
                    self._scheduler.keep(keeps.kept(epoch), earlier=keeps.to_continue(epoch))
                async with self._journal.writer:
                    await self._call_safely(self._scheduler.run)
                    self._results = self._scheduler.results()
                    events = [result.event for result in self._results]
                    await self._call_safely(self._removals.finish, events)
                self._ended = trio.current_time()
                await self._write()
                watching.cancel_scope.cancel()
            await self._call_safely(requests.close)
            await self._call_safely(self._link_updates.finish, self._results, self._removals.removed)
            news = await news_in_time(self._run_dir.parent, self._journal.state, self._reading)
            await self._call_safely(self._screen.finish, self._progress, self._last_lines(news))
            self._tell_of_bug()
            await self._call_safely(self._outputs.call, self._journal.state, self.exit_code())
            nursery.cancel_scope.cancel()
        self._tell_of_bug()

    def _make_watchers(self) -> None:
        """Make what needs a running trio, and show the title."""
        options = self._options
        backends = self._prepared.backends.values()
        lenders = [backend for backend in backends if hasattr(backend, "lend_terminal")]
        # Other backends do not tell when an interactive job has the terminal: then there is no live area at all.
        others = any(backend.supports_interactive and backend not in lenders for backend in backends)
        self._started = trio.current_time()
        self._removals = self._make_removals()
        self._link_updates = LinkUpdates(self._links, self._paths_of, self._call_safely, self._removals.goes)
        self._progress = RunProgress(self._prepared.regression.name, self._started)
        self._screen = self._make_screen(
            self._output,
            self._errors,
            self._here,
            interval=math.inf if options.quiet or not options.print_interval else options.print_interval,
            live=not options.quiet and options.events != STDOUT and not (others and self._is_interactive),
        )
        for lender in lenders:
            lender.lend_terminal = self._screen.lent
        self._stopper = Stopper(
            self._scheduler, drain=options.drain, show=self._show_stop, exit_now=self._exit_now, suspend=self._suspend
        )
        log_to(self._screen, level_of(options), instead_of=self._log_before)
        if options.quiet:
            USER_MESSAGES.info("%s", self._title())
        else:
            self._screen.say(self._title(), "bold")
            if self._prepared.keeps is not None and self._prepared.keeps.note is not None:
                self._screen.say(self._prepared.keeps.note, "yellow")

    def _tell_of_bug(self) -> None:
        """Show the first error of the scheduler and the watchers, if there is one, unless that was done."""
        if self._bugs and self._bug_code is None:
            why, self._bug_code = describe_fatal_error(self._bugs[0], self._roots.run)
            print_error(why, self._errors)

    async def _write(self) -> None:
        """Write the results, and then what is for other programs."""
        # Not the limiter of the links: a job's file system may not answer, and the results must not wait for that.
        await in_thread(self._write_results, limiter=trio.CapacityLimiter(1))
        await self._call_safely(self._outputs.write, self._journal.state)

    async def _expect(self) -> None:
        """Let the display know what earlier runs let expect; lines that are not drawn again do without it."""
        if not self._screen.is_live:
            return
        self._progress.add((job.id, job.seed) for job in self._prepared.jobs)
        self._progress.expect(await expectations_of(self._run_dir, self._prepared.regression.name))

    async def _write_variables_early(self) -> None:
        """Write the script of the variables while the run runs, so that it is there if the run is killed.

        At the end it is written again, because jobs can reach it; then an error counts, too.
        """
        with suppress(OSError):
            await in_thread(self._write_variables, limiter=trio.CapacityLimiter(1))

    async def _describe(self) -> None:
        """Find out what the run is made of, and finish what an earlier segment began; a request to stop ends that."""
        with self._describing:
            await self._removals.finish_begun()
            await self._journal.describe(
                {
                    "run": self._prepared.run,
                    "command": self._command,
                    "directory": str(self._here),
                    "run_dir": str(self._run_dir),
                    "seed_base": self._prepared.seed_base,
                    **self._prepared.details,
                }
            )

    def _rescue(self, why: str) -> None:
        """Write the results as far as they are known, unless they are written. May be called from a signal handler."""
        if self._written:
            return
        self._journal.break_off(why, self._scheduler.run_token, self._scheduler.epoch)
        # In a thread, because a file system that does not answer must not prevent the exit.
        writer = threading.Thread(target=self._write_results, daemon=True)
        try:
            writer.start()
        except RuntimeError:  # no thread can be started
            self._write_results()
        else:
            writer.join(RESCUE_TIMEOUT)

    async def _call_safely(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Call ``function(*args)``; keep its error, which is a bug, and let the run go on."""
        try:
            await function(*args)
        except Exception as exc:
            self._bugs.append(exc)  # not raised: in a nursery it would cancel the run
            logger.debug("a bug", exc_info=exc)

    async def _follow(self, stream: StatusStream[JobSpec]) -> None:
        with stream:
            async for change in stream:
                self._see(change)
                # All that is buffered, without a checkpoint for each: in a large run they come in thousands.
                for following in stream.take_nowait():
                    self._see(following)

    def _see(self, change: StatusChange[JobSpec]) -> None:
        self._progress.apply(change)
        self._link_updates.see(change)
        self._removals.see(change)
        if change.job.interactive:
            self._screen.held = change.new is JobStatus.RUNNING

    def _make_removals(self) -> Removals:
        prepared, keeps = self._prepared, self._prepared.keeps
        make = partial(Removals, prepared.jobs, prepared.removable, self._roots, self._journal)
        return make() if keeps is None else make(before=keeps.kept_without_output(), begun=keeps.removed)

    def _ctl_requests(self) -> CtlRequests:
        say = partial(self._screen.say, style="yellow")
        return CtlRequests(Inbox(self._roots.run), self._scheduler, say=say, show_stop=self._show_stop)

    async def _record_load(self) -> None:
        await record_samples(self._journal.recorder, lambda: self._scheduler.statistics().resources)

    def _paths_of(self, job: JobSpec) -> JobPaths | None:
        """Return where the files of a job are that has not completed, as its backend tells it."""
        return self._prepared.backend_of(job).paths_of(job)

    def _snapshot(self) -> RunSnapshot:
        now = self._scheduler.statistics()
        return self._progress.snapshot(
            now.counts,
            trio.current_time(),
            rows=100,
            paused_by=self._scheduler.paused_by,
            counted=now.counted,
            resources=now.resources,
            lacking=now.lacking,
        )

    def _show_stop(self, text: str) -> None:
        self._describing.cancel()
        self._reading.cancel()
        self._outputs.interrupt()
        self._progress.stopping = text
        self._screen.say(text, "yellow")

    def _title(self) -> str:
        prepared = self._prepared
        keeps = "" if prepared.keeps is None else f", {prepared.keeps.title}: {prepared.keeps.summary()}"
        return (
            f"{prepared.regression.name}: {quantity(len(prepared.jobs), 'job')}, seed base {prepared.seed_base},"
            f" in {path_text(self._run_dir, self._here)}{keeps}"
        )

    def _last_lines(self, history: History | None) -> list[Line]:
        results, screen = self._results, self._output.screen
        sections = summary_sections(
            results,
            View.on(screen, self._here),
            Again(self._run_dir, self._here, self._journal.recorder.details),
            seconds=self._ended - self._started,
            origins=self._origins(),
            rules=BucketRules(self._prepared.regression.buckets),
            history=history,
            issues=issues_of(self._journal.recorder.details),
        )
        last: list[Line] = []
        if self._removals.removed:
            last.append(removed_line(len(self._removals.removed)))
        is_selection = self._prepared.details.get(SELECTED) is True
        last += self._prepared.known.lines(results, is_selection=is_selection)
        if self._written:
            last.append(((f"results: {path_text(self._run_dir / 'results.json', self._here)}", "dim"),))
        shown = [each for each in results if each.id in self._prepared.logs_to_show and each.log_path is not None]
        last += [((f"log: {path_text(each.log_path or '', self._here)}", ""),) for each in shown]
        return screen_lines([*sections, *map(Section, last)], screen, hint="job-runtime report --all")

    def _origins(self) -> dict[str, str]:
        """Return the names of the other runs whose results are kept, by the ids of the jobs."""
        keeps = self._prepared.keeps
        return {} if keeps is None else {job_id: origin.run for job_id, origin in keeps.origins.items()}

    def _write_results(self) -> None:
        """Write ``results.json``. Blocks. If it fails, the error is printed, and the exit code is 74."""
        path = self._roots.run.below(RESULTS_NAME)
        try:
            self._write_variables()  # first: the commands in the results name their script
            write_results(path, results_lines(self._journal.state()))
        except OSError as exc:
            print_error(f"{path} cannot be written: {exc.strerror}", self._errors)
        else:
            self._written = True

    def _write_variables(self) -> None:
        """Write the script that the commands in the results name. Blocks. Raises as `write_variables`."""
        write_variables(self._roots.run, self._prepared.jobs)

    def _suspend(self) -> None:
        """Stop this process and all jobs on this machine, as Ctrl-Z stops a program and its children."""
        # The jobs first: a stopped process can stop nothing. They continue last, when they have the terminal again.
        pausing = [backend for backend in self._prepared.backends.values() if isinstance(backend, Pausing)]
        for backend in pausing:
            backend.pause()
        self._restore_terminal()
        stop_this_process()  # returns when it is continued
        if self._is_interactive:
            from runtime.process.terminal import make_terminals_raw_again  # see `_restore_terminal`

            make_terminals_raw_again()
        self._screen.redraw_below()
        for backend in pausing:
            backend.unpause()

    def _restore_terminal(self) -> None:
        if self._is_interactive:
            from runtime.process.terminal import restore_terminals  # `termios` is not on every system

            restore_terminals()

    def _exit_now(self, code: int) -> NoReturn:
        self._outputs.interrupt()
        self._rescue("a signal")
        self._restore_terminal()
        print_error("exit without waiting for the jobs", self._errors)
        exit_now(code)
