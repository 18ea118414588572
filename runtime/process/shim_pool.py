"""`ShimPool`: the shims of a supervisor, those that are idle, have a job, or are being forked."""

from __future__ import annotations

import errno
import itertools
import os
import socket
from collections.abc import Sequence
from typing import Any, Final

import attrs
import trio

from runtime.helper.process import hang_up
from runtime.helper.wire import pack
from runtime.process.guard.messages import DEAD, FORK, FORKED, NOT_FORKED
from runtime.process.shim import Shim
from runtime.process.trees import TreeEnd
from runtime.signal_names import signal_name

_FORK_TIMEOUT: Final = 10.0
"""Seconds that the supervisor may take to fork a shim, before the backend is reported as busy. Arbitrary: ten times
shorter, and jobs are refused on a loaded machine; ten times longer, and launches wait for a supervisor that hangs."""


@attrs.define(eq=False)
class _Fork:
    """A shim that was requested."""

    shim: Shim
    done: trio.Event = attrs.field(factory=trio.Event)
    """Set when it was forked, or could not be: see `error`."""
    error: OSError | None = None
    is_awaited: bool = True
    """Whether `ShimPool.take` still waits for it."""


class ShimPool:
    """The shims of a supervisor.

    Args:
        control: the socket on which the supervisor takes commands.
        roots: how many roots it has the descriptors of.
    """

    def __init__(self, control: socket.socket, roots: int) -> None:
        self._control = control
        self.roots: Final = roots
        """How many roots its shims have the descriptors of."""
        self._shims: dict[int, Shim] = {}
        """Those whose end was not noticed, by number."""
        self._idle: list[Shim] = []
        self._forks: dict[int, _Fork] = {}
        """Those of them that are being forked."""
        self._numbers = itertools.count(1)
        self.is_retired: bool = False
        """Whether the supervisor ends when all shims are idle."""
        self.enomem_count: int = 0
        """How many new shims in a row could not be forked, or start a program, because of ENOMEM."""

    @property
    def shims(self) -> Sequence[Shim]:
        """The shims whose end was not noticed."""
        return list(self._shims.values())

    @property
    def busy(self) -> int:
        """How many shims are not idle."""
        return len(self._shims) - len(self._idle)

    async def take(self, count: int) -> tuple[list[Shim], OSError | None]:
        """Return `count` idle shims, forked if there are not enough; and an error if these are fewer."""
        taken = [self._idle.pop() for _ in range(min(count, len(self._idle)))]
        if len(taken) == count:
            return taken, None
        forks: list[_Fork] = []
        error: OSError | None = None
        try:
            try:
                while len(taken) + len(forks) < count:
                    forks.append(self._fork())
            except OSError as exc:
                error = exc
            with trio.move_on_after(_FORK_TIMEOUT) as scope:
                for fork in forks:
                    await fork.done.wait()
            if scope.cancelled_caught:
                error = OSError(errno.EAGAIN, f"the supervisor of processes did not answer for {_FORK_TIMEOUT:g} s")
        except trio.Cancelled:
            # Shims that are forked after this become idle; those that were taken have to be given back.
            _collect(forks, taken)
            for shim in taken:
                self.give_back(shim)
            raise
        error = _collect(forks, taken) or error
        return taken, error if len(taken) < count else None

    def _fork(self) -> _Fork:
        """Request a shim."""
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        shim = Shim(self, next(self._numbers), ours)
        with its:
            try:
                socket.send_fds(self._control, [pack(FORK, shim.number)], [its.fileno()])
            except OSError as exc:
                ours.close()
                raise OSError(errno.EAGAIN, f"the supervisor of processes accepts no commands: {exc}") from exc
        self._shims[shim.number] = shim
        fork = self._forks[shim.number] = _Fork(shim)
        return fork

    def give_back(self, shim: Shim) -> None:
        """Make `shim` idle."""
        if not shim.dead:
            self._idle.append(shim)
            self.end_if_unused()

    def retire(self) -> None:
        """Let the supervisor end when all shims are idle. From now on `take` must not be called."""
        self.is_retired = True
        self.end_if_unused()

    def end_if_unused(self) -> None:
        """End the supervisor if it was retired, and all shims are idle."""
        if self.is_retired and not self.busy:
            hang_up(self._control)  # the supervisor ends when it sees that

    # ------------------------------------------------------------------ answers

    def note_answer(self, kind: str, number: int, *rest: Any) -> None:
        """Handle an answer about the shim of this number."""
        shim = self._shims.get(number)
        if shim is None:  # it was removed before
            return
        if kind == FORKED:
            shim.pid = rest[0]
            fork = self._forks.pop(number)
            if not fork.is_awaited:  # `take` was cancelled, or has timed out
                self._idle.append(shim)
            fork.done.set()
        elif kind == NOT_FORKED:
            self.note_start(shim, rest[0])
            self._remove(shim, TreeEnd(), OSError(rest[0], os.strerror(rest[0])))
        elif kind == DEAD:
            status, left = rest
            how = os.waitstatus_to_exitcode(status)
            text = f"its shim was ended by {signal_name(-how)}" if how < 0 else f"its shim ended with code {how}"
            self._remove(shim, TreeEnd(left=left or None, broken=text))
        else:
            shim.note_answer(kind, *rest)

    def note_start(self, shim: Shim, error: int | None) -> None:
        """`shim` has started a program; or could not, or could not be forked, because of this `errno`."""
        # A shim that has started a program before says nothing of the memory that the next one will get.
        if not shim.is_proven:
            self.enomem_count = self.enomem_count + 1 if error == errno.ENOMEM else 0
        shim.is_proven = shim.is_proven or error is None

    def note_end(self) -> None:
        """The supervisor and all its shims have exited."""
        for shim in self.shims:
            self._remove(shim, TreeEnd(left=(), broken="its shim and its supervisor were killed"))

    def _remove(self, shim: Shim, end: TreeEnd, error: OSError | None = None) -> None:
        """Handle the end of a shim, or that it could not be forked."""
        fork = self._forks.pop(shim.number, None)
        if fork is not None:
            fork.error = error or OSError(errno.EAGAIN, "the supervisor of processes has ended")
            fork.done.set()
        del self._shims[shim.number]
        if shim in self._idle:
            self._idle.remove(shim)
        shim.note_dead(end)


def _collect(forks: Sequence[_Fork], taken: list[Shim]) -> OSError | None:
    """Add to `taken` the shims that were forked; return the error of others. Late ones become idle."""
    error = None
    for fork in forks:
        fork.is_awaited = False
        if fork.shim.pid is not None and not fork.shim.dead:
            taken.append(fork.shim)
        error = fork.error or error
    return error
