"""The exit code of a run that has ended by itself. Apart from the others, as ``--help`` needs no jobs. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from runtime.cli.exit_codes import EXIT_INFRASTRUCTURE, EXIT_NOT_PASSED, EXIT_PASSED
from runtime.job import FailureClass, JobResult, JobSpec


def exit_code_of(results: Iterable[JobResult[JobSpec]]) -> int:
    """Return the exit code of a run that ended by itself, with these results. Known failures count as if they passed.

    A job that was cancelled, by the administrator of a cluster for example, has not passed, and nobody knows why.
    """
    left = {result.failure_class for result in results if result.known is None}
    if FailureClass.DESIGN in left:
        return EXIT_NOT_PASSED
    if FailureClass.INFRASTRUCTURE in left:
        return EXIT_INFRASTRUCTURE
    return EXIT_NOT_PASSED if FailureClass.NEITHER in left else EXIT_PASSED
