"""Launching jobs: from a specification to a running process, or to why there is none.

The usual job of a contained backend is left to its shim, files and all (`launch_unprepared`). Others are launched in a
thread. They come in slices, because a hop to a thread costs as much as a small part of a process; what goes wrong with
one of them is a value, and the others do not notice.
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
    JobPaths,
    RootedJobPaths,
    has_long_text,
    make_command_file,
    make_files,
    open_log,
    put_aside,
    starting_words,
)
from runtime.descriptors import Descriptor
from runtime.job import JobSpec
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

if TYPE_CHECKING:  # not for every system
    from runtime.process.shim import Shim


LEFTOVER_TIMEOUT: Final = 0.3
"""Seconds that what a job leaves running has to go by itself, before it is named and killed. Arbitrary: a `tee` behind
the job goes in milliseconds, also on a busy machine; a job that leaves a daemon on purpose ends that much later."""


@attrs.frozen
class Site:
    """What all jobs of a backend have in common."""

    roots: Roots
    """Where jobs have their files; open."""
    terminal: int
    """The descriptor of the user's terminal, for interactive jobs."""
    census: ProcessTable
    """Tells who is alive in a process group."""
    files: trio.CapacityLimiter
    """For threads that make stop files."""
    patience: float | None
    """Seconds that a job may take to be gone after SIGKILL; `None` for no limit."""
    max_output_dirs: int | None
    """How many old output directories of a job are kept; `None` for all."""
    soft: SoftSteps
    """Says what a job is told before SIGTERM."""
    leftovers: str = "warn"
    """What it means that a job leaves processes running, unless it says so itself."""
    starts: StartRegistry = attrs.field(factory=StartRegistry)
    """What we start ourselves, without a shim."""
    environment: SharedEnvironment = attrs.field(factory=lambda: SharedEnvironment(inherited_environment()))
    """What jobs inherit."""
    dump: bytes = attrs.field(init=False)
    """The environment as a file, for jobs without exports."""

    @dump.default
    def _render(self) -> bytes:
        return render_environment(self.environment)

    def leftover_timeout(self, spec: JobSpec) -> float:
        """Return how many seconds what a job leaves running has to go by itself; 0 if nobody asks what that is."""
        return 0.0 if (spec.leftovers or self.leftovers) == "ignore" else LEFTOVER_TIMEOUT


@attrs.define(eq=False)
class LocalRun:
    """A job that was started, until its completion."""

    tree: ProcessTree
    soft: SoftStep | None
    """What it is told before SIGTERM."""
    log: RootedPath
    pty: int | None = None
    """The pty of an interactive job: our end of it."""
    pty_slave: int = -1
    log_fd: Descriptor | None = None
    """An interactive job's log, for writing."""
    concluding: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    """Around what comes after its end: judging, and the hook."""
    is_concluding_limited: bool = False
    """Whether that has a limit, as it was asked to end."""

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
    """A dry run: all was prepared, and nothing started."""


@attrs.frozen
class CalledOff:
    """A job whose end was asked for before it was started."""


@attrs.frozen
class Busy:
    """The system has no room for a process now, and says why."""

    why: str


@attrs.define(eq=False)
class Progress:
    """How far the launch of an attempt has come; kept while it is refused, so that nothing is done twice."""

    attempt: int
    renewed: bool = False
    hooked: bool = False
    needs: Sequence[str] | None = None
    """The paths that it needs now, that with which it is busy first; none, while others' code runs; `None` before."""


Launched = LocalRun | NotLaunched | Prepared | CalledOff | Busy


def discard(result: Launched) -> None:
    """End what was started, as nobody waits for it any more. Blocks."""
    if isinstance(result, LocalRun):
        result.tree.destroy()
        result.close()


class _UnwatchedError(Exception):
    """A process was started, and ended at once, because nobody could have watched it."""

    def __str__(self) -> str:
        return "there is no memory to watch it, so it was ended"


def needed_paths(site: Site, spec: JobSpec, progress: Progress) -> Sequence[str]:
    """Return which paths `launch` needs, as far as they are known: see `in_thread`. Does not block."""
    if progress.needs is not None:
        return progress.needs
    places = JobPaths.of(spec, site.roots.run_dir)
    found = ((path, site.roots.find(path)) for path in (places.odir, places.log))
    return [path if rooted is None else rooted.real for path, rooted in found]


