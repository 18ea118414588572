"""The semantics of a job, the same on every backend: a table of jobs, each with its expected outcome.

A job is started as `execve` starts a program, after a `chdir` to its directory:

- The program gets the words of the command byte for byte. A program without a slash in its name is searched in the
  ``PATH`` of the job's own environment; one with a slash is relative to the job's directory. What the system does not
  execute is a launch error, also where `execvp` and `sh` would run it as a script (so an empty file that a linker has
  left behind does not pass). No name means a builtin of a shell.
- The environment is the inherited one with the job's `exports`, byte for byte. ``PWD`` is the job's directory, and
  ``OLDPWD`` is not set, unless the job exports them. ``JOB_RUNTIME_ID``, ``JOB_RUNTIME_ATTEMPT`` and
  ``JOB_RUNTIME_SEED`` say which job it is, unless it exports them; without a seed there is no ``JOB_RUNTIME_SEED``.
- Standard input is empty. The output goes to the log.
- An exit code is an exit code, also from 129 on, and a signal is a signal.

`rows` is the table; `lay_out` makes the files that it needs; `judge` describes a difference. Two ends are missing in
the table: if only the job itself gets SIGINT or SIGPIPE, a shell on another machine reports a code and not a signal.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from runtime.job import FailureKind, JobResult, JobSpec, JobStatus, Kind

ODD: Final = "o d'd\"$x\\é✓\udcff!*"
"""A file name with characters that are special to shells, and a byte that is not UTF-8."""

WORDS: Final = (
    *r"""' " $HOME ${x} a;b \ \n a\ * ? [a] ~ # ! !! & | <in >out -rf -- a=b %s é ✓""".split(),  # noqa: SIM905 - a list has a line for each
    *("", " ", "a b", "$(echo no)", "`echo no`", "a\nb", "\n", "\t", "\udcff", "x" * 9999),
)
"""Words that are special to a shell or a wrapper, or long, or not UTF-8."""

STRICT: Final = ("/bin/bash", "-eo", "pipefail", "-c")
"""A shell that fails if a command in the middle of a script or pipe fails."""

LONG: Final = f": {'x' * 200_000}\n"
"""The beginning of a command that is too long for one argument of a program."""

OF_SHELLS: Final = {
    "BASHOPTS": "extglob",
    "BASH_ENV": "/no/such/file",
    "BASH_FUNC_f%%": "() { echo no; }",
    "BASH_VERSION": "1",
    "CDPATH": "/usr",
    "ENV": "/no/such/file",
    "EUID": "x",
    "GLOBIGNORE": "*",
    "HISTFILE": "/dev/full",
    "IFS": "a/_",
    "LC_ALL": "xx_XX",
    "LINENO": "x",
    "MAIL": "x",
    "OLDPWD": "/usr",
    "OPTIND": "x",
    "PATH": "/nowhere:/usr/bin:/bin",
    "POSIXLY_CORRECT": "",
    "PPID": "x",
    "PS4": "$(echo no)",
    "PWD": "/usr",
    "RANDOM": "x",
    "SECONDS": "x",
    "SHELLOPTS": "errexit:noexec:nounset:xtrace",
    "SHLVL": "x",
    "TMPDIR": "/no/such/directory",
    "UID": "x",
    "_": "x",
    "_jr_files": "/no/such/file",
    "_jr_status": "0",
    "SLURM_ARRAY_TASK_ID": "999",
    "SGE_TASK_ID": "999",
    "LSB_JOBINDEX": "999",
    "with-dash": "x",
    "1": "x",
    "é": "é",
}
"""Variables that a shell or the wrapper of a batch job would act on."""


