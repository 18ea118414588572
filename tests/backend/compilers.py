"""Stand-ins for compilers, which run until the test lets one go; how many ran at once is counted from outside."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import trio

from runtime.job import JobSpec

PYPI = Path(sys.executable).parent
"""Where the programs are that came with the test environment: make 4.4.1, and ninja."""
SYSTEM_MAKE = shutil.which("make", path=os.defpath) or "no make"
"""That of the system, such as Debian's 4.3."""
PYPI_MAKE = str(PYPI / "make")
NINJA = str(PYPI / "ninja")


class Compilers:
    """A directory with a build of a number of files, for make and for ninja, and its compilers."""

    def __init__(self, directory: Path, files: int = 4) -> None:
        self.directory = directory
        directory.mkdir()
        self._log = directory / "log"
        self._log.touch()
        self._fifos = []
        for name in ("up", "go"):
            os.mkfifo(directory / name)
            self._fifos.append(os.open(directory / name, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        self._up, self._go = self._fifos
        self._heard = b""
        compiler = directory / "cc"
        here = shlex.quote(str(directory))
        # A line is appended by one write, so no other comes into it.
        compiler.write_text(
            f"#!/bin/sh\ncd {here}\necho + $1 >>log\necho $1 >up\nhead -c 1 <go >null\necho - $1 >>log\n"
        )
        compiler.chmod(0o755)
        names = [f"{number}.o" for number in range(files)]
        rule = f"{compiler} $${{JOB_RUNTIME_ID}}"  # two dollars for one, in either language
        self.makefile = directory / "Makefile"
        self.makefile.write_text(
            f".PHONY: all {' '.join(names)}\nall: {' '.join(names)}\n{' '.join(names)}: ; @{rule}\n"
        )
        self.ninja = directory / "build.ninja"
        self.ninja.write_text(f"rule cc\n  command = {rule}\n" + "".join(f"build {name}: cc\n" for name in names))

    def build(self, name: str, program: str = SYSTEM_MAKE, **fields: Any) -> JobSpec:
        """Return a job in which a program builds all files."""
        file = self.ninja if program == NINJA else self.makefile
        return JobSpec(**{"name": name, "cmd": [program, "-f", str(file)], "jobserver": True, **fields})

    def one(self, name: str) -> JobSpec:
        """Return a job that is a compiler, and knows of no jobserver."""
        return JobSpec(name=name, cmd=[str(self.directory / "cc"), name])

    async def wait_started(self, count: int) -> list[str]:
        """Wait until so many further compilers have started; return the ids of their jobs."""
        while self._heard.count(b"\n") < count:
            await trio.lowlevel.wait_readable(self._up)
            self._heard += os.read(self._up, 4096)
        lines = self._heard.split(b"\n")
        self._heard = b"\n".join(lines[count:])
        return [line.decode() for line in lines[:count]]

    def let_go(self, count: int = 1) -> None:
        """Let so many compilers end."""
        os.write(self._go, b"x" * count)

    def note_killed(self, job: str) -> None:
        """Take note that the compilers of a job are about to be killed; other tests see that they end with it."""
        with self._log.open("a") as log:
            log.write(f"x {job}\n")

    def history(self) -> list[str]:
        """Return what happened: ``+ JOB`` for a compiler that has started, ``- JOB`` for one that has ended."""
        return self._log.read_text().splitlines()

    def most_at_once(self) -> int:
        """Return how many compilers ran at the same time, at most."""
        most = 0
        running: list[str] = []
        for line in self.history():
            what, job = line.split()
            if what == "+":
                running.append(job)
            elif what == "-":
                running.remove(job)
            else:
                running = [each for each in running if each != job]
            most = max(most, len(running))
        return most

    def close(self) -> None:
        """Close its descriptors."""
        for fd in self._fifos:
            os.close(fd)