def launch(
    site: Site, spec: JobSpec, progress: Progress, wanted: Callable[[], bool], shim: Shim | None = None
) -> Launched:
    """Prepare the job's files, call its hook, and, if it is `wanted` still, start it. Blocks; raises nothing.

    With a shim, whether it could be started is known later, from `ProcessTree.wait_started`.
    """
    directory: int | None = None
    try:
        places = JobPaths.of(spec, site.roots.run_dir)
        paths = RootedJobPaths.resolve(places, site.roots)
        odir, beside = paths.odir.real, paths.log.parent.real
        progress.needs = ()
        soft = site.soft.of(spec, places.odir, site.roots.resolve)
        progress.needs = odir, beside
        environment = job_environment(site.environment, spec.exports, places.cwd) if spec.exports else site.environment
        if spec.renew_odir and not progress.renewed:
            put_aside(paths.odir, site.max_output_dirs)
        progress.renewed = True
        if beside != odir:
            paths.odir.make_directory()
            progress.needs = beside, odir
        dump = render_environment({**site.environment, **spec.exports}) if spec.exports else site.dump
        directory = make_files(paths, dump)
        make_command_file(spec, paths.log)
        if spec.pre_launch is not None and not progress.hooked and not spec.dry_run:
            progress.needs = ()
            try:
                spec.pre_launch()
            except BaseException as exc:  # noqa: BLE001 - whatever a hook raises costs its own job, and no other
                return NotLaunched(f"pre_launch raised {exc!r}")
        progress.hooked = True
        progress.needs = beside, odir
        if not wanted():
            return CalledOff()
        # A hook may have made the directory anew.
        known = directory if spec.pre_launch is None else None
        return _start(site, spec, paths, environment, soft, shim, progress, known)
    except Exception as exc:  # noqa: BLE001 - text that is no file name, say: the job's fault, and its loss alone
        return explain(exc, spec)
    finally:
        progress.needs = None
        if directory is not None:
            os.close(directory)


def launch_unprepared(site: Site, spec: JobSpec, shim: Shim) -> LocalRun | NotLaunched | Busy | None:
    """Have `shim` make the job's files and start it: the usual case, without a thread. Does not block; raises nothing.

    Whether that worked is known later, from `ProcessTree.wait_started`. `None`: this job needs `launch`.
    """
    if spec.pre_launch is not None or spec.renew_odir or spec.log_path is not None or spec.dry_run or spec.interactive:
        return None
    if callable(site.soft.stop) or has_long_text(spec):  # a function's code may take long
        return None
    from runtime.process.shim import ToMake  # not for every system

    try:
        places = JobPaths.of(spec, site.roots.run_dir)
        paths = RootedJobPaths.find(places, site.roots)
        if paths is None:
            return None
        soft = site.soft.of(spec, places.odir, partial(_found, site.roots))
        dump = render_environment({**site.environment, **spec.exports}) if spec.exports else None
        to_make = ToMake(paths.odir, paths.log.name, ENVIRONMENT_FILE, dump)
        tree = shim.start_and_make(
            command_words(spec),
            exports=spec.exports,
            cwd=paths.cwd,
            home=paths.home,
            kill_timeout=site.patience,
            to_make=to_make,
            leftover_timeout=site.leftover_timeout(spec),
        )
        return None if tree is None else _keep(tree, soft, paths.log)
    except _NotFoundError:
        return None
    except Exception as exc:  # noqa: BLE001 - text that is no argument, say: the job's fault, and its loss alone
        return explain(exc, spec)


class _NotFoundError(Exception):
    """A directory has to be resolved, which may block."""


def _found(roots: Roots, path: str) -> RootedPath:
    found = roots.find(path)
    if found is None:
        raise _NotFoundError
    return found


def explain(error: Exception, job: JobSpec | None = None) -> NotLaunched | Busy:
    """Return what an error while starting a job means for that; without a job, it is about none of them."""
    if isinstance(error, MemoryError):
        error = OSError(errno.ENOMEM, "")
    if isinstance(error, OSError):
        return (Busy if is_out_of_resources(error) else NotLaunched)(describe(error, job))
    return NotLaunched(f"cannot be started: {error}")


