"""`Commands`: what each program does with its arguments, and prints, as the documentation of LSF 10.1 has it."""

from __future__ import annotations

import json
import re
import shlex
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

import attrs

from tests.gridengine.fakes.arguments import parse
from tests.lsf.fakes.arguments import BJOBS, BKILL, BMOD, BPARAMS, BSUB, excluded_nodes, indices, seconds
from tests.slurm.fakes import fields
from tests.slurm.fakes.arguments import WrongUseError
from tests.slurm.fakes.controller import Controller, RefusedError
from tests.slurm.fakes.faults import Answer
from tests.slurm.fakes.jobs import COMPLETING, PENDING, RUNNING, Job, Request

_DOWN: Final = "batch daemon not responding ... still trying\nCannot connect to LSF. Please wait ...\n"
_QUEUE_REQUEUES: Final = "1 3 7"
"""``REQUEUE_EXIT_VALUES`` of the queue: exit codes as jobs have them."""

_JOB_FILE: Final = """\
#!/bin/sh
trap : 15 10 12 2 1
{command}
exit $?
"""
"""The script by which LSF runs a command: a shell reads it, stays there, and survives what `bkill -s` sends."""

_REASONS: Final = {
    "CANCELLED": "TERM_OWNER: job killed by owner",
    "TIMEOUT": "TERM_RUNLIMIT: job killed after reaching LSF run time limit",
    "OUT_OF_MEMORY": "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit",
    "PREEMPTED": "TERM_PREEMPT: job killed after preemption",
    "NODE_FAIL": "TERM_ZOMBIE: job exited while LSF is not available",
}

_PARAMETERS: Final = """\

lsb.params configuration at Mon Nov 30 12:00:00 2026

Parameters set in the configuration file:
    DEFAULT_QUEUE = normal
    MBD_SLEEP_TIME = 10
    CLEAN_PERIOD = {age}
    MAX_JOB_ARRAY_SIZE = {size}
    JOB_TERMINATE_INTERVAL = {interval}
"""

_VERSION: Final = """\
IBM Spectrum LSF Standard 10.1.0.14, Apr 30 2024
Copyright International Business Machines Corp. 1992, 2016.

My cluster name is fake
My master name is n1
"""


