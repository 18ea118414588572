"""Who gets the slots of a backend: no slot is given twice, no token is lost, and none lies about that another needs."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from runtime.backend.local.token_pool import IDLE, MAX_OFFER, RETRY, TokenHolder, TokenPool


def pool(slots: int, running: int, *holders: TokenHolder) -> TokenPool:
    made = TokenPool(slots)
    made.running = running
    made.holders += holders
    return made


def spread(tokens: TokenPool, now: float) -> dict[TokenHolder, int]:
    """Do what the pool wants; return the tokens that were offered."""
    for holder, count in tokens.to_take_back(now).items():
        tokens.take_back(holder, count, count, now)
    offers = tokens.to_offer(now)
    for holder, count in offers.items():
        tokens.offer(holder, count, now)
    tokens.sanity_check()
    return offers


def test_all_slots_that_no_job_holds_are_offered_evenly() -> None:
    a, b = TokenHolder(), TokenHolder()
    assert spread(pool(7, 2, a, b), 0) in ({a: 3, b: 2}, {a: 2, b: 3})


def test_who_holds_fewer_gets_more() -> None:
    a, b = TokenHolder(taken=3), TokenHolder()
    assert spread(pool(9, 2, a, b), 0) == {a: 1, b: 3}
    assert spread(pool(6, 2, TokenHolder(taken=3), c := TokenHolder()), 0) == {c: 1}


def test_without_a_free_slot_nothing_is_offered() -> None:
    assert spread(pool(2, 2, TokenHolder(), TokenHolder()), 0) == {}


def test_no_more_is_offered_at_once_than_a_pipe_holds() -> None:
    a = TokenHolder()
    assert spread(pool(100_000, 1, a), 0) == {a: MAX_OFFER}


def test_a_job_that_waits_goes_before_every_token() -> None:
    a, b = TokenHolder(), TokenHolder()
    tokens = pool(6, 2, a, b)
    spread(tokens, 0)
    tokens.waiting = 3
    assert tokens.startable() == 0
    spread(tokens, 0)
    assert (tokens.startable(), tokens.held) == (3, 1)
    tokens.waiting, tokens.running = 0, 5
    assert spread(tokens, 0) == {}


def test_what_was_taken_is_waited_for() -> None:
    a = TokenHolder(offered=1, taken=2)
    tokens = pool(4, 1, a)
    tokens.waiting = 1
    assert tokens.to_take_back(0) == {a: 1}
    tokens.take_back(a, 1, 0, 0)  # the job was faster
    assert (a.offered, a.taken, tokens.startable()) == (0, 3, 0)
    assert TokenPool.observe(a, 0, 1, 0) == 0
    assert (a.taken, tokens.startable()) == (2, 1)


def test_an_offer_that_is_not_taken_goes_to_a_job_that_has_taken_all() -> None:
    idle, busy = TokenHolder(), TokenHolder()
    tokens = pool(10, 2, idle, busy)
    spread(tokens, 0)
    TokenPool.observe(busy, 0, 0, 0.001)
    assert tokens.wake_at() == IDLE
    assert spread(tokens, IDLE - 0.001) == {}
    assert spread(tokens, IDLE) == {busy: 2}
    TokenPool.observe(busy, 0, 0, 0.03)
    assert spread(tokens, 0.03) == {busy: 1}
    TokenPool.observe(busy, 0, 0, 0.04)
    assert spread(tokens, 0.04) == {busy: 1}
    TokenPool.observe(busy, 0, 0, 0.05)
    assert (idle.held, busy.taken, tokens.wake_at()) == (0, 8, math.inf)


def test_who_wants_none_comes_after_the_others_until_it_is_asked_again() -> None:
    idle, busy = TokenHolder(), TokenHolder(taken=1)
    tokens = pool(4, 2, idle, busy)
    assert spread(tokens, 0) == {idle: 1}
    assert spread(tokens, IDLE) == {busy: 1}
    for now in (0.1, 0.5, IDLE + RETRY - 0.01):
        TokenPool.observe(busy, 0, 1, now)
        assert spread(tokens, now) == {busy: 1}
    TokenPool.observe(busy, 0, 1, 2)
    assert spread(tokens, 2) == {idle: 1}
    TokenPool.observe(idle, 0, 0, 2)
    assert idle.wants


def test_an_idle_token_goes_round_once_in_a_while() -> None:
    a, b = TokenHolder(), TokenHolder()
    tokens = pool(3, 2, a, b)
    spread(tokens, 0)
    first, second = (a, b) if a.offered else (b, a)
    assert spread(tokens, IDLE) == {second: 1}
    assert tokens.wake_at() == IDLE + RETRY
    assert spread(tokens, IDLE + RETRY) == {first: 1}


def test_a_job_that_has_closed_its_pipes_is_offered_nothing() -> None:
    gone, other = TokenHolder(offered=2, taken=1, is_closed=True), TokenHolder()
    tokens = pool(5, 2, gone, other)
    assert spread(tokens, 0) == {other: 2}
    assert (gone.offered, gone.taken) == (0, 1)


@pytest.mark.parametrize(("in_pipe", "returned", "forged"), [(5, 0, 2), (3, 0, 0), (1, 1000, 0), (9, 1000, 6)])
def test_tokens_that_a_job_has_made_itself_do_not_count(in_pipe: int, returned: int, forged: int) -> None:
    holder = TokenHolder(offered=1, taken=2)
    assert TokenPool.observe(holder, in_pipe, returned, 0) == forged
    assert holder.offered == in_pipe - forged
    assert holder.held == (3 if not returned else holder.offered)


def test_a_limit_that_shrinks_takes_nothing_away_and_gives_nothing() -> None:
    a = TokenHolder()
    tokens = pool(4, 1, a)
    spread(tokens, 0)
    TokenPool.observe(a, 1, 0, 0)
    tokens.slots = 2
    tokens.waiting = 1
    assert tokens.to_take_back(0) == {a: 1}
    tokens.take_back(a, 1, 1, 0)
    assert (tokens.free, tokens.startable(), tokens.to_offer(0)) == (-1, 0, {})


@attrs.define(eq=False)
class Client:
    """A job with what is really in its pipes."""

    holder: TokenHolder = attrs.field(factory=TokenHolder)
    in_pipe: int = 0
    taken: int = 0
    on_the_way: int = 0
    """Returned, and not yet read."""
    demand: int = 0
    """How many it takes when all others have what they want."""

    @property
    def total(self) -> int:
        return self.in_pipe + self.taken + self.on_the_way

    def take(self, count: int) -> None:
        count = min(count, self.in_pipe)
        self.in_pipe -= count
        self.taken += count


class Tokens(RuleBasedStateMachine):
    """Jobs that start, end, are killed, take tokens and return them; what is known of them lags behind."""

    clients = Bundle("clients")

    @rule(slots=st.integers(1, 8))
    def begin(self, slots: int) -> None:
        """Change the number of slots, if nothing runs."""
        if not self.all and not self.pool.running:
            self.pool.slots = slots

    def __init__(self) -> None:
        super().__init__()
        self.pool = TokenPool(4)
        self.all: list[Client] = []
        self.arriving: list[Client | None] = []
        self.now = 0.0

    @rule(target=clients)
    def arrive(self) -> Client:
        """Let a client wait for a slot."""
        client = Client()
        self.arriving.append(client)
        self.pool.waiting += 1
        return client

    @rule()
    def arrive_plain(self) -> None:
        """Let another job wait for one."""
        self.arriving.append(None)
        self.pool.waiting += 1

    @rule()
    def end_plain(self) -> None:
        """End a job that is no client."""
        if self.pool.running > len(self.all):
            self.pool.running -= 1

    @rule(client=consumes(clients))
    def end(self, client: Client) -> None:
        """End a client, whatever it holds; or withdraw it, if it waits."""
        if client in self.all:
            self.all.remove(client)
            self.pool.holders.remove(client.holder)
            self.pool.running -= 1
        else:
            self.arriving.remove(client)
            self.pool.waiting -= 1

    @rule(client=clients, count=st.integers(1, 4))
    def take(self, client: Client, count: int) -> None:
        client.take(count)

    @rule(client=clients, count=st.integers(1, 4))
    def give_back(self, client: Client, count: int) -> None:
        count = min(count, client.taken)
        client.taken -= count
        client.on_the_way += count

    @rule(client=clients)
    def look(self, client: Client) -> None:
        returned, client.on_the_way = client.on_the_way, 0
        assert TokenPool.observe(client.holder, client.in_pipe, returned, self.now) == 0

    @rule(seconds=st.sampled_from([0.001, IDLE, 0.3, RETRY]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def spread(self) -> None:
        """Do what the pool wants."""
        by_holder = {client.holder: client for client in self.all}
        for holder, asked in self.pool.to_take_back(self.now).items():
            got = min(asked, by_holder[holder].in_pipe)
            by_holder[holder].in_pipe -= got
            self.pool.take_back(holder, asked, got, self.now)
        for _ in range(self.pool.startable()):
            client = self.arriving.pop(0)
            self.pool.waiting -= 1
            self.pool.running += 1
            if client is not None:
                self.all.append(client)
                self.pool.holders.append(client.holder)
        for holder, count in self.pool.to_offer(self.now).items():
            next(client for client in self.all if client.holder is holder).in_pipe += count
            self.pool.offer(holder, count, self.now)

    @rule()
    def wake(self) -> None:
        """Look at all, and spread; once more for jobs that have started then. Nothing is due after that.

        Otherwise the task that does so would never sleep.
        """
        for _ in range(2):
            for client in self.all:
                self.look(client)
            self.spread()
        assert self.pool.wake_at() > self.now

    @rule(demand=st.integers(0, 6))
    def satisfy(self, demand: int) -> None:
        """Let each client take up to so many: in the end, one that lacks some lacks them because none is left."""
        for number, client in enumerate(self.all):
            client.demand = max(client.taken, demand if number % 2 == 0 else 0)
        for _ in range(40 * (len(self.all) + 1)):
            for client in self.all:
                client.take(client.demand - client.taken)
                self.look(client)
            self.spread()
            wake_at = self.pool.wake_at()
            self.now = max(self.now, 0 if wake_at == math.inf else wake_at)
        for client in self.all:
            client.take(client.demand - client.taken)
        if any(client.taken < client.demand for client in self.all):
            assert sum(client.in_pipe for client in self.all) == 0
            assert self.pool.free == 0 or self.pool.waiting == 0

    @invariant()
    def no_slot_is_given_twice(self) -> None:
        assert self.pool.running + sum(client.total for client in self.all) <= self.pool.slots
        self.pool.sanity_check()

    @invariant()
    def no_token_is_lost(self) -> None:
        assert all(client.holder.held == client.total for client in self.all)


TestTokens = Tokens.TestCase
TestTokens.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
