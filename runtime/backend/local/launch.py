"""The launch of one job: from a specification to running processes, or to the reason why there are none.

A job is launched in one of three ways (`Way`), which is chosen once. A failure is a return value, so it does not affect
the other jobs of the same call.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs

from runtime.backend.contract.live import LiveJob
from runtime.backend.job_paths import (
    ENVIRONMENT_FILE,
    RootedJobPaths,
    has_long_text,
    make_command_file,
    make_files,
    open_log,
    rotate_directory,
    set_aside_earlier,
    starting_words,
)
from runtime.backend.launch_progress import LaunchProgress
from runtime.backend.local.ceilings import Ceilings
from runtime.backend.local.environments import Environments
from runtime.backend.local.group_starter import GroupStarter
from runtime.backend.local.interactive import JobTerminal
from runtime.backend.local.launch_errors import NotLaunched, OutOfResources, UnwatchedError, explain
from runtime.backend.local.local_job import LocalJob
from runtime.backend.local.options import LocalOptions
from runtime.backend.local.program_start import ProgramStart
from runtime.job import JobPaths, JobSpec
from runtime.job.command import command_words
from runtime.process import ProcessTree, SoftStep, job_identity
from runtime.roots import RootedPath, Roots

if TYPE_CHECKING:  # not available on every system
    from runtime.process.shim import Shim


LEFTOVER_TIMEOUT: Final = 0.3
"""Seconds for processes that a job leaves running to end by themselves, before they are reported and killed. Arbitrary:
a `tee` behind the job ends in milliseconds, also on a busy machine, so ten times shorter reports some of those; a job
that leaves a daemon completes that much later."""


class Way(enum.Enum):
    """How a job is launched."""

    SHIM = "by its shim"
    """Its shim makes its files and starts it. Nothing blocks, so no thread is needed: for ordinary contained jobs."""
    THREAD = "in a thread"
    """A thread makes its files, and starts it or hands it over to its shim. One thread launches several jobs, because a
    call of a thread costs a tenth of starting a process."""
    HOOK = "in a thread of its own"
    """The same in a thread that launches no other job, because its `pre_launch` may take long."""


@attrs.frozen
class LaunchContext:
    """The settings and services that all launches of a backend share."""

    roots: Roots
    """The directories below which jobs have their files; open."""
    options: LocalOptions
    environments: Environments
    groups: GroupStarter
    ceilings: Ceilings
    has_jobserver: bool = False
    """Whether the backend has a limit of its own, so that its slots can be shared."""

    def needs_shim(self, spec: JobSpec) -> bool:
        """Whether all processes of a job are to end with it, so that a shim has to start it."""
        return (spec.containment or self.options.containment) == "tree" and not spec.dry_run

    def way_of(self, spec: JobSpec, attempt: int = 1) -> Way:
        """Return the way in which an attempt at a job is launched."""
        if spec.pre_launch is not None:
            return Way.HOOK
        if attempt > 1:  # what the attempt before left is renamed, which blocks
            return Way.THREAD
        if spec.renew_odir or spec.log_path is not None or spec.dry_run or spec.interactive or has_long_text(spec):
            return Way.THREAD
        if spec.jobserver or spec.memory is not None:  # descriptors come with it, or a cgroup is made for it
            return Way.THREAD
        return Way.SHIM if self.needs_shim(spec) else Way.THREAD

    def leftover_timeout(self, spec: JobSpec) -> float:
        """Return the seconds for processes that a job leaves running to end by themselves; 0 if they are ignored."""
        return 0.0 if (spec.leftovers or self.options.leftovers) == "ignore" else LEFTOVER_TIMEOUT


@attrs.define(eq=False)
class Launch:
    """The launch of a job."""

    job: LiveJob
    way: Way
    shim: Shim | None = None
    """The shim that starts it; `None` for this process."""
    progress: LaunchProgress | None = None
    """Set when it is launched in a thread."""
    needs: Sequence[RootedPath] | None = None
    """The paths that it needs now, the one in use first; empty while code of others runs; `None` before."""

    @property
    def paths(self) -> JobPaths:
        """The paths of its files."""
        assert self.job.paths is not None  # set when it begins
        return self.job.paths

    def give_back_shim(self) -> None:
        """Return its shim, which was not used."""
        if self.shim is not None:
            self.shim.give_back()


@attrs.frozen
class DryRun:
    """A dry run: the files were made, and nothing was started."""


@attrs.frozen
class CalledOff:
    """A job that was killed before it was started."""


Launched = LocalJob | NotLaunched | DryRun | CalledOff | OutOfResources


def discard(result: Launched) -> None:
    """End what an abandoned launch has started, if anything. Blocks."""
    if isinstance(result, LocalJob):
        result.destroy()


def _keep(
    launch: Launch, tree: ProcessTree, soft: SoftStep | None, log: RootedPath, terminal: JobTerminal | None = None
) -> LocalJob:
    """Return the job whose processes were started.

    Raises:
        UnwatchedError: if there is no memory for it; the processes were killed.
    """
    try:
        return LocalJob(launch.job, tree, soft, log, terminal)
    except MemoryError:
        tree.destroy()
        if terminal is not None:
            terminal.close()
        raise UnwatchedError from None


# ---------------------------------------------------------------------- by a shim


def launch_by_shim(
    context: LaunchContext, launch: Launch, shim: Shim
) -> LocalJob | NotLaunched | OutOfResources | None:
    """Let `shim` make the job's files and start it. Does not block; raises nothing.

    `ProcessTree.wait_started` tells later whether that succeeded. `None`: it needs a thread after all, because a
    directory has to be resolved, or because the job is too large for the buffer of a socket.
    """
    from runtime.process.shim import ToMake

    spec: JobSpec = launch.job.spec
    try:
        paths = RootedJobPaths.find(launch.paths, context.roots)
        if paths is None:
            return None
        soft = context.options.soft.of(spec, launch.paths.odir, partial(_found, context.roots))
        dump = context.environments.dump(launch.job) if spec.exports else None
        to_make = ToMake(paths.odir, paths.log.name, ENVIRONMENT_FILE, dump)
        tree = shim.start_and_make(
            command_words(spec),
            identity=job_identity(spec.id, launch.job.attempt, spec.seed),
            exports=spec.exports,
            cwd=paths.cwd,
            home=paths.home,
            kill_timeout=context.options.timeouts.kill,
            to_make=to_make,
            leftover_timeout=context.leftover_timeout(spec),
        )
        return None if tree is None else _keep(launch, tree, soft, paths.log)
    except _NotFoundError:
        return None
    except Exception as exc:  # noqa: BLE001 - such as text that is not an argument: it fails its own job, and no other
        return explain(exc, spec)


class _NotFoundError(Exception):
    """A directory has to be resolved first, which may block."""


def _found(roots: Roots, path: str) -> RootedPath:
    found = roots.find(path)
    if found is None:
        raise _NotFoundError
    return found


# ---------------------------------------------------------------------- in a thread


def needed_paths(context: LaunchContext, launch: Launch) -> Sequence[str]:
    """Return the paths that `launch_in_thread` needs, as far as they are known: see `in_thread`. Does not block."""
    if launch.needs is not None:
        return [path.real for path in launch.needs]
    found = ((path, context.roots.find(path)) for path in (launch.paths.odir, launch.paths.log))
    return [path if rooted is None else rooted.real for path, rooted in found]


def launch_in_thread(context: LaunchContext, launch: Launch) -> Launched:
    """Make the job's files, call `pre_launch` and, unless the job is killed meanwhile, start it. Raises nothing.

    With a shim, `ProcessTree.wait_started` tells later whether it was started.
    """
    directory: int | None = None
    spec: JobSpec = launch.job.spec
    progress = launch.progress
    assert progress is not None
    try:
        paths = RootedJobPaths.resolve(launch.paths, context.roots)
        launch.needs = ()  # the directory of a stop file may be in any file system
        soft = context.options.soft.of(spec, launch.paths.odir, context.roots.resolve)
        directory = _make_files(context, launch, progress, paths)
        if spec.pre_launch is not None and not progress.hooked and not spec.dry_run:
            launch.needs = ()
            try:
                spec.pre_launch()
            except BaseException as exc:  # noqa: BLE001 - an exception of a hook fails its own job, and no other
                return NotLaunched(f"pre_launch raised {exc!r}")
        progress.hooked = True  # if the job is refused below, its hook must not be called again
        launch.needs = paths.log_directory, paths.odir
        # As late as possible: a kill during the steps above prevents the start. `Control.started` sees to a later one.
        if launch.job.stop is not None:
            return CalledOff()
        # A hook may have replaced the directory, so that the descriptor is that of a removed one.
        known = directory if spec.pre_launch is None else None
        log = open_log(paths.log, None if known is None else paths.directory_of_log(known))
        try:
            launch.needs = ()  # its program and its working directory may be in any file system
            if spec.dry_run:
                return DryRun()
            start = ProgramStart(context, launch.job, launch.shim, paths, known)
            if spec.memory is None:
                return _start(launch, start, soft, log)
            return _start_below_ceiling(launch, start, soft, log, spec.memory)
        finally:
            os.close(log)
    except Exception as exc:  # noqa: BLE001 - such as text that is not a file name: it fails its own job, and no other
        return explain(exc, spec)
    finally:
        launch.needs = None
        if directory is not None:
            os.close(directory)


def _start(launch: Launch, start: ProgramStart, soft: SoftStep | None, log: int) -> LocalJob:
    """Start the program of a job, with the descriptor of its log. Raises as `ProgramStart`."""
    spec: JobSpec = launch.job.spec
    path = start.paths.log
    argv = starting_words(spec, path)
    if spec.interactive:
        tree, terminal = start.on_pty(argv, log)
        return _keep(launch, tree, soft, path, terminal)
    if not (spec.jobserver and start.context.has_jobserver):
        return _keep(launch, start(argv, log, path), soft, path)
    tree, tokens = start.with_tokens(argv, log, path)
    job = _keep(launch, tree, soft, path)
    job.tokens = tokens
    return job


def _start_below_ceiling(launch: Launch, start: ProgramStart, soft: SoftStep | None, log: int, memory: int) -> LocalJob:
    """As `_start`, for a job that may use so many bytes of memory.

    Raises:
        OSError: also, if it has a cgroup, and that cannot be made.
    """
    ceiling = start.context.ceilings.make(memory, contained=launch.shim is not None)
    try:
        job = _start(launch, attrs.evolve(start, cgroup=ceiling.cgroup), soft, log)
    except BaseException:
        ceiling.close()
        raise
    job.ceiling = ceiling
    return job


def _make_files(context: LaunchContext, launch: Launch, progress: LaunchProgress, paths: RootedJobPaths) -> int:
    """Make the job's directories and files; return a descriptor of its output directory."""
    spec: JobSpec = launch.job.spec
    launch.needs = paths.odir, paths.log_directory
    if not progress.renewed:
        set_aside_earlier(spec, paths, launch.job.attempt)
        if spec.renew_odir:
            rotate_directory(paths.odir, context.options.max_output_dirs)
    progress.renewed = True  # if the job is refused later, its next launch must not rename the new directory
    if paths.log_directory is not paths.odir:
        paths.odir.make_directory()
        launch.needs = paths.log_directory, paths.odir
    directory = make_files(paths, context.environments.dump(launch.job))
    try:
        make_command_file(spec, paths.log)
    except BaseException:
        os.close(directory)
        raise
    return directory
