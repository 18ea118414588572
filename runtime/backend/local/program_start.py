"""`ProgramStart`: starts the program of one job, by its shim or in this process. Blocks: for threads."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from runtime.backend.contract.live import LiveJob
from runtime.backend.job_paths import RootedJobPaths
from runtime.backend.local.interactive import JobTerminal, start_on_pty
from runtime.backend.local.token_pipes import TokenPipes, make_token_pipes
from runtime.job import JobSpec
from runtime.process import ProcessTree, job_identity
from runtime.roots import RootedPath

if TYPE_CHECKING:
    from runtime.backend.local.launch import LaunchContext  # which launches by this
    from runtime.process.memory_cgroups import JobCgroup  # these are not available on every system
    from runtime.process.shim import Shim


@attrs.frozen
class ProgramStart:
    """Starts the program of a job."""

    context: LaunchContext
    job: LiveJob
    shim: Shim | None
    """The shim that starts it; `None` for this process."""
    paths: RootedJobPaths
    directory: int | None
    """The descriptor of the output directory, if it is known."""
    cgroup: JobCgroup | None = None
    """The cgroup that it begins in; `None` for that of the process that starts it."""

    def __call__(
        self,
        argv: Sequence[str],
        output: int,
        log: RootedPath | None = None,
        variables: Mapping[str, str] | None = None,
        inherited: Sequence[int] = (),
    ) -> ProcessTree:
        """Start a program.

        Args:
            argv: the program and its arguments.
            output: the descriptor of its output.
            log: the log that this is, to have it returned with the end if it is short.
            variables: what its environment has beside its exports; they win.
            inherited: the descriptors that it has beside its output; this closes none.

        Raises:
            OSError: if it cannot be started; by a shim, `ProcessTree.wait_started` may tell that later.
            ValueError: if an argument or variable cannot be passed to a program.
        """
        spec: JobSpec = self.job.spec
        timeout = self.context.leftover_timeout(spec)
        cgroup = None if self.cgroup is None else self.cgroup.entry
        if self.shim is not None:
            return self.shim.start(
                argv,
                identity=job_identity(spec.id, self.job.attempt, spec.seed),
                exports=spec.exports if variables is None else {**spec.exports, **variables},
                cwd=self.paths.cwd,
                home=self.paths.home,
                output=output,
                kill_timeout=self.context.options.timeouts.kill,
                log=log,
                leftover_timeout=timeout,
                inherited=inherited,
                cgroup=cgroup,
            )
        env = self.context.environments.of(self.job, self.paths.cwd)
        env = env if variables is None else {**env, **variables}
        home = self.paths.home
        # A descriptor, not a path: another job could replace the directory by a symbolic link.
        opened = home.open_directory() if home is not None and self.directory is None else None
        directory = None if home is None else self.directory if opened is None else opened
        try:
            return self.context.groups.start(
                argv,
                env=env,
                cwd=self.paths.cwd,
                directory=directory,
                output=output,
                leftover_timeout=timeout,
                log=log,
                inherited=inherited,
                cgroup=cgroup,
            )
        finally:
            if opened is not None:
                os.close(opened)

    def with_tokens(self, argv: Sequence[str], output: int, log: RootedPath) -> tuple[ProcessTree, TokenPipes]:
        """Start it as a client of the jobserver. Raises as `__call__`, and if there is no descriptor left."""
        spec: JobSpec = self.job.spec
        pipes = make_token_pipes(spec.jobserver)
        try:
            inherited = pipes.take_inherited()
            try:
                flags = with_flags(spec.exports.get(MAKEFLAGS, ""), pipes.makeflags)
                return self(argv, output, log, {MAKEFLAGS: flags}, inherited), pipes
            finally:
                for fd in inherited:
                    os.close(fd)
        except BaseException:
            pipes.close()
            raise

    def on_pty(self, argv: Sequence[str], log: int) -> tuple[ProcessTree, JobTerminal]:
        """Start it on a pty of its own, which will be connected with the user's terminal."""
        cwd = self.paths.cwd
        env = self.context.environments.of(self.job, cwd)
        return start_on_pty(argv, self, like=self.context.options.terminal[0], env=env, cwd=cwd, log=log)


MAKEFLAGS = "MAKEFLAGS"
"""The variable in which a `make` passes its options on."""


def with_flags(makeflags: str, added: str) -> str:
    """Return the value of `MAKEFLAGS` with options added: before the variables, which ``--`` separates from them."""
    options, dashes, variables = makeflags.partition("-- ")
    return f"{options.rstrip()} {added}{' ' if dashes else ''}{dashes}{variables}"
