"""What all launchers of a process share: its current directory and its environment. Who changed them?

A launcher that calls `os.chdir`, or writes to `os.environ`, changes them for everybody in the process. So they are
compared before and after, put back, and the launcher is named in a warning.

To compare them costs as much as a short poll (some 4 µs), so that is done for each slice of calls, not for each call:
a call that takes longer than a slice has one of its own. Once somebody was caught, every call is looked at.

Limits. What is changed while calls of several threads are in progress is put back when the last of them has returned,
and the warning says that it may be another's; calls that hang do not count. A launcher that changes something and
changes it back is not noticed. Nor can the program around us be told from a launcher, if it changes its own directory
or environment while a launcher's call is in progress: that is put back, too. What C code does to the environment
behind Python's back is not seen. A launcher of a process of its own (`isolated`) disturbs its own kind only.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from runtime.backend.legacy.call_batches import Call

logger: Final = logging.getLogger("runtime.backend.legacy")

SHOWN: Final = 3
"""How many calls or variables a warning names."""


class Surroundings:
    """Guards the directory and the environment of this process. There is one, since there is one of each."""

    def __init__(self) -> None:
        self.is_close = False
        """Whether each call is to be looked at, as somebody was caught."""
        self._lock = threading.Lock()
        self._busy: set[object] = set()
        self._is_shared = False
        """Whether several were busy at once since nobody was."""
        self._cwd: str | None = None
        self._environ: Mapping[Any, Any] = {}
        self._warned: set[str] = set()

    def enter(self, who: object) -> None:
        """Say that calls begin. What `who` finds is right, whoever made it so."""
        with self._lock:
            if not self._busy:
                self._cwd, self._environ, self._is_shared = _cwd(), dict(_environ()), False
            else:
                self._is_shared = True
            self._busy.add(who)

    def look(self, who: object, owner: str, call: Call) -> None:
        """Put things back after one call of several, unless somebody else is busy, too."""
        with self._lock:
            if self._busy == {who}:
                self._restore(owner, [call])

    def leave(self, who: object, owner: str, calls: Sequence[Call]) -> None:
        """Say that the `calls` of launchers of the class `owner` have returned, and put things back."""
        with self._lock:
            if who in self._busy:
                self._busy.discard(who)
                if not self._busy:
                    self._restore(owner, calls)

    def excuse(self, who: object) -> None:
        """Count `who` no longer: its call hangs."""
        with self._lock:
            self._busy.discard(who)

    def _restore(self, owner: str, calls: Sequence[Call]) -> None:
        cwd, environ = _cwd(), _environ()
        changes = []
        if cwd != self._cwd:
            changes.append(f"the current directory, to {cwd!r}")
            self._change_back()
        if environ != self._environ:
            keys = [key for key in {**environ, **self._environ} if environ.get(key) != self._environ.get(key)]
            names = sorted(_text(key) for key in keys)
            some = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
            changes.append(f"the environment ({some})")
            for key in keys:
                _put(key, self._environ.get(key))
        if changes:
            self.is_close = True
            self._warn(owner, calls, " and ".join(changes))

    def _change_back(self) -> None:
        try:
            if self._cwd is None:
                return  # there was none before, either
            os.chdir(self._cwd)
        except OSError as exc:
            logger.warning("cannot change back to the directory %r: %s", self._cwd, exc)

    def _warn(self, owner: str, calls: Sequence[Call], changes: str) -> None:
        texts = [f"{call.step.name} of {call.subject!r}" for call in calls[:SHOWN]]
        some = ", ".join(texts) + (", …" if len(calls) > SHOWN else "")
        who = f"{owner}: {some}" if len(calls) == 1 else f"{owner}: one of {len(calls)} calls ({some})"
        other = ", unless it was another call at that time" if self._is_shared else ""
        # A launcher that does it once does it for each job: one warning for each kind of call says it all.
        kind = f"{owner}.{calls[0].step.name}" if len(calls) == 1 else owner
        level = logging.DEBUG if kind in self._warned else logging.WARNING
        self._warned.add(kind)
        logger.log(level, "%s changed %s%s; it was put back", who, changes, other)


def _cwd() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None  # it was removed


def _environ() -> Mapping[Any, Any]:
    # The dictionary behind `os.environ`, of what the system knows: to compare that takes a twentieth of the time.
    raw = getattr(os.environ, "_data", None)
    return raw if isinstance(raw, dict) else dict(os.environ)


def _put(key: Any, value: Any) -> None:
    if value is None:
        os.environ.pop(_text(key), None)
    else:
        os.environ[_text(key)] = _text(value)


def _text(raw: Any) -> str:
    return os.fsdecode(raw)


surroundings: Final = Surroundings()
