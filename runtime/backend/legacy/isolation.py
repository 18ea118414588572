"""`Isolation`: which process isolated launchers are built in, and what becomes of it.

One process has the launchers of one block (see `isolated`). If it dies, the next launcher is built in a new one. After
a call was abandoned, the process is probed, as a call may hold its interpreter's lock; new launchers wait for the
answer.
"""

from __future__ import annotations

import copyreg
import io
import itertools
import pickle
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import MappingProxyType
from typing import Final, TypeVar

import trio

from runtime.backend.legacy.duck_typing import class_name, describe
from runtime.backend.legacy.isolated import LauncherProcess, LauncherProxy
from runtime.backend.legacy.launcher import LauncherError, View
from runtime.backend.legacy.launcher_calls import BUILD
from runtime.job.protocol import Specification

K = TypeVar("K")
V = TypeVar("V")

MAX_RESTARTS: Final = 5
"""How often the process of isolated launchers is restarted while the backend is open. Arbitrary: ten times as often
would lose many jobs to a class that always crashes, without a restart the first crash would end the run."""


def check_importable(launcher_cls: type) -> None:
    """Check that another process can import a class by its name.

    Raises:
        ValueError: if it cannot.
    """
    module, name = launcher_cls.__module__, launcher_cls.__qualname__
    if module == "__main__" or "<locals>" in name:
        where = "a function" if "<locals>" in name else "the program that was started"
        raise ValueError(
            f"LegacyLauncherAdapter: isolated is True, and {name} is defined in {where}, from where no other "
            "process can import it; expected a class at the top level of a module"
        )


class Isolation:
    """Builds the isolated launchers of one block, and starts their process.

    Args:
        launcher_cls: the class; another process must be able to import it by its name.
        view: a function from a job to the constructor's argument, called in that process; `None` for the job itself.
    """

    def __init__(self, launcher_cls: type, view: View | None) -> None:
        self._greeting = launcher_cls, view
        """What a new process is told first."""
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._process: LauncherProcess | None = None
        self._is_closed = False
        self._discarded = weakref.WeakSet[LauncherProcess]()
        self._deaths = 0
        self._probing: threading.Thread | None = None

    def make(self, job: Specification) -> LauncherProxy:
        """Build a launcher. Blocks.

        Raises:
            LauncherError: if the job does not pickle, or the process cannot be started.
        """
        try:
            payload = _pickled(job)
        except Exception as exc:  # pickling runs foreign code
            msg = f"job {job.id!r} does not pickle, as the job of an isolated launcher must: {describe(exc)}"
            raise LauncherError(msg) from exc
        if self._probing is not None:
            self._probing.join()  # a process that may be killed gets no more launchers; `PROBE_TIMEOUT` bounds the wait
        launcher = LauncherProxy(self._living_process(), next(self._numbers), job.id)
        launcher.ask(BUILD.name, payload)
        return launcher

    def suspect(self, on_death: Callable[[LauncherProcess, str], object]) -> None:
        """Probe the process in a thread; if it does not answer, kill it and call `on_death` in the loop.

        Does not block.

        Args:
            on_death: called with the process and its exit reason.
        """
        if self._process is not None and (self._probing is None or not self._probing.is_alive()):
            token = trio.lowlevel.current_trio_token()
            self._probing = threading.Thread(target=_probe, args=[self._process, token, on_death], daemon=True)
            self._probing.start()

    def discard(self, process: LauncherProcess) -> bool:
        """Stop using `process`, which has died: the next launcher is built in a new one. Does not block.

        Returns:
            False if it was discarded before.
        """
        if process in self._discarded:
            return False
        self._discarded.add(process)
        self._deaths += 1
        process.close_idle_connections()
        if self._process is process:
            self._process = None
        return True

    def why_exhausted(self) -> str:
        """Return why no other process may be started; empty as long as one may."""
        return f"it was restarted {MAX_RESTARTS} times, which is the limit" if self._deaths > MAX_RESTARTS else ""

    async def close(self) -> None:
        """End the process, or leave it running if calls hang in it."""
        self._is_closed = True
        process, self._process = self._process, None
        if process is None:
            return
        if process.is_busy():
            process.linger()
        else:
            await process.close()

    def _living_process(self) -> LauncherProcess:
        name = class_name(self._greeting[0])
        with self._lock:
            if self._is_closed:  # an abandoned constructor may get here after the backend has closed
                raise LauncherError(f"{name} is isolated, and its process has ended with its backend")
            if self._process is None or self._process.has_ended():  # the threads that wait for it see that themselves
                try:
                    greeting = _pickled(self._greeting)
                except Exception as exc:  # pickling runs foreign code
                    msg = f"{name} cannot be isolated: it, or its view, does not pickle: {describe(exc)}"
                    raise LauncherError(msg) from exc
                self._process = LauncherProcess(name, greeting)
            return self._process


def _probe(
    process: LauncherProcess, token: trio.lowlevel.TrioToken, on_death: Callable[[LauncherProcess, str], object]
) -> None:
    text = process.probe()
    if text:
        with suppress(trio.RunFinishedError):  # the event loop has ended during the probe
            token.run_sync_soon(on_death, process, text)


class _Pickler(pickle.Pickler):
    """A pickler that can also pickle a read-only mapping, which every `JobSpec` contains."""

    dispatch_table = copyreg.dispatch_table | {MappingProxyType: lambda proxy: (_read_only, (dict(proxy),))}


def _read_only(mapping: dict[K, V]) -> MappingProxyType[K, V]:
    return MappingProxyType(mapping)


def _pickled(value: object) -> bytes:
    stream = io.BytesIO()
    _Pickler(stream, pickle.HIGHEST_PROTOCOL).dump(value)
    return stream.getvalue()
