"""Launching jobs: from a specification to a running process, or to the reason why there is none.

The shim of an ordinary contained job makes its files and starts it (`launch_unprepared`). Other jobs are launched in a
thread (`launch`), several in one call, because a call costs a tenth of starting a process. A failure is a return value,
so it does not affect the other jobs of the call.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs
import trio

from runtime.backend.job_paths import (
    ENVIRONMENT_FILE,
    RootedJobPaths,
    has_long_text,
    make_command_file,
    make_files,
    open_log,
    rotate_directory,
    starting_words,
)
from runtime.descriptors import Descriptor
from runtime.job import JobPaths, JobSpec
from runtime.job.command import command_words
from runtime.process import (
    GroupTree,
    ProcessTable,
    ProcessTree,
    SharedEnvironment,
    SoftStep,
    SoftSteps,
    inherited_environment,
    is_out_of_resources,
    job_environment,
    render_environment,
    spawn,
)
from runtime.process.start_registry import StartRegistry
from runtime.roots import RootedPath, Roots

if TYPE_CHECKING:  # not available on every system
    from runtime.process.shim import Shim


LEFTOVER_TIMEOUT: Final = 0.3
"""Seconds for processes that a job leaves running to end by themselves, before they are reported and killed. Arbitrary:
a `tee` behind the job ends in milliseconds, also on a busy machine, so ten times shorter reports some of those; a job
that leaves a daemon completes that much later."""


@attrs.frozen
class LaunchContext:
    """The settings and services that all launches of a backend share."""

    roots: Roots
    """The directories below which jobs have their files; open."""
    terminal: int
    """The descriptor of the user's terminal, for interactive jobs."""
    processes: ProcessTable
    """Finds the processes of a process group."""
    files: trio.CapacityLimiter
    """Limits the threads that make stop files."""
    kill_timeout: float | None
    """Seconds from SIGKILL until a job that is still there counts as lost; `None` for no limit."""
    max_output_dirs: int | None
    """How many old output directories of a job are kept; `None` for all."""
    soft: SoftSteps
    """Determines the soft step of a job."""
    leftovers: str = "warn"
    """What happens if a job leaves processes running, unless the job overrides it."""
    starts: StartRegistry = attrs.field(factory=StartRegistry)
    """The trees that this process starts, without a shim."""
    environment: SharedEnvironment = attrs.field(factory=lambda: SharedEnvironment(inherited_environment()))
    """The environment that jobs inherit."""
    dump: bytes = attrs.field(init=False)
    """The dump of the environment, for jobs without exports."""

    @dump.default
    def _render(self) -> bytes:
        return render_environment(self.environment)

    def leftover_timeout(self, spec: JobSpec) -> float:
        """Return the seconds for processes that a job leaves running to end by themselves; 0 if they are ignored."""
        return 0.0 if (spec.leftovers or self.leftovers) == "ignore" else LEFTOVER_TIMEOUT


@attrs.define(eq=False)
class LocalRun:
    """The process tree of a job, from its start until its completion."""

    tree: ProcessTree
    soft: SoftStep | None
    """The step before SIGTERM, if there is one."""
    log: RootedPath
    pty: int | None = None
    """The master of the pty of an interactive job."""
    pty_slave: int = -1
    log_fd: Descriptor | None = None
    """The log of an interactive job, for writing."""
    concluding: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    """Encloses the steps after its end: judging the log, and `post_finish`."""
    is_concluding_limited: bool = False
    """Whether `concluding` has a deadline, because the job was killed after its end."""

    def close(self) -> None:
        """Close all descriptors. Idempotent."""
        self.tree.close()
        if self.log_fd is not None:
            self.log_fd.close()
        if self.pty is not None:
            for fd in (self.pty, self.pty_slave):
                os.close(fd)
            self.pty = None


@attrs.frozen
class NotLaunched:
    """A job that cannot be launched, and why."""

    why: str


@attrs.frozen
class Prepared:
    """A dry run: the files were made, and nothing was started."""


@attrs.frozen
class CalledOff:
    """A job that was killed before it was started."""


@attrs.frozen
class Busy:
    """The system is out of resources for now, and why."""

    why: str


@attrs.define(eq=False)
class LaunchProgress:
    """How far the launch of an attempt has come. Kept while the job is refused, so that no step is done twice."""

    attempt: int
    renewed: bool = False
    """Whether the old output directory was renamed."""
    hooked: bool = False
    """Whether `pre_launch` was called."""
    needs: Sequence[str] | None = None
    """The paths that the launch needs now, the one in use first; empty while code of others runs; `None` before."""


Launched = LocalRun | NotLaunched | Prepared | CalledOff | Busy


def discard(result: Launched) -> None:
    """End the run of a launch that was abandoned, if it started one. Blocks."""
    if isinstance(result, LocalRun):
        result.tree.destroy()
        result.close()