@attrs.frozen
class Outcome:
    """How a job ends, and what its log contains."""

    kind: Kind | None
    code: int | None = None
    signal: int | None = None
    log: bytes = b""

    @property
    def status(self) -> JobStatus:
        """The status that belongs to `kind`."""
        return JobStatus.PASSED if self.kind is None else self.kind.status

    @classmethod
    def of(cls, result: JobResult[object], log: bytes) -> Outcome:
        """Return the outcome of a finished job with this log."""
        kind = None if result.reason is None else result.reason.kind
        usage = result.usage
        return cls(kind, None if usage is None else usage.exit_code, None if usage is None else usage.signal, log)


@attrs.frozen
class Row:
    """A job and its expected outcome."""

    name: str
    fields: Mapping[str, Any]
    """The arguments of its `JobSpec`, without the name."""
    outcome: Outcome
    why: str = ""
    """Why this outcome is expected, where that is not obvious."""

    def spec(self) -> JobSpec:
        """Return the job."""
        return JobSpec(**{"name": self.name, **self.fields})


def passes(log: str = "") -> Outcome:
    """Return the outcome of a job that passes with this log."""
    return Outcome(None, 0, log=os.fsencode(log))


def exits(code: int, log: str = "") -> Outcome:
    """Return the outcome of a job that exits with this code, not 0, and has this log."""
    return Outcome(FailureKind.EXIT_CODE, code, log=os.fsencode(log))


def dies(signal: int) -> Outcome:
    """Return the outcome of a job that is ended by this signal."""
    return Outcome(FailureKind.SIGNAL, signal=signal)


UNLAUNCHED: Final = Outcome(FailureKind.LAUNCH_ERROR)
"""The outcome of a job that cannot be started."""

SHOW: Final = ("/usr/bin/printf", "<%s>")
"""A program that prints its arguments."""


def shown(*words: str) -> str:
    """Return what `SHOW` prints for these arguments."""
    return "".join(f"<{word}>" for word in words)


def rows(root: str) -> Sequence[Row]:
    """Return the table, for the files that `lay_out` made in the directory `root`."""
    parts = (_programs, _unusual_programs, _words, _variables, _paths, _ends)
    return [row for part in parts for row in part(root)]


def _programs(root: str) -> list[Row]:
    """How a program is found."""
    work = f"{root}/jobs"
    here = {"cwd": work}
    path = "/usr/bin:/bin"
    return [
        Row("absolute", {"cmd": [*SHOW, "x"]}, passes("<x>")),
        Row("relative", {"cmd": ["./show", "x"], **here}, passes("<x>")),
        Row("relative-below", {"cmd": ["bin/mine"], **here}, passes("mine\n")),
        Row("relative-above", {"cmd": ["../jobs/show"], **here}, passes("<>")),
        Row("bare", {"cmd": ["printf", "x"]}, passes("x")),
        Row("bare-not-here", {"cmd": ["show"], **here}, UNLAUNCHED, "the job's directory is not in its PATH"),
        Row("path", {"cmd": ["mine"], "exports": {"PATH": f"{work}/bin:{path}"}}, passes("mine\n")),
        Row("path-relative", {"cmd": ["mine"], "exports": {"PATH": f"bin:{path}"}, **here}, passes("mine\n")),
        Row("path-first-empty", {"cmd": ["show"], "exports": {"PATH": f":{path}"}, **here}, passes("<>")),
        Row("path-last-empty", {"cmd": ["show"], "exports": {"PATH": f"{path}:"}, **here}, passes("<>")),
        Row("path-odd", {"cmd": ["mine"], "exports": {"PATH": f"{work}/{ODD}:{path}"}}, passes("mine\n")),
        Row(
            "path-not-executable-first",
            {"cmd": ["mine"], "exports": {"PATH": f"{work}/not:{work}/dirs:{work}/bin:{path}"}},
            passes("mine\n"),
            "directories and files that are not executable are skipped",
        ),
        Row("path-nowhere", {"cmd": ["printf", "x"], "exports": {"PATH": "/nowhere"}}, UNLAUNCHED),
        Row("builtin", {"cmd": ["cd", "/"]}, UNLAUNCHED, "a shell's own command is no program"),
        Row("builtin-exit", {"cmd": ["exit", "3"]}, UNLAUNCHED),
        Row("keyword", {"cmd": ["if"]}, UNLAUNCHED),
        Row("variable", {"cmd": ["x=y"]}, UNLAUNCHED, "a shell, or env, would take it for a variable"),
        Row("option", {"cmd": ["-x"]}, UNLAUNCHED, "exec, or env, would take it for an option"),
        Row("option-in-path", {"cmd": ["-x", "x"], "exports": {"PATH": f"{work}/bin:{path}"}}, passes("-x x\n")),
        Row("equals-sign", {"cmd": ["a=b/show", "x"], **here}, passes("<x>")),
        Row("equals-sign-and-exports", {"cmd": ["a=b/show", "x"], "exports": {"A": "1"}, **here}, passes("<x>")),
        Row("odd-name", {"cmd": [f"./{ODD}/mine"], **here}, passes("mine\n")),
    ]