class Commands:
    """The six programs, on a controller.

    Args:
        controller: what they ask.
        wall: what to add to its clock to have the wall time.
    """

    def __init__(self, controller: Controller, wall: float) -> None:
        self.controller = controller
        self.wall = wall
        self.accounting: float | None = None
        controller.settings.first_signals = (signal.SIGINT, signal.SIGTERM)

    def needs_input(self, program: str, arguments: Sequence[str]) -> bool:
        """Whether a call reads a script from its standard input."""
        try:
            return program == "bsub" and not parse(program, BSUB, arguments)[1]
        except WrongUseError:
            return False

    def no_contact(self, program: str) -> Answer | None:
        """Return what a program prints while LSF refuses connections."""
        end = {"bsub": "LSF is down. Job not submitted.", "bmod": "LSF is down. Job has not been modified."}
        return Answer(err=f"{_DOWN}{end.get(program, 'LSF is down')}\n", code=255)

    def run(
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
        others: dict[str, Callable[[Sequence[str]], Answer]] = {
            "bjobs": self._bjobs, "bkill": self._bkill, "bmod": self._bmod, "bparams": self._bparams,
            "lsid": lambda _: Answer(_VERSION),
        }  # fmt: skip
        try:
            if program == "bsub":
                return self._bsub(arguments, directory, environment, script, only)
            return others[program](arguments)
        except WrongUseError as exc:
            return Answer(err=f"{exc}\n", code=255)

    # ------------------------------------------------------------------ bsub

    def _bsub(
        self,
        arguments: Sequence[str],
        directory: str,
        environment: Mapping[str, str],
        script: bytes,
        only: Iterable[int] | None,
    ) -> Answer:
        def error(text: str) -> Answer:
            return Answer(err=f"{text}. Job not submitted.\n", code=255)

        options, words = parse("bsub", BSUB, arguments)
        command = " ".join(words) if words else script.decode()
        named = re.fullmatch(r"([\w.-]+)(?:\[([^\]]*)\])?", options.get("-J", ["job"])[-1])
        if named is None:
            return error("Bad job name")
        if options.get("-q", ["normal"])[-1] != "normal":
            return error(f"{options['-q'][-1]}: No such queue")
        try:
            some = None if named[2] is None else tuple(indices(named[2]))
        except ValueError:
            return error("Job array index error")
        try:
            excluded = excluded_nodes(options.get("-R", []))
        except ValueError:
            return error("Bad resource requirement syntax")
        try:
            limit = seconds(options["-W"][-1]) if "-W" in options else None
        except ValueError:
            return error(f"{options['-W'][-1]}: Illegal run limit")
        request = Request(
            name=named[1],
            script=_JOB_FILE.format(command=command).encode(),
            arguments=tuple(shlex.split(command)[1:]) if words else (),
            environment=dict(environment),
            directory=options.get("-cwd", [directory])[-1],
            output=options.get("-o", ["/dev/null"])[-1],
            indices=some,
            comment=options.get("-Jd", [None])[-1],
            cpus=int(options.get("-n", ["1"])[-1]),
            time_limit=limit,
            requeue="-r" in options,
            held="-H" in options,
            # Nodes that all are excluded are no error: such a job waits.
            excluded=excluded & set(self.controller.settings.nodes[1:]) if len(excluded) > 1 else excluded,
            requeue_codes=frozenset(map(int, options.get("-Q", [_QUEUE_REQUEUES])[-1].split())),
        )
        try:
            number = self.controller.submit(request, only=None if only is None else [index + 1 for index in only])
        except RefusedError as exc:
            if "array" in str(exc):
                return error("Job array index too large")
            return error(f"User <{fields.user()}>: Pending job threshold reached")
        return Answer(f"Job <{number}> is submitted to default queue <normal>.\n")

    # ------------------------------------------------------------------ bjobs

    def _bjobs(self, arguments: Sequence[str]) -> Answer:
        options, words = parse("bjobs", BJOBS, arguments)
        if words or not {"-a", "-json", "-o"} <= options.keys() or "-noheader" in options:
            raise WrongUseError("bjobs: the fake prints JSON, of all jobs")
        pattern = options.get("-J", ["*"])[-1]
        jobs = [job for job in self.controller.jobs if fnmatchcase(job.request.name, pattern)]
        if not jobs:
            return Answer(err="No matching job found\n", code=255)
        columns = options["-o"][-1].split()
        rows = [self._row(job) for job in jobs]
        wrong = [name for name in columns if name not in rows[0]]
        if wrong:
            return Answer(err=f"{wrong[0]} is an invalid output field name\n", code=255)
        records = [{name.upper(): row[name] for name in columns} for row in rows]
        text = json.dumps({"COMMAND": "bjobs", "JOBS": len(records), "RECORDS": records}, indent=2)
        # With LSB_BJOBS_CONSISTENT_EXIT_CODE, which is the harder case.
        return Answer(f"{text}\n", code=255 if all(job.is_done for job in jobs) else 0)

    def _row(self, job: Job) -> dict[str, str]:
        settings, request = self.controller.settings, job.request
        word, code, reason = self._state(job)
        waits = "The job was suspended by the user while pending;" if request.held else "Job slot limit reached;"
        if settings.queue and job.reason == "None":
            waits = "New job is waiting for scheduling;"
        return {
            "jobid": str(job.array_id),
            "jobindex": str(job.index or 0),
            "job_name": request.name if job.index is None else f"{request.name}[{job.index}]",
            "stat": job.shown or word,
            "exit_code": code,
            "exit_reason": reason,
            "exec_host": "" if job.node is None else job.node if request.cpus == 1 else f"{request.cpus}*{job.node}",
            "pend_reason": waits if word in ("PEND", "PSUSP") else "",
            "queue": "normal",
            "user": fields.user(),
        }

    def _state(self, job: Job) -> tuple[str, str, str]:
        """Return the state, the exit code and the reason of an end."""
        if job.state == PENDING:
            return "PSUSP" if job.request.held else "PEND", "", ""
        if job.node in self.controller.silent and not job.is_done:
            return "UNKWN" if job.state == RUNNING else "ZOMBI", "", ""
        if not job.is_done:  # also while it is being ended
            return "RUN", "", ""
        signalled, code = job.status & 0x7F, job.status >> 8
        shown = str(128 + signalled) if signalled else str(code or "")
        if job.state in _REASONS:
            return "EXIT", shown, _REASONS[job.state]
        if signalled:
            return "EXIT", shown, "TERM_EXTERNAL_SIGNAL: job killed by a signal external to LSF"
        return "EXIT" if code else "DONE", shown, ""

    # ------------------------------------------------------------------ bkill and bmod

    def _named(self, word: str) -> list[Job]:
        match = re.fullmatch(r"(\d+)(?:\[([^\]]+)\])?", word)
        if match is None:
            raise WrongUseError(f"{word}: Illegal job ID.")
        some = None if match[2] is None else set(indices(match[2]))
        return [
            job for job in self.controller.jobs if str(job.array_id) == match[1] and (some is None or job.index in some)
        ]

    def _bkill(self, arguments: Sequence[str]) -> Answer:
        options, words = parse("bkill", BKILL, arguments)
        number = int(options["-s"][-1]) if "-s" in options else None
        lines, errors = [], []
        targets: list[Job] = []
        for word in words:
            jobs = self._named(word)
            if not jobs:
                errors.append(f"Job <{word}>: No matching job found")
            for job in jobs:
                label = f"Job <{job.array_id}[{job.index}]>"
                if job.is_done:
                    errors.append(f"{label}: Job has already finished")
                elif number is not None and job.state == PENDING:
                    errors.append(f"{label}: Job has not started yet")
                else:
                    lines.append(f"{label} is being {'terminated' if number is None else 'signaled'}")
                    targets.append(job)
        if number is None:
            # Those that are being ended get no second set of signals; what has ended stays listed, also what waited.
            self.controller.cancel([job for job in targets if job.state != COMPLETING], whole=True)
        else:
            self.controller.signal(targets, number, batch=False, full=True)
        text = "".join(f"{line}\n" for line in lines)
        return Answer(text, "".join(f"{line}\n" for line in errors), 255 if errors else 0)

    def _bmod(self, arguments: Sequence[str]) -> Answer:
        options, words = parse("bmod", BMOD, arguments)
        if len(words) != 1:
            raise WrongUseError("bmod: expected one job ID")
        jobs = self._named(words[0])
        waiting = [job for job in jobs if job.state == PENDING]
        if not waiting:
            why = "Job has already finished" if jobs else "No matching job found"
            return Answer(err=f"Job <{words[0]}>: {why}\n", code=255)
        for job in waiting:
            excluded = excluded_nodes(options["-R"]) & set(self.controller.settings.nodes)
            job.request = attrs.evolve(job.request, excluded=excluded)
        self.controller.work()
        return Answer(f"Parameters of job <{words[0]}> are being changed\n")

    # ------------------------------------------------------------------ bparams

    def _bparams(self, arguments: Sequence[str]) -> Answer:
        options, _ = parse("bparams", BPARAMS, arguments)
        if "-a" not in options:
            raise WrongUseError("bparams: the fake prints all parameters")
        settings = self.controller.settings
        return Answer(
            _PARAMETERS.format(
                age=int(settings.min_job_age), size=settings.max_array_size - 1, interval=int(settings.kill_wait)
            )
        )