class _UnwatchedError(Exception):
    """A process was started, and killed at once, because there is no memory to watch it."""

    def __str__(self) -> str:
        return "there is no memory to watch its process, so that was killed"


def needed_paths(context: LaunchContext, paths: JobPaths, progress: LaunchProgress) -> Sequence[str]:
    """Return the paths that `launch` needs, as far as they are known: see `in_thread`. Does not block."""
    if progress.needs is not None:
        return progress.needs
    found = ((path, context.roots.find(path)) for path in (paths.odir, paths.log))
    return [path if rooted is None else rooted.real for path, rooted in found]


def launch(
    context: LaunchContext,
    spec: JobSpec,
    job_paths: JobPaths,
    progress: LaunchProgress,
    wanted: Callable[[], bool],
    shim: Shim | None = None,
) -> Launched:
    """Make the job's files, call `pre_launch` and, if `wanted` is still true, start the job. Blocks; raises nothing.

    With a shim, `ProcessTree.wait_started` tells later whether it was started.
    """
    directory: int | None = None
    try:
        paths = RootedJobPaths.resolve(job_paths, context.roots)
        odir, log_dir = paths.odir.real, paths.log.parent.real
        progress.needs = ()  # the directory of a stop file may be in any file system
        soft = context.soft.of(spec, job_paths.odir, context.roots.resolve)
        progress.needs = odir, log_dir
        inherited = context.environment
        environment = job_environment(inherited, spec.exports, job_paths.cwd) if spec.exports else inherited
        if spec.renew_odir and not progress.renewed:
            rotate_directory(paths.odir, context.max_output_dirs)
        progress.renewed = True  # if the job is refused below, its next launch must not rename the new directory
        if log_dir != odir:
            paths.odir.make_directory()
            progress.needs = log_dir, odir
        dump = render_environment({**context.environment, **spec.exports}) if spec.exports else context.dump
        directory = make_files(paths, dump)
        make_command_file(spec, paths.log)
        if spec.pre_launch is not None and not progress.hooked and not spec.dry_run:
            progress.needs = ()
            try:
                spec.pre_launch()
            except BaseException as exc:  # noqa: BLE001 - an exception of a hook fails its own job, and no other
                return NotLaunched(f"pre_launch raised {exc!r}")
        progress.hooked = True  # likewise, a hook is called once for each attempt
        progress.needs = log_dir, odir
        # As late as possible: a kill during the steps above prevents the start. `_launched` sees to a later one.
        if not wanted():
            return CalledOff()
        # A hook may have replaced the directory, so that the descriptor is that of a removed one.
        known = directory if spec.pre_launch is None else None
        return _start(context, spec, paths, environment, soft, shim, progress, known)
    except Exception as exc:  # noqa: BLE001 - such as text that is not a file name: it fails its own job, and no other
        return explain(exc, spec)
    finally:
        progress.needs = None
        if directory is not None:
            os.close(directory)


def launch_unprepared(
    context: LaunchContext, spec: JobSpec, job_paths: JobPaths, shim: Shim
) -> LocalRun | NotLaunched | Busy | None:
    """Let `shim` make the job's files and start it, without a thread. Does not block; raises nothing.

    `ProcessTree.wait_started` tells later whether that succeeded. `None`: this job needs `launch`.
    """
    if spec.pre_launch is not None or spec.renew_odir or spec.log_path is not None or spec.dry_run or spec.interactive:
        return None
    if has_long_text(spec):
        return None
    from runtime.process.shim import ToMake  # not available on every system

    try:
        paths = RootedJobPaths.find(job_paths, context.roots)
        if paths is None:
            return None
        soft = context.soft.of(spec, job_paths.odir, partial(_found, context.roots))
        dump = render_environment({**context.environment, **spec.exports}) if spec.exports else None
        to_make = ToMake(paths.odir, paths.log.name, ENVIRONMENT_FILE, dump)
        tree = shim.start_and_make(
            command_words(spec),
            exports=spec.exports,
            cwd=paths.cwd,
            home=paths.home,
            kill_timeout=context.kill_timeout,
            to_make=to_make,
            leftover_timeout=context.leftover_timeout(spec),
        )
        return None if tree is None else _keep(tree, soft, paths.log)
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


def explain(error: Exception, job: JobSpec | None = None) -> NotLaunched | Busy:
    """Return the result of a launch that raised `error`: `Busy` if the system is out of resources."""
    if isinstance(error, MemoryError):  # also out of resources, so the job is refused and may come later
        error = OSError(errno.ENOMEM, "")
    if isinstance(error, OSError):
        return (Busy if is_out_of_resources(error) else NotLaunched)(describe(error, job))
    return NotLaunched(f"cannot be started: {error}")


