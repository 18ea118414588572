"""The pool of resources: limits, requests for all of it, resources without a limit, and limits that change."""

from __future__ import annotations

import logging

import pytest

from runtime.errors import ResourceError
from runtime.job import JobSpec
from runtime.scheduler.resources import Request, ResourcePool, check_capacity, request_of

ONE: Request = (("licence", 1),)
TWO: Request = (("licence", 2),)
ALL: Request = (("licence", None),)


def test_equal_requests_are_equal_whatever_their_order() -> None:
    one = JobSpec(name="a", cmd="x", resources={"b": 1, "a": None})
    other = JobSpec(name="b", cmd="x", resources={"a": None, "b": 1})
    assert request_of(one) == request_of(other) == (("a", None), ("b", 1))
    assert request_of(JobSpec(name="c", cmd="x")) == ()


def test_a_limit_is_kept_to_the_last_unit() -> None:
    pool = ResourcePool({"licence": 3})
    pool.take(TWO)
    assert pool.lacking(TWO) == "licence"
    assert pool.lacking(ONE) is None
    pool.take(ONE)
    assert pool.lacking(ONE) == "licence"
    pool.release(TWO)
    assert pool.lacking(TWO) is None
    assert pool.usage() == {"licence": (1, 3)}


def test_all_of_it_is_held_alone() -> None:
    pool = ResourcePool({"licence": 3})
    pool.take(ONE)
    assert pool.lacking(ALL) == "licence"
    pool.release(ONE)
    pool.take(ALL)
    assert pool.usage() == {"licence": (3, 3)}
    assert pool.lacking(ONE) == pool.lacking(ALL) == "licence"
    pool.release(ALL)
    assert pool.usage() == {"licence": (0, 3)}


def test_all_of_an_unlimited_resource_is_held_alone_too() -> None:
    pool = ResourcePool({"licence": None})
    pool.take(ONE)
    assert pool.lacking((("licence", 10**9),)) is None
    assert pool.lacking(ALL) == "licence"
    pool.release(ONE)
    pool.take(ALL)
    assert pool.lacking(ONE) == "licence"


def test_a_need_above_a_static_limit_is_an_error() -> None:
    pool = ResourcePool({"licence": 3, "none": 0})
    pool.check(TWO, "job")
    with pytest.raises(ResourceError, match="job 'big' needs 4 of resource 'licence', and its limit is 3"):
        pool.check((("licence", 4),), "big")
    with pytest.raises(ResourceError, match="needs all of resource 'none', and its limit is 0"):
        pool.check((("none", None),), "big")


def test_a_need_above_a_dynamic_limit_waits() -> None:
    pool = ResourcePool(dynamic=["licence"])
    pool.check(TWO, "job")
    assert pool.lacking(TWO) == "licence"
    assert not pool.possible(TWO)
    assert pool.set_capacity("licence", 2)
    assert not pool.set_capacity("licence", 2)
    assert pool.lacking(TWO) is None
    with pytest.raises(ResourceError, match="became -1"):
        check_capacity("licence", -1)


def test_a_lowered_limit_takes_nothing_away() -> None:
    pool = ResourcePool(dynamic=["licence"])
    pool.set_capacity("licence", 2)
    pool.take(TWO)
    pool.set_capacity("licence", 1)
    assert pool.lacking(ONE) == "licence"
    pool.release(TWO)
    assert pool.lacking(ONE) is None


def test_a_resource_without_a_limit_is_an_error_a_warning_or_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ResourceError, match=r"'a' needs resource 'licence', which has no limit \(.* for: gpu\)"):
        ResourcePool({"gpu": 1}).check(ONE, "a")
    with caplog.at_level(logging.WARNING):
        ResourcePool(missing="ignore").check(ONE, "a")
        assert not caplog.records
        pool = ResourcePool(missing="warn")
        pool.check(ONE, "a")
        pool.check(ONE, "b")
    assert [record.getMessage()[:27] for record in caplog.records] == ["job 'a' needs resource 'lic"]
    assert pool.lacking((("licence", 10**9),)) is None


@pytest.mark.parametrize("limit", [-1, 1.5, True, "4"])
def test_a_limit_that_is_no_amount_is_refused(limit: int) -> None:
    with pytest.raises(ResourceError, match=r"limit of resource 'licence' is .*; expected a whole number"):
        ResourcePool({"licence": limit})
