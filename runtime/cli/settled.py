"""`Settled`: which jobs have passed, together with all jobs that need them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


class Settled:
    """Counts what keeps a job from being *settled*: that it has passed, and that each job that needs it is settled.

    Nobody reads the output of such a job any more: neither a job that needs it, directly or through others, nor one
    that did not pass, and that a person will look at, or run again by a resume, for which it would have to run as well.

    Args:
        needs: id of each job to the ids of those that it needs. Ids that are no keys are ignored.
    """

    def __init__(self, needs: Mapping[str, Iterable[str]]) -> None:
        self._needs: dict[str, Sequence[str]] = {
            job_id: [need for need in dict.fromkeys(ids) if need in needs] for job_id, ids in needs.items()
        }
        self._left = dict.fromkeys(needs, 1)
        """For each job, of how many that has not come yet: its own pass, and each job that needs it."""
        for ids in self._needs.values():
            for need in ids:
                self._left[need] += 1

    def passed(self, job_id: str) -> list[str]:
        """Take note that a job has passed, once for each job; return the ids of those that are settled by that."""
        settled: list[str] = []
        following = [job_id]
        while following:  # by recursion, a long chain would exhaust the stack
            name = following.pop()
            self._left[name] -= 1
            if not self._left[name]:
                settled.append(name)
                following += self._needs[name]
        return settled
