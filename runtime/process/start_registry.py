"""`StartRegistry`: the process trees that threads have started, so that none is missed when all are paused.

A thread that has started a process needs the GIL before it can register it. If the program stops just then, because the
user has pressed Ctrl-Z, that process would run on.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Final

from runtime.process.trees import GroupTree

_PAUSE_TIMEOUT: Final = 1.0
"""Seconds that `pause` waits for starts in progress. Arbitrary: one takes milliseconds; ten times longer, and Ctrl-Z
would seem not to work where a file system hangs; ten times shorter, and it may miss a process on a loaded machine."""


class StartRegistry:
    """Holds all trees that were started. Its methods may be called in any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way = 0
        self._paused = False
        self._trees = weakref.WeakSet[GroupTree]()

    def start(self, function: Callable[[], GroupTree]) -> GroupTree:
        """Call `function`, which starts a tree, and return that; while paused, wait before. Blocks."""
        with self._changed:
            while self._paused:
                self._changed.wait()
            # Counted before the start, so that `pause` waits for it.
            self._under_way += 1
        tree = None
        try:
            tree = function()
        finally:
            with self._changed:
                # Under the same lock as the registration, so that `pause` sees the tree after the wait.
                self._under_way -= 1
                if tree is not None:
                    self._trees.add(tree)
                if self._paused:
                    self._changed.notify_all()
        return tree

    def pause(self) -> list[GroupTree]:
        """Block new starts until `unpause`; wait for those in progress; return all trees."""
        with self._changed:
            self._paused = True
            self._changed.wait_for(lambda: not self._under_way, _PAUSE_TIMEOUT)
            return list(self._trees)

    def unpause(self) -> list[GroupTree]:
        """Allow new starts again; return all trees. Idempotent."""
        with self._changed:
            self._paused = False
            self._changed.notify_all()
            return list(self._trees)
