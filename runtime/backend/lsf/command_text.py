"""The arguments and the output of LSF's commands. Pure.

The formats are those of the documentation of IBM Spectrum LSF 10.1; no real LSF has been asked yet. So what is not
exactly as documented is in doubt, or not an answer. The indices of elements begin at 1 there, and at 0 here.
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

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
    State,
    SubmitAnswer,
    Targets,
    Unanswered,
)
from runtime.backend.batch.texts import has_any, is_number, join_lines
from runtime.backend.batch.tokens import PREFIX
from runtime.backend.lsf.states import described, ended_state, state_of

REQUEUED: Final = 99
"""The exit code that puts a job back into the queue, by ``bsub -Q``. That replaces those of the queue, which we do not
know; and the wrapper never exits with this one. Arbitrary."""

PROLOGUE: Final = f"""\
_jr_index=$((LSB_JOBINDEX - 1))
_jr_restart=0
case $LSB_RESTART in [Yy]*) _jr_restart=1 ;; esac
_jr_id="$LSB_JOBID[$LSB_JOBINDEX]"
_jr_host=${{LSB_MCPU_HOSTS%% *}}
_jr_reserved={REQUEUED}
"""
"""The prologue of the wrapper of `runtime.backend.batch`. How often a job was started again is told nobody."""

_FIELDS: Final = ("jobid", "jobindex", "job_name", "stat", "exit_code", "exit_reason", "exec_host", "pend_reason")
_KEYS: Final = tuple(map(str.upper, _FIELDS))

_MAX_TARGETS: Final = 500
"""Arrays in one bkill. Arbitrary: each may have some kilobytes of ranges, and Linux limits all arguments together to
2 MiB by default."""
_DEFAULT_MAX_ARRAY: Final = 1000
"""The default of ``MAX_JOB_ARRAY_SIZE``."""

_ID: Final = re.compile(r"^Job <(\d+)> is submitted to (?:default )?queue <[^>]*>\.?\s*$", re.ASCII | re.MULTILINE)
_ELEMENT: Final = re.compile(r"(\d+)(?:\[(\d+)\])?", re.ASCII)
_NAME: Final = re.compile(r"(.*?)(?:\[(\d+)\])?", re.ASCII | re.DOTALL)
_HOST: Final = re.compile(r"(?:\d+\*)?([^:]*)", re.ASCII)
_SETTING: Final = re.compile(r"^\s*(\w+)\s*=\s*(.*?)\s*$", re.MULTILINE | re.ASCII)

_NOT_SUBMITTED: Final = "Job not submitted"
_UNREACHABLE: Final = ("Cannot connect to LSF", "LSF is down", "LIM is down", "daemon not responding")
"""Messages of commands that do not reach LSF. They wait, and try again."""
_UNCONFIGURED: Final = ("lsf.conf", "LSF_ENVDIR", "non-LSF host")
"""Messages of commands on a machine that belongs to no cluster, or that may not ask it."""
_ANSWER_LOST: Final = ("time out", "timed out", "timeout", "XDR", "receiv", "Connection reset", "Broken pipe")
"""Messages of commands whose request may have been carried out: its answer was lost."""
_FULL: Final = ("threshold reached", "Job array index too large")
"""Messages of an LSF that accepts no more jobs for now, or no array of that size."""
_RETRYING: Final = "threshold reached"
"""What a bsub says that waits until there is a place for the job."""
_NONE_FOUND: Final = ("No matching job found", "No unfinished job found", "No job found")
"""What bjobs says instead of a listing without jobs."""
_KNOWN: Final = (
    *("is being terminated", "is being signaled", "has already finished", "has not started yet"),
    *("No matching job found", "is not found"),
)
"""What bkill says of jobs that it signals, and of those that have ended."""


# ---------------------------------------------------------------------- submitting


def bsub_arguments(array: Array, request: Sequence[str]) -> list[str]:
    """Return the command that submits an array."""
    return [
        *("bsub", "-J", f"{array.name}[1-{array.size}]"),
        *("-o", "/dev/null"),  # without it, each element's output is a mail; the wrapper opens the job's log itself
        *("-cwd", "/"),
        *("-Q", str(REQUEUED)),
        *_excluding(request, array.excluded),
        # In one word: LSF joins words without their quotes, and a shell reads the line.
        shlex.join([array.script, *array.arguments]),
    ]


def _excluding(request: Sequence[str], nodes: Sequence[str]) -> Sequence[str]:
    """Return the words of a request, with nodes excluded besides."""
    return request if not nodes or _is_compound(request) else [*request, "-R", _without(nodes)]


def _requirements(request: Sequence[str]) -> list[str]:
    """Return what a request says with ``-R``."""
    return [word for option, word in itertools.pairwise(request) if option == "-R"]


def _is_compound(request: Sequence[str]) -> bool:
    """Whether its requirements are alternatives or differ by slot: to those, no section can be added."""
    return any("{" in requirement for requirement in _requirements(request))


def _without(nodes: Sequence[str]) -> str:
    return "select[" + " && ".join(f"hname!='{node}'" for node in nodes) + "]"


def exclude_arguments(arrays: Mapping[str, Sequence[str]], nodes: Sequence[str]) -> Iterator[list[str]]:
    """Yield the commands that exclude nodes for what still waits of arrays: from the id to the words of bsub."""
    for array, request in arrays.items():
        if not _is_compound(request):
            # `bmod -R` replaces all of them, so they are repeated.
            words = [word for each in (*_requirements(request), _without(nodes)) for word in ("-R", each)]
            yield ["bmod", *words, array]


def read_bmod(code: int | None, errors: str) -> Unanswered | None:
    """Return `None` if a bmod that ended in this way got an answer: it also complains of elements that have begun."""
    if code is not None and not has_any(errors, _UNREACHABLE):
        return None
    return Unanswered(one_line(errors) or "bmod was ended by a signal")


def read_bsub(code: int | None, output: str, errors: str) -> SubmitAnswer:
    """Return what a bsub that ended in this way has done; `code` is `None` if it was killed."""
    why = one_line(errors) or f"bsub ended with {'a signal' if code is None else f'code {code}'} and no message"
    if code == 0:
        ids = _ID.findall(output)  # a site's own scripts may print besides
        return Accepted(ids[0]) if len(ids) == 1 else Doubtful(f"bsub printed {one_line(output)!r}; expected an id")
    if code is None:
        return Doubtful(why, busy=_RETRYING in errors)
    if has_any(errors, _ANSWER_LOST):
        return Doubtful(why)
    if is_not_configured(errors):
        return Unanswered(why)
    if _NOT_SUBMITTED not in errors:
        return Doubtful(why)
    if has_any(errors, _FULL):
        return QueueFull(why)
    return Unanswered(why) if has_any(errors, _UNREACHABLE) else Refused(why)


def is_not_configured(errors: str) -> bool:
    """Whether a command reports that this machine belongs to no cluster."""
    return has_any(errors, _UNCONFIGURED) and not has_any(errors, _UNREACHABLE)


# ---------------------------------------------------------------------- the queue


def bjobs_arguments(names: Collection[str] | None) -> list[str]:
    """Return the command that lists the user's arrays whose names begin as all of these do; `None` for all of ours.

    It takes one pattern, not a list. The array index ignores the others.
    """
    prefix = f"{PREFIX}-" if names is None else _common_prefix(names) if names else f"{PREFIX}-none"
    return ["bjobs", "-a", "-J", f"{prefix}*", "-o", " ".join(_FIELDS), "-json"]


def _common_prefix(names: Collection[str]) -> str:
    first, last = min(names), max(names)  # what these two share, all that are sorted between them share
    return "".join(a for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))


def read_bjobs(code: int | None, output: str, errors: str) -> QueueListing | Unanswered:
    """Return the listing in the output of bjobs; a record that cannot be parsed is counted, and so is a whole answer.

    The exit code tells nothing: by the configuration of a site it is 255 when no job is unfinished.
    """
    start = output.find("{")  # commands that had to wait for LSF say so first
    if code is not None and start < 0 and has_any(output + errors, _NONE_FOUND):
        return QueueListing([])
    if code is None or (code != 0 and start < 0):
        return Unanswered(one_line(errors) or f"bjobs ended with {'a signal' if code is None else f'code {code}'}")
    try:
        answer = json.loads(output[max(start, 0) :])
    except (ValueError, RecursionError):
        return QueueListing([], 1)
    records = answer.get("RECORDS") if isinstance(answer, dict) else None
    if not isinstance(records, list) or str(answer.get("JOBS")) != str(len(records)):
        return QueueListing([], 1)
    rows = list(map(_row, records))
    return QueueListing([row for row in rows if row is not None], rows.count(None))


def _row(record: Any) -> QueueRow | None:
    if not isinstance(record, dict) or not all(isinstance(record.get(key), str) for key in _KEYS):
        return None
    array, index, name, word, code_text, exit_reason, hosts, waits = (
        "" if record[key] == "-" else record[key] for key in _KEYS
    )
    element, named, host = _ELEMENT.fullmatch(array), _NAME.fullmatch(name), _HOST.match(hosts)
    if element is None or named is None or host is None or not is_number(index) or not word:
        return None
    # The index of an element may stand in its id and its name besides.
    if not named[1] or {element[2] or index, named[2] or index} != {index} or int(index) < 1:
        return None
    if code_text and not is_number(code_text):
        return None
    code = int(code_text) if code_text else None
    state, shown, note = _state(word, code, exit_reason.partition(":")[0].strip(), host[1], waits.strip(" ;"))
    # With a reason it is not the wrapper's exit code, but 128 and a signal that LSF has sent.
    exited = code if word == "EXIT" and not exit_reason else 0 if word == "DONE" else None
    return QueueRow(named[1], element[1], int(index) - 1, state, shown, note or None, code=exited)


def _state(word: str, code: int | None, reason: str, host: str, waits: str) -> tuple[State, str, str]:
    """Return what a state means, what messages call it, and the note on it."""
    if word == "EXIT":
        why = reason or ("no exit code" if code is None else f"exit code {code}")
        return ended_state(reason, code), f"EXIT ({why})", host
    state = state_of(word)
    if state.phase is Phase.PENDING:
        return state, word, waits if word == "PEND" else ": ".join(filter(None, (described(word), waits)))
    if state.phase is Phase.RUNNING and word != "RUN":
        return state, word, f"{described(word)} on {host}"
    return state, described(word), host


# ---------------------------------------------------------------------- ending


def element_id(array: str, index: int) -> str:
    """Return the id of an element as people write it."""
    return f"{array}[{index + 1}]"


def bkill_arguments(targets: Targets, signal: int | None) -> Iterator[list[str]]:
    """Yield the commands that cancel elements, or that send a signal to all processes of each."""
    how = [] if signal is None else ["-s", str(signal)]
    words = [f"{array}[{_ranges(indices)}]" for array, indices in targets.items()]
    for some in chunks(words, _MAX_TARGETS):
        yield ["bkill", *how, *some]


def read_bkill(code: int | None, output: str, errors: str) -> Unanswered | None:
    """Return `None` if a bkill that ended in this way was accepted. Only the queue tells whether jobs have ended."""
    # That a job has ended already is no failure, although bkill exits with an error for it.
    said = [line for line in (output + "\n" + errors).splitlines() if line.strip()]
    complaints = [line for line in said if not has_any(line, _KNOWN)]
    if code == 0 or (code is not None and said and not complaints):
        return None
    why = one_line("\n".join(complaints))
    return Unanswered(why or f"bkill ended with {'a signal' if code is None else f'code {code}'}")


def _ranges(indices: Sequence[int]) -> str:
    return ",".join(str(a + 1) if a == b else f"{a + 1}-{b + 1}" for a, b in ranges(indices))


# ---------------------------------------------------------------------- the configuration


def read_config(output: str, version: str) -> Limits:
    """Return the limits in the output of ``bparams -a``, and the version in the first line of lsid.

    Raises:
        ValueError: if the output is not a configuration.
    """
    settings = dict(_SETTING.findall(output))
    if not settings:
        raise ValueError(
            f"bparams -a printed {one_line(output)!r}; expected parameters, such as MAX_JOB_ARRAY_SIZE = 1000"
        )
    most = settings.get("MAX_JOB_ARRAY_SIZE", "")
    size = int(most) if is_number(most) and int(most) else _DEFAULT_MAX_ARRAY
    return Limits(version.partition("\n")[0].strip() or "unknown", size, accounting=False)


# ---------------------------------------------------------------------- helpers


def one_line(text: str) -> str:
    """Return a command's messages as one line, without repetitions."""
    return join_lines(text.splitlines())


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without variables that change what the commands do, or that belong to an outer job."""
    return {
        name: value
        for name, value in environment.items()
        if name in _KEPT or not name.startswith(("LSB_", "LS_", "BSUB_", "BJOBS_"))
    }


_KEPT: Final = frozenset(("LSB_DEFAULTQUEUE", "LSB_DEFAULTPROJECT"))
"""Defaults of bsub, for who submits. Those of the configuration (``LSF_ENVDIR``, ``LSF_SERVERDIR``) are kept, too."""
