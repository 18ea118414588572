"""`ChosenJobs`: the jobs of a run that are run again by themselves, and what a person adds to them. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

import attrs

from runtime.cli.earlier import Earlier
from runtime.job import JobSpec
from runtime.jobfile.errors import InputError, shown
from runtime.journal.digests import digest
from runtime.journal.json_text import JSON

_DETAIL = "rerun"
"""The key of the digests that the jobs of a rerun have without what was added to them, in the details of a journal."""


@attrs.frozen(kw_only=True)
class ChosenJobs:
    """Jobs of an earlier run, words for their commands, and variables for their environment."""

    ids: Sequence[str]
    words: Sequence[str] = ()
    exports: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    def check_same(self, as_then: Mapping[str, JobSpec], earlier: Earlier) -> None:
        """Check that the jobs could be made as they were.

        Args:
            as_then: id to the specification that was made of what the earlier run has recorded, as it would be in the
                directory of that run.
            earlier: that run.

        Raises:
            InputError: if one is another one, or is not there at all.
        """
        state = earlier.state
        base = state.segments[-1].begin.details.get(_DETAIL)
        for job_id in self.ids:
            known = {state.digest(state.numbers[job_id]), base.get(job_id) if isinstance(base, dict) else None}
            if job_id not in as_then or digest(as_then[job_id]) not in known:
                raise InputError(
                    f"the job {shown(job_id)} cannot be made as it was in the run {earlier.run_dir.name}: what that run"
                    " has recorded makes another one; expected job-runtime run FILE --rerun, for today's job file"
                )

    def details(self, jobs: Sequence[JobSpec]) -> dict[str, JSON]:
        """Return what a journal has to say, so that `check_same` knows these jobs again.

        Args:
            jobs: of the new run, before anything was added to them.
        """
        digests: dict[str, JSON] = {job.id: digest(job) for job in jobs if job.id in self.ids}
        return {_DETAIL: digests}

    def added_to(self, jobs: Sequence[JobSpec]) -> list[JobSpec]:
        """Return jobs, those of `ids` with all that is added to them.

        A command that is text gets the words quoted for a POSIX shell, behind its last character that is not blank: as
        arguments of the last command in it. In a comment, or behind a here-document, they mean something else.
        """
        return [self._added_to(job) if job.id in self.ids else job for job in jobs]

    def _added_to(self, job: JobSpec) -> JobSpec:
        cmd = job.cmd
        if self.words:
            cmd = f"{cmd.rstrip()} {shlex.join(self.words)}" if isinstance(cmd, str) else (*cmd, *self.words)
        return attrs.evolve(job, cmd=cmd, exports={**job.exports, **self.exports})