def describe(error: OSError, job: JobSpec | None = None) -> str:
    """Return what the system said, with the name of the error and the file that it is about."""
    if error.errno is None:
        return f"cannot be started: {error}"
    name = errno.errorcode.get(error.errno, str(error.errno))
    about = "" if error.filename is None else f": {error.filename!r}"
    what = os.strerror(error.errno) if is_out_of_resources(error) else error.strerror
    return f"cannot be started: {name}, {what}{about}{_hint(error, job)}"


def _hint(error: OSError, job: JobSpec | None) -> str:
    """Return what to look for, where the words of the system do not tell that."""
    if job is not None and job.cwd is not None and error.filename == os.path.abspath(job.cwd):
        return ", which is its cwd; expected: a directory that is there, and may be entered"
    if job is not None and isinstance(job.shell, str) and error.filename == job.shell and " " in job.shell:
        words = json.dumps([*job.shell.split(), "-c"], ensure_ascii=False)
        return f", which is its shell; expected: a program, or its words, such as {words}"
    if error.errno == errno.ENOEXEC:
        return "; expected: a program of this machine, or a script with a first line such as #!/bin/sh"
    if error.errno == errno.ENOENT and isinstance(error.filename, str) and "/" not in error.filename:
        return "; expected: a program in the PATH of the job"
    return ""


def _start(
    site: Site,
    spec: JobSpec,
    paths: RootedJobPaths,
    environment: Mapping[str, str],
    soft: SoftStep | None,
    shim: Shim | None,
    progress: Progress,
    directory: int | None,
) -> LocalRun | Prepared:
    """Start a job; `directory`, if that is known, is the descriptor of its output directory."""
    log = open_log(paths.log, None if directory is None else paths.directory_of_log(directory))
    try:
        progress.needs = ()  # its program and where it starts may be anywhere
        if spec.dry_run:
            return Prepared()
        argv = starting_words(spec, paths.log)
        starter = _Starter(site, spec.exports, environment, paths, shim, site.leftover_timeout(spec), directory)
        if spec.interactive:
            return _start_interactive(argv, starter, soft, os.dup(log))
        return _keep(starter.start(argv, log, paths.log), soft, paths.log)
    finally:
        os.close(log)


def _keep(tree: ProcessTree, soft: SoftStep | None, log: RootedPath) -> LocalRun:
    """Return what is kept of what was started. Without memory for that, it ends; once begun, it is not tried again."""
    try:
        return LocalRun(tree, soft, log)
    except MemoryError:
        tree.destroy()
        raise _UnwatchedError from None


@attrs.frozen
class _Starter:
    """StartRegistry a process, by a shim or without."""

    site: Site
    exports: Mapping[str, str]
    environment: Mapping[str, str]
    """With the exports."""
    paths: RootedJobPaths
    shim: Shim | None
    leftover_timeout: float
    directory: int | None
    """The descriptor of the output directory, if that is known."""

    def start(self, argv: Sequence[str], output: int, log: RootedPath | None = None) -> ProcessTree:
        patience, cwd, home, leftovers = self.site.patience, self.paths.cwd, self.paths.home, self.leftover_timeout
        if self.shim is not None:
            return self.shim.start(
                argv,
                exports=self.exports,
                cwd=cwd,
                home=home,
                output=output,
                kill_timeout=patience,
                log=log,
                leftover_timeout=leftovers,
            )
        opened = home.open_directory() if home is not None and self.directory is None else None
        directory = None if home is None else self.directory if opened is None else opened

        def start_group() -> GroupTree:
            child = spawn(argv, env=self.environment, cwd=cwd, directory=directory, output=output)
            try:
                return GroupTree(child, self.site.census, patience, self.site.files, leftovers)
            except MemoryError:
                child.destroy()
                raise _UnwatchedError from None

        try:
            return self.site.starts.start(start_group)
        finally:
            if opened is not None:
                os.close(opened)


def _start_interactive(argv: Sequence[str], starter: _Starter, soft: SoftStep | None, log: int) -> LocalRun:
    from runtime.process.terminal import command_on_pty, open_pty  # not for every system

    try:
        pty = open_pty(starter.site.terminal)
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
