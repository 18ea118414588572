"""The arguments and the output of Slurm's commands. Pure.

The formats are those of Slurm 22.05 to 25.05. Fields are requested by name, end with a bar, and are not truncated. A
row with another number of fields than requested is not parsed, whatever the cause.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from runtime.backend.batch.grouping import chunks, ranges
from runtime.backend.batch.system import (
    Accepted,
    Array,
    Doubtful,
    Limits,
    Phase,
    QueueFull,
    QueueListing,
    QueueRow,
    Refused,
    SubmitAnswer,
    Targets,
    Unanswered,
)
from runtime.backend.batch.texts import has_any, is_number, join_lines
from runtime.backend.slurm.states import state_of

PROLOGUE: Final = """\
_jr_index=$SLURM_ARRAY_TASK_ID
_jr_restart=${SLURM_RESTART_COUNT:-0}
_jr_id=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
_jr_host=$SLURMD_NODENAME
_jr_cgroup=job_$SLURM_JOB_ID
"""
"""The prologue of the wrapper of `runtime.backend.batch`."""

_QUEUE_FIELDS: Final = ("ArrayJobID", "ArrayTaskID", "Name", "State", "exit_code", "RestartCnt", "NodeList", "Reason")
_ACCOUNT_FIELDS: Final = ("JobID", "JobName", "State", "ExitCode", "NodeList")

_MAX_NAMES: Final = 2000
"""Names in one query; with more, squeue is asked for all jobs of the user. A name has 36 bytes, and Linux limits one
argument of a program to 128 KiB."""
_NO_ARRAY: Final = "jr-none"
"""A name that no array has: without a name, squeue would list all jobs of the user."""

_MAX_TARGETS: Final = 500
"""Arrays in one scancel. Arbitrary: each may have some kilobytes of ranges, and Linux limits all arguments together to
2 MiB by default."""

_ID: Final = re.compile(r"(\d+)(?:;[\w.-]+)?\n", re.ASCII)
_ELEMENT: Final = re.compile(r"(\d+)_(\d+)", re.ASCII)
_SETTING: Final = re.compile(r"^(\w+)\s*=\s*(.*?)\s*$", re.MULTILINE | re.ASCII)

_UNREACHABLE: Final = ("Unable to contact slurm controller", "Unable to contact controller", "Connection refused")
"""Messages of commands that did not reach the controller."""
_UNCONFIGURED: Final = (
    "Could not establish a configuration source",
    "Unable to process configuration file",
    "Parse error in file",
    "cannot stat file",
    "unable to status file",
)
"""Messages of commands that found no configuration, or a wrong one, and so sent no request."""
_UNAVAILABLE: Final = ("standby mode", "Slurmctld is currently", "submission is currently disabled", "is shutting down")
"""Messages of a controller that refuses every submission for now."""
_FULL: Final = (
    "Slurm temporarily unable to accept job",
    "job submit limit",
    "MaxSubmitJob",
    "MaxJobCount",
    "Invalid job array specification",  # larger than MaxArraySize, which may have changed
)
"""Messages of a controller that accepts no more jobs, or no array of that size."""
_RETRYING: Final = "Slurm temporarily unable to accept job"
_ANSWER_LOST: Final = (
    "timed out",
    "Zero Bytes",
    "Transport endpoint",
    "Connection reset",
    "Communication",
    "send/recv",
    "Unexpected message",
    "Protocol authentication",
)
"""Messages of commands whose request may have been carried out: its answer was lost."""
_ALREADY_ENDED: Final = ("Invalid job id", "already completing or completed", "Kill job error")
"""Messages of scancel about jobs that have ended."""
_NOT_WAITING: Final = ("no longer pending execution", "already finished", "No error", "Invalid job id")
"""What scontrol says, after an update, of elements that have begun or ended, and of those that it has changed."""
_EXCLUDING: Final = ("--exclude=", "-x")
"""How options of sbatch begin that exclude nodes."""


# ---------------------------------------------------------------------- submitting


def sbatch_arguments(array: Array, request: Sequence[str]) -> list[str]:
    """Return the command that submits an array."""
    return [
        "sbatch",
        "--parsable",
        f"--job-name={array.name}",
        f"--array=0-{array.size - 1}",
        "--output=/dev/null",  # the wrapper opens the job's log itself, and prints nothing
        "--chdir=/",
        "--export=ALL",
        *_excluding(request, array.excluded),
        array.script,
        *array.arguments,
    ]


def _excluding(request: Sequence[str], nodes: Sequence[str]) -> Sequence[str]:
    """Return the options of a request, with nodes excluded besides those that it excludes itself."""
    own = _own_excluded(request)
    if not nodes or own is None:
        return request
    others = [word for word in request if not word.startswith(_EXCLUDING)]
    return [*others, f"--exclude={','.join([*own, *nodes])}"]


def _own_excluded(request: Sequence[str]) -> tuple[str, ...] | None:
    """Return the lists of nodes that a request excludes; `None` if one is in a file, to which none can be added."""
    words = [word for word in request if word.startswith(_EXCLUDING)]
    lists = tuple(word.removeprefix("--exclude=").removeprefix("-x").removeprefix("=") for word in words)
    return None if any("/" in each for each in lists) else lists


def exclude_arguments(arrays: Mapping[str, Sequence[str]], nodes: Sequence[str]) -> Iterator[list[str]]:
    """Yield the commands that exclude nodes for what still waits of arrays: from the id to the options of sbatch."""
    # By what they exclude themselves: an update replaces that, so it is repeated.
    together: dict[tuple[str, ...], list[str]] = {}
    for array, request in arrays.items():
        own = _own_excluded(request)
        if own is not None:
            together.setdefault(own, []).append(array)
    for own, ids in together.items():
        for some in chunks(ids, _MAX_TARGETS):
            yield ["scontrol", "update", f"JobId={','.join(some)}", f"ExcNodeList={','.join([*own, *nodes])}"]


def read_update(code: int | None, errors: str) -> Unanswered | None:
    """Return `None` if an update that ended in this way was accepted, for all elements that wait."""
    # It exits with an error if some element has begun, and then names those as well that it has changed.
    complaints = [line for line in errors.splitlines() if line.strip() and not has_any(line, _NOT_WAITING)]
    if code == 0 or (code is not None and not complaints and errors.strip()):
        return None
    return Unanswered(one_line(errors) or f"scontrol ended with {'a signal' if code is None else f'code {code}'}")


def read_sbatch(code: int | None, output: str, errors: str) -> SubmitAnswer:
    """Return what an sbatch that ended in this way has done; `code` is `None` if it was killed."""
    why = one_line(errors) or f"sbatch ended with {'a signal' if code is None else f'code {code}'} and no message"
    if code == 0:
        found = _ID.fullmatch(output)
        return Accepted(found[1]) if found else Doubtful(f"sbatch printed {one_line(output)!r}; expected a job id")
    if code is None:
        return Doubtful(why, busy=_RETRYING in errors)
    if has_any(errors, _UNREACHABLE) or has_any(errors, _UNAVAILABLE) or is_not_configured(errors):
        return Unanswered(why)
    # Before _FULL: an answer that was lost may have been an acceptance, whatever else the message says.
    if has_any(errors, _ANSWER_LOST):
        return Doubtful(why)
    if has_any(errors, _FULL):
        return QueueFull(why)
    return Refused(why) if errors.strip() else Doubtful(why)


def is_not_configured(errors: str) -> bool:
    """Whether a command reports that this machine has no usable configuration of Slurm.

    False if the configuration comes from the controller, and that is not reached: it may come back.
    """
    return has_any(errors, _UNCONFIGURED) and not has_any(errors, _UNREACHABLE)


# ---------------------------------------------------------------------- the queue


def squeue_arguments(user: int, names: Collection[str] | None) -> list[str]:
    """Return the command that lists all elements of the arrays with these names, or of all arrays of the user."""
    # More names than fit: all jobs of the user are listed, and the array index ignores the others.
    filtered = [] if names is None or len(names) > _MAX_NAMES else [f"--name={','.join(names) or _NO_ARRAY}"]
    # ":|" ends each field with a bar, and with no width the field is not truncated.
    fields = ",".join(f"{field}:|" for field in _QUEUE_FIELDS)
    return ["squeue", "--noheader", "--array", "--states=all", f"--user={user}", *filtered, f"--Format={fields}"]


def read_squeue(output: str) -> QueueListing:
    """Return the listing in the output of squeue; lines that cannot be parsed are counted."""
    rows, unparsed = [], 0
    lines = output.split("\n")
    if lines.pop():  # the last line has no newline: the output is truncated
        unparsed += 1
    for line in lines:
        row = _queue_row(line)
        if row is None:
            unparsed += 1
        else:
            rows.append(row)
    return QueueListing(rows, unparsed)


def _queue_row(line: str) -> QueueRow | None:
    fields = line.split("|")
    if len(fields) != len(_QUEUE_FIELDS) + 1 or fields[-1].strip():
        return None
    array, index, name, word, code, restarts, nodes, reason = (field.strip() for field in fields[:-1])
    if not (is_number(array) and (index == "N/A" or is_number(index)) and is_number(restarts) and word):
        return None
    state = state_of(word, reason)
    reason = "" if reason == "None" else reason
    if state.phase in (Phase.ENDED, Phase.ENDING):
        note, word = nodes, f"{word} ({reason})" if reason else word
    elif state.phase is Phase.RUNNING:
        note = nodes if word == "RUNNING" else f"{word.lower()} on {nodes}"
    else:
        note = reason if word in ("PENDING", "") else f"{word}: {reason}".removesuffix(": ")
    return QueueRow(
        name=name,
        array=array,
        index=None if index == "N/A" else int(index),
        state=state,
        word=word,
        note=note or None,
        restarts=int(restarts),
        code=_exit_code(code),
    )


# ---------------------------------------------------------------------- ending


def scancel_arguments(targets: Targets, signal: int | None) -> Iterator[list[str]]:
    """Yield the commands that cancel elements, or that send a signal to all processes of each."""
    how = [] if signal is None else [f"--signal={signal}", "--full"]
    words = [f"{array}_[{_ranges(indices)}]" for array, indices in targets.items()]
    for some in chunks(words, _MAX_TARGETS):
        yield ["scancel", *how, *some]


def read_scancel(code: int | None, errors: str) -> Unanswered | None:
    """Return `None` if an scancel that ended in this way was accepted. Only the queue tells whether jobs have ended."""
    # That a job has ended already is no failure, although scancel exits with an error for it.
    complaints = [line for line in errors.splitlines() if line.strip() and not has_any(line, _ALREADY_ENDED)]
    if code == 0 or (code is not None and not complaints and errors.strip()):
        return None
    return Unanswered(one_line(errors) or f"scancel ended with {'a signal' if code is None else f'code {code}'}")


def _ranges(indices: Sequence[int]) -> str:
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges(indices))


# ---------------------------------------------------------------------- accounting


def sacct_arguments(arrays: Collection[str]) -> list[str]:
    """Return the command that lists the elements of arrays, by id, in accounting."""
    fields = ",".join(_ACCOUNT_FIELDS)
    return [
        "sacct",
        "--parsable2",
        "--noheader",
        "--allocations",
        "--array",
        f"--jobs={','.join(sorted(arrays))}",
        f"-o{fields}",
    ]


def read_sacct(output: str) -> QueueListing:
    """Return the listing in the output of sacct; rows that are not of single elements are left out."""
    rows, unparsed = [], 0
    for line in output.splitlines():
        fields = line.split("|")
        if len(fields) != len(_ACCOUNT_FIELDS):
            unparsed += 1
            continue
        job, name, word, code, nodes = fields
        element = _ELEMENT.fullmatch(job)
        if element is None:
            continue  # a row for several elements that wait: the queue lists these singly
        row = QueueRow(name, element[1], int(element[2]), state_of(word), word, nodes or None, code=_exit_code(code))
        rows.append(row)
    return QueueListing(rows, unparsed)


# ---------------------------------------------------------------------- the configuration


def read_config(output: str) -> Limits:
    """Return the limits in the output of ``scontrol show config``.

    Raises:
        ValueError: if the output is not a configuration.
    """
    settings = dict(_SETTING.findall(output))
    size = settings.get("MaxArraySize", "")
    if not is_number(size) or "SLURM_VERSION" not in settings:
        raise ValueError(f"scontrol show config printed {one_line(output)!r}; expected SLURM_VERSION and MaxArraySize")
    storage = settings.get("AccountingStorageType", "(null)")
    most = int(size) or 1  # 0 disables arrays; an array of one element works all the same
    # An array larger than MaxJobCount would be refused however empty the queue is.
    jobs = settings.get("MaxJobCount", "")
    if is_number(jobs) and int(jobs):
        most = min(most, int(jobs))
    return Limits(settings["SLURM_VERSION"], most, "none" not in storage and "null" not in storage)


# ---------------------------------------------------------------------- helpers


def one_line(text: str) -> str:
    """Return a command's messages as one line, without the command's name and without repetitions."""
    lines = [
        re.sub(r"^(sbatch|squeue|scancel|sacct|scontrol|slurm_\w+): (error: )?", "", line) for line in text.splitlines()
    ]
    return join_lines(lines)


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without variables that change what Slurm's commands do, or that belong to an outer job."""
    return {
        name: value
        for name, value in environment.items()
        if name in _KEPT or not name.startswith(("SLURM_", "SBATCH_", "SQUEUE_", "SCANCEL_", "SACCT_", "SCONTROL_"))
    }


_KEPT: Final = frozenset({"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT"})


def _exit_code(text: str) -> int | None:
    """Return the exit code in a wait status, or in ``code:signal``; `None` if the process did not exit."""
    code, colon, signal = text.partition(":")
    if colon:
        return int(code) if is_number(code) and signal == "0" else None
    status = int(text) if is_number(text) else 1  # what is not a number counts as killed: no exit code
    return status >> 8 if not status & 0x7F else None
