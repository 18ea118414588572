"""`Store`: the files by which we and the jobs on other machines speak to each other. All of it blocks: for threads.

::

    <run directory>/.batch/
        wrapper                  the script that every element runs
        arrays/<name>/<index>    what an element is
        arrays/<name>/jobs       which job each index is: a line of JSON each; for a run that adopts
        ends/<xx>/<token>.run    the claim of whoever runs the job
        ends/<xx>/<token>.end    its exit record

The run directory must be seen by the nodes at the same path. Nothing but what a job's own specification says about it
is outside of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import attrs

from runtime.backends.batch.records import Record, parse_record
from runtime.backends.batch.wrapper import odd_variables, render_job, render_wrapper
from runtime.backends.directories import (
    ENVIRONMENT_FILE,
    Places,
    make_directory,
    open_log,
    put_aside,
    write_private,
)
from runtime.job import JobSpec
from runtime.process import render_environment

FOLDER: Final = ".batch"
"""In the run directory; no job's directory, as no safe id begins with a dot."""

_MOST_BYTES: Final = 1 << 16
"""Of a record. A real one has less than a thousand."""


@attrs.frozen
class Member:
    """One job of an array."""

    spec: JobSpec
    attempt: int
    token: str
    places: Places


class Store:
    """The files of one run.

    Args:
        run_dir: the absolute path of the run directory.
        environment: what jobs inherit, by way of the batch system.
        max_output_dirs: how many old output directories of a job are kept; `None` for all.
    """

    def __init__(self, run_dir: str, environment: Mapping[str, str], max_output_dirs: int | None) -> None:
        self.run_dir = run_dir
        self.wrapper = f"{run_dir}/{FOLDER}/wrapper"
        """The path of the script."""
        self._arrays = f"{run_dir}/{FOLDER}/arrays"
        self._ends = f"{run_dir}/{FOLDER}/ends"
        self._environment = environment
        self._odd = odd_variables(environment)
        self._dump = render_environment(environment)
        self._max_output_dirs = max_output_dirs

    def lay_out(self, prologue: str) -> None:
        """Make the directories, and write the script for the system with this prologue."""
        for path in (self._arrays, self._ends):
            os.makedirs(path, exist_ok=True)
        _replace(self.wrapper, render_wrapper(prologue), mode=0o755)

    def prepare(self, spec: JobSpec, *, renew: bool) -> Places:
        """Make a job's directories, and see that its log will be a fresh one; return where its files are.

        Raises:
            OSError, ValueError: if that cannot be done.
        """
        places = Places.of(spec, self.run_dir)
        if renew and spec.renew_odir:
            put_aside(places.odir, self._max_output_dirs)
        make_directory(places.odir)
        beside = os.path.dirname(places.log)
        if beside != places.odir:
            make_directory(beside)
        dump = render_environment({**self._environment, **spec.exports}) if spec.exports else self._dump
        write_private(f"{beside}/{ENVIRONMENT_FILE}", dump)
        if os.path.lexists(places.log) or spec.dry_run:
            os.close(open_log(places.log))  # which refuses what is no regular file
            if not spec.dry_run:
                os.unlink(places.log)  # the job makes it; until then there is none, on whichever machine one looks
        return places

    def write_array(self, name: str, members: Sequence[Member]) -> str:
        """Write what the elements of an array are; return the directory.

        Raises:
            OSError, ValueError: if that cannot be done.
        """
        directory = f"{self._arrays}/{name}"
        os.makedirs(directory, exist_ok=True)
        for shard in {member.token[:2] for member in members}:
            make_directory(f"{self._ends}/{shard}")
        for index, member in enumerate(members):
            _write(f"{directory}/{index}", self._render(member))
        lines = (
            json.dumps({"index": index, "token": member.token, "job": member.spec.id, "attempt": member.attempt})
            for index, member in enumerate(members)
        )
        _replace(f"{directory}/jobs", "".join(f"{line}\n" for line in lines).encode(), mode=0o600)
        return directory

    def check(self, member: Member) -> None:
        """See that a job can be written down.

        Raises:
            ValueError: if not.
        """
        self._render(member)

    def _render(self, member: Member) -> bytes:
        spec = member.spec
        return render_job(
            [spec.shell, "-c", spec.cmd] if isinstance(spec.cmd, str) else spec.cmd,
            token=member.token,
            files=self._files(member.token),
            log=member.places.log,
            cwd=member.places.cwd,
            exports=spec.exports,
            odd=self._odd,
        )

    def read_records(self, tokens: Iterable[str]) -> dict[str, Record]:
        """Return the records that there are, by token."""
        found = {}
        for token in tokens:
            with suppress(OSError):
                with open(f"{self._files(token)}.end", "rb") as file:
                    record = parse_record(file.read(_MOST_BYTES), token)
                if record is not None:
                    found[token] = record
        return found

    def claimed(self, tokens: Iterable[str]) -> set[str]:
        """Return the jobs that have begun."""
        return {token for token in tokens if os.path.lexists(f"{self._files(token)}.run")}

    def call_off(self, token: str) -> None:
        """Claim a job that is to run no more: should the system start it all the same, it finds that, and ends."""
        with suppress(OSError):  # it has begun; or the disk says no, and the system's word has to do
            os.close(os.open(f"{self._files(token)}.run", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def forget(self, token: str) -> None:
        """Remove the claim and the record of a job of which nothing runs, so that it can run again."""
        for ending in ("run", "end"):
            with suppress(FileNotFoundError):
                os.unlink(f"{self._files(token)}.{ending}")

    def arrays(self, prefix: str) -> dict[str, list[tuple[str, str, int]]]:
        """Return the arrays that were written under names with this prefix: token, job and attempt, by index."""
        found = {}
        with os.scandir(self._arrays) as entries:
            names = sorted(entry.name for entry in entries if entry.name.startswith(prefix))
        for name in names:
            with suppress(OSError, ValueError, KeyError, TypeError):  # one that was being written when we died
                with open(f"{self._arrays}/{name}/jobs", encoding="utf-8") as file:
                    jobs = [json.loads(line) for line in file]
                found[name] = [(job["token"], job["job"], job["attempt"]) for job in jobs]
        return found

    def _files(self, token: str) -> str:
        return f"{self._ends}/{token[:2]}/{token}"


def _write(path: str, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)


def _replace(path: str, content: bytes, *, mode: int) -> None:
    """Write a file that others see whole or not at all."""
    _write(f"{path}.new", content)
    os.chmod(f"{path}.new", mode)
    os.rename(f"{path}.new", path)
