"""`JobFiles`: the files of each job: its directories, its log, and what an element runs. All of it blocks."""

from __future__ import annotations

import os
from collections.abc import Mapping

import attrs

from runtime.backend.batch.wrapper import render_job, unpassed_variables
from runtime.backend.job_paths import (
    RootedJobPaths,
    make_command_file,
    make_files,
    open_log,
    rotate_directory,
    set_aside_earlier,
    starting_words,
)
from runtime.job import JobPaths, JobSpec
from runtime.process import EnvironmentDumps, SoftStep, SoftSteps, job_variables
from runtime.roots import Roots


@attrs.frozen
class Member:
    """One job of an array."""

    spec: JobSpec
    attempt: int
    token: str
    paths: RootedJobPaths


class JobFiles:
    """Prepares the files of jobs.

    Args:
        roots: where the run has its files; open.
        environment: what jobs inherit.
        max_output_dirs: how many old output directories of a job are kept; `None` for all.
        soft_steps: return the soft step of each job.
        passed: whether the batch system passes that environment on to the wrapper.
    """

    def __init__(
        self,
        roots: Roots,
        environment: Mapping[str, str],
        max_output_dirs: int | None,
        soft_steps: SoftSteps,
        *,
        passed: bool = True,
    ) -> None:
        self._roots = roots
        self._unpassed = unpassed_variables(environment, passed=passed)
        self._dumps = EnvironmentDumps(environment)
        self._max_output_dirs = max_output_dirs
        self._soft_steps = soft_steps

    def locate(self, paths: JobPaths) -> RootedJobPaths:
        """Return the paths of a job below the roots.

        Raises:
            OSError: if a directory of the job cannot be opened.
        """
        return RootedJobPaths.resolve(paths, self._roots)

    def soft_step(self, spec: JobSpec, paths: RootedJobPaths) -> SoftStep | None:
        """Return a job's soft step; `None` if it has none.

        Raises:
            OSError: if the directory of its stop file cannot be opened.
        """
        return self._soft_steps.of(spec, str(paths.odir), self._roots.resolve)

    def prepare(self, spec: JobSpec, paths: RootedJobPaths, attempt: int = 1, *, renew: bool) -> None:
        """Make a job's directories, and remove its old log.

        Args:
            spec: the job.
            paths: of its files.
            attempt: the number of the attempt.
            renew: whether to rename what an earlier attempt, or an older run, left.

        Raises:
            OSError, ValueError: if that cannot be done.
        """
        if renew:
            set_aside_earlier(spec, paths, attempt)
            if spec.renew_odir:
                rotate_directory(paths.odir, self._max_output_dirs)
        variables = job_variables(spec.id, attempt, spec.seed, spec.exports)
        os.close(make_files(paths, self._dumps.of(variables)))
        make_command_file(spec, paths.log)
        if paths.log.exists() or spec.dry_run:
            os.close(open_log(paths.log))  # raises if it is not a regular file of our own
            if not spec.dry_run:
                # Removed, not truncated: the job creates its log, so until it starts no machine sees one.
                paths.log.unlink()

    def check(self, member: Member) -> None:
        """Check that a job's file can be written.

        Raises:
            ValueError: if the job has text that no program can be given.
        """
        self.render(member, "")

    def render(self, member: Member, files: str) -> bytes:
        """Return the text of the file from which an element is started.

        Args:
            member: the job.
            files: the path of its claim and its record, without their suffixes.

        Raises:
            ValueError: if the job has text that no program can be given.
        """
        spec = member.spec
        return render_job(
            starting_words(spec, member.paths.log),
            token=member.token,
            files=files,
            log=str(member.paths.log),
            cwd=member.paths.cwd,
            exports=job_variables(spec.id, member.attempt, spec.seed, spec.exports),
            unpassed=self._unpassed,
        )
