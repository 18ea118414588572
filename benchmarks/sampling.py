"""Takes samples in rounds: each round runs every contender once, each in a fresh process.

So a machine that becomes slower, or is shared, affects all contenders alike. The order changes from round to round, so
that the state that one contender leaves to the next (caches, memory, heat) favours none.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Final

from benchmarks.model import PEAK, BenchmarkError, Contender, Measures

DEADLINE: Final = 900.0
"""Seconds that one sample may take. Arbitrary: far more than the slowest takes. Ten times less might end it on a slow
machine, ten times more would only delay the report of a hang."""
_NOT_INHERITED: Final = (
    "PYTHON",  # options of the interpreter: without assertions, debugging, without compiled modules
    "MAKEFLAGS",
    "MAKELEVEL",
    "MFLAGS",
)
"""Prefixes of environment variables that samples do not inherit."""


def take_samples(
    contenders: Sequence[Contender],
    rounds: int,
    *,
    on_sample: Callable[[Contender, Measures], None],
    variables: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, list[Measures]]:
    """Return `rounds` samples of each contender.

    Args:
        contenders: the programs to run.
        rounds: the number of rounds.
        on_sample: called after each sample.
        variables: environment variables for the programs, in addition to those of this one.

    Raises:
        BenchmarkError: if a sample fails.
    """
    samples: dict[str, list[Measures]] = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        for contender in in_order(contenders, number):
            measures = take_sample(contender, variables=variables)
            samples[contender.name].append(measures)
            on_sample(contender, measures)
    return samples


def in_order(contenders: Sequence[Contender], number: int) -> Sequence[Contender]:
    """Return the contenders in the order of a round. Odd rounds are reversed; each pair of rounds starts one later."""
    first = number // 2 % len(contenders)
    forwards = [*contenders[first:], *contenders[:first]]
    return forwards if number % 2 == 0 else forwards[::-1]


def take_sample(
    contender: Contender, *, variables: Mapping[str, str] = MappingProxyType({}), deadline: float = DEADLINE
) -> Measures:
    """Run the contender's program once, and return its measures. Its temporary files are removed, however it ends.

    Raises:
        BenchmarkError: if it cannot be started, fails, prints no measures, or takes longer than `deadline` seconds.
    """
    directory = tempfile.TemporaryDirectory(dir=variables.get("TMPDIR"), ignore_cleanup_errors=True)
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        directory as place,
        directory,  # entered twice: a signal may interrupt the first removal
    ):
        code, peak = _run(contender, {**variables, "TMPDIR": place}, out.fileno(), err.fileno(), deadline)
        out.seek(0)
        err.seek(0)
        if code != 0:
            ended = f"exit code {code}" if code > 0 else f"signal {-code}"
            if code == -signal.SIGKILL:
                ended += f" (the deadline is {deadline:g} s)"
            printed = err.read().decode(errors="replace").strip()
            msg = f"{contender.name}: a sample failed with {ended}: {' '.join(contender.command)}\n{printed}"
            raise BenchmarkError(msg)
        lines = out.read().decode(errors="replace").strip().splitlines()
    return {**_measures(contender, lines[-1] if lines else ""), PEAK: peak}


def _run(contender: Contender, variables: Mapping[str, str], out: int, err: int, deadline: float) -> tuple[int, float]:
    """Return the exit code (negative: a signal) and the largest resident set in MB."""
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
    try:
        timer.start()
        # `ru_maxrss` of this one process. It includes what the parent held at the fork, about 20 MB.
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    finally:
        timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss * 1024 / 1e6


def _environment(contender: Contender, inherited: Mapping[str, str]) -> dict[str, str]:
    environment = {name: value for name, value in inherited.items() if not name.startswith(_NOT_INHERITED)}
    if contender.tree is not None:
        environment["PYTHONPATH"] = contender.tree
    return environment


def _measures(contender: Contender, line: str) -> dict[str, float]:
    try:
        measures = {str(name): float(value) for name, value in json.loads(line).items()}
        if measures and all(0 < value < math.inf for value in measures.values()):  # ratios are computed from them
            return measures
    except (ValueError, TypeError, AttributeError):
        pass
    msg = f"{contender.name}: the last line of a sample is {line!r}; expected a JSON object of positive numbers"
    raise BenchmarkError(msg)
