"""Take samples: every contender once, then all of them again, each time in a fresh process.

Taking turns lets a machine that slows down or is shared disturb everybody alike.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from benchmarks.model import PEAK, BenchmarkError, Contender, Measures

DEADLINE: Final = 900.0
"""Seconds that one sample may take. Out of the air: far beyond the slowest."""
_NOT_PASSED_ON: Final = (
    "PYTHONPATH",
    "PYTHONSAFEPATH",
    "PYTHONDONTWRITEBYTECODE",  # what pip installs is compiled; a tree that is measured, too, from its second start on
    "MAKEFLAGS",
    "MAKELEVEL",
    "MFLAGS",
)


def take_turns(
    contenders: Sequence[Contender],
    rounds: int,
    *,
    on_sample: Callable[[Contender, Measures], None],
    variables: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, list[Measures]]:
    """Return `rounds` samples of each contender.

    Args:
        contenders: who is measured.
        rounds: how often.
        on_sample: is told of each sample.
        variables: environment variables for the programs, beside those of this one.

    Raises:
        BenchmarkError: if a sample fails.
    """
    samples: dict[str, list[Measures]] = {contender.name: [] for contender in contenders}
    for _ in range(rounds):
        for contender in contenders:
            measures = take_sample(contender, variables=variables)
            samples[contender.name].append(measures)
            on_sample(contender, measures)
    return samples


def take_sample(
    contender: Contender, *, variables: Mapping[str, str] = MappingProxyType({}), deadline: float = DEADLINE
) -> Measures:
    """Run the contender's program once; return what it measured.

    Raises:
        BenchmarkError: if it cannot be started, fails, says nothing, or takes longer than `deadline` seconds.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        code, peak = _run(contender, variables, out.fileno(), err.fileno(), deadline)
        out.seek(0)
        err.seek(0)
        if code != 0:
            ended = f"exit code {code}" if code > 0 else f"signal {-code}"
            if code == -signal.SIGKILL:
                ended += f" (after {deadline:g} s it is killed)"
            said = err.read().decode(errors="replace").strip()
            msg = f"{contender.name}: a sample failed with {ended}: {' '.join(contender.command)}\n{said}"
            raise BenchmarkError(msg)
        lines = out.read().decode(errors="replace").strip().splitlines()
    return {**_measures(contender, lines[-1] if lines else ""), PEAK: peak}


def _run(contender: Contender, variables: Mapping[str, str], out: int, err: int, deadline: float) -> tuple[int, float]:
    """Return the exit code (a signal: negative) and the largest resident set in MB."""
    try:
        process = subprocess.Popen(
            contender.command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=_environment(contender, {**os.environ, **variables}),
            start_new_session=True,
        )
    except OSError as exc:
        msg = f"{contender.name}: cannot start {contender.command[0]!r}: {exc.strerror}"
        raise BenchmarkError(msg) from exc
    timer = threading.Timer(deadline, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    try:
        # What the kernel knows of this one process; what its parent held when it forked, some 20 MB, counts as its own.
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    finally:
        timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss * 1024 / 1e6


def _environment(contender: Contender, inherited: Mapping[str, str]) -> dict[str, str]:
    environment = {name: value for name, value in inherited.items() if name not in _NOT_PASSED_ON}
    if contender.tree is not None:
        environment["PYTHONPATH"] = contender.tree
    return environment


def _measures(contender: Contender, line: str) -> dict[str, float]:
    try:
        measures = json.loads(line)
        if not measures:
            raise ValueError
        return {str(name): float(value) for name, value in measures.items()}
    except (ValueError, TypeError, AttributeError) as exc:
        msg = f"{contender.name}: a sample's last line is {line!r}; wanted: a JSON object of numbers"
        raise BenchmarkError(msg) from exc
