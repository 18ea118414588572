"""A stand-in for Altair's `nc`, with the commands that DVSim's launcher uses.

``nc run [options] -set NAME [options] -- COMMAND…`` runs a command, passes its output on, waits for it, and returns
its exit status, as `nc` does with `-wl`. ``nc stop -set NAME -sig TERM,KILL`` sends the signals to all jobs of that
set, one after the other, and fails if there is none.

Each call is appended to the file `asked` in the directory `NC_STAND_IN`; the sets are directories there.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

OPTIONS_WITH_A_VALUE = {"-e", "-set", "-r", "-sig"}
FLAGS = {"-D", "-nodb", "-nolog", "-wl"}


def parse(words: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Return the options with their values, and what comes after ``--``."""
    options: dict[str, list[str]] = {}
    rest = iter(words)
    for word in rest:
        if word == "--":
            return options, list(rest)
        if word not in OPTIONS_WITH_A_VALUE | FLAGS:
            sys.exit(f"nc: unknown option {word}")
        options.setdefault(word, []).append(next(rest) if word in OPTIONS_WITH_A_VALUE else "")
    return options, []


def run(directory: Path, options: dict[str, list[str]], command: list[str]) -> int:
    # With bash, as DVSim's scripts use `function`, although their first line names `sh`.
    job = subprocess.Popen(["bash", *command], start_new_session=True)
    members = directory / options["-set"][0].replace("/", "%")
    members.mkdir(exist_ok=True)
    member = members / str(job.pid)
    member.touch()
    with (directory / "pids").open("a") as pids:
        pids.write(f"{job.pid} {os.getpid()}\n")
    code = job.wait()
    member.unlink()
    return code if code >= 0 else 128 - code


def stop(directory: Path, options: dict[str, list[str]]) -> int:
    name = options["-set"][0]
    members = list((directory / name.replace("/", "%")).glob("*"))
    if not members:
        sys.exit(f"nc: no jobs in set {name}")
    for word in options["-sig"][0].split(","):
        for member in members:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int(member.name), signal.Signals[f"SIG{word}"])
    return 0


def main() -> int:
    directory = Path(os.environ["NC_STAND_IN"])
    verb, *words = sys.argv[1:]
    with (directory / "asked").open("a") as asked:
        asked.write(json.dumps([verb, *words]) + "\n")
    options, command = parse(words)
    return run(directory, options, command) if verb == "run" else stop(directory, options)


sys.exit(main())