def _unusual_programs(root: str) -> list[Row]:
    """Which files are programs, and how long their words may be."""
    work = f"{root}/jobs"
    here = {"cwd": work}
    return [
        Row("link", {"cmd": ["./link", "x"], **here}, passes("<x>")),
        Row("dangling-link", {"cmd": ["./dangling"], **here}, UNLAUNCHED),
        Row("no-such", {"cmd": ["/no/such/program"]}, UNLAUNCHED),
        Row("no-such-bare", {"cmd": ["no-such-program"]}, UNLAUNCHED),
        Row("no-such-relative", {"cmd": ["./no-such-program"], **here}, UNLAUNCHED),
        Row("below-a-file", {"cmd": ["./show/x"], **here}, UNLAUNCHED),
        Row("directory", {"cmd": ["./"], **here}, UNLAUNCHED),
        Row("directory-by-name", {"cmd": [f"{work}/bin"]}, UNLAUNCHED),
        Row("not-executable", {"cmd": ["./not/mine"], **here}, UNLAUNCHED),
        Row("no-first-line", {"cmd": ["./no-first-line"], **here}, UNLAUNCHED, "only a shell would run it"),
        Row(
            "no-first-line-exports",
            {"cmd": ["./no-first-line"], "exports": {"A": "1"}, **here},
            UNLAUNCHED,
            "env would run it, too",
        ),
        Row("empty-file", {"cmd": ["./empty"], **here}, UNLAUNCHED, "a shell would run it, and it would pass"),
        Row("no-interpreter", {"cmd": ["./no-interpreter"], **here}, UNLAUNCHED),
        Row("no-interpreter-exports", {"cmd": ["./no-interpreter"], "exports": {"A": "1"}, **here}, UNLAUNCHED),
        Row("interpreter-unnamed", {"cmd": ["./unnamed"], **here}, UNLAUNCHED),
        Row("carriage-return", {"cmd": ["./carriage-return"], **here}, UNLAUNCHED, "no interpreter is called sh\\r"),
        Row("interpreter-is-a-script", {"cmd": ["./by-script", "x"], **here}, passes("<./by-script><x>")),
        Row("interpreter-with-an-option", {"cmd": ["./strict"], **here}, exits(1)),
        Row("interpreter-in-a-circle", {"cmd": ["./circle"], **here}, UNLAUNCHED),
        Row("name-of-the-program", {"cmd": ["sh", "-c", "echo $0"]}, passes("sh\n"), "as it was given"),
        Row("word-too-long", {"cmd": [*SHOW, "x" * 200_000]}, UNLAUNCHED, "the system takes 128 KiB"),
        Row("words-too-long", {"cmd": ["true", *["x" * 100_000] * 70]}, UNLAUNCHED, "and 6 MiB of them"),
        Row("value-too-long", {"cmd": ["true"], "exports": {"A": "x" * 200_000}}, UNLAUNCHED),
        Row("no-such-shell", {"cmd": "true", "shell": "/no/such/shell"}, UNLAUNCHED),
    ]


