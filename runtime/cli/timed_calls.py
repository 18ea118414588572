"""`call_each_with_timeout`: calls with paths that a user named, in a thread, because a file system may not answer.

Before a run there is nothing else to do. So one thread makes the calls, one after the other, and the program waits for
it as long as it makes progress.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final

import attrs
import outcome

from runtime.jobfile.errors import InputError

TIMEOUT: Final = 10.0
"""Seconds for one call. Arbitrary: an automounter takes seconds. If it were ten times longer, the program would seem to
hang; if it were ten times shorter, a disk that has to spin up would be an error."""

_CHECKS: Final = 20
"""How often the thread is checked within the timeout. Checks are counted, and no clock is read, because this process
itself may be stopped meanwhile, for example with Ctrl-Z: that costs at most one check. Arbitrary: ten times fewer, and
one stop would use up half of the timeout; ten times more, and the program would wake 20 times a second."""


@attrs.define(eq=False)
class _Calls:
    """The thread's calls, and how far it is. Read by the main thread without a lock: one attribute at a time."""

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


def call_each_with_timeout(function: Callable[[str], object], paths: Iterable[str], *, what: str) -> None:
    """Call a function with each path once, in a thread, in the order of the paths.

    Args:
        function: may block.
        paths: its arguments; duplicates are dropped.
        what: the word for a path in a message, such as ``the directory``.

    Raises:
        InputError: if a call takes longer than `TIMEOUT`; the message names the path. The call goes on in its thread.
        Exception: what the first call that fails raises; the rest are not made.
    """
    paths = list(dict.fromkeys(paths))
    if not paths:
        return
    calls = _Calls()
    # A daemon, because a stalled call must not prevent the exit.
    thread = threading.Thread(target=calls.run, args=(function, paths), daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no thread can be started: better without a timeout than not at all
        calls.run(function, paths)
    else:
        _wait(thread, calls, what)
    assert calls.result is not None
    calls.result.unwrap()


def _wait(thread: threading.Thread, calls: _Calls, what: str) -> None:
    checks, begun = 0, 0
    while thread.is_alive():
        thread.join(TIMEOUT / _CHECKS)
        checks = checks + 1 if calls.begun == begun else 0
        begun = calls.begun
        if checks >= _CHECKS and thread.is_alive():
            problem = f"no result for {TIMEOUT:g} s; expected a file system that works"
            raise InputError(f"{what} {calls.path} does not answer: {problem}")
