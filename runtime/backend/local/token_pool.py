"""`TokenPool`: which slots of a backend its jobs hold, and which the tokens of its jobserver, and which gets one. Pure.

Each slot is held by a running job, or is a token, or is free. A token is *offered*, which means that it lies in the
pipe of a job, until the job takes it; then it is *taken*, until the job returns it, or ends. Never is one slot offered
to two jobs, so a job may take what is offered at any time, and nobody has to notice at once: what was offered and what
was taken hold a slot each. That gives three rules:

- A job that waits for a slot goes before every token: offers are taken back for it, and a token that is returned is
  its slot.
- All other free slots are offered, to the jobs that hold the fewest first.
- An offer that its job has not taken for `IDLE` goes to a job that has taken all of its own, half of it at a time.

A job that leaves an offer for so long *wants* none, and comes after the others; after `RETRY` it is offered one again,
because a job that waits for a token in an empty pipe cannot be told from one that is busy with something else.
"""

from __future__ import annotations

import math
from typing import Final

import attrs

MAX_OFFER: Final = 64
"""Tokens that are offered to one job, at most. Arbitrary: ten times more cost as many steps whenever they are spread,
ten times fewer would have to be offered again for every few processes."""

IDLE: Final = 0.02
"""Seconds after which an offer may go to another job. Arbitrary: a `make` that waits takes its token within a
millisecond, on a busy machine within a few. Ten times longer, and slots stay empty for as long; ten times shorter, and
tokens are taken from a job that was about to take them."""

RETRY: Final = 1.0
"""Seconds until a job that wants none is offered a token again, if others would take it. Arbitrary: such an offer may
leave a slot empty for `IDLE`, so ten times more often would cost a fifth of a slot; ten times less often, and a `make`
that has linked for long compiles alone for ten seconds."""


@attrs.define(eq=False)
class TokenHolder:
    """A job that uses the jobserver, and its tokens."""

    offered: int = 0
    """Tokens in its pipe. It may have taken some of them since that was observed."""
    taken: int = 0
    """Tokens that it has taken, and not returned."""
    wants: bool = True
    """Whether it would take another one, as far as that is known."""
    is_closed: bool = False
    """Whether no process of the job has its pipes open any more: it is offered nothing."""
    changed: float = -math.inf
    """When `offered` changed last, seconds."""
    tried: float = -math.inf
    """When it was offered a token last, or an offer was taken back that it had not taken, seconds."""

    @property
    def held(self) -> int:
        """How many slots its tokens hold."""
        return self.offered + self.taken


