"""Files planted at random into the paths of jobs. Is any other file changed, or any other job delayed?

A FIFO, a link, a hard link, a device, a socket, a directory or a sparse file replaces a file or a directory of a job,
or that is removed, before the job begins or while it runs. The backends are local trees, local groups and the batch
core on a fake Slurm. There are as many undisturbed jobs as disturbed ones (victims).
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import socket
import stat
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from runtime.backend.contract.backend import RuntimeBackend
from runtime.backend.local import LocalBackend
from runtime.backend.slurm import SlurmBackend
from runtime.job import EventBatch, JobCompletionEvent, JobSpec, JobStatus
from tests.campaigns import Campaign
from tests.slurm.fakes import FakeSlurm
from tests.slurm.fakes.controller import Settings
from tests.slurm.jobs import use_fake

AT_ONCE: Final = 20
"""Victims of a round."""

TIMEOUT: Final = 60.0
"""Seconds in which a round must end. Arbitrary: many times its usual duration."""

MAX_DELAY: Final = 1.0
"""Seconds by which planted files may delay undisturbed jobs. Arbitrary: a busy machine delays them, too."""

BACKENDS: Final = ("tree", "group", "slurm")


def a_socket(path: Path) -> None:
    """Bind a socket, unless the path is too long for an address."""
    with socket.socket(socket.AF_UNIX) as listener, suppress(OSError):
        listener.bind(str(path))


def a_device(path: Path) -> None:
    """Make a device; without permission, a FIFO."""
    if os.geteuid() == 0:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    else:
        os.mkfifo(path)


def a_hole(path: Path) -> None:
    """Make a sparse file of 64 GiB."""
    with path.open("wb") as file:
        file.truncate(1 << 36)


class Stranger:
    """Files outside of the run, which the runtime must not change."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "stranger"
        self.path.mkdir()
        for name in ("file", "job.log", "env_vars", "STOP", "jobs"):
            (self.path / name).write_text("precious")
        self._before = self._now()

    def _now(self) -> dict[str, tuple[str, int]]:
        return {path.name: (path.read_text(), stat.S_IMODE(path.stat().st_mode)) for path in self.path.iterdir()}

    def changes(self) -> dict[str, Any]:
        """Return the files that have changed, with their content and mode now."""
        now = self._now()
        return {
            name: now.get(name) for name in self._before.keys() | now.keys() if now.get(name) != self._before.get(name)
        }


KINDS: Final[dict[str, Callable[[Path, Path], Any]]] = {
    "fifo": lambda path, _: os.mkfifo(path),
    "link": lambda path, stranger: path.symlink_to(stranger / "file"),
    "link to a directory": lambda path, stranger: path.symlink_to(stranger),
    "link to nothing": lambda path, stranger: path.symlink_to(stranger / "new"),
    "hard link": lambda path, stranger: path.hardlink_to(stranger / "file"),
    "device": lambda path, _: a_device(path),
    "socket": lambda path, _: a_socket(path),
    "directory": lambda path, _: path.mkdir(),
    "hole": lambda path, _: a_hole(path),
    "removed": lambda path, _: None,
    "replaced": lambda path, _: path.write_bytes(b"\0garbage\n"),
}

NAMES: Final = (".", "job.log", "env_vars", "STOP", "..", "../claim", "../record", "../array", "../run")
"""Paths relative to a job's output directory: itself, its files, its parent, and files of the batch core."""


