"""`ProcessState`: restores the current directory and the environment if a launcher changes them.

All launchers of a process share the two. A launcher that calls `os.chdir`, or writes to `os.environ`, changes them for
all others. So they are compared before and after, and restored, and a warning names the launcher.

The comparison costs as much as a short poll (about 4 µs), so it is made per batch of calls, not per call; a call that
takes longer than a batch is a batch of its own. After the first change, it is made after every call.

Limits. Changes during overlapping calls of several threads are restored when the last call has returned, and the
warning says that another call may be the cause; stalled calls do not count. A launcher that undoes its own change is
not noticed. If the embedding program changes its directory or environment while a launcher's call is in progress, that
is restored, too. Changes that C code makes to the environment behind Python's back are not seen. An isolated launcher
(see `isolated`) affects other isolated launchers only.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from runtime.backend.legacy.call_batches import Call

logger: Final = logging.getLogger("runtime.backend.legacy")

SHOWN: Final = 3
"""How many calls or variables a warning names. Arbitrary: enough to find the launcher, short enough for one line."""


class ProcessState:
    """Restores the directory and the environment of this process. A singleton, as each process has one of each."""

    def __init__(self) -> None:
        self.checks_every_call: bool = False
        """Whether `check` is to be called after every call, since some call has changed something."""
        self._lock = threading.Lock()
        self._busy: set[object] = set()
        self._is_shared = False
        """Whether calls of several threads have overlapped since the last comparison."""
        self._cwd: str | None = None
        self._environ: Mapping[bytes, bytes] = {}
        self._warned: set[str] = set()

    def enter(self, user: object) -> None:
        """Note that `user` begins calls. If it is the only one, the present state is what will be restored."""
        with self._lock:
            if not self._busy:
                self._cwd, self._environ, self._is_shared = _cwd(), dict(_environ()), False
            else:
                self._is_shared = True
            self._busy.add(user)

    def check(self, user: object, owner: str, call: Call) -> None:
        """Compare and restore after one call of a batch, unless another thread is in calls, too."""
        with self._lock:
            if self._busy == {user}:
                self._restore(owner, [call])

    def leave(self, user: object, owner: str, calls: Sequence[Call]) -> None:
        """Note that the `calls` of launchers of the class `owner` have returned; compare and restore."""
        with self._lock:
            if user in self._busy:  # after `ignore` its snapshot is out of date
                self._busy.discard(user)
                if not self._busy:
                    self._restore(owner, calls)

    def ignore(self, user: object) -> None:
        """Stop counting `user`, whose call has stalled: others would wait for it with their comparison."""
        with self._lock:
            self._busy.discard(user)

    def _restore(self, owner: str, calls: Sequence[Call]) -> None:
        cwd, environ = _cwd(), _environ()
        changes = []
        if cwd != self._cwd:
            changes.append(f"the current directory, to {cwd!r}")
            self._change_back()
        if environ != self._environ:
            keys = [key for key in {**environ, **self._environ} if environ.get(key) != self._environ.get(key)]
            names = sorted(map(os.fsdecode, keys))
            some = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
            changes.append(f"the environment ({some})")
            for key in keys:
                _put(key, self._environ.get(key))
        if changes:
            self.checks_every_call = True
            self._warn(owner, calls, " and ".join(changes))

    def _change_back(self) -> None:
        try:
            if self._cwd is None:
                return  # the current directory had been removed before, too
            os.chdir(self._cwd)
        except OSError as exc:
            logger.warning("cannot change back to the directory %r: %s", self._cwd, exc)

    def _warn(self, owner: str, calls: Sequence[Call], changes: str) -> None:
        texts = [f"{call.step.name} of {call.subject!r}" for call in calls[:SHOWN]]
        some = ", ".join(texts) + (", …" if len(calls) > SHOWN else "")
        what = f"{owner}: {some}" if len(calls) == 1 else f"{owner}: one of {len(calls)} calls ({some})"
        other = ", unless it was another call at that time" if self._is_shared else ""
        # A launcher that does it once does it for each job: one warning per kind of call is enough.
        kind = f"{owner}.{calls[0].step.name}" if len(calls) == 1 else owner
        level = logging.DEBUG if kind in self._warned else logging.WARNING
        self._warned.add(kind)
        logger.log(level, "%s changed %s%s; it was restored", what, changes, other)


def _cwd() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None  # the directory has been removed


def _environ() -> Mapping[bytes, bytes]:
    # The dictionary of bytes behind `os.environ`: to compare it takes a twentieth of the time.
    raw = getattr(os.environ, "_data", None)
    return raw if isinstance(raw, dict) else {os.fsencode(key): os.fsencode(value) for key, value in os.environ.items()}


def _put(key: bytes, value: bytes | None) -> None:
    if value is None:
        os.environ.pop(os.fsdecode(key), None)
    else:
        os.environ[os.fsdecode(key)] = os.fsdecode(value)


process_state: Final = ProcessState()
