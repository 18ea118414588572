"""`Commands`: what each program does with its arguments, and prints; the texts are those of Slurm 22.05.8."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import attrs

from runtime.backend.batch.grouping import ranges
from tests.slurm.fakes import fields
from tests.slurm.fakes.arguments import (
    SACCT,
    SBATCH,
    SCANCEL,
    SCONTROL,
    SQUEUE,
    WrongUseError,
    duration,
    indices,
    job_ids,
)
from tests.slurm.fakes.controller import Controller, RefusedError
from tests.slurm.fakes.faults import Answer
from tests.slurm.fakes.jobs import COMPACT, PENDING, Job, Request
from tests.slurm.fakes.words import CONFIG, INVALID_STATE, SHOW_JOB

UNREACHABLE = "Unable to contact slurm controller (connect failure)"
NO_CONTACT: Mapping[str, Answer] = {
    "sbatch": Answer(err=f"sbatch: error: Batch job submission failed: {UNREACHABLE}\n", code=1),
    "squeue": Answer(err=f"slurm_load_jobs error: {UNREACHABLE}\n", code=1),
    "scancel": Answer(err=f"scancel: error: Kill job error on job id 1: {UNREACHABLE}\n", code=8),
    "scontrol": Answer(err=f"slurm_load_ctl_conf error: {UNREACHABLE}\n", code=1),
    "sacct": Answer(err="Slurm accounting storage is disabled\n", code=1),
}
"""What the programs print while the controller refuses connections."""


class Commands:
    """The five programs, on a controller.

    Args:
        controller: what they ask.
        wall: what to add to its clock to have the wall time.
    """

    def __init__(self, controller: Controller, wall: float) -> None:
        self.controller = controller
        self.wall = wall
        self.accounting: float | None = None
        """How many seconds accounting lags behind; `None` if there is none."""

    def no_contact(self, program: str) -> Answer | None:
        """Return what a program prints while the controller refuses connections; `None` if it needs none."""
        return None if program == "sacct" and self.accounting is not None else NO_CONTACT[program]

    def needs_input(self, program: str, arguments: Sequence[str]) -> bool:
        """Whether a call reads a script from its standard input."""
        try:
            options, words = SBATCH.parse(arguments)
        except WrongUseError:
            return False
        return program == "sbatch" and not words and "wrap" not in options

    def run(  # a program's surroundings are what they are
        self,
        program: str,
        arguments: Sequence[str],
        directory: str,
        environment: Mapping[str, str],
        script: bytes = b"",
        *,
        only: Iterable[int] | None = None,
    ) -> Answer:
        """Do what `program` does."""
        if arguments in (["--version"], ["-V"]):
            return Answer("slurm-wlm 22.05.8\n")
        try:
            if program == "sbatch":
                return self._sbatch(arguments, directory, environment, script, only)
            return {"squeue": self._squeue, "scancel": self._scancel, "scontrol": self._scontrol, "sacct": self._sacct}[
                program
            ](arguments)
        except WrongUseError as exc:
            return Answer(
                err=f'{program}: {exc}\nTry "{program} --help" for more information\n',
                code=255 if program == "sbatch" else 1,
            )

    # ------------------------------------------------------------------ sbatch

    def _sbatch(
        self,
        arguments: Sequence[str],
        directory: str,
        environment: Mapping[str, str],
        script: bytes,
        only: Iterable[int] | None,
    ) -> Answer:
        def error(text: str, code: int = 1) -> Answer:
            return Answer(err="".join(f"sbatch: error: {line}\n" for line in text.splitlines()), code=code)

        options, words = SBATCH.parse(arguments)
        if "wrap" in options:
            script = f"#!/bin/sh\n# This script was created by sbatch --wrap.\n\n{options['wrap']}\n".encode()
        elif words:
            try:
                script = (Path(directory) / words[0]).read_bytes()
            except OSError:
                return error(f"Unable to open file {words[0]}")
        if not script:
            return error("Batch script is empty!")
        if not script.startswith(b"#!"):
            return error(
                "This does not look like a batch script.  The first\nline must start with #! followed by the path to an"
                " interpreter.\nFor instance: #!/bin/sh"
            )
        options = {**SBATCH.parse(_in_script(script))[0], **options}
        try:
            time_limit = duration(options["time"]) if options.get("time", "UNLIMITED") != "UNLIMITED" else None
        except ValueError:
            return error("Invalid --time specification", 255)
        try:
            elements, throttle = indices(options["array"]) if "array" in options else (None, None)
        except ValueError:
            return error("Batch job submission failed: Invalid job array specification")
        if "gres" in options or "gpus" in options:
            return error("Invalid generic resource (gres) specification")
        request = Request(
            name=options.get("job-name") or ("wrap" if "wrap" in options else Path((words or ["sbatch"])[0]).name),
            script=script,
            arguments=tuple(words[1:]),
            environment=_exported(options.get("export", "ALL"), environment),
            directory=os.path.join(directory, options.get("chdir", "")).rstrip("/") or "/",
            output=options.get("output", "slurm-%j.out" if elements is None else "slurm-%A_%a.out"),
            error=options.get("error"),
            indices=elements,
            throttle=throttle,
            comment=options.get("comment"),
            partition=options.get("partition", "main"),
            account=options.get("account"),
            qos=options.get("qos"),
            licences=options.get("licenses"),
            cpus=int(options.get("cpus-per-task", 1)) * int(options.get("ntasks", 1)),
            time_limit=time_limit,
            requeue="no-requeue" not in options,
            held="hold" in options,
            excluded=frozenset(options.get("exclude", "").split(",")) - {""},
            append=options.get("open-mode", "").startswith("a"),
        )
        try:
            job_id = self.controller.submit(request, only=only)
        except RefusedError as exc:
            return error(f"Batch job submission failed: {exc}")
        return Answer(f"{job_id}\n" if "parsable" in options else f"Submitted batch job {job_id}\n")

    # ------------------------------------------------------------------ squeue

    def _squeue(self, arguments: Sequence[str]) -> Answer:
        options, words = SQUEUE.parse(arguments)
        if words:
            return Answer(err=f"squeue: error: Unrecognized option: {words[0]}\n", code=1)
        jobs = self._seen(options)
        states = options.get("states", "").upper().split(",") if options.get("states") else []
        if states and states != ["ALL"]:
            unknown = [state for state in states if state not in COMPACT and state not in COMPACT.values()]
            if unknown:
                return Answer(err=INVALID_STATE.format(unknown[0].lower()), code=1)
            jobs = [job for job in jobs if job.visible in states or COMPACT.get(job.visible) in states]
        elif not states:
            jobs = [job for job in jobs if not job.is_done]
        if "jobs" in options:
            try:
                ids = job_ids(options["jobs"])
            except ValueError:
                return Answer(err=f"squeue: error: Invalid job id: {options['jobs']}\n", code=1)
            known = self._named(ids)
            if not known and len(ids) == 1:
                return Answer(err="slurm_load_jobs error: Invalid job id specified\n", code=1)
            chosen = set(map(id, known))
            jobs = [job for job in jobs if id(job) in chosen]
        if "array" in options:
            rows = [fields.Row(job, "", self.wall) for job in jobs]
        else:
            rows = fields.collapse(jobs, self.wall)
        err = ""
        if "Format" in options:
            line, unknown = fields.by_names(options["Format"])
            err = "".join(f"squeue: error: Invalid job format specification: {name}\n" for name in unknown)
        else:
            line = fields.by_letters(options.get("format", fields.DEFAULT))
        head = [] if "noheader" in options else [line(None)]
        return Answer("".join(f"{text}\n" for text in [*head, *map(line, rows)]), err)

    def _seen(self, options: Mapping[str, str]) -> list[Job]:
        """The jobs of these names and users."""
        jobs = list(self.controller.jobs)
        if "name" in options:
            names = options["name"].split(",")
            jobs = [job for job in jobs if job.request.name in names]
        if "user" in options and not {fields.user(), str(os.geteuid())} & set(options["user"].split(",")):
            return []
        if "partition" in options:
            jobs = [job for job in jobs if job.request.partition in options["partition"].split(",")]
        return jobs

    def _named(self, ids: Iterable[tuple[int, frozenset[int] | None]]) -> list[Job]:
        """The jobs with these ids; the id of an array stands for all of its elements."""
        found: dict[int, Job] = {}
        for number, some in ids:
            for job in self.controller.jobs:
                own = job.job_id == number and some is None
                if own or (job.array_id == number and (some is None or job.index in some)):
                    found[id(job)] = job
        return list(found.values())

    # ------------------------------------------------------------------ scancel

    def _scancel(self, arguments: Sequence[str]) -> Answer:
        options, words = SCANCEL.parse(arguments)
        filters = {"name", "user", "state", "account", "partition", "qos", "me"} & options.keys()
        if not words and not filters:
            return Answer(err="scancel: error: No job identification provided\n", code=1)
        if "user" in options and options["user"] not in {entry.pw_name for entry in pwd.getpwall()}:
            return Answer(err=f"scancel: error: Invalid user name: {options['user']}\n", code=1)
        jobs = self._seen(options)
        if "state" in options:
            jobs = [job for job in jobs if options["state"].upper() in {job.state, COMPACT.get(job.state)}]
        whole = False
        if words:
            ids: list[tuple[int, frozenset[int] | None]] = []
            for word in words:
                try:
                    ids += job_ids(word)
                except ValueError:
                    return Answer(err=f"scancel: error: Invalid job id {word}\n", code=1)
            chosen = set(map(id, self._named(ids)))
            jobs = [job for job in jobs if id(job) in chosen]
            whole = all(some is None for _, some in ids)
        if "signal" in options:
            try:
                number = _signal(options["signal"])
            except ValueError:
                return Answer(err=f"Unknown job signal: {options['signal']}\n", code=1)
            pending = [job for job in jobs if job.state == PENDING]
            if number == signal.SIGKILL and pending:
                self.controller.cancel(pending, whole=whole)
            self.controller.signal(jobs, number, batch="batch" in options, full="full" in options)
        else:
            self.controller.cancel(jobs, whole=whole)
        return Answer()

    # ------------------------------------------------------------------ scontrol and sacct

    def _scontrol(self, arguments: Sequence[str]) -> Answer:
        options, words = SCONTROL.parse(arguments)
        verb = [word.lower() for word in words]
        if verb == ["ping"]:
            return Answer(f"Slurmctld(primary) at {os.uname().nodename} is UP\n")
        if verb == ["show", "config"]:
            return Answer(self._config())
        if verb[:1] == ["update"]:
            return self._update(dict(word.split("=", 1) for word in words[1:]))
        if verb[:1] == ["requeue"] and len(words) == 2:
            jobs = self._named(job_ids(words[1]))
            if not jobs:
                return Answer(err=f"Invalid job id specified for job {words[1]}\n", code=1)
            self.controller.take_away(jobs, state="CANCELLED")
            return Answer()
        if verb[:2] == ["show", "job"]:
            return self._show_job(words[2:], oneliner="oneliner" in options)
        return Answer(err=f"invalid keyword: {shlex.join(words)}\n", code=1)

    def _update(self, given: Mapping[str, str]) -> Answer:
        """Exclude nodes for elements that wait: all else that an update can do is not there."""
        excluded, errors = frozenset(given["ExcNodeList"].split(",")), []
        for word in given["JobId"].split(","):
            jobs = self._named(job_ids(word))
            if not jobs:
                errors.append(f"Invalid job id specified for job {word}")
            waiting = [job for job in jobs if job.state == PENDING]
            known = excluded <= set(self.controller.settings.nodes)
            for job in waiting if known else ():
                job.request = attrs.evolve(job.request, excluded=excluded)
            ended = [job for job in jobs if job.is_done]
            running = [job for job in jobs if job.is_active]
            if ended or running or not known:
                how = "No error" if known else "Invalid node name specified"
                errors += _of_elements(running, "Job is no longer pending execution")
                errors += _of_elements(ended, "Job has already finished")
                errors += _of_elements(waiting, how)
        self.controller.work()
        return Answer(err="".join(f"{line}\n" for line in errors), code=1 if errors else 0)

    def _config(self) -> str:
        now = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(self.controller.clock() + self.wall))
        settings = self.controller.settings
        return CONFIG.format(
            now=now,
            next=self.controller.next_id,
            array=settings.max_array_size,
            jobs=settings.max_job_count,
            age=int(settings.min_job_age),
            kill=int(settings.kill_wait),
            nodes=len(settings.nodes),
            storage="none" if self.accounting is None else "slurmdbd",
        )

    def _show_job(self, words: Sequence[str], *, oneliner: bool) -> Answer:
        try:
            jobs = self._named(job_ids(words[0])) if words else list(self.controller.jobs)
        except ValueError:
            return Answer(err=f"Invalid job id {words[0]}\n", code=1)
        if words and not jobs:
            if "_" in words[0] and any(str(job.array_id) == words[0].split("_")[0] for job in self.controller.jobs):
                return Answer(f"Job {words[0]} not found\n", code=1)
            return Answer(err="slurm_load_jobs error: Invalid job id specified\n", code=1)
        found = []
        for row in fields.collapse(jobs, self.wall):
            job = row.job
            array = ""
            if job.request.indices is not None:
                array = f" ArrayJobId={job.array_id} ArrayTaskId={row.ids or job.index}"
            text = SHOW_JOB.format(
                job_id=job.job_id,
                array=array,
                name=job.request.name,
                user=fields.user(),
                uid=os.geteuid(),
                state=job.visible,
                reason=job.reason,
                requeue=int(job.request.requeue),
                restarts=job.restarts,
                exit_code=job.exit_code,
                submitted=row.time(job.submitted),
                partition=job.request.partition,
                node=job.node or "",
                directory=job.request.directory,
                comment=job.request.comment,
            )
            found.append(re.sub(r"\n +", " ", text) if oneliner else text)
        return Answer("".join(text + ("\n" if oneliner else "\n\n") for text in found))

    def _sacct(self, arguments: Sequence[str]) -> Answer:
        if self.accounting is None:
            return Answer(err="Slurm accounting storage is disabled\n", code=1)
        options, _ = SACCT.parse(arguments)
        now = self.controller.clock()
        names = options.get("format", "jobid,jobname,state,exitcode").lower().split(",")
        names = [name.partition("%")[0] for name in names]
        wrong = [name for name in names if name not in fields.ACCOUNTING]
        if wrong:
            return Answer(err=f'sacct: error: Invalid field requested: "{wrong[0]}"\n', code=1)
        jobs = self._seen(options)
        if "jobs" in options:
            chosen = set(map(id, self._named(job_ids(options["jobs"]))))
            jobs = [job for job in jobs if id(job) in chosen]
        lines = [] if "noheader" in options else ["|".join(names)]
        for job in jobs:
            known = job.submitted if job.ended is None else job.ended
            if now >= known + self.accounting:
                row = fields.Row(job, "", self.wall)
                lines.append("|".join(fields.ACCOUNTING[name](row) for name in names))
        return Answer("".join(f"{line}\n" for line in lines))


def _in_script(script: bytes) -> list[str]:
    """The options in a script's comments before its first command."""
    found: list[str] = []
    for line in script.decode(errors="replace").splitlines():
        if line.startswith("#SBATCH"):
            found += shlex.split(line.removeprefix("#SBATCH"))
        elif line and not line.startswith("#"):
            break
    return found


def _exported(export: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a job, from what ``--export`` says."""
    if export == "ALL":
        return dict(environment)
    login = {name: environment[name] for name in ("HOME", "LOGNAME", "PATH", "SHELL", "USER") if name in environment}
    if export in {"NONE", "NIL"}:
        return {**login, "ENVIRONMENT": "BATCH", "SLURM_EXPORT_ENV": export}
    words = export.split(",")
    found = dict(environment) if "ALL" in words else {**login, "ENVIRONMENT": "BATCH"}
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            found[name] = value
        elif name in environment:
            found[name] = environment[name]
    return found


def _signal(text: str) -> int:
    if text.isdecimal():
        return int(text)
    name = text.upper()
    try:
        return signal.Signals[name if name.startswith("SIG") else f"SIG{name}"]
    except KeyError:
        raise ValueError(text) from None


def _of_elements(jobs: Sequence[Job], text: str) -> list[str]:
    """What an update says of some elements of an array."""
    if not jobs:
        return []
    numbers = sorted(job.index for job in jobs if job.index is not None)
    shown = ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges(numbers))
    return [f"{jobs[0].array_id}_{shown}: {text}"]