class TokenPool:
    """The slots of a backend.

    Args:
        slots: how many there are. It may be assigned; if it shrinks, nothing is taken away from running jobs.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.running: int = 0
        """How many jobs hold a slot. Assigned by the code that knows the jobs."""
        self.waiting: int = 0
        """How many jobs wait for a slot. Assigned likewise."""
        self.holders: list[TokenHolder] = []
        """The jobs that get tokens; all of them are running. One that is removed gives its tokens back."""

    @property
    def held(self) -> int:
        """How many slots the tokens of all jobs hold."""
        return sum(holder.held for holder in self.holders)

    @property
    def free(self) -> int:
        """How many slots are free. Negative if `slots` has shrunk."""
        return self.slots - self.running - self.held

    # ------------------------------------------------------------------ what happened

    @staticmethod
    def observe(holder: TokenHolder, in_pipe: int, returned: int, now: float) -> int:
        """Take note of what is in the pipe of a job; return how many tokens in it are forged, and must be taken out.

        Args:
            holder: the job.
            in_pipe: how many tokens are in its pipe; counted after `returned`, so that no token is missed which was
                taken and returned in between.
            returned: how many it has returned in another pipe since the last observation. A job cannot return more
                than it has taken: the rest is ignored.
            now: seconds.
        """
        forged = max(0, in_pipe - holder.held)
        in_pipe -= forged
        held = max(holder.held - returned, in_pipe)
        if in_pipe < holder.offered:
            holder.wants = True
        if in_pipe != holder.offered:
            holder.changed = now
        holder.offered, holder.taken = in_pipe, held - in_pipe
        return forged

    @staticmethod
    def offer(holder: TokenHolder, count: int, now: float) -> None:
        """Take note that so many tokens were put into the pipe of a job."""
        holder.offered += count
        holder.changed = holder.tried = now

    @staticmethod
    def take_back(holder: TokenHolder, asked: int, got: int, now: float) -> None:
        """Take note that so many tokens were to be taken out of a pipe, and so many were there."""
        if got < asked:  # it has taken the others
            holder.wants = True
            holder.taken += holder.offered - got
            holder.offered = 0
            holder.changed = now
        else:
            holder.offered -= got

    # ------------------------------------------------------------------ what to do

    def startable(self) -> int:
        """Return how many of the waiting jobs may start now."""
        return max(0, min(self.waiting, self.free))

    def to_take_back(self, now: float) -> dict[TokenHolder, int]:
        """Return from which pipes to take how many tokens, because another needs them; what is idle wants none."""
        offered = {holder: holder.offered for holder in self.holders if holder.offered}
        back = {holder: count for holder, count in offered.items() if holder.is_closed}
        missing = self.waiting - self.free - sum(back.values())
        if missing > 0:
            for _ in range(missing):
                most = max(offered, key=lambda each: offered[each] - back.get(each, 0), default=None)
                if most is None or back.get(most, 0) == offered[most]:
                    break
                back[most] = back.get(most, 0) + 1
            return back
        for count in self._moves(now):
            idle = [each for each in self._idle(now) if back.get(each, 0) < each.offered]
            if not idle:
                break
            most = max(idle, key=lambda each: each.offered - back.get(each, 0))
            left = most.offered - back.get(most, 0)
            back[most] = back.get(most, 0) + (count or (left + 1) // 2)
            most.wants, most.tried = False, now
        return back

    def _idle(self, now: float) -> list[TokenHolder]:
        """Return the jobs that have not taken what they were offered for so long that it may go to another."""
        return [each for each in self.holders if each.offered and not each.is_closed and now >= each.changed + IDLE]

    def _moves(self, now: float) -> list[int]:
        """Return a number for each job that is to get tokens of another: how many; 0 for half of them."""
        empty = self._empty()
        return [0 for each in empty if each.wants] + [1 for each in empty if not each.wants and _is_due(each, now)]

    def _empty(self) -> list[TokenHolder]:
        return [each for each in self.holders if not each.offered and not each.is_closed]

    def to_offer(self, now: float) -> dict[TokenHolder, int]:
        """Return which jobs are to be offered how many of the free slots."""
        left = self.free - self.waiting
        offers: dict[TokenHolder, int] = {}
        empty = self._empty()
        due = sorted((each for each in empty if not each.wants and _is_due(each, now)), key=_by_trial)
        wanting = sorted((each for each in empty if each.wants), key=_by_need)
        others = sorted((each for each in empty if not each.wants and each not in due), key=_by_trial)
        for holder in [*due, *wanting, *others][: max(0, left)]:
            offers[holder] = 1
            left -= 1
        takers = [each for each in self.holders if not each.is_closed]
        while left > 0 and takers:
            fewest = min(takers, key=lambda each: (not each.wants, each.held + offers.get(each, 0)))
            if fewest.offered + offers.get(fewest, 0) >= MAX_OFFER:
                takers.remove(fewest)
            else:
                offers[fewest] = offers.get(fewest, 0) + 1
                left -= 1
        return offers

    def wake_at(self) -> float:
        """Return when `to_take_back` may have more to do although nothing has happened; `math.inf` for never."""
        idle = min((each.changed for each in self.holders if each.offered), default=math.inf) + IDLE
        empty = self._empty()
        if not empty:
            return math.inf
        if any(each.wants for each in empty):
            return idle
        return max(idle, min(each.tried for each in empty) + RETRY)

    def sanity_check(self) -> None:
        """Check every invariant. For tests.

        Raises:
            AssertionError: if one does not hold.
        """
        assert all(each.offered >= 0 and each.taken >= 0 for each in self.holders), self.holders
        assert self.free >= 0, (self.slots, self.running, self.holders)


def _is_due(holder: TokenHolder, now: float) -> bool:
    return now >= holder.tried + RETRY


def _by_trial(holder: TokenHolder) -> float:
    return holder.tried


def _by_need(holder: TokenHolder) -> tuple[int, float]:
    return holder.held, holder.tried
