r"""The wrapper: one script that every element of every array runs, and the file that tells an element what it is.

It is POSIX shell, because that is on every node; and it forks once, for the job, because on a busy node processes are
what a short job costs. So everything else is done with what is built in: the time is read from ``/proc/uptime`` (which
no clock that is set can disturb), the processor time comes from ``times``, the memory from the job's cgroup if it has
one, and the record is complete when its last line is, instead of when it is renamed (see `records`).

What an element needs stands in a file of its own, named by its index: shell code, of which every value is in single
quotes. No text of a job is ever looked at by a shell, but for a `cmd` that is meant for one. NUL, which no file of this
kind could carry, is refused by `JobSpec`.

The steps, and what each is for:

1. Wait for the file, as a slow file system may show it late. A node that does not see it within the patience that it
   was given exits with `UNSEEN`, and that is the one code by which a run directory that is not shared is told from a
   job that failed.
2. *Claim* the job: a file that is created by whoever comes first, under the name of its token. If an array was
   submitted twice after all, because a controller took our word for no and did it later, the second one finds the claim
   and does nothing. An element that the system starts again (``_jr_restart`` above 0) need not claim.
3. Change directory, look for the program, open a fresh log. What fails here is recorded as a job that was not
   launched. The log is created, never opened, so a link that somebody put there is not followed.
4. Run the job, in a subshell that is replaced by it, in the foreground: a job in the background would ignore SIGINT.
   A batch system signals all processes of a job, so there is nothing to forward; the wrapper notes the signal (so that
   it lives on until the job has ended) and records it.
5. Record, and exit with the job's status, so that the system's own books agree; but for the two codes that mean
   something else, because a record may be seen later than the end.

A shell tells an exit by signal N from an exit with the code 128 + N no better than anybody who asks it; nor do we: a
code from 129 to 192 is recorded, and shown, as a signal.

A system's `prologue` sets: ``_jr_index``; ``_jr_restart``, how often the system has started it again; ``_jr_id`` and
``_jr_host``, for people; ``_jr_cgroup``, the component of its cgroup's path that is this job's alone, or nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Final

UNSEEN: Final = 113
"""What the wrapper exits with if its node does not see the run directory, or cannot write to it. Out of the air."""

TAKEN: Final = 114
"""What the wrapper exits with if another copy of it has claimed the job. Out of the air."""

_SCRIPT: Final = r"""#!/bin/sh
# Written by job-runtime. Arguments: the directory of the array; seconds to wait for it to be seen.
@PROLOGUE@
exec 2>/dev/null # what a shell says of a job that was killed is news to nobody
_jr_stopped='' _jr_launch='' _jr_peak='' _jr_status=''
for _jr_signal in HUP INT QUIT USR1 USR2 TERM XCPU; do
    trap "_jr_stopped=$_jr_signal" "$_jr_signal"
done
_jr_job=$1/$_jr_index
_jr_waited=0
until [ -r "$_jr_job" ]; do
    [ "$_jr_waited" -lt "$2" ] || exit @UNSEEN@
    sleep 1
    _jr_waited=$((_jr_waited + 1))
done
. "$_jr_job"

if [ "$_jr_restart" = 0 ]; then
    set -C
    if ! printf '%s\n' "$_jr_id" >"$_jr_files.run"; then
        [ -e "$_jr_files.run" ] && exit @TAKEN@
        exit @UNSEEN@
    fi
    true >"$_jr_log" || _jr_launch=log
    set +C
else
    true >"$_jr_files.end" || exit @UNSEEN@
    [ ! -L "$_jr_log" ] && true >"$_jr_log" || _jr_launch=log