class Round:
    """A number of victims, and as many undisturbed jobs."""

    def __init__(self, directory: Path, number: int, chance: random.Random, stranger: Stranger) -> None:
        self.run_dir = directory / "run"
        self.number = number
        self.chance = chance
        self.stranger = stranger
        self.planted = 0
        self.ended: dict[str, tuple[JobStatus, float]] = {}

    async def play(
        self, backend: RuntimeBackend, receive: trio.MemoryReceiveChannel[EventBatch], *, planting: bool
    ) -> list[float]:
        """Run all jobs, and plant files if `planting`. Return the seconds that each undisturbed job took."""
        command = "trap 'exit 0' TERM; sleep 0.05; echo PASSED"
        victims = [self.job(f"victim{number}", command) for number in range(AT_ONCE)]
        others = [self.job(f"other{number}", "echo PASSED") for number in range(AT_ONCE)]
        began = trio.current_time()
        with trio.fail_after(TIMEOUT):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.take, receive, len(victims) + len(others), began)
                early = [victim for victim in victims if self.chance.random() < 0.5]
                for victim in early if planting else ():
                    self.plant(victim)
                nursery.start_soon(backend.submit_many, [*victims, *others])
                for victim in victims:
                    if victim not in early:
                        await trio.sleep(self.chance.random() * 0.02)
                        if planting:
                            self.plant(victim)
                    if self.chance.random() < 0.2:
                        nursery.start_soon(backend.kill_many, [victim.id])
        for other in others:
            assert self.ended[other.id][0] is JobStatus.PASSED, f"{other.id}: {self.ended[other.id]}"
        return [self.ended[other.id][1] for other in others]

    def job(self, name: str, command: str) -> JobSpec:
        """Return a job. Victims have a nested directory; some jobs renew theirs."""
        identity = f"{self.number}-{name}"
        return JobSpec(
            name=identity,
            cmd=command,
            odir=str(self.run_dir / f"deep-{identity}" / "odir") if "victim" in name else None,
            pass_patterns=["PASSED"],
            renew_odir=self.chance.random() < 0.3,
            timeout=10,
        )

    async def take(self, receive: trio.MemoryReceiveChannel[EventBatch], count: int, began: float) -> None:
        """Receive all completions."""
        while len(self.ended) < count:
            for event in await receive.receive():
                if isinstance(event, JobCompletionEvent):
                    assert event.job_id not in self.ended
                    self.ended[event.job_id] = event.status, trio.current_time() - began

    def plant(self, victim: JobSpec) -> None:
        """Replace or remove a random path of a victim."""
        self.planted += 1
        assert victim.odir is not None
        odir, name, kind = Path(victim.odir), self.chance.choice(NAMES), self.chance.choice(list(KINDS))
        path = {".": odir, "..": odir.parent}.get(name, odir / name)
        if name.startswith("../"):
            found = self.of_the_batch_core(name[3:])
            if not found:
                path = odir
            else:
                path = self.chance.choice(found)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir() and not path.is_symlink():
                path.rename(path.with_name(f"{path.name}.away{self.planted}"))
            else:
                path.unlink(missing_ok=True)
            KINDS[kind](path, self.stranger.path)

    def of_the_batch_core(self, what: str) -> list[Path]:
        """Return claims, records or array files of this round's victims, and of no other job."""
        folder = self.run_dir / ".batch"
        tokens: dict[str, Path] = {}
        for jobs in folder.glob("arrays/*/jobs"):
            with suppress(OSError, ValueError, KeyError):
                if stat.S_ISREG(jobs.lstat().st_mode):
                    for line in jobs.read_text().splitlines():
                        entry = json.loads(line)
                        if entry["job"].startswith(f"{self.number}-victim"):
                            tokens[entry["token"]] = jobs.parent / str(entry["index"])
        if what == "array":
            return list(tokens.values())
        ending = {"claim": "run", "run": "run", "record": "end"}[what]
        return [folder / "ends" / token[:2] / f"{token}.{ending}" for token in tokens]


async def play(seed: int, count: int, containment: str) -> tuple[Counter[str], float, float, dict[str, Any]]:
    """Plant `count` files, rounded up.

    Returns:
        How victims ended; the longest time of an undisturbed job, without and with planted files; and the foreign
        files that have changed.
    """
    chance = random.Random(f"{seed} {containment}")
    seen: Counter[str] = Counter()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plant-", ignore_cleanup_errors=True)))
        stranger = Stranger(directory)
        options: dict[str, Any] = {"soft_stop": "STOP", "soft_timeout": 0.2}
        if containment == "slurm":
            slurm = stack.enter_context(FakeSlurm(Settings(kill_wait=0.2, cpus=64)))
            use_fake(slurm, stack.enter_context(pytest.MonkeyPatch.context()))
            options |= {"poll_interval": 0.05, "visibility_timeout": 2}
            backend: RuntimeBackend = SlurmBackend(directory / "run", **options)
        else:
            backend = LocalBackend(0, directory / "run", containment=containment, term_timeout=0.2, **options)
        send, receive = trio.open_memory_channel[EventBatch](math.inf)
        async with backend.open(send):
            usual = longest = 0.0
            for number in range(0, 2 * math.ceil(count / AT_ONCE), 2):
                control = Round(directory, number, chance, stranger)
                usual = max(usual, *await control.play(backend, receive, planting=False))
                some = Round(directory, number + 1, chance, stranger)
                longest = max(longest, *await some.play(backend, receive, planting=True))
                seen.update(status.name for name, (status, _) in some.ended.items() if "victim" in name)
        shutil.rmtree(directory / "run", ignore_errors=True)
        return seen, usual, longest, stranger.changes()


def run(seed: int, count: int) -> str:
    """Raise if a foreign file was changed, an undisturbed job was delayed, or a run did not end."""
    seen: Counter[str] = Counter()
    most = 0.0
    for containment in BACKENDS:
        ends, usual, longest, changes = trio.run(play, seed, math.ceil(count / len(BACKENDS)), containment)
        assert not changes, f"{containment}: {changes}"
        assert longest <= usual + MAX_DELAY, f"{containment}: {longest:.2f} s, and {usual:.2f} s without planted files"
        seen += ends
        most = max(most, longest - usual)
    ends_seen = ", ".join(f"{number} {name}" for name, number in sorted(seen.items()))
    return f"{seen.total()} planted files ({ends_seen}), 0 foreign files changed, longest delay of others {most:.2f} s"


CAMPAIGN = Campaign("planted-files", "do files planted in a job's paths change or delay anything else?", 1000, run)