def _words(root: str) -> list[Row]:
    """What a program is given: its words, its input, its log."""
    return [
        *(Row(f"word-{number}", {"cmd": [*SHOW, word]}, passes(shown(word))) for number, word in enumerate(WORDS)),
        Row("words", {"cmd": [*SHOW, *WORDS]}, passes(shown(*WORDS))),
        Row("words-and-exports", {"cmd": [*SHOW, *WORDS], "exports": {"A": "1"}}, passes(shown(*WORDS))),
        Row("text", {"cmd": "printf '<%s>' \"$0\" $# 'a  b' é \udcff"}, passes("</bin/sh><0><a  b><é><\udcff>")),
        Row("text-lines", {"cmd": "cat <<E\na $((1 + 1))\nE\necho b"}, passes("a 2\nb\n")),
        Row("text-of-blanks-around", {"cmd": "\n  echo a  \n\n"}, passes("a\n")),
        Row("text-long", {"cmd": f"{LONG}printf '<%s>' \"$0\" $#; cat; exit 7"}, exits(7, "</bin/sh><0>"), "by a file"),
        Row("text-long-strict", {"cmd": f"{LONG}false | cat\necho no", "shell": STRICT}, exits(1)),
        Row("text-long-odd", {"cmd": f"{LONG}echo é\udcff", "odir": f"{root}/long/{ODD}"}, passes("é\udcff\n")),
        Row("text-long-signal", {"cmd": f"{LONG}kill -9 $$"}, dies(9)),
        Row("strict", {"cmd": "false\necho no", "shell": ["/bin/sh", "-ec"]}, exits(1), "a shell may have options"),
        Row("strict-pipe", {"cmd": "false | cat\necho no", "shell": STRICT}, exits(1)),
        Row("strict-words", {"cmd": "echo $0 $#; false || echo b", "shell": STRICT}, passes("/bin/bash 0\nb\n")),
        Row("shell-bare", {"cmd": "echo $0", "shell": ("sh", "-c")}, passes("sh\n")),
        Row("shell-no-such", {"cmd": "true", "shell": ["/no/such/shell", "-c"]}, UNLAUNCHED),
        Row("input", {"cmd": ["cat"]}, passes(), "it is empty"),
        Row("input-of-text", {"cmd": "read -r x || echo none"}, passes("none\n")),
        Row("errors", {"cmd": "echo a; echo b >&2; echo c"}, passes("a\nb\nc\n"), "into the log, in order"),
        Row("descriptors", {"cmd": ["ls", "/proc/self/fd"]}, passes("0\n1\n2\n3\n"), "ls reads with 3"),
    ]


def _variables(root: str) -> list[Row]:
    """Its environment."""
    work = f"{root}/jobs"
    here = {"cwd": work}
    return [
        *(
            Row(f"value-{number}", {"cmd": ["printenv", "A"], "exports": {"A": word}}, passes(f"{word}\n"))
            for number, word in enumerate(WORDS)
        ),
        *(
            Row(
                f"variable-{name}", {"cmd": ["/usr/bin/printenv", name], "exports": {name: value}}, passes(f"{value}\n")
            )
            for name, value in OF_SHELLS.items()
        ),
        Row("variables", {"cmd": ["true"], "exports": OF_SHELLS}, passes(), "all of them at once"),
        Row("variables-of-text", {"cmd": 'printf "<%s>" "$A" "$B"', "exports": {"A": "$B", "B": ""}}, passes("<$B><>")),
        Row(
            "preload",
            {"cmd": ["/usr/bin/printenv", "LD_PRELOAD"], "exports": {"LD_PRELOAD": "/no.so", "LC_ALL": "C"}},
            passes(
                "ERROR: ld.so: object '/no.so' from LD_PRELOAD cannot be preloaded (cannot open shared object file):"
                " ignored.\n/no.so\n"
            ),
            "ld.so says so once, for the program of the job",
        ),
        Row("PWD", {"cmd": ["printenv", "PWD"], **here}, passes(f"{work}\n")),
        Row("PWD-and-exports", {"cmd": ["printenv", "PWD"], "exports": {"A": "1"}, **here}, passes(f"{work}\n")),
        Row("PWD-of-text", {"cmd": 'echo "$PWD"; pwd', **here}, passes(f"{work}\n{work}\n")),
        Row(
            "OLDPWD", {"cmd": ["printenv", "OLDPWD"], **here}, exits(1), "an inherited one would be of another process"
        ),
        *_own_variables(),
    ]