fi
case $1 in
*/*) [ -f "$1" ] && [ -x "$1" ] || _jr_launch=program ;;
*) command -v "$1" >/dev/null || _jr_launch=program ;;
esac
cd "$_jr_cwd" || _jr_launch=directory

read -r _jr_begun _jr_rest </proc/uptime
if [ -n "$_jr_stopped" ]; then
    _jr_status=143 # it never began
elif [ -z "$_jr_launch" ]; then
    (exec "$@") </dev/null >>"$_jr_log" 2>&1
    _jr_status=$?
fi
read -r _jr_ended _jr_rest </proc/uptime

if [ -n "$_jr_cgroup" ]; then
    while IFS=: read -r _jr_number _jr_kind _jr_path; do
        case $_jr_kind:$_jr_path in
        :*/"$_jr_cgroup"/*) _jr_kind='' _jr_file=memory.peak ;;
        memory:*/"$_jr_cgroup"/*) _jr_kind=/memory _jr_file=memory.max_usage_in_bytes ;;
        *) continue ;;
        esac
        _jr_file=$_jr_cgroups$_jr_kind${_jr_path%%/"$_jr_cgroup"/*}/$_jr_cgroup/$_jr_file
        [ -r "$_jr_file" ] && read -r _jr_peak <"$_jr_file"
    done <"$_jr_membership"
fi

{
    printf '%s\n' 'job-runtime end 1' "token $_jr_token" "id $_jr_id" "restart $_jr_restart" "host $_jr_host" \
        "launch $_jr_launch" "status $_jr_status" "stopped $_jr_stopped" "uptime $_jr_begun $_jr_ended" \
        "peak $_jr_peak" times
    times
    printf 'end %s\n' "$_jr_token"
} >"$_jr_files.end"
case $_jr_status in
@UNSEEN@ | @TAKEN@) exit 1 ;;
esac
exit "${_jr_status:-127}"
"""

_DEFAULTS: Final = """\
_jr_cgroup=''
_jr_cgroups=/sys/fs/cgroup
_jr_membership=/proc/self/cgroup
"""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def render_wrapper(prologue: str) -> bytes:
    """Return the script, for the system with this prologue."""
    text = _SCRIPT.replace("@PROLOGUE@", _DEFAULTS + prologue.rstrip("\n"))
    return text.replace("@UNSEEN@", str(UNSEEN)).replace("@TAKEN@", str(TAKEN)).encode()


def render_job(
    argv: Sequence[str],
    *,
    token: str,
    files: str,
    log: str,
    cwd: str,
    exports: Mapping[str, str],
    odd: Mapping[str, str],
) -> bytes:
    """Return the file that tells an element what it is.

    Args:
        argv: the program and its arguments.
        token: of the job.
        files: the path of its claim and its record, less their endings.
        log: the absolute path of its log.
        cwd: the absolute path of the directory that it runs in.
        exports: environment variables to add to those of the script.
        odd: variables, of the script's environment, whose names shells drop: see `odd_variables`.

    Raises:
        ValueError: if something of it is no text that a program can be given.
    """
    lines = [
        f"_jr_token={_quote(token)}",
        f"_jr_files={_quote(files)}",
        f"_jr_log={_quote(log)}",
        f"_jr_cwd={_quote(cwd)}",
    ]
    lines += [f"export {name}={_quote(value)}" for name, value in exports.items() if _NAME.fullmatch(name)]
    odd = {**odd, **odd_variables(exports)}
    words = list(argv)
    if odd or words[0].startswith("-"):  # what the shell's own `exec` would take for an option, and not all know `--`
        if "=" in words[0]:
            msg = f"the program {words[0]!r} has to be started by env, which would take its name for a variable"
            raise ValueError(msg)
        words = ["/usr/bin/env", "--", *(f"{name}={value}" for name, value in odd.items()), *words]
    lines.append("set -- " + " ".join(map(_quote, words)))
    return os.fsencode("\n".join(lines) + "\n")


def odd_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return those with a name that is none for a shell, such as the functions that bash exports.

    Some shells drop them from what they pass on; so `env` puts them in again, behind the wrapper's back.
    """
    return {name: value for name, value in environment.items() if not _NAME.fullmatch(name)}


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
