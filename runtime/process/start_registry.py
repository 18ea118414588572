"""`StartRegistry`: the process trees that threads start, so that whoever stops all of them misses none.

A thread that has started a process needs the interpreter's lock before it can say so. If the program stops just then,
because somebody has pressed Ctrl-Z, that process would run on alone.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Final

from runtime.process.trees import GroupTree

_PATIENCE: Final = 1.0
"""Seconds that starts which are under way may take to be over, when all is stopped. Arbitrary: one takes milliseconds;
if it were ten times longer, Ctrl-Z would seem not to work where a file system hangs."""


class StartRegistry:
    """Knows all trees that were started. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way = 0
        self._paused = False
        self._trees = weakref.WeakSet[GroupTree]()

    def start(self, function: Callable[[], GroupTree]) -> GroupTree:
        """Return the tree that `function` starts; if all is paused, it is called afterwards. Blocks."""
        with self._changed:
            while self._paused:
                self._changed.wait()
            self._under_way += 1
        tree = None
        try:
            tree = function()
        finally:
            with self._changed:
                self._under_way -= 1
                if tree is not None:
                    self._trees.add(tree)
                self._changed.notify_all()
        return tree

    def pause(self) -> list[GroupTree]:
        """Let nothing be started until `unpause`; wait for what is being started; return all trees there are."""
        with self._changed:
            self._paused = True
            self._changed.wait_for(lambda: not self._under_way, _PATIENCE)
            return list(self._trees)

    def unpause(self) -> list[GroupTree]:
        """Let trees be started again; return all there are. Idempotent."""
        with self._changed:
            self._paused = False
            self._changed.notify_all()
            return list(self._trees)
