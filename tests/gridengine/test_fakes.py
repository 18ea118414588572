"""The fake behaves as a real Grid Engine does: each test runs on both."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import attrs
import pytest

from tests.gridengine.cluster import Cluster
from tests.gridengine.fakes import FakeGridEngine
from tests.slurm.fakes import fields
from tests.slurm.fakes.controller import Settings

TIMEOUT = 60.0
QSUB = ("qsub", "-terse", "-wd", "/", "-o", "/dev/null", "-j", "y", "-b", "n", "-S", "/usr/bin/env", "-w", "e")
QSTAT = ("qstat", "-xml", "-f", "-ne", "-u", fields.user(), "-s", "prs")


@attrs.frozen
class Farm:
    """A Grid Engine, real or fake."""

    environment: Mapping[str, str]
    directory: Path

    def call(self, *command: str) -> tuple[int, str, str]:
        """Run a program; return its exit code, output and error output."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
        return done.returncode, done.stdout, done.stderr

    def submit(self, text: str, *options: str) -> str:
        """Submit an array; return its id."""
        script = self.directory / "script"
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)
        code, out, err = self.call(*QSUB, *options, str(script), "an argument")
        assert (code, err) == (0, "")
        found = re.fullmatch(r"(\d+)\.1-\d+:1\n", out)
        assert found is not None, out
        return found[1]

    def states(self, array: str) -> dict[str, str]:
        """Return the state of each row of an array in the listing, by its tasks."""
        code, out, err = self.call(*QSTAT)
        assert (code, err) == (0, "")
        jobs = [job for job in ET.fromstring(out).iter("job_list") if job.findtext("JB_job_number") == array]
        return {job.findtext("tasks") or "": job.findtext("state") or "" for job in jobs}

    def wait(self, array: str, expected: Mapping[str, str]) -> None:
        """Wait until the states of an array are these."""
        deadline = time.monotonic() + TIMEOUT
        while (states := self.states(array)) != dict(expected):
            assert time.monotonic() < deadline, states
            time.sleep(0.1)

    def wait_text(self, name: str, count: int = 1) -> str:
        """Wait until a file has so many lines."""
        deadline = time.monotonic() + TIMEOUT
        while not (path := self.directory / name).exists() or path.read_text().count("\n") < count:
            assert time.monotonic() < deadline, f"no {count} lines in {name}"
            time.sleep(0.05)
        return path.read_text()


REAL = pytest.param("real", marks=[pytest.mark.gridengine, pytest.mark.root])


@pytest.fixture(params=["fake", REAL])
def farm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Farm]:
    if request.param == "real":
        cluster: Cluster = request.getfixturevalue("grid_engine")
        yield Farm(cluster.environment, tmp_path)
        return
    with FakeGridEngine(Settings(nodes=("localhost",), cpus=200, max_array_size=75_001)) as fake:
        yield Farm({**os.environ, "PATH": f"{fake.bin}:{os.environ['PATH']}"}, tmp_path)


@pytest.mark.slow
def test_an_array_runs_and_each_element_knows_which_it_is(farm: Farm) -> None:
    names = ["SGE_TASK_ID", "SGE_TASK_LAST", "JOB_ID", "JOB_NAME", "RESTARTED", "HOSTNAME", "NSLOTS", "QUEUE", "SHELL"]
    text = (
        f'echo "$*" {" ".join(f"${name}" for name in names)} "$PWD" "${{OURS-none}}" >> {farm.directory}/$SGE_TASK_ID'
    )
    array = farm.submit(text, "-t", "1-3", "-N", "jr-abc", "-pe", "smp", "2")
    for index in range(1, 4):
        words = farm.wait_text(str(index)).split()
        expected = f"an argument {index} 3 {array} jr-abc 0 localhost 2 main.q /usr/bin/env / none"
        assert words == expected.split()
    farm.wait(array, {})


