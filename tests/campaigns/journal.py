"""SIGKILL of a process that appends to a journal, at random instants; the next process continues the same journal.

Is everything that was acknowledged in the file? Is the file a valid prefix, without a hole? Does the next process take
the lock, and append behind the last whole frame?
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from tests.campaigns import Campaign
from tests.journal import killed_program
from tests.journal.disks import numbers, readable

EACH = 20
"""Processes that continue one journal. Each reads it from its beginning, so ten times more would take long."""


def found(path: Path) -> list[int]:
    """Return the numbers of the records that are in the journal."""
    return numbers(readable(path.read_bytes())) if path.exists() else []


def kill(program: subprocess.Popen[str], first: int, chance: random.Random) -> int:
    """Let a process append records from `first` on, and kill it. Return the last acknowledged number, or -1."""
    orders, answers = streams(program)
    orders.write(f"{first}\n")
    orders.flush()
    child = int(answers.readline())
    acknowledged = -1
    for _ in range(chance.randrange(8)):
        line = answers.readline()
        assert line != "dead\n", "it has ended by itself"
        acknowledged = int(line)
    for _ in range(chance.randrange(3000)):  # so that it is not always killed just behind an answer
        pass
    os.kill(child, signal.SIGKILL)
    for line in iter(answers.readline, "dead\n"):
        acknowledged = int(line)
    return acknowledged


def streams(program: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    """Return the standard input and output of a program."""
    if program.stdin is None or program.stdout is None:
        raise AssertionError
    return program.stdin, program.stdout


def run(seed: int, count: int) -> str:
    """Kill `count` processes; `EACH` of them continue one journal, one after the other."""
    chance = random.Random(seed)
    torn = records = 0
    for done in range(0, count, EACH):
        with tempfile.TemporaryDirectory() as directory:
            more_torn, more_records = kill_some(Path(directory), min(EACH, count - done), chance)
            torn += more_torn
            records += more_records
    return f"{count} processes killed, {torn} in the middle of a frame; {records} records, none lost or twice"


def kill_some(directory: Path, count: int, chance: random.Random) -> tuple[int, int]:
    """Kill `count` processes that continue one journal. Return how often it was torn, and its size in records."""
    torn = before = 0
    path = directory / "journal.jsonl"
    words = [sys.executable, "-m", killed_program.__name__, str(directory)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        for _ in range(count):
            acknowledged = kill(program, before, chance)
            records = found(path)
            assert records == list(range(len(records))), f"there is a hole in {path.read_bytes()!r}"
            assert len(records) > acknowledged, f"{acknowledged} was acknowledged, and {len(records)} are there"
            assert len(records) >= before, "what an earlier process wrote is gone"
            torn += not path.read_bytes().endswith(b"\n") if path.exists() else False
            before = len(records)
        streams(program)[0].close()
    return torn, before


CAMPAIGN = Campaign(
    name="journal",
    question="is what was acknowledged in the journal, whenever its process is killed?",
    count=300,
    run=run,
)
