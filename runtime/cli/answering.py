"""`each_in_time`: calls about directories that a user named, in a thread, as their file system may not answer.

Before a run nothing else can be done meanwhile. So one thread asks, about one path after the other, and the program
waits for it as long as it makes progress.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final

import attrs
import outcome

from runtime.jobfile.errors import InputError

LIMIT: Final = 10.0
"""Seconds for one call. Arbitrary: an automounter takes seconds; if it were ten times longer, a person would take the
program for hung; if it were ten times shorter, a disk that has to start up would be an error."""

_LOOKS: Final = 20
"""How often within the limit somebody looks. So time in which the process itself is stopped counts once at most."""


@attrs.define(eq=False)
class _Calls:
    """What the thread does, as another thread may read it."""

    begun: int = 0
    path: str = ""
    result: outcome.Value[None] | outcome.Error | None = None

    def run(self, function: Callable[[str], object], paths: Iterable[str]) -> None:
        self.result = outcome.capture(self._call_each, function, paths)

    def _call_each(self, function: Callable[[str], object], paths: Iterable[str]) -> None:
        for path in paths:
            self.path = path
            self.begun += 1
            function(path)


def each_in_time(function: Callable[[str], object], paths: Iterable[str], *, what: str) -> None:
    """Call a function with each path once, in a thread, in the order of the paths.

    Args:
        function: may block.
        paths: what it is called with; repetitions are left out.
        what: what a message calls a path, as in ``the directory``.

    Raises:
        InputError: if a call takes longer than `LIMIT`; it names the path. The call itself goes on in its thread.
        Exception: whatever the function raises, by the first call that does.
    """
    paths = list(dict.fromkeys(paths))
    if not paths:
        return
    calls = _Calls()
    thread = threading.Thread(target=calls.run, args=(function, paths), daemon=True)  # a stuck one must not keep us
    try:
        thread.start()
    except RuntimeError:  # no thread can be started
        calls.run(function, paths)
    else:
        _wait(thread, calls, what)
    assert calls.result is not None
    calls.result.unwrap()


def _wait(thread: threading.Thread, calls: _Calls, what: str) -> None:
    looks, begun = 0, 0
    while thread.is_alive():
        thread.join(LIMIT / _LOOKS)
        looks = looks + 1 if calls.begun == begun else 0
        begun = calls.begun
        if looks >= _LOOKS and thread.is_alive():
            msg = f"{what} {calls.path} does not answer: no result for {LIMIT:g} s; expected: a file system that works"
            raise InputError(msg)