@pytest.mark.slow
def test_the_queue_lists_what_runs_singly_and_what_waits_together(farm: Farm) -> None:
    array = farm.submit("exec sleep 1000", "-t", "1-4", "-pe", "smp", "80", "-N", "jr-abc", "-r", "y")
    farm.wait(array, {"1": "r", "2": "r", "3,4": "qw"})
    root = ET.fromstring(farm.call(*QSTAT)[1])
    (queue,) = root.iter("Queue-List")
    assert queue.findtext("name") == "main.q@localhost"
    assert queue.find("state") is None
    assert [job.findtext("JB_name") for job in root.iter("job_list")] == ["jr-abc"] * 3
    user = fields.user()
    registered = f"{user} has registered the job-array task {array}.{{}} for deletion\n"
    assert farm.call("qdel", f"{array}.2") == (0, registered.format(2), "")
    farm.wait(array, {"1": "r", "3": "r", "4": "qw"})
    assert farm.call("qdel", f"{array}.4", f"{array}.9") == (
        1,
        f'{user} has deleted job-array task {array}.4\njob "{array}" task "9" does not exist\n',
        "",
    )
    said = registered.format(1) + registered.format(3)
    assert farm.call("qdel", f"{array}.1-3") == (0, said, "")  # 2 has ended
    farm.wait(array, {})
    assert farm.call("qdel", array) == (1, f'denied: job "{array}" does not exist\n', "")


@pytest.mark.slow
def test_what_cannot_be_is_refused_with_these_words(farm: Farm) -> None:
    script = farm.directory / "script"
    script.write_text("#!/bin/sh\n")

    def refused(*options: str) -> tuple[int, str]:
        code, out, err = farm.call(*QSUB, *options, str(script))
        assert out == ""
        return code, err.removeprefix("Unable to run job: ").removesuffix("\nExiting.\n")

    assert refused("-t", "1-3", "-q", "no.q") == (1, 'Job was rejected because job requests unknown queue "no.q"')
    assert refused("-P", "no") == (1, 'job rejected: the requested project "no" does not exist')
    assert refused("-pe", "no", "2") == (1, 'job rejected: the requested parallel environment "no" does not exist')
    assert refused("-pe", "smp", "201") == (1, "error: no suitable queues")
    assert refused("-l", "hostname=!localhost") == (1, "error: no suitable queues")
    assert refused("-l", "foo=1") == (1, 'unknown resource "foo"')
    assert refused("-l", "h_rt=abc") == (1, 'attribute "h_rt" is not a time value')
    too_many = "job rejected: you tried to submit a job with more than 75000 tasks"
    assert refused("-t", "1-75001") == (1, too_many)
    assert refused("-t", "0-3") == (1, "job rejected: 0 is an invalid task id")
    assert refused("-bogus") == (2, 'qsub: invalid option argument "-bogus"\n')
    script.unlink()
    said = f"Unable to read script file because of error: error opening {script}: No such file or directory\n"
    assert refused() == (14, said)


@pytest.mark.slow
def test_accounting_tells_how_it_ended_and_two_exit_codes_are_special(farm: Farm) -> None:
    ends = "case $RESTARTED$SGE_TASK_ID in 01) exit 3 ;; 02) kill -9 $$ ;; 03) exit 99 ;; 04) exit 100 ;; esac"
    array = farm.submit(f"echo >> {farm.directory}/$SGE_TASK_ID; {ends}", "-t", "1-4", "-r", "n")
    farm.wait_text("3", 2)  # it was started again
    deadline = time.monotonic() + TIMEOUT
    while len(re.findall(r"^failed +(?:0|100) ", (out := farm.call("qacct", "-j", array)[1]), re.MULTILINE)) < 3:
        assert time.monotonic() < deadline, out
        time.sleep(0.2)
    found = re.findall(r"^taskid +(\d+).*?^failed +(\d+).*?^exit_status +(\d+)", out, re.MULTILINE | re.DOTALL)
    assert {("1", "0", "3"), ("2", "100", "137"), ("3", "0", "0")} <= set(found)
    (letters,) = farm.states(array).values()
    assert "q" in letters  # the one with 100 waits for somebody
    assert farm.call("qacct", "-j", "99999") == (1, "", "error: job id 99999 not found\n")


@pytest.mark.slow
def test_what_waits_can_be_altered_and_the_configuration_read(farm: Farm) -> None:
    array = farm.submit("true", "-t", "1-2", "-h")
    altered = f"modified hard resource list of job {array}\n"
    assert farm.call("qalter", "-l", "h_rt=60,hostname=!n9", array) == (0, altered, "")
    missing = 'denied: job "99999" does not exist\n'
    assert farm.call("qalter", "-l", "hostname=!n9", f"{array},99999") == (1, altered + missing, "")
    farm.wait(array, {"1,2": "hqw"})
    assert farm.call("qdel", array)[0] == 0
    assert farm.call("qconf", "-help")[1].startswith("SGE 8.1.9\n")
    code, out, err = farm.call("qconf", "-sconf")
    assert (code, err) == (0, "")
    assert re.search(r"^max_aj_tasks +75000$", out, re.MULTILINE)
    assert re.search(r"^reporting_params +accounting=true ", out, re.MULTILINE)
