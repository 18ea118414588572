"""`Retry`: whether a job that did not pass is tried again, when, and what it means if it passes then. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

import attrs

from runtime.errors import SpecError
from runtime.job.kinds import CustomKind, Kind
from runtime.job.numbers import brief, is_number
from runtime.job.status import FailureKind

Flaky = Literal["pass", "fail"]
"""What becomes of a job that passes after it failed."""
FLAKY: Final[tuple[Flaky, ...]] = ("pass", "fail")

FIRST_RETRY_DELAY: Final = 5.0
"""Seconds before the first retry of a job that names no other delay. Arbitrary: ten times longer, a job that fails by
chance holds up the end of its run; ten times shorter, five retries are over before a licence server has restarted."""
LONGEST_RETRY_DELAY: Final = 600.0
"""Seconds up to which the delay of a job grows, unless its first one is longer. Arbitrary: ten times longer, a job
sleeps for more than an hour after the licences are back; ten times shorter, five retries do not outlast a restart."""
RETRY_JITTER: Final = 0.5
"""How much of a delay is added to it at most, so that a thousand jobs that failed together do not start together.
Arbitrary: ten times more would make delays hard to predict; a tenth would not spread them."""

_NEVER_RETRIED: Final = frozenset({FailureKind.CANCELLED, FailureKind.DEPENDENCY, FailureKind.FLAKY})
"""Somebody did not want the job to run, or it never could; or it has passed."""
_ONLY_BY_NAME: Final = frozenset({FailureKind.LOST})
"""A job that is lost may still run, and a second one would write to the same files: who wants that has to say it."""

RETRIED_KINDS: Final = tuple(kind for kind in FailureKind if kind not in _NEVER_RETRIED)
"""The kinds of failure that may be retried."""

_TIMES: Final = "a whole number from 0, or a mapping from kinds of failure to such numbers"


@attrs.frozen
class Retry:
    """How often a job that did not pass is tried again.

    No job is tried again that was killed by somebody, or because the run stops, or whose backend has ended.

    Raises:
        SpecError: when it is made, if a field has a value that it cannot have.
    """

    times: int | Mapping[str, int]
    """How many retries there are at most, whatever the failures are, except *lost*; or by the kind of failure, such as
    ``{"node_failure": 2, "licence": 5}``: then each kind has its own number, and others are not retried. Kinds of one's
    own have to be among the `kinds` of the job."""
    delay: float = FIRST_RETRY_DELAY
    """Seconds before the first retry; before each later one twice as many, up to `LONGEST_RETRY_DELAY`. Up to half of a
    delay (`RETRY_JITTER`) is added to it, by a hash of the job's id and the number of the retry."""
    flaky: Flaky = "pass"
    """What becomes of a job that passes after a failure of its own: ``"pass"``, or ``"fail"``, with the kind *flaky*.
    After failures of the infrastructure alone, such as a licence that was not to be had, it always passes."""

    def __attrs_post_init__(self) -> None:
        if isinstance(self.times, Mapping):
            for kind, number in self.times.items():
                if kind not in RETRIED_KINDS and not _is_custom(kind):
                    raise SpecError(_unknown_kind(kind))
                if not _is_count(number):
                    raise SpecError(f"retry is {brief(number)} for {kind}; expected a whole number from 0")
            # Frozen, and without the class of the keys: a member of the enumeration equals its text.
            object.__setattr__(self, "times", MappingProxyType(dict(self.times)))
        elif not _is_count(self.times):
            raise SpecError(f"retry is {brief(self.times)}; expected {_TIMES}")
        if not (is_number(self.delay) and self.delay >= 0):
            raise SpecError(f"the delay of retry is {brief(self.delay)}; expected seconds, from 0")
        if self.flaky not in FLAKY:
            raise SpecError(f"flaky is {brief(self.flaky)}; expected {' or '.join(map(repr, FLAKY))}")

    def check_kinds(self, custom: Sequence[str]) -> None:
        """Check that each kind in `times` is one of `FailureKind`, or one of these of one's own.

        Raises:
            SpecError: for any other.
        """
        for kind in self.times if isinstance(self.times, Mapping) else ():
            if kind not in RETRIED_KINDS and kind not in custom:
                raise SpecError(_unknown_kind(kind, custom))

    def allows(self, kind: Kind | None, before: Sequence[Kind | None]) -> bool:
        """Whether a job is tried again after a failure of this kind.

        Args:
            kind: of the failure; `None` if it has none, as the legacy launcher gave none.
            before: the kinds of the failures that were retried before.
        """
        if kind in _NEVER_RETRIED:
            return False
        if isinstance(self.times, Mapping):
            return kind is not None and before.count(kind) < self.times.get(kind, 0)
        return kind not in _ONLY_BY_NAME and len(before) < self.times

    def wait(self, job_id: str, number: int) -> float:
        """Return the seconds to wait before a retry.

        Args:
            job_id: of the job.
            number: of the retry, from 1.
        """
        # Not from a generator: so the same run waits for the same time again.
        fraction = zlib.crc32(f"{job_id} {number}".encode("utf-8", "surrogatepass")) / 2**32
        grown = self.delay * 2.0 ** min(number - 1, 64)  # far above the longest, and no overflow
        return min(grown, max(self.delay, LONGEST_RETRY_DELAY)) * (1 + RETRY_JITTER * fraction)


def _unknown_kind(kind: object, custom: Iterable[str] = ()) -> str:
    """Return the message about a kind in a `Retry` that is none.

    Args:
        kind: what was given.
        custom: the names of the kinds of one's own that there are.
    """
    return f"retry names the kind {brief(kind)}; expected one of: {', '.join((*RETRIED_KINDS, *custom))}"


def _is_custom(kind: object) -> bool:
    """Whether it may be the name of a kind of one's own."""
    try:
        return isinstance(kind, str) and bool(CustomKind(kind))
    except SpecError:
        return False


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
