r"""The wrapper: the script that every element of every array runs, and the file that tells an element what to run.

It is POSIX shell, which every node has. It forks once, for the job: on a busy node, processes are what a short job
costs. All else is done with builtins: the time is read from ``/proc/uptime`` (which is not affected when a clock is
set), the processor time comes from ``times``, the memory from the job's cgroup if it has one, and the record is
complete when its last line is written, so that it need not be renamed (see `records`).

An element reads what it needs from a file of its own, named by its index: shell code in which every value is in single
quotes. No shell interprets text of a job, except a `cmd` that is meant for one. NUL, which such a file could not hold,
is refused by `JobSpec`.

*Exports.* A job's `exports` are never set in the wrapper's own shell, where they could change its work. They are set in
the fork that becomes the job, as the last step. If one of them has a meaning to some shell (``IFS``, ``SHELLOPTS``), it
is not set there either: ``env`` adds it between the shell and the program, which costs one more `exec` and no process.
But ``env`` does not tell that the program could not be executed, so the wrapper checks before: it recognizes scripts
and their interpreters, but not programs for another processor.

*Signals.* The exit status of a job is one number; 137 may be an exit code or SIGKILL. A shell reports more on its
standard error, which is redirected to the claim while the job runs: but only for a job that a signal ended, and never
for SIGINT and SIGPIPE. These two count as exit codes, unless the wrapper received the signal too. If the program could
not be executed after all, the log begins with the shell's message, which contains the wrapper's own name; such a log is
emptied. A shell cannot tell an exit by signal N from an exit with code 128 + N, and nor can we: a status from 129 to
192 of which nothing else is known is recorded, and shown, as a signal.

*Planted files.* Other jobs of the user can replace the files at any time. So claim, record and log are each created
once, before the job runs, and kept open. To read one or to append to it, the wrapper opens it through
``/proc/self/fd``, which leads to the file itself, whatever has its name by now. The directories of the run are entered
first, and checked to be below the run directory, through no link. A POSIX shell cannot do more: its `O_EXCL` is for
regular files. So it waits, until the job's time limit, for a FIFO that appears between its last check and its `open`;
no file is written because of that. The same holds for the file of the element, and for the job's program, whose first
line is read. The directory of a log may be anywhere, and is found by its path.

The steps:

1. Wait for the element's file, as a network file system may show it late. If the node does not see it within the given
   time, exit with `UNSEEN`: the one code that tells a run directory which is not shared from a job that failed.
2. *Claim* the job: create a file under the name of its token; the first element that does so runs the job. If an array
   was submitted twice, because a controller accepted it after it had seemed to refuse it, the second element finds the
   claim and does nothing. An element that the system starts again (``_jr_restart`` above 0) replaces the claim, but
   not one that is a directory: the backend has made that, as the job must not begin any more (see `cancelling`).
3. Create the record, still empty, and a new log; change directory; look for the program. The order is that of a local
   job, so a relative program is found from the job's directory. A failure is recorded as a job that was not launched.
4. Run the job in a subshell that it replaces, in the foreground, as a job in the background would ignore SIGINT. A
   batch system signals all processes of a job, so there is nothing to forward: the wrapper only notes the signal, which
   keeps it alive until the job has ended, and records it.
5. Record the end, and exit with the job's status, so that the system's own accounting agrees; but not with one of the
   two codes that have another meaning, as a record may be visible later than the end; nor with one that means
   something to the system.

A system's `prologue` sets ``_jr_index``; ``_jr_restart``, how often the system has started the element again;
``_jr_id`` and ``_jr_host``, for messages; perhaps ``_jr_cgroup``, the component of its cgroup's path that is the job's
alone; and perhaps ``_jr_reserved``, exit codes on which the system does more than to record them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Final

from runtime.backend.batch.exit_records import TAKEN, UNSEEN
from runtime.job.command import SHELL_NAME

FOLDER: Final = ".batch"
"""The directory in the run directory with the files of the batch core. No job's own directory can have this name, as no
safe id begins with a dot."""

_SCRIPT: Final = r"""#!/bin/sh
# Written by job-runtime. Arguments: the directory of the array; seconds to wait for it to be seen.
@PROLOGUE@
exec 2>/dev/null
_jr_stopped='' _jr_launch='' _jr_peak='' _jr_status='' _jr_how='' _jr_else=''
for _jr_signal in HUP INT QUIT USR1 USR2 TERM XCPU; do
    trap "_jr_stopped=$_jr_signal" "$_jr_signal"
done

# Whether the system would execute a file. A shell's `exec` does not tell: it runs a file that the system refuses as a
# script.
_jr_executes() {
    [ -f "$1" ] && [ -x "$1" ] || return 1
    [ -r "$1" ] || return 0
    _jr_mark=''
    IFS= read -r _jr_mark <"$1"
    case $_jr_mark in
    '#!'*) ;;
    @ELF@* | MZ* | PK*) return 0 ;; # MZ and PK: binfmt_misc may be configured to start these
    *) return 1 ;;
    esac
    read -r _jr_mark _jr_interpreter _jr_rest <"$1"
    [ "$_jr_mark" = '#!' ] || _jr_interpreter=${_jr_mark#??}
    _jr_scripts=$_jr_scripts+ # an interpreter may be a script itself: the system follows five
    [ "$_jr_scripts" != ++++++ ] && _jr_executes "$_jr_interpreter"
}

