"""`Commands`: what each program does with its arguments, and prints; the texts are those of Grid Engine 8.1.9."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import attrs

from tests.gridengine.fakes.arguments import (
    QACCT,
    QALTER,
    QCONF,
    QDEL,
    QSTAT,
    QSUB,
    Options,
    excluded_nodes,
    parse,
    resources,
    tasks,
)
from tests.gridengine.fakes.words import ACCOUNT, CONFIG, QSTAT_HEAD
from tests.slurm.fakes import fields
from tests.slurm.fakes.arguments import WrongUseError
from tests.slurm.fakes.controller import Controller, RefusedError
from tests.slurm.fakes.faults import Answer
from tests.slurm.fakes.jobs import COMPLETING, PENDING, Job, Request

_REFUSED: Final = "error: commlib error: got select error (Connection refused)\n"
_SEND: Final = 'unable to send message to qmaster using port 6444 on host "localhost": got send error'
_COMPLEXES: Final = frozenset(("h_rt", "hostname", "h", "h_vmem", "mem_free", "arch", "licence"))


class Commands:
    """The six programs, on a controller.

    Args:
        controller: what they ask.
        wall: what to add to its clock to have the wall time.
    """

    def __init__(self, controller: Controller, wall: float) -> None:
        self.controller = controller
        self.wall = wall
        controller.settings.patient = False  # qdel sends SIGKILL
        controller.settings.special_codes = True
        self.accounting: float | None = 0.0
        """How many seconds accounting lags behind; `None` if there is none."""

    def needs_input(self, program: str, arguments: Sequence[str]) -> bool:
        """Whether a call reads a script from its standard input."""
        try:
            return program == "qsub" and not parse(program, QSUB, arguments)[1]
        except WrongUseError:
            return False

    def no_contact(self, program: str) -> Answer | None:
        """Return what a program prints while the master refuses connections; `None` if it needs none."""
        if program == "qacct":
            return None
        if program == "qsub":
            return Answer(err=f"{_REFUSED}Unable to run job: {_SEND}\nExiting.\n", code=1)
        if program in ("qdel", "qalter"):
            return Answer(f"{_SEND}\n", _REFUSED, 1)
        return Answer(err=f"{_REFUSED}{'error: ' if program == 'qstat' else ''}{_SEND}\n", code=1)

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
        try:
            if program == "qsub":
                return self._qsub(arguments, directory, script, only)
            return {
                "qstat": self._qstat, "qdel": self._qdel, "qalter": self._qalter, "qconf": self._qconf,
                "qacct": self._qacct,
            }[program](arguments)  # fmt: skip
        except WrongUseError as exc:
            return Answer(err=f"{exc}\n", code=2)

    # ------------------------------------------------------------------ qsub

    def _qsub(self, arguments: Sequence[str], directory: str, script: bytes, only: Iterable[int] | None) -> Answer:
        def error(text: str, code: int = 1) -> Answer:
            return Answer(err=f"Unable to run job: {text}\nExiting.\n", code=code)

        options, words = parse("qsub", QSUB, arguments)
        if words:
            try:
                script = (Path(directory) / words[0]).read_bytes()
            except OSError as exc:
                said = f"error opening {words[0]}: {exc.strerror}"
                return Answer(err=f"Unable to read script file because of error: {said}\n", code=14)
        name = options.get("-N", ["sh"])[-1]
        if re.search(r"[\n\t\r/:@\\*?]|^\d", name):
            return Answer(err=f'qsub: "{name}" is not a valid object name\n', code=2)
        why = self._refusal(options)
        if why is not None:
            return error(why)
        asked = resources(options.get("-l", []))
        indices = tasks(options["-t"][-1]) if "-t" in options else None
        request = Request(
            name=name,
            script=script,
            arguments=tuple(words[1:]),
            environment={},
            directory=options.get("-wd", [directory])[-1],
            output=options.get("-o", ["/dev/null"])[-1],
            indices=None if indices is None else tuple(indices),
            account=options.get("-A", [None])[-1],
            cpus=int(options.get("-pe", ["1"])[-1]),
            time_limit=_seconds(asked["h_rt"]) if "h_rt" in asked else None,
            requeue=options.get("-r", ["n"])[-1] == "y",
            held="-h" in options,
            excluded=excluded_nodes(asked) & set(self.controller.settings.nodes),
        )
        try:
            number = self.controller.submit(request, only=None if only is None else [index + 1 for index in only])
        except RefusedError as exc:
            full = str(exc).startswith("Slurm temporarily")
            text = f"only {self.controller.settings.max_job_count} jobs are allowed per user" if full else str(exc)
            return error(f"job rejected: {text}", 25)
        shown = f"{number}" if indices is None else f"{number}.{indices[0]}-{indices[-1]}:{indices.step}"
        return Answer(f"{shown}\n" if "-terse" in options else f'Your job {shown} ("{name}") has been submitted\n')

    def _refusal(self, options: Options) -> str | None:
        """Return why the master refuses what these options ask for; `None` if it does not."""
        settings = self.controller.settings
        asked = resources(options.get("-l", []))
        size = tasks(options.get("-t", ["1"])[-1])
        queue = options.get("-q", ["main.q"])[-1]
        environment, slots = options.get("-pe", ["smp", "1"])[-2:]
        refusals = [f'unknown resource "{each}"' for each in asked if each not in _COMPLEXES]
        if size.start < 1:
            refusals.append("job rejected: 0 is an invalid task id")
        if len(size) >= settings.max_array_size:
            most = settings.max_array_size - 1
            refusals.append(f"job rejected: you tried to submit a job with more than {most} tasks")
        if queue.partition("@")[0] != "main.q":
            refusals.append(f'Job was rejected because job requests unknown queue "{queue}"')
        if "-P" in options:
            refusals.append(f'job rejected: the requested project "{options["-P"][-1]}" does not exist')
        if environment != "smp":
            refusals.append(f'job rejected: the requested parallel environment "{environment}" does not exist')
        if "h_rt" in asked and _seconds(asked["h_rt"]) is None:
            refusals.append('attribute "h_rt" is not a time value')
        impossible = excluded_nodes(asked) >= set(settings.nodes) or int(slots) > settings.cpus
        if impossible and options.get("-w", ["n"])[-1] == "e":
            refusals.append("error: no suitable queues")
        return refusals[0] if refusals else None

    # ------------------------------------------------------------------ qstat

    def _qstat(self, arguments: Sequence[str]) -> Answer:
        options, words = parse("qstat", QSTAT, arguments)
        if words or not {"-xml", "-f", "-ne"} <= options.keys():
            raise WrongUseError("qstat: the fake prints XML, of queues that are not empty")
        if options.get("-u", ["*"])[-1] not in ("*", fields.user()):
            return Answer(f"{QSTAT_HEAD}  <queue_info>\n  </queue_info>\n  <job_info>\n  </job_info>\n</job_info>\n")
        # What has ended is not listed.
        jobs = [job for job in self.controller.jobs if job.shown is not None or not job.is_done]
        lines = ["  <queue_info>"]
        for node in self.controller.settings.nodes:
            here = [job for job in jobs if job.node == node and self._letters(job)[-1] not in "qw"]
            if here:
                lines += self._queue(node, here)
        lines += ["  </queue_info>", "  <job_info>"]
        waiting = [job for job in jobs if job.node is None or self._letters(job)[-1] in "qw"]
        # One row for all of an array that wait in the same state.
        key = lambda job: (job.array_id, self._letters(job))  # noqa: E731 - for the two calls
        for _, group in itertools.groupby(sorted(waiting, key=key), key):
            some = list(group)
            lines += self._row(some[0], _ranges([job.index or 0 for job in some]), "pending", "    ")
        text = "\n".join([*lines, "  </job_info>", "</job_info>"])
        return Answer(f"{QSTAT_HEAD}{text}\n")

    def _letters(self, job: Job) -> str:
        if job.shown is not None:
            return job.shown
        again = "R" if job.restarts else ""
        if job.state == PENDING:
            return f"{again}q" if again else "hqw" if job.request.held else "qw"
        deleted = "d" if job.state == COMPLETING and job.final == "CANCELLED" else ""
        starting = job in [each for _, each in self.controller.launching]
        return f"{deleted}{again}{'t' if starting else 'r'}"

    def _queue(self, node: str, jobs: Sequence[Job]) -> list[str]:
        settings = self.controller.settings
        used = sum(job.request.cpus for job in jobs)
        lines = [
            "    <Queue-List>",
            f"      <name>main.q@{node}</name>",
            "      <qtype>BP</qtype>",
            f"      <slots_used>{used}</slots_used>",
            "      <slots_resv>0</slots_resv>",
            f"      <slots_total>{settings.cpus}</slots_total>",
            "      <arch>lx-amd64</arch>",
        ]
        if node in self.controller.silent:
            lines.append("      <state>u</state>")
        for job in jobs:
            lines += self._row(job, str(job.index), "running", "      ")
        return [*lines, "    </Queue-List>"]

    def _row(self, job: Job, shown: str, state: str, indent: str) -> list[str]:
        time_tag = "JB_submission_time" if state == "pending" else "JAT_start_time"
        at = job.submitted if state == "pending" or job.started is None else job.started
        values = {
            "JB_job_number": str(job.array_id),
            "JAT_prio": "0.50000",
            "JB_name": escape(job.request.name),
            "JB_owner": fields.user(),
            "state": self._letters(job),
            time_tag: time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(at + self.wall)),
            "slots": str(job.request.cpus),
            **({} if job.request.indices is None else {"tasks": shown}),
        }
        inner = [f"{indent}  <{tag}>{value}</{tag}>" for tag, value in values.items()]
        return [f'{indent}<job_list state="{state}">', *inner, f"{indent}</job_list>"]

    # ------------------------------------------------------------------ qdel and qalter

    def _qdel(self, arguments: Sequence[str]) -> Answer:
        _, words = parse("qdel", QDEL, arguments)
        lines: list[str] = []
        failed = False
        cancelled: list[Job] = []
        for word in (each for words_ in words for each in words_.split(",")):
            number, _, some = word.partition(".")
            jobs = {job.index: job for job in self.controller.jobs if str(job.array_id) == number and not job.is_done}
            if not jobs:
                lines.append(f'denied: job "{number}" does not exist')
                failed = True
                continue
            named = tasks(some) if some else list(jobs)
            if not any(index in jobs for index in named):  # of a range, those that have ended are passed over
                lines.append(f'job "{number}" task "{some.partition("-")[0]}" does not exist')
                failed = True
            for job in [jobs[index] for index in named if index in jobs]:
                if job.state == COMPLETING:
                    lines.append(f"job {number} is already in deletion")
                else:
                    cancelled.append(job)
                    how = "has deleted" if job.state == PENDING else "has registered the"
                    end = "" if job.state == PENDING else " for deletion"
                    lines.append(f"{fields.user()} {how} job-array task {number}.{job.index}{end}")
        self.controller.cancel(cancelled)
        return Answer("".join(f"{line}\n" for line in lines), code=int(failed))

    def _qalter(self, arguments: Sequence[str]) -> Answer:
        options, words = parse("qalter", QALTER, arguments)
        excluded = excluded_nodes(resources(options["-l"]))
        lines, failed = [], False
        for number in words[0].split(","):
            jobs = [job for job in self.controller.jobs if str(job.array_id) == number and not job.is_done]
            if not jobs:
                lines.append(f'denied: job "{number}" does not exist')
                failed = True
                continue
            for job in jobs:
                if job.state == PENDING:
                    job.request = attrs.evolve(job.request, excluded=excluded & set(self.controller.settings.nodes))
            lines.append(f"modified hard resource list of job {number}")
        self.controller.work()
        return Answer("".join(f"{line}\n" for line in lines), code=int(failed))

    # ------------------------------------------------------------------ qconf and qacct

    def _qconf(self, arguments: Sequence[str]) -> Answer:
        options, _ = parse("qconf", QCONF, arguments)
        if "-help" in options:
            return Answer("SGE 8.1.9\nusage: qconf [options]\n")
        accounting = "false" if self.accounting is None else "true"
        return Answer(CONFIG.format(tasks=self.controller.settings.max_array_size - 1, accounting=accounting))

    def _qacct(self, arguments: Sequence[str]) -> Answer:
        options, _ = parse("qacct", QACCT, arguments)
        number, now = options["-j"][-1], self.controller.clock()
        if self.accounting is None:
            return Answer(err="/var/lib/gridengine/default/common/accounting: No such file or directory\n", code=1)
        ended = [
            job
            for job in self.controller.jobs
            if str(job.array_id) == number and job.started != job.ended and job.is_done and job.ended is not None
        ]
        ended = [job for job in ended if now >= (job.ended or now) + self.accounting]
        if not ended:
            return Answer(err=f"error: job id {number} not found\n", code=1)
        return Answer("".join(self._account(job) for job in ended))

    @staticmethod
    def _account(job: Job) -> str:
        signalled = job.status & 0x7F
        failed, status = ("100 : assumedly after job", 128 + signalled) if signalled else ("0    ", job.status >> 8)
        if job.state == "TIMEOUT":
            failed = "37  : qmaster enforced h_rt, h_cpu, or h_vmem limit"
        return ACCOUNT.format(
            host=job.node, name=job.request.name, number=job.array_id, task=job.index, failed=failed, status=status
        )


def _seconds(text: str) -> float | None:
    """Return the seconds that a time value means; `None` if it is none."""
    match = re.fullmatch(r"(?:(\d+):(\d+):)?(\d+)", text)
    return None if match is None else 3600 * int(match[1] or 0) + 60 * int(match[2] or 0) + int(match[3])


def _ranges(indices: Sequence[int]) -> str:
    """Return indices as qstat prints them: one, two with a comma, or a range."""
    ordered = sorted(indices)
    if len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"{ordered[0]}-{ordered[-1]}:1"
    return ",".join(map(str, ordered))