def _own_variables() -> list[Row]:
    """What a job is told about itself."""
    told = {f"JOB_RUNTIME_{name}": "x" for name in ("ID", "ATTEMPT", "SEED")}
    return [
        Row("told-id", {"cmd": ["printenv", "JOB_RUNTIME_ID"]}, passes("told-id\n")),
        Row(f"told-id {ODD}", {"cmd": ["printenv", "JOB_RUNTIME_ID"]}, passes(f"told-id {ODD}\n")),
        Row("told-attempt", {"cmd": ["printenv", "JOB_RUNTIME_ATTEMPT"]}, passes("1\n")),
        Row("told-seed", {"cmd": ["printenv", "JOB_RUNTIME_SEED"], "seed": 2**64 - 1}, passes(f"{2**64 - 1}\n")),
        Row("told-seed-of-text", {"cmd": "echo $JOB_RUNTIME_SEED", "seed": 0, "exports": {"A": "1"}}, passes("0\n")),
        Row("told-no-seed", {"cmd": ["printenv", "JOB_RUNTIME_SEED"]}, exits(1), "it has none"),
        Row("told-by-exports", {"cmd": ["printenv", *told], "seed": 3, "exports": told}, passes("x\nx\nx\n")),
    ]


def _paths(root: str) -> list[Row]:
    """Its directories and files."""
    work = f"{root}/jobs"
    return [
        Row("cwd-relative", {"cmd": ["pwd"], "cwd": os.path.relpath(work)}, passes(f"{work}\n")),
        Row("cwd-not-normal", {"cmd": ["pwd"], "cwd": f"{root}/./bin/../jobs/"}, passes(f"{work}\n")),
        Row("cwd-odd", {"cmd": ["printenv", "PWD"], "cwd": f"{work}/{ODD}"}, passes(f"{work}/{ODD}\n")),
        Row("cwd-odd-relative-program", {"cmd": ["./mine"], "cwd": f"{work}/{ODD}"}, passes("mine\n")),
        Row("cwd-newline", {"cmd": ["printenv", "PWD"], "cwd": f"{work}/new\nline"}, passes(f"{work}/new\nline\n")),
        Row("cwd-link", {"cmd": "pwd; pwd -P", "cwd": f"{root}/to-work"}, passes(f"{root}/to-work\n{work}\n")),
        Row("cwd-missing", {"cmd": ["true"], "cwd": f"{root}/missing"}, UNLAUNCHED),
        Row("cwd-is-a-file", {"cmd": ["true"], "cwd": f"{work}/show"}, UNLAUNCHED),
        Row("cwd-is-odir", {"cmd": "echo x >file && cat file"}, passes("x\n")),
        Row("odir-odd", {"cmd": ["pwd"], "odir": f"{root}/odir/{ODD}"}, passes(f"{root}/odir/{ODD}\n")),
        Row("odir-newline", {"cmd": ["true"], "odir": f"{root}/odir/new\nline"}, passes()),
        Row("odir-dash", {"cmd": ["true"], "odir": f"{root}/odir/-rf"}, passes()),
        Row("log-odd", {"cmd": ["echo", "x"], "log_path": f"{root}/logs/{ODD}.log"}, passes("x\n")),
        Row("log-newline", {"cmd": ["echo", "x"], "log_path": f"{root}/logs/new\nline"}, passes("x\n")),
        Row(f"name {ODD}", {"cmd": ["echo", "x"]}, passes("x\n")),
    ]