# Whether the system would execute a program, which is searched for in `_jr_path` if its name has no slash.
_jr_finds() {
    case $1 in
    /bin/sh) return 0 ;; # it runs this script; and to `read` a binary's first line takes some shells a call per byte
    */*)
        _jr_scripts='' && _jr_executes "$1"
        return
        ;;
    esac
    _jr_places=$_jr_path:
    while [ -n "$_jr_places" ]; do
        _jr_place=${_jr_places%%:*}
        _jr_places=${_jr_places#*:}
        _jr_scripts='' && _jr_executes "${_jr_place:-.}/$1" && return
    done
    return 1
}

# Whether a path does not exist. A link or a FIFO that a job planted would lead elsewhere, or block.
_jr_is_free() {
    [ ! -L "$1" ] && [ ! -e "$1" ]
}

# Enter a directory below the run directory through no link but those of the run directory's own path.
_jr_run=${1%/@FOLDER@/arrays/*}
_jr_enter() {
    cd -P "$_jr_run/" && _jr_real=${PWD%/} && cd -P "$1" && [ "$PWD" = "$_jr_real${1#"$_jr_run"}" ]
}

_jr_job=./$_jr_index
_jr_waited=0
until _jr_enter "$1" && [ -r "$_jr_job" ] && [ -f "$_jr_job" ] && [ ! -L "$_jr_job" ]; do
    [ "$_jr_waited" -lt "$2" ] || exit @UNSEEN@
    sleep 1
    _jr_waited=$((_jr_waited + 1))
done
_jr_path=$PATH
. "$_jr_job"

# Create the files, each once: 6 is the claim, 5 the record, 9 the log. With -C the shell creates them with O_EXCL, but
# still opens what it sees is not a regular file. So there is no command between `_jr_is_free` and the opening.
_jr_enter "${_jr_files%/*}" || exit @UNSEEN@
_jr_claim=./${_jr_files##*/}.run
_jr_end=./${_jr_files##*/}.end
[ "$_jr_restart" = 0 ] || rm -f "$_jr_claim" # not if it is a directory: then the job must not begin
set -C
if ! { _jr_is_free "$_jr_claim" && command exec 6>"$_jr_claim" && printf '%s\n' "$_jr_id" >&6; }; then
    _jr_is_free "$_jr_claim" && exit @UNSEEN@
    exit @TAKEN@
fi
_jr_is_free "$_jr_end" || rm -f "$_jr_end" # of an earlier start, or planted: the claim is ours
_jr_is_free "$_jr_end" && command exec 5>"$_jr_end" || exit @UNSEEN@
[ "$_jr_restart" = 0 ] || rm -f "$_jr_log"
_jr_is_free "$_jr_log" && command exec 9>"$_jr_log" || _jr_launch=log
set +C

# From here on these files are opened through their descriptors, never by path: a job may replace what a path leads to.
command exec 9>>/proc/self/fd/9 # `>>` by path would also open an existing file, so O_APPEND is set by a second open
command exec 8</proc/self/fd/9
command exec 7</proc/self/fd/6 && _jr_else=exit
read -r _jr_line <&7
[ -n "$_jr_launch" ] || cd "$_jr_cwd" || _jr_launch=directory
[ -n "$_jr_launch" ] || _jr_finds "$_jr_program" || _jr_launch=program

read -r _jr_begun _jr_rest </proc/uptime
if [ -n "$_jr_stopped" ]; then
    _jr_status=143 # it never began
elif [ -z "$_jr_launch" ]; then
    exec 2>&6 # if a signal ends the job, the shell reports it on its standard error
    (
        exec 5>&- 6>&- 7<&- 8<&-
        unset OLDPWD
        export PWD
        _jr_export 2>/dev/null
        exec "$@" </dev/null >&9 2>&1 9>&-
    )
    _jr_status=$?
    exec 2>/dev/null
    while read -r _jr_line <&7; do
        case $_jr_line in
        *'core dumped'*) _jr_how=core ;;
        *) _jr_how=${_jr_how:-killed} ;;
        esac
    done
    case $_jr_status in
    126 | 127)
        _jr_line=''
        read -r _jr_line <&8
        case $_jr_line in
        *"$0"*) # the message is this shell's, not the program's
            _jr_launch=exec _jr_status=''
            true >/proc/self/fd/9
            ;;
        esac
        ;;
    129 | 1[3-8]? | 19[012]) _jr_status="$_jr_status ${_jr_how:-$_jr_else}" ;;
    esac
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
} >&5
_jr_status=${_jr_status%% *}
case " @UNSEEN@ @TAKEN@ $_jr_reserved " in
*" ${_jr_status:-127} "*) exit 1 ;;
esac
exit "${_jr_status:-127}"
"""

_DEFAULTS: Final = """\
_jr_reserved=''
_jr_cgroup=''
_jr_cgroups=/sys/fs/cgroup
_jr_membership=/proc/self/cgroup
"""

_DISTURBING_NAMES: Final = (
    "BASHOPTS|BASH_VERSION|EUID|IFS|LINENO|OPTARG|OPTIND|POSIXLY_CORRECT|PPID|PS4|RANDOM|SECONDS|SHELLOPTS|UID"
)
_DISTURBING: Final = frozenset(_DISTURBING_NAMES.split("|"))
"""Variables that disturb some shell which finds them in its environment, or which some shell does not pass on
unchanged."""

_SHELL_VARIABLES: Final = re.compile(
    r"_|_jr_.*|(BASH|COMP|EPOCH|EXECIGNORE|FUNC|GLOB|HIST|KSH|LANG|LC_|MAIL|OPT|PROMPT|PS\d|READLINE|SH_).*"
    r"|auto_resume|histchars|CDPATH|COLUMNS|COPROC|DIRSTACK|ENV|ERRNO|FCEDIT|FIGNORE|FPATH|GROUPS|HOME|HOST.*|PWD|OLDPWD"
    r"|IGNOREEOF|INPUTRC|INSIDE_EMACS|LINES|MACHTYPE|MAPFILE|OSTYPE|PIPESTATUS|REPLY|SHELL|SHLVL|SRANDOM|TIMEFORMAT"
    r"|TMOUT|USER_ID|" + _DISTURBING_NAMES,
    re.ASCII,
)
"""Variables with a meaning to some shell: those in the manuals of bash, dash, ksh, mksh and busybox, and those of this
script. One that is missing here can make the job that exports it fail; the failure is still recorded."""


def render_wrapper(prologue: str) -> bytes:
    """Return the script for the system with this prologue."""
    text = _SCRIPT.replace("@PROLOGUE@", _DEFAULTS + prologue.rstrip("\n"))
    values = {"@FOLDER@": FOLDER, "@UNSEEN@": str(UNSEEN), "@TAKEN@": str(TAKEN), "@ELF@": "\x7fELF"}
    for place, value in values.items():
        text = text.replace(place, value)
    return text.encode()


def render_job(
    argv: Sequence[str],
    *,
    token: str,
    files: str,
    log: str,
    cwd: str,
    exports: Mapping[str, str],
    unpassed: Mapping[str, str],
) -> bytes:
    """Return the file that tells an element what to run.

    Args:
        argv: the program and its arguments.
        token: of the job.
        files: the path of its claim and its record, without their suffixes.
        log: the absolute path of its log.
        cwd: the absolute path of the directory that it runs in.
        exports: environment variables of the job, to add to those of the script.
        unpassed: inherited variables that the script's environment does not have, or that its shell does not pass on.

    Raises:
        ValueError: if an argument is text that no program can be given.
    """
    program, words = argv[0], list(argv)
    settings = {"token": token, "files": files, "log": log, "cwd": cwd, "program": program}
    variables = {**unpassed, **exports}
    if "PATH" in variables:
        settings["path"] = variables["PATH"]
    lines = [f"_jr_{name}={_quote(value)}" for name, value in settings.items()]
    # `exec` would take a dash for an option, and not every shell knows `--`.
    by_env = bool(unpassed) or program.startswith("-")
    by_env = by_env or any(not SHELL_NAME.fullmatch(name) or _SHELL_VARIABLES.fullmatch(name) for name in exports)
    lines += ["_jr_export() {", ":"]
    if not by_env:
        lines += [f"export {name}={_quote(value)}" for name, value in exports.items()]
    lines.append("}")
    if by_env:
        if "=" in program:  # which env would take for a variable
            if program.startswith("-"):
                msg = f"the program {program!r} has to be started by env, which would take its name for a variable"
                raise ValueError(msg)
            words = ["/usr/bin/nice", "-n", "0", *words]
        words = ["/usr/bin/env", "--", *(f"{name}={value}" for name, value in variables.items()), *words]
    lines.append("set -- " + " ".join(map(_quote, words)))
    return os.fsencode("\n".join(lines) + "\n")


def unpassed_variables(environment: Mapping[str, str], *, passed: bool) -> dict[str, str]:
    """Return the variables that each element has to set for its job.

    Those are all if the system does not pass them on (`passed` is false). Else they are those that a shell does not
    pass on unchanged, such as the functions that bash exports. Some have names that are not valid in a shell. Others
    have a meaning to it, and could also disturb the wrapper: see `without_shell_variables`.
    """
    return {
        name: value
        for name, value in environment.items()
        if not passed or name in _DISTURBING or not SHELL_NAME.fullmatch(name)
    }


def without_shell_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for the shell that runs the wrapper; `env` sets the other variables again, for the job."""
    return {name: value for name, value in environment.items() if name not in _DISTURBING}


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
