"""The arguments and the output of Grid Engine's commands. Pure.

The formats are those of 8.1.9, which Debian has. The indices of elements begin at 1 there, and at 0 here.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final
from xml.etree import ElementTree as ET

from runtime.backend.batch.grouping import chunks, ranges
from runtime.backend.batch.system import (
    Accepted,
    Array,
    Doubtful,
    Limits,
    QueueFull,
    QueueListing,
    QueueRow,
    Refused,
    SubmitAnswer,
    Targets,
    Unanswered,
)
from runtime.backend.batch.texts import has_any, is_number, join_lines
from runtime.backend.gridengine.states import RESCHEDULED, ended_state, note_of, state_of

PROLOGUE: Final = """\
_jr_index=$((SGE_TASK_ID - 1))
_jr_restart=${RESTARTED:-0}
_jr_id=$JOB_ID.$SGE_TASK_ID
_jr_host=$HOSTNAME
_jr_reserved='99 100'
"""
"""The prologue of the wrapper of `runtime.backend.batch`. Exit code 99 puts a job back into the queue, and 100 into an
error that only a person ends."""

_MAX_TARGETS: Final = 2000
"""Words of one command. Arbitrary: each may have some dozens of bytes, and Linux limits all arguments together to 2 MiB
by default."""

_ID: Final = re.compile(r"(\d+)\.1-\d+:1\n", re.ASCII)
_TASKS: Final = re.compile(r"(\d+)(?:-(\d+)(?::(\d+))?)?", re.ASCII)
_FIELD: Final = re.compile(r"^(\w+) +(.*?)\s*$", re.MULTILINE | re.ASCII)

_UNREACHABLE: Final = ("Connection refused", "got send error", "got send timeout", "No route to host")
"""Messages of commands whose request did not reach the master."""
_UNCONFIGURED: Final = (
    "Please set the environment variable SGE_ROOT",
    "SGE_ROOT directory",
    "cell directory",
    "act_qmaster",
    "neither submit nor admin host",
)
"""Messages of commands on a machine that belongs to no cluster, or that may not ask it."""
_ANSWER_LOST: Final = ("got read error", "read timeout", "got no response", "timed out", "error: commlib error")
"""Messages of commands whose request may have been carried out: its answer was lost."""
_NOT_SENT: Final = ("Unable to read script file", "error opening")
"""Messages of a qsub that could not read the script."""
_FULL: Final = ("jobs are allowed per", "you tried to submit a job with more than")
"""Messages of a master that accepts no more jobs, or no array of that size."""
_TRY_AGAIN: Final = 25
"""The exit code of a qsub for which there is no place now."""
_KNOWN: Final = ("has registered", "has deleted", "is already in deletion", "does not exist", "modified ")
"""What qdel and qalter say of jobs that they change, and of those that have ended."""


# ---------------------------------------------------------------------- submitting


def qsub_arguments(array: Array, request: Sequence[str]) -> list[str]:
    """Return the command that submits an array."""
    return [
        *("qsub", "-terse"),
        *("-N", array.name),
        *("-t", f"1-{array.size}"),
        *("-o", "/dev/null", "-j", "y"),  # the wrapper opens the job's log itself, and prints nothing
        *("-wd", "/"),
        *("-b", "n"),
        # A shell would be a login shell on most sites, and its profile would change the job's environment. `env` starts
        # the script by its first line.
        *("-S", "/usr/bin/env"),
        *("-w", "e"),  # what no queue could ever run is refused
        *_excluding(request, array.excluded),
        array.script,
        *array.arguments,
    ]


def _excluding(request: Sequence[str], nodes: Sequence[str]) -> Sequence[str]:
    """Return the words of a request, with nodes excluded besides; not if it names nodes itself."""
    return request if not nodes or _names_nodes(request) else [*request, "-l", _without(nodes)]


def _names_nodes(request: Sequence[str]) -> bool:
    return any(re.search(r"(^|,)(h|hostname)=|^-soft$", word) for word in request)


def _without(nodes: Sequence[str]) -> str:
    return "hostname=" + "&".join(f"!{node}" for node in nodes)


def exclude_arguments(arrays: Mapping[str, Sequence[str]], nodes: Sequence[str]) -> Iterator[list[str]]:
    """Yield the commands that exclude nodes for what still waits of arrays: from the id to the words of qsub."""
    # By what they request with `-l`: qalter replaces all of that, so it is repeated.
    together: dict[tuple[str, ...], list[str]] = {}
    for array, request in arrays.items():
        if not _names_nodes(request):
            own = tuple(word for option, word in itertools.pairwise(request) if option == "-l")
            together.setdefault(own, []).append(array)
    for own, ids in together.items():
        for some in chunks(ids, _MAX_TARGETS):
            yield ["qalter", "-l", ",".join([*own, _without(nodes)]), ",".join(some)]


def read_qsub(code: int | None, output: str, errors: str) -> SubmitAnswer:
    """Return what a qsub that ended in this way has done; `code` is `None` if it was killed."""
    why = one_line(errors) or f"qsub ended with {'a signal' if code is None else f'code {code}'} and no message"
    if code == 0:
        found = _ID.fullmatch(output)
        return Accepted(found[1]) if found else Doubtful(f"qsub printed {one_line(output)!r}; expected an id")
    if code is None:
        return Doubtful(why)
    if has_any(errors, _UNREACHABLE) or is_not_configured(errors) or has_any(errors, _NOT_SENT):
        return Unanswered(why)
    # Before what follows: an answer that was lost may have been an acceptance, whatever else the message says.
    if has_any(errors, _ANSWER_LOST):
        return Doubtful(why)
    if code == _TRY_AGAIN or has_any(errors, _FULL):
        return QueueFull(why)
    # With a warning it says so, and that the array "has been submitted", in one message.
    return Refused(why) if errors.strip() and "has been submitted" not in errors else Doubtful(why)


def is_not_configured(errors: str) -> bool:
    """Whether a command reports that this machine belongs to no cluster."""
    return has_any(errors, _UNCONFIGURED) and not has_any(errors, _UNREACHABLE)


# ---------------------------------------------------------------------- the queue


def qstat_arguments(user: str) -> list[str]:
    """Return the command that lists all jobs of a user that wait or run, below the queues that they run in.

    It has no filter for names. The states of queues tell which nodes do not answer; `-ne` leaves out those without
    jobs.
    """
    return ["qstat", "-xml", "-f", "-ne", "-u", user, "-s", "prs"]


def read_qstat(output: str, names: Collection[str] | None) -> QueueListing:
    """Return the listing in the output of qstat; a job that cannot be parsed is counted, and so is a whole answer.

    Args:
        output: what it printed.
        names: of the arrays that are of interest; `None` for all.
    """
    try:
        root = ET.fromstring(output)
    except (ET.ParseError, ValueError):
        return QueueListing([], 1)
    if root.tag != "job_info" or root.find("queue_info") is None or root.find("job_info") is None:
        return QueueListing([], 1)
    names = None if names is None else frozenset(names)
    queues = {job: queue for queue in root.iter("Queue-List") for job in queue.iter("job_list")}
    rows: list[QueueRow] = []
    unparsed = 0
    for job in root.iter("job_list"):
        name = job.findtext("JB_name") or ""
        if name and names is not None and name not in names:
            continue
        found = _rows(job, name, queues.get(job))
        if found is None:
            unparsed += 1
        else:
            rows += found
    return QueueListing(rows, unparsed)


def _rows(job: ET.Element, name: str, queue: ET.Element | None) -> list[QueueRow] | None:
    array, letters, tasks = (job.findtext(tag) or "" for tag in ("JB_job_number", "state", "tasks"))
    indices = _indices(tasks)
    if not (name and array.isascii() and array.isdigit() and letters) or indices is None:
        return None
    # "all.q@n1": a queue has one part for each node.
    node, condition = "", ""
    if queue is not None:
        node, condition = (queue.findtext("name") or "").partition("@")[2], queue.findtext("state") or ""
    state, word, note = state_of(letters, condition), letters, note_of(letters, node)
    if state.kind is not None:
        word, note = f"{letters} (its node does not answer the master)", node or None
    restarts = 1 if "R" in letters else 0  # how often exactly is told nobody
    return [QueueRow(name, array, index, state, word, note, restarts) for index in indices]


def _indices(tasks: str) -> list[int] | None:
    """Return the indices in ``1,4,7-20:1``, from 0; `None` if it is something else."""
    found: list[int] = []
    for part in tasks.split(","):
        match = _TASKS.fullmatch(part.strip())
        if match is None:
            return None
        first = int(match[1])
        found += range(first - 1, int(match[2] or first), int(match[3] or 1) or 1)
    return found


# ---------------------------------------------------------------------- ending


def element_id(array: str, index: int) -> str:
    """Return the id of an element as people write it."""
    return f"{array}.{index + 1}"


def qdel_arguments(targets: Targets) -> Iterator[list[str]]:
    """Yield the commands that cancel elements."""
    words = [
        element_id(array, first) if first == last else f"{element_id(array, first)}-{last + 1}"
        for array, indices in targets.items()
        for first, last in ranges(indices)
    ]
    for some in chunks(words, _MAX_TARGETS):
        yield ["qdel", *some]


def read_change(code: int | None, output: str, errors: str) -> Unanswered | None:
    """Return `None` if a qdel or qalter that ended in this way was accepted. Only the queue tells what has ended."""
    # Both report on their standard output; and exit with an error if a job has ended already, which is no failure.
    said = [line for line in (output + "\n" + errors).splitlines() if line.strip()]
    if code is not None and (code == 0 or said) and all(has_any(line, _KNOWN) for line in said):
        return None
    why = one_line("\n".join(line for line in said if not has_any(line, _KNOWN)))
    return Unanswered(why or f"it ended with {'a signal' if code is None else f'code {code}'}")


# ---------------------------------------------------------------------- accounting


def qacct_arguments(array: str) -> list[str]:
    """Return the command that lists the elements of one array, by id, in accounting."""
    return ["qacct", "-j", array]


def read_qacct(code: int | None, output: str, errors: str) -> QueueListing | Unanswered:
    """Return the listing in the output of qacct: elements that have left the queue."""
    if code != 0:
        # The file does not exist before a job has ended, and says nothing of others before it is flushed.
        if "not found" in errors or "No such file" in errors:
            return QueueListing([])
        return Unanswered(one_line(errors) or "qacct failed")
    rows, unparsed = [], 0
    for block in re.split(r"^=+$", output, flags=re.MULTILINE)[1:]:
        fields = dict(_FIELD.findall(block))
        row = _account_row(fields)
        if row is None:
            unparsed += 1
        elif not fields["failed"].startswith(RESCHEDULED):
            rows.append(row)
    return QueueListing(rows, unparsed)


def _account_row(fields: Mapping[str, str]) -> QueueRow | None:
    name, array, task = (fields.get(key, "") for key in ("jobname", "jobnumber", "taskid"))
    failed = fields.get("failed", "").partition(" ")[0]
    status = fields.get("exit_status", "").partition(" ")[0]
    if not (name and all(map(is_number, (array, task, failed, status)))):
        return None
    word = f"failed {fields['failed']}" if int(failed) else f"exit_status {status}"
    code = None if int(failed) else int(status)
    return QueueRow(
        name, array, int(task) - 1, ended_state(int(failed)), word, fields.get("hostname") or None, code=code
    )


# ---------------------------------------------------------------------- the configuration


def read_config(output: str, help_text: str) -> Limits:
    """Return the limits in the output of ``qconf -sconf``, and the version in the first line of its help.

    Raises:
        ValueError: if the output is not a configuration.
    """
    # A long value goes on in the next line.
    settings = dict(_FIELD.findall(re.sub(r"\\\n\s*", "", output)))
    most = settings.get("max_aj_tasks", "")
    if not is_number(most):
        raise ValueError(f"qconf -sconf printed {one_line(output)!r}; expected max_aj_tasks")
    version = help_text.partition("\n")[0].strip()
    accounting = "accounting=true" in settings.get("reporting_params", "")
    return Limits(version or "unknown", int(most) or 75_000, accounting)  # 0: no limit; as large as the default


# ---------------------------------------------------------------------- helpers


def one_line(text: str) -> str:
    """Return a command's messages as one line, without repetitions and what each has."""
    lines = [re.sub(r"^((Unable to run job|error|denied): )+", "", line.strip()) for line in text.splitlines()]
    return join_lines(line for line in lines if line != "Exiting.")


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without variables that change what the commands do, or that belong to an outer job."""
    return {
        name: value
        for name, value in environment.items()
        if name in _KEPT or not (name.startswith("SGE_") or name in _OF_A_JOB)
    }


_KEPT: Final = frozenset(("SGE_ROOT", "SGE_CELL", "SGE_CLUSTER_NAME", "SGE_ARCH", "SGE_QMASTER_PORT", "SGE_EXECD_PORT"))
_OF_A_JOB: Final = frozenset(
    (
        *("ARC", "ENVIRONMENT", "HOSTNAME", "JOB_ID", "JOB_NAME", "JOB_SCRIPT", "NHOSTS", "NQUEUES", "NSLOTS", "PE"),
        *("PE_HOSTFILE", "QUEUE", "REQNAME", "REQUEST", "RESTARTED"),
    )
)
"""Variables that Grid Engine sets for each job."""
