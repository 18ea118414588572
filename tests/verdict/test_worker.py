from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.job import compile_pattern
from runtime.verdict import JudgingError, worker
from runtime.verdict.engine import Hit, PythonEngine
from runtime.verdict.lines import Block
from runtime.verdict.worker import WorkerEngine, Workers

TIME = r"t=(?P<value>\d+)(?P<unit>ns)?"


@pytest.fixture
def workers() -> Iterator[Workers]:
    with closing(Workers()) as pool:
        yield pool


def engine(workers: Workers, *patterns: str, budget: float = 60.0) -> WorkerEngine:
    return WorkerEngine([compile_pattern(pattern) for pattern in patterns], workers, budget)


def test_it_answers_as_the_engine_in_this_process_does(workers: Workers) -> None:
    patterns = ["^a", "b$", "zzz", "", TIME, r"(.)\1"]
    compiled = [compile_pattern(pattern) for pattern in patterns]

    @given(
        st.lists(st.sampled_from([b"a", b"b", b"\n", b"t=12", b"t=1ns", b"\xff\0", b" "]), max_size=30).map(b"".join)
    )
    def check(block: bytes) -> None:
        with closing(WorkerEngine(compiled, workers, 60.0)) as ours:
            expected = list(PythonEngine(compiled).scan(Block.of(block), [0, 1, 2, 3, 5], [4]))
            assert list(ours.scan(Block.of(block), [0, 1, 2, 3, 5], [4])) == expected

    check()
    assert len(workers._idle) == 1  # one process was used for all examples


def test_blocks_and_lines_of_a_megabyte_go_through(workers: Workers) -> None:
    block = b"x" * (1 << 20) + b"\nt=" + b"7" * (1 << 20)
    with closing(engine(workers, TIME, "^y")) as ours:
        for _ in range(3):
            assert list(ours.scan(Block.of(block), [1], [0])) == [Hit(0, 1, b"7" * (1 << 20), None)]


def test_without_patterns_no_worker_is_started(workers: Workers) -> None:
    ours = engine(workers, "a")
    assert list(ours.scan(Block.of(b"a"), [], [])) == []
    ours.close()
    assert not workers._idle


def test_a_pattern_that_takes_too_long_is_ended_and_named(workers: Workers) -> None:
    ours = engine(workers, "^a", "(a+)+$", "b", budget=0.1)
    found = ours.scan(Block.of(b"a" * 40 + b"b"), [0, 1, 2], [])
    assert next(found) == Hit(0, 0)
    worker = ours._worker
    with pytest.raises(JudgingError, match=r"judging exceeded its budget of 0.1 s, pattern '\(a\+\)\+\$'"):
        next(found)
    assert worker is not None
    assert not worker.timed_out, "its processor time ends it, long before the wall clock would"
    ours.close()
    assert not workers._idle
    assert not workers._busy


def test_the_budget_counts_whatever_signals_we_ignore_or_block(workers: Workers) -> None:
    action = signal.signal(signal.SIGPROF, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPROF})
    try:
        with pytest.raises(JudgingError, match="exceeded its budget"):
            list(engine(workers, "(a+)+$", budget=0.1).scan(Block.of(b"a" * 40 + b"b"), [0], []))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGPROF, action)


def test_the_budget_is_for_one_log_and_not_for_the_worker(workers: Workers) -> None:
    block = b"\n".join([b"a" * 100] * 100)
    for _ in range(5):
        with closing(engine(workers, "a*a*b", budget=60.0)) as ours:
            assert list(ours.scan(Block.of(block), [0], [])) == []
    (left,) = workers._idle
    with closing(engine(workers, "^a", budget=0.05)) as ours:  # less than that worker has used so far
        assert list(ours.scan(Block.of(block), [0], [])) == [Hit(0, 0)]
    assert workers._idle == [left]


def test_a_worker_that_died_is_replaced_and_one_that_dies_at_work_is_an_error(workers: Workers) -> None:
    with closing(engine(workers, "a")) as ours:
        list(ours.scan(Block.of(b"a"), [0], []))
    (idle,) = workers._idle
    os.kill(idle.helper.pid, signal.SIGKILL)
    idle.helper.watch.wait(60)
    with closing(engine(workers, "a")) as ours:
        assert list(ours.scan(Block.of(b"a"), [0], [])) == [Hit(0, 0)]
        assert ours._worker is not None
        os.kill(ours._worker.helper.pid, signal.SIGKILL)
        with pytest.raises(JudgingError, match="ended with SIGKILL, pattern 'a'"):
            list(ours.scan(Block.of(b"a" * (1 << 20)), [0], []))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1])
def test_a_sigterm_to_every_process_disturbs_no_judging(workers: Workers, number: int) -> None:
    with closing(engine(workers, "b")) as ours:
        assert list(ours.scan(Block.of(b"a\nb"), [0], [])) == [Hit(0, 1, None, None)]
        assert ours._worker is not None
        os.kill(ours._worker.helper.pid, number)
        assert list(ours.scan(Block.of(b"b"), [0], [])) == [Hit(0, 0, None, None)]


def test_a_worker_that_does_not_answer_is_ended(workers: Workers) -> None:
    with closing(engine(workers, "a")) as ours:
        list(ours.scan(Block.of(b"a"), [0], []))
        assert ours._worker is not None
        os.kill(ours._worker.helper.pid, signal.SIGSTOP)
        ours._worker.timeout = 0.05
        with pytest.raises(JudgingError, match="exceeded its budget"):
            list(ours.scan(Block.of(b"a" * (1 << 21)), [0], []))


def test_a_scan_that_is_closed_early_ends_its_worker(workers: Workers) -> None:
    with closing(engine(workers, "a", "b")) as ours:
        found = ours.scan(Block.of(b"ab"), [0, 1], [])
        assert next(found) == Hit(0, 0)
        found.close()
        assert not workers._busy
        assert list(ours.scan(Block.of(b"ab"), [1], [])) == [Hit(1, 0)]


def test_a_closed_pool_ends_busy_workers_and_starts_none(workers: Workers) -> None:
    ours = engine(workers, "(a+)+$", "^a")
    assert list(ours.scan(Block.of(b"a"), [1], [])) == [Hit(1, 0)]
    workers.close()
    with pytest.raises(JudgingError, match="ended with SIGKILL"):
        list(ours.scan(Block.of(b"a" * 40 + b"b"), [0], []))
    with pytest.raises(JudgingError, match="pool of workers is closed"):
        list(engine(workers, "a").scan(Block.of(b"a"), [0], []))
    ours.close()


def test_no_more_workers_are_kept_than_needed(workers: Workers) -> None:
    taken = [workers.take() for _ in range(worker._MAX_IDLE + 1)]
    for one in taken:
        workers.give_back(one)
    assert workers._idle == taken[:-1]
    assert taken[-1].helper.has_exited()