def describe(error: OSError, job: JobSpec | None = None) -> str:
    """Return the message for an error of the system: its name, its text, its file, and a hint."""
    if error.errno is None:
        return f"cannot be started: {error}"
    name = errno.errorcode.get(error.errno, str(error.errno))
    about = "" if error.filename is None else f": {error.filename!r}"
    what = os.strerror(error.errno) if is_out_of_resources(error) else error.strerror
    return f"cannot be started: {name}, {what}{about}{_hint(error, job)}"


def _hint(error: OSError, job: JobSpec | None) -> str:
    """Return how to fix the error, where the text of the system does not tell; else an empty text."""
    if job is not None and job.cwd is not None and error.filename == os.path.abspath(job.cwd):
        return ", which is its cwd; expected a directory that exists and may be entered"
    if job is not None and isinstance(job.shell, str) and error.filename == job.shell and " " in job.shell:
        words = json.dumps([*job.shell.split(), "-c"], ensure_ascii=False)
        return f", which is its shell; expected a program, or its words, such as {words}"
    if error.errno == errno.ENOEXEC:
        return "; expected a program of this machine, or a script with a first line such as #!/bin/sh"
    if error.errno == errno.ENOENT and isinstance(error.filename, str) and "/" not in error.filename:
        return "; expected a program in the PATH of the job"
    return ""


def _start(
    context: LaunchContext,
    spec: JobSpec,
    paths: RootedJobPaths,
    environment: Mapping[str, str],
    soft: SoftStep | None,
    shim: Shim | None,
    progress: LaunchProgress,
    directory: int | None,
) -> LocalRun | Prepared:
    """Start a job. `directory` is the descriptor of its output directory, if that is known."""
    log = open_log(paths.log, None if directory is None else paths.directory_of_log(directory))
    try:
        progress.needs = ()  # its program and its working directory may be in any file system
        if spec.dry_run:
            return Prepared()
        argv = starting_words(spec, paths.log)
        starter = _Starter(context, spec.exports, environment, paths, shim, context.leftover_timeout(spec), directory)
        if spec.interactive:
            return _start_interactive(argv, starter, soft, os.dup(log))  # a copy, as `log` is closed below
        return _keep(starter.start(argv, log, paths.log), soft, paths.log)
    finally:
        os.close(log)


def _keep(tree: ProcessTree, soft: SoftStep | None, log: RootedPath) -> LocalRun:
    """Return the run of a tree that was started.

    Raises:
        _UnwatchedError: if there is no memory for it; the tree was killed. The launch fails and is not tried again,
            because the job has begun.
    """
    try:
        return LocalRun(tree, soft, log)
    except MemoryError:
        tree.destroy()
        raise _UnwatchedError from None


@attrs.frozen
class _Starter:
    """Starts a process, by a shim or in this process."""

    context: LaunchContext
    exports: Mapping[str, str]
    environment: Mapping[str, str]
    """The environment, with the exports."""
    paths: RootedJobPaths
    shim: Shim | None
    leftover_timeout: float
    directory: int | None
    """The descriptor of the output directory, if it is known."""

    def start(self, argv: Sequence[str], output: int, log: RootedPath | None = None) -> ProcessTree:
        cwd, home = self.paths.cwd, self.paths.home
        timeout, leftovers = self.context.kill_timeout, self.leftover_timeout
        if self.shim is not None:
            return self.shim.start(
                argv,
                exports=self.exports,
                cwd=cwd,
                home=home,
                output=output,
                kill_timeout=timeout,
                log=log,
                leftover_timeout=leftovers,
            )
        # A descriptor, not a path: another job could replace the directory by a symbolic link.
        opened = home.open_directory() if home is not None and self.directory is None else None
        directory = None if home is None else self.directory if opened is None else opened

        def start_group() -> GroupTree:
            child = spawn(argv, env=self.environment, cwd=cwd, directory=directory, output=output)
            try:
                return GroupTree(child, self.context.processes, timeout, self.context.files, leftovers)
            except MemoryError:
                child.destroy()
                raise _UnwatchedError from None

        try:
            return self.context.starts.start(start_group)
        finally:
            if opened is not None:
                os.close(opened)


def _start_interactive(argv: Sequence[str], starter: _Starter, soft: SoftStep | None, log: int) -> LocalRun:
    from runtime.process.terminal import command_on_pty, open_pty  # not available on every system

    try:
        pty = open_pty(starter.context.terminal)
        try:
            words = command_on_pty(pty, argv, env=starter.environment, cwd=starter.paths.cwd)
            tree = starter.start(words, pty.slave)
        except BaseException:
            pty.close()
            raise
    except BaseException:
        os.close(log)
        raise
    return LocalRun(tree, soft, starter.paths.log, pty.master, pty.slave, Descriptor(log))
