"""Directories of other runs, at the places in the run directory where jobs look for them: symbolic links.

A job whose result is kept of another run has its output there, and not in this run. But the jobs that need it have
commands with ``{run_dir}/build`` in them. So a link is made at that place, before anything starts, to the directory in
the other run. Jobs follow it; the runtime never does: the completion of the kept job names the real directory.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

import attrs

from runtime.backend.job_paths import job_paths
from runtime.cli.timed_calls import call_each_with_timeout
from runtime.job import JobSpec
from runtime.jobfile.errors import InputError
from runtime.jobfile.expand import RESERVED
from runtime.journal.replay import RunState
from runtime.journal.resume import Decision
from runtime.roots import Roots


@attrs.frozen
class LinkPlan:
    """Which links are made; and which results cannot be kept, because theirs cannot."""

    links: Mapping[str, str]
    """Path in the run directory to the directory that the link there leads to. None of them is below another one."""
    obstacles: Mapping[str, str]
    """By id of a job that was to be kept: why it cannot be, as the end of a sentence that begins with the job."""


def plan_links(
    jobs: Sequence[JobSpec], decisions: Mapping[str, Decision], targets: Mapping[str, str | None], run_dir: str
) -> LinkPlan:
    """Return the links that the kept jobs of a run need. Pure.

    Args:
        jobs: of the run.
        decisions: which of them are kept, by id.
        targets: by id of the jobs that have run in another run: their output directories there, without symbolic links;
            `None` for one that is not known.
        run_dir: the run directory.
    """
    below = f"{run_dir.rstrip('/')}/"
    kept = sorted(
        (job_paths(job, run_dir).odir, job.id) for job in jobs if job.id in targets and decisions[job.id].keep
    )
    links: dict[str, str] = {}
    users: dict[str, str] = {}  # of the links
    obstacles: dict[str, str] = {}
    for place, job_id in kept:  # in the order of the paths: a directory comes before those in it
        target = targets[job_id]
        above = next((each for each in _and_parents(place, below) if each in links), None)
        if target is None or not target.startswith("/") or "\0" in target:  # a journal may say anything
            obstacles[job_id] = "its output directory is not in the journal"
        elif place == target:
            pass  # outside of both run directories
        elif not place.startswith(below):
            obstacles[job_id] = "its output directory is outside of the run directory, and another one in this run"
        elif place[len(below) :].partition("/")[0] in RESERVED:
            obstacles[job_id] = "its output directory has a name that the run directory uses itself"
        elif above is None:
            links[place] = target
            users[place] = job_id
        elif links[above] + place[len(above) :] != target:
            obstacles[job_id] = f"its output directory is in that of {users[above]!r}"
    for job in jobs if links else ():
        if decisions[job.id].keep:
            continue
        paths = job_paths(job, run_dir)
        for path in (paths.odir, os.path.dirname(paths.log)):
            for place in _and_parents(path, below):
                if place in links:  # it would write into the other run
                    obstacles[users[place]] = f"{job.id!r} writes into its output directory"
    return LinkPlan({place: links[place] for place in links if users[place] not in obstacles}, obstacles)


def _and_parents(path: str, below: str) -> Iterator[str]:
    """Yield a path and the directories above it that are in the directory `below`, which ends with a slash."""
    while path.startswith(below):
        yield path
        path = os.path.dirname(path)


def change_links(roots: Roots, links: Mapping[str, str], *, not_at: Sequence[str], is_new: bool) -> None:
    """Make the links of a run to directories of other runs, and remove those that are not needed any more. Blocks.

    Args:
        roots: of the run, whose directory is open.
        links: as in `LinkPlan`.
        not_at: the paths from which links are removed that an earlier segment has made.
        is_new: whether the run directory is new: then none of the links stays if one cannot be made, so that the
            directory can be removed.

    Raises:
        InputError: if one cannot be made, or a file system does not answer.
    """

    def make(place: str) -> None:
        try:
            make_link(roots, place, links[place])
        except (OSError, ValueError) as exc:
            for made in links if is_new else ():
                with suppress(OSError, ValueError):
                    remove_link(roots, made)
            why = exc.strerror if isinstance(exc, OSError) else exc
            raise InputError(
                f"{place} is to be a link to {links[place]}, which is kept: {why}; expected nothing else at that place"
            ) from exc

    # First, because a link may lead to where another one is to be made.
    call_each_with_timeout(lambda place: remove_link(roots, place), not_at, what="the directory")
    call_each_with_timeout(make, links, what="the directory")


def make_link(roots: Roots, place: str, target: str) -> None:
    """Make a link at a path in the run directory, in place of another link. Blocks. The link is not followed.

    Raises:
        OSError: if it cannot be made; with `errno.EEXIST` if something else is there.
    """
    path = roots.resolve(place)
    path.parent.make_directory()
    remove_link(roots, place)
    path.make_link(target)


def remove_link(roots: Roots, place: str) -> None:
    """Remove the link at a path in the run directory, if there is one. Blocks.

    Raises:
        OSError: if it cannot be removed.
    """
    path = roots.find(place)
    if path is None or path.root is not roots.run.root:
        return  # what the user has put elsewhere is the user's
    try:
        is_link = stat.S_ISLNK(path.status().st_mode)
    except OSError as exc:
        if exc.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return
        raise
    if is_link:
        path.unlink()


def add_origins(roots: Roots, state: RunState) -> None:
    """Make the directories of the other runs known whose results a run has kept. Blocks.

    Then what is below them is found without following a link that a job has put there. One that is gone is left out.
    """
    for directory in origin_directories(state):
        with suppress(OSError, ValueError):  # a name may have characters that no file system has
            roots.add(directory)


def origin_directories(state: RunState) -> set[str]:
    """Return the directories of the other runs in which kept results of a run are."""
    found = set()
    for number, run in state.origins.items():
        event = state.result(number)
        head, name, _ = f"{event.odir}/".partition(f"/{run}/") if event is not None and event.odir else ("", "", "")
        if name:
            found.add(f"{head}/{run}")
    return found
