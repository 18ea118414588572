"""Where the files of an earlier attempt are."""

from __future__ import annotations

import pytest

from runtime.job import JobPaths, JobSpec
from runtime.job.attempts import paths_of_earlier, paths_of_last

USUAL = JobPaths("/run/a", "/run/a/job.log", "/run/a")


@pytest.mark.parametrize(
    ("fields", "paths", "expected"),
    [
        ({}, USUAL, JobPaths("/run/a~attempt2", "/run/a~attempt2/job.log", "/run/a~attempt2")),
        (
            {"log_path": "/run/a/logs/x.log", "cwd": "/run/a/deep"},
            JobPaths("/run/a", "/run/a/logs/x.log", "/run/a/deep"),
            JobPaths("/run/a~attempt2", "/run/a~attempt2/logs/x.log", "/run/a~attempt2/deep"),
        ),
        (
            {"log_path": "/logs/x.log", "cwd": "/run/ab"},
            JobPaths("/run/a", "/logs/x.log", "/run/ab"),
            JobPaths("/run/a~attempt2", "/logs/x.log~attempt2", "/run/ab"),
        ),
        (
            {"odir": "/run/a", "renew_odir": True},
            USUAL,
            JobPaths("/run/a~attempt2", "/run/a~attempt2/job.log", "/run/a~attempt2"),
        ),
        ({"odir": "/run/a"}, USUAL, JobPaths("/run/a", "/run/a/job.log~attempt2", "/run/a")),
    ],
    ids=["usual", "inside", "outside", "renewed", "shared"],
)
def test_the_directory_is_renamed_or_if_it_may_be_that_of_others_the_log(
    fields: dict[str, object], paths: JobPaths, expected: JobPaths
) -> None:
    spec = JobSpec(name="a", cmd="x", **fields)  # type: ignore[arg-type]  # some of its fields
    assert paths_of_earlier(spec, paths, 2) == expected
    assert paths_of_last(expected, 2) == paths