def _ends(_root: str) -> list[Row]:
    """How it ends."""
    return [
        *(
            Row(f"code-{code}", {"cmd": ["sh", "-c", f"exit {code}"]}, exits(code))
            for code in (1, 2, 99, 100, 113, 114, 125, 126, 127, 128, 129, 130, 137, 139, 141, 143, 192, 193, 254, 255)
        ),
        Row("code-137-of-text", {"cmd": "exit 137"}, exits(137)),
        Row("code-137-and-exports", {"cmd": "exit 137", "exports": {"A": "1"}}, exits(137)),
        Row(
            "code-of-a-signal",
            {"cmd": "exec 2>/dev/null; sh -c 'kill -9 $$'; exit $?"},
            exits(137),
            "the shell exits with a code",
        ),
        *(
            Row(f"signal-{number}", {"cmd": ["sh", "-c", f"kill -{number} $$"]}, dies(number))
            for number in (1, 3, 4, 6, 8, 9, 10, 11, 12, 14, 15, 24, 31)
        ),
        Row("signal-9-and-exports", {"cmd": "kill -9 $$", "exports": {"A": "1"}}, dies(9)),
    ]


def lay_out(root: str) -> None:
    """Make the files that the table needs in `root`, an empty directory."""
    show = "#!/bin/sh\nprintf '<%s>' \"$@\"\n"
    mine = "#!/bin/sh\necho mine\n"
    work = f"{root}/jobs"
    programs = {
        "show": show,
        "a=b/show": show,
        "bin/mine": mine,
        "bin/-x": '#!/bin/sh\necho "${0##*/}" "$@"\n',
        f"{ODD}/mine": mine,
        "no-first-line": "echo mine\n",
        "empty": "",
        "no-interpreter": "#!/no/such/interpreter\n",
        "unnamed": "#!\n",
        "carriage-return": "#!/bin/sh\r\necho mine\r\n",
        "by-script": f"#!{work}/show\n",
        "strict": "#! /bin/sh -e\nfalse\necho mine\n",
        "circle": f"#!{work}/circle\n",
    }
    for name in (f"{work}/new\nline", f"{work}/dirs/mine", f"{work}/not", f"{root}/bin", f"{root}/logs"):
        os.makedirs(name)
    for name, text in programs.items():
        os.makedirs(os.path.dirname(f"{work}/{name}"), exist_ok=True)
        _write(f"{work}/{name}", text, 0o755)
    _write(f"{work}/not/mine", mine, 0o644)
    os.symlink("show", f"{work}/link")
    os.symlink("nothing", f"{work}/dangling")
    os.symlink("jobs", f"{root}/to-work")


def _write(path: str, text: str, mode: int) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    os.chmod(path, mode)


def judge(row: Row, found: Outcome) -> str | None:
    """Return how the outcome of a job differs from the expected one; `None` if it does not."""
    if found == row.outcome and found.status is row.outcome.status:
        return None
    reason = f" ({row.why})" if row.why else ""
    return f"{row.name}{reason}: expected {row.outcome}, got {found}"


def judge_message(row: Row, result: JobResult[object], log: bytes) -> str | None:
    """As `judge`, for a launcher: it has no kinds and codes, so the message must tell the code or the signal."""
    expected, reason = row.outcome, result.reason
    words = f"exit code {expected.code}" if expected.signal is None else f"signal {expected.signal}"
    if expected.kind in (FailureKind.EXIT_CODE, FailureKind.SIGNAL):
        agrees = reason is not None and words in reason.message
    else:
        agrees = (None if reason is None else reason.kind) is expected.kind
    if agrees and result.status is expected.status and log == expected.log:
        return None
    return (
        f"{row.name}: expected {expected}, got {result.status.name} ({reason and reason.message}) with the log {log!r}"
    )
