"""`BadNodes`: which nodes get no more jobs of this run, because jobs fail there and not elsewhere. Pure.

A node is bad if two failures come in ten minutes that are the node's: it failed, or jobs could not be launched there. A
program that is misspelt cannot be launched anywhere, and must not cost a node. So a failure to launch counts only

- if the same program has begun on another node, in the same directory;
- if it has failed in the same way on no other node.

No failure counts if a job has begun on the node since. Nor is a node excluded before another one has begun a job: the
only node of a small cluster is better than none.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Hashable
from typing import Final

import attrs

MOST_FAILURES: Final = 2
"""Failures after which a node is excluded. With one, each node that dies by chance is lost to the run; with ten times
as many, a node without its file systems eats jobs, as it is free again at once."""

WINDOW: Final = 600.0
"""Seconds in which they count together. Arbitrary: ten times longer, and two accidents of a night are no accident; ten
times shorter, and a node that takes a minute to fail each job is never noticed."""

_MOST_KEPT: Final = 1000
"""Failures, and programs, that are remembered. Arbitrary: with ten times more, each failure of a bad night takes
milliseconds; with ten times fewer, a burst of failures on one node hides those on another."""

_ENOUGH: Final = 2
"""Nodes on which something has begun that are remembered: for each node, one of two is another one."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}", re.ASCII)
"""A single node, as in a host name; a list such as ``n[1-2]`` tells not which of them it was."""


@attrs.frozen
class _Failure:
    node: str
    at: float
    what: Hashable
    """What could not be launched; `None` if the node itself failed."""
    why: str


class BadNodes:
    """Times are seconds of one clock."""

    def __init__(self) -> None:
        self.excluded: tuple[str, ...] = ()
        """The nodes that get no more jobs, in the order in which they were excluded."""
        self._failures: deque[_Failure] = deque(maxlen=_MOST_KEPT)
        self._good: set[str] = set()
        """Nodes on which a job has begun."""
        self._begun: dict[Hashable, set[str]] = {}
        """What has begun, and on which nodes, of which two are enough."""

    def note_begun(self, node: str, what: Hashable) -> None:
        """Take note that a job has begun on a node.

        Args:
            node: its name.
            what: what was launched there, as in `note_failure`.
        """
        if self._is_known(node):
            self._good.add(node)
            if what in self._begun or len(self._begun) < _MOST_KEPT:
                nodes = self._begun.setdefault(what, set())
                if len(nodes) < _ENOUGH:
                    nodes.add(node)
            if any(failure.node == node for failure in self._failures):
                self._failures = deque((each for each in self._failures if each.node != node), _MOST_KEPT)

    def note_failure(self, node: str, at: float, what: Hashable = None, why: str = "") -> bool:
        """Take note of a failure; return whether the node is excluded for it, from now on.

        Args:
            node: its name; what is no single name is ignored.
            at: when.
            what: the program that could not be launched there, with its directory; `None` if the node itself failed.
            why: why that could not be launched.
        """
        if not self._is_known(node):
            return False
        while self._failures and self._failures[0].at < at - WINDOW:
            self._failures.popleft()
        self._failures.append(_Failure(node, at, what, why))
        elsewhere = {(each.what, each.why) for each in self._failures if each.node != node}
        own = [each for each in self._failures if each.node == node and self._is_of_node(each, elsewhere)]
        if len(own) < MOST_FAILURES or not self._good - {node}:
            return False
        self._good.discard(node)
        self.excluded = (*self.excluded, node)
        return True

    def _is_of_node(self, failure: _Failure, elsewhere: Collection[tuple[Hashable, str]]) -> bool:
        """Whether a failure says something about its node, and not about the job."""
        if failure.what is None:
            return True
        others = self._begun.get(failure.what, set()) - {failure.node}
        return bool(others) and (failure.what, failure.why) not in elsewhere

    def _is_known(self, node: str) -> bool:
        return _NAME.fullmatch(node) is not None and node not in self.excluded
