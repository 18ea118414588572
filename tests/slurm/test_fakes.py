"""The fake behaves as a real Slurm does: each test runs on both."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import pytest

from tests.slurm.cluster import NODES, Cluster
from tests.slurm.fakes import Answer, Edit, FakeSlurm, Hang, Only, Say, Stop
from tests.slurm.fakes.arguments import duration, indices, job_ids
from tests.slurm.fakes.words import INVALID_STATE

TIMEOUT = 60.0
FIELDS = "JobArrayID:|,State:|,Reason:|,exit_code:|,RestartCnt:|,NodeList:"
DEFAULT_HEAD = "             JOBID PARTITION     NAME     USER ST       TIME  NODES NODELIST(REASON)"


@attrs.frozen
class Farm:
    """A Slurm, real or fake."""

    environment: Mapping[str, str]
    directory: Path
    fake: FakeSlurm | None = None
    real: Cluster | None = None

    def call(self, *command: str, script: str = "") -> tuple[int, str, str]:
        """Run a program; return its exit code, output and error output."""
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=self.directory,
            input=script,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def submit(self, wrap: str, *options: str, output: str = "/dev/null") -> str:
        """Submit an array or a job; return its id."""
        code, out, err = self.call("sbatch", "--parsable", f"--output={output}", *options, f"--wrap={wrap}")
        assert (code, err) == (0, "")
        assert out.strip().isdecimal()
        return out.strip()

    def rows(self, array: str, fields: str = FIELDS) -> dict[str, list[str]]:
        """Return the fields that `squeue` lists of an array, by the element's suffix."""
        code, out, err = self.call("squeue", "--noheader", "--array", "--states=all", f"--Format={fields}")
        assert (code, err) == (0, "")
        rows = [line.split("|") for line in out.splitlines()]
        return {row[0].removeprefix(array): row[1:] for row in rows if row[0].partition("_")[0] == array}

    def states(self, array: str) -> dict[str, str]:
        return {label: row[0] for label, row in self.rows(array).items()}

    def wait(self, array: str, expected: Mapping[str, str]) -> None:
        """Wait until the states of an array are these."""
        deadline = time.monotonic() + TIMEOUT
        while (states := self.states(array)) != dict(expected):
            assert time.monotonic() < deadline, states
            time.sleep(0.02)

    def wait_text(self, name: str, count: int = 1) -> str:
        """Wait until a file has so many lines."""
        deadline = time.monotonic() + TIMEOUT
        while not (path := self.directory / name).exists() or path.read_text().count("\n") < count:
            assert time.monotonic() < deadline, f"no {count} lines in {name}"
            time.sleep(0.02)
        return path.read_text()


@pytest.fixture(params=["fake", pytest.param("real", marks=[pytest.mark.slurm, pytest.mark.root, pytest.mark.slow])])
def farm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Farm]:
    if request.param == "real":
        cluster: Cluster = request.getfixturevalue("slurm")
        yield Farm(cluster.environment, tmp_path, real=cluster)
        return
    with FakeSlurm() as slurm:
        yield Farm({**os.environ, "PATH": f"{slurm.bin}:{os.environ['PATH']}"}, tmp_path, fake=slurm)


def every(label: str, first: int, last: int) -> dict[str, str]:
    """Return elements of an array that are all in one state."""
    return {f"_{index}": label for index in range(first, last + 1)}


# ---------------------------------------------------------------------- running


def test_an_array_runs_and_each_element_knows_which_it_is(farm: Farm) -> None:
    names = ["SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_ID", "SLURM_JOB_NAME", "SLURMD_NODENAME"]
    others = "SLURM_ARRAY_TASK_COUNT SLURM_ARRAY_TASK_MAX SLURM_ARRAY_TASK_MIN SLURM_SUBMIT_DIR SLURM_CPUS_ON_NODE"
    wrap = "".join(f'echo "${name}"; ' for name in [*names, *others.split()])
    array = farm.submit(wrap, "--array=0-3", "--job-name=abc", output="%A-%a.txt")
    farm.wait(array, every("COMPLETED", 0, 3))
    printed = [farm.wait_text(f"{array}-{index}.txt", 10).split() for index in range(4)]
    own_ids = [int(words[2]) for words in printed]
    for index, words in enumerate(printed):
        assert words[:2] == [array, str(index)]
        assert words[3] == "abc"
        assert words[4] in NODES
        assert words[5:] == ["4", "3", "0", str(farm.directory), "1"]
    assert own_ids == [int(array) + 1, int(array) + 2, int(array) + 3, int(array)]
    rows = farm.rows(array, "JobArrayID:|,JobID:|,ArrayJobID:|,ArrayTaskID:|,Name:|,NodeList:")
    assert {label: row[:4] for label, row in rows.items()} == {
        f"_{index}": [str(own), array, str(index), "abc"] for index, own in enumerate(own_ids)
    }


def test_an_excluded_node_runs_nothing(farm: Farm) -> None:
    array = farm.submit("true", "--array=0-3", "--exclude=n1")
    farm.wait(array, every("COMPLETED", 0, 3))
    assert {row[0] for row in farm.rows(array, "JobArrayID:|,NodeList:").values()} == {"n2"}
    for nodes, why in (
        ("n1,n2", "Requested node configuration is not available"),
        ("nobody", "Invalid node name specified"),
    ):
        code, out, err = farm.call("sbatch", "--parsable", f"--exclude={nodes}", "--wrap=true")
        assert (code, out, err) == (1, "", f"sbatch: error: Batch job submission failed: {why}\n")


def test_nodes_can_be_excluded_for_what_still_waits(farm: Farm) -> None:
    def update(job: str, nodes: str) -> tuple[int, str, str]:
        return farm.call("scontrol", "update", f"JobId={job}", f"ExcNodeList={nodes}")

    held = farm.submit("true", "--array=0-2", "--hold")
    assert update(held, "n1,n2") == (0, "", "")
    assert update(held, "nobody") == (1, "", f"{held}_0-2: Invalid node name specified\n")
    assert update("99999", "n1") == (1, "", "Invalid job id specified for job 99999\n")
    running = farm.submit("exec sleep 1000", "--array=0-1")
    farm.wait(running, every("RUNNING", 0, 1))
    assert update(running, "n1") == (1, "", f"{running}_0-1: Job is no longer pending execution\n")
    assert update(f"{held},{running}", "n1") == (1, "", f"{running}_0-1: Job is no longer pending execution\n")
    farm.call("scancel", held, running)


def test_a_script_comes_by_name_or_by_standard_input_with_options_in_it(farm: Farm) -> None:
    script = "#!/bin/sh\n#SBATCH --job-name=inside --array=0-1\n#SBATCH --output=/dev/null\ntrue\n#SBATCH --array=0-5\n"
    (farm.directory / "script.sh").write_text(script)
    for command, name in ((["script.sh", "a"], "inside"), (["--job-name=outside", "script.sh"], "outside")):
        code, out, _ = farm.call("sbatch", "--parsable", *command)
        assert code == 0
        farm.wait(out.strip(), every("COMPLETED", 0, 1))
        assert farm.rows(out.strip(), "JobArrayID:|,Name:")["_0"] == [name]
    code, out, _ = farm.call("sbatch", "--parsable", script=script)
    assert code == 0
    farm.wait(out.strip(), every("COMPLETED", 0, 1))


def test_how_a_script_ends_is_how_its_job_ends(farm: Farm) -> None:
    jobs = {
        "exit 3": ["FAILED", "NonZeroExitCode", "768"],
        "kill -9 $$": ["FAILED", "JobLaunchFailure", "9"],
        "kill -TERM $$": ["FAILED", "JobLaunchFailure", "15"],
        "true": ["COMPLETED", "None", "0"],
    }
    ids = {wrap: farm.submit(wrap) for wrap in jobs}
    no_output = farm.submit("true", output="/no/such/place/out")
    no_directory = farm.submit("true", "--chdir=/no/such/place")
    for wrap, expected in jobs.items():
        farm.wait(ids[wrap], {"": expected[0]})
        assert farm.rows(ids[wrap])[""][:3] == expected
    farm.wait(no_output, {"": "FAILED"})
    assert farm.rows(no_output)[""][1:3] == ["JobLaunchFailure", "4021"]
    farm.wait(no_directory, {"": "COMPLETED"})


def test_what_a_script_leaves_in_its_group_ends_with_it(farm: Farm) -> None:
    """Processes that left the group go on: where nodes track process groups, a job that has ended may be alive."""
    gone_its_way = "setsid sh -c 'echo >ready; exec sleep 1000' & echo $!; until [ -s ready ]; do :; done"
    job = farm.submit(f"sleep 1000 & echo $!; {gone_its_way}", output="out")
    farm.wait(job, {"": "COMPLETED"})
    left, gone = map(int, farm.wait_text("out", 2).split())
    deadline = time.monotonic() + TIMEOUT
    while command(left):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert command(gone)
    os.kill(gone, signal.SIGKILL)


def command(pid: int) -> bytes:
    """The command line of a process; nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def test_a_limit_on_elements_is_kept(farm: Farm) -> None:
    array = farm.submit("sleep 1000", "--array=0-5%2")
    farm.wait(array, every("RUNNING", 0, 1) | every("PENDING", 2, 5))
    assert [row[1] for row in farm.rows(array).values()].count("JobArrayTaskLimit") == 4
    code, out, _ = farm.call("squeue", "--noheader", "--format=%i|%T|%K|%R")
    assert code == 0
    assert f"{array}_[2-5%2]|PENDING|2-5%2|(JobArrayTaskLimit)" in out.splitlines()
    farm.call("scancel", f"{array}_0")
    farm.wait(array, {"_0": "CANCELLED"} | every("RUNNING", 1, 2) | every("PENDING", 3, 5))


@pytest.mark.parametrize(
    ("export", "expected"), [("ALL", "yes,"), ("NONE", ","), ("NIL", ","), ("ALL,B=c", "yes,c"), ("A,B=c", "yes,c")]
)
def test_what_is_exported(farm: Farm, export: str, expected: str) -> None:
    farm = attrs.evolve(farm, environment={**farm.environment, "A": "yes"})
    job = farm.submit('echo "$A,$B"', f"--export={export}", output="out")
    farm.wait(job, {"": "COMPLETED"})
    assert farm.wait_text("out") == f"{expected}\n"


# ---------------------------------------------------------------------- cancelling


def test_pending_elements_that_are_cancelled_leave_no_trace(farm: Farm) -> None:
    array = farm.submit("true", "--array=0-5", "--hold")
    assert farm.states(array) == every("PENDING", 0, 5)
    assert farm.call("scancel", f"{array}_[0-2]") == (0, "", "")
    assert farm.states(array) == every("PENDING", 3, 5)
    farm.call("scancel", f"{array}_[3-5]")
    assert farm.states(array) == {"": "CANCELLED"}
    assert farm.rows(array, "JobArrayID:|,ArrayTaskID:|,JobID:")[""] == ["N/A", array]
    assert farm.call("scontrol", "show", "job", f"{array}_1")[:2] == (1, f"Job {array}_1 not found\n")


def test_a_whole_array_that_is_cancelled_keeps_its_rows(farm: Farm) -> None:
    array = farm.submit("sleep 1000", "--array=0-5%2")
    farm.wait(array, every("RUNNING", 0, 1) | every("PENDING", 2, 5))
    farm.call("scancel", array)
    farm.wait(array, every("CANCELLED", 0, 5))
    rows = farm.rows(array)
    assert [rows[f"_{index}"][1:3] for index in range(6)] == [["None", "15"]] * 2 + [["JobArrayTaskLimit", "0"]] * 4


@pytest.mark.slow
def test_what_ignores_sigterm_is_completing_until_it_is_killed(farm: Farm) -> None:
    job = farm.submit("trap '' TERM; echo begun; while :; do sleep 0.1; done", "--no-requeue", output="out")
    farm.wait_text("out")
    farm.call("scancel", job)
    farm.wait(job, {"": "COMPLETING"})
    farm.wait(job, {"": "CANCELLED"})
    assert farm.rows(job)[""][2] == "9"


def test_what_ends_by_itself_when_it_is_told_to_has_been_cancelled(farm: Farm) -> None:
    job = farm.submit("trap 'exit 9' TERM; echo begun; while :; do sleep 0.1; done", output="out")
    farm.wait_text("out")
    farm.call("scancel", job)
    farm.wait(job, {"": "CANCELLED"})
    assert farm.rows(job)[""][2] == str(9 << 8)


def test_whom_a_signal_reaches(farm: Farm) -> None:
    said = "trap 'echo parent' USR1; sh -c 'trap \"echo child\" USR1; echo up; while :; do sleep 0.1; done' & "
    array = farm.submit(said + "while :; do wait; done", "--array=0-3", output="%a.txt")
    for index in range(4):
        farm.wait_text(f"{index}.txt")
    assert farm.call("scancel", "--signal=USR1", f"{array}_0") == (0, "", "")  # for steps, and there is none
    assert farm.call("scancel", "--signal=USR1", "--batch", f"{array}_1")[1:] == ("", "")
    assert farm.call("scancel", "--signal=USR1", "--full", f"{array}_2")[1:] == ("", "")
    assert farm.wait_text("1.txt", 2) == "up\nparent\n"
    deadline = time.monotonic() + TIMEOUT
    while not {"child", "parent"} <= set(farm.wait_text("2.txt").split()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert farm.wait_text("0.txt") == "up\n"
    assert farm.states(array) == every("RUNNING", 0, 3)
    farm.call("scancel", "--signal=KILL", f"{array}_[0-3]")
    farm.wait(array, every("CANCELLED", 0, 3))


def test_by_whom_and_what_jobs_are_chosen(farm: Farm) -> None:
    mine = farm.submit("sleep 1000", "--array=0-1", "--job-name=mine")
    other = farm.submit("sleep 1000", "--array=0-1", "--job-name=other")
    farm.wait(mine, every("RUNNING", 0, 1))
    farm.wait(other, every("RUNNING", 0, 1))
    user = farm.call("id", "-un")[1].strip()
    for chosen in (["--name=mine"], [f"--jobs={mine}"], [f"--jobs={mine}_0,{mine}_1"], ["--name=no,mine", "--me"]):
        code, out, _ = farm.call("squeue", "-h", "-r", *chosen, "-o", "%i")
        assert (code, sorted(out.split())) == (0, [f"{mine}_0", f"{mine}_1"])
    assert farm.call("squeue", "-h", "--name=nobody", f"--user={user}") == (0, "", "")
    farm.call("scancel", "--name=mine", f"--user={user}")
    farm.wait(mine, every("CANCELLED", 0, 1))
    assert farm.states(other) == every("RUNNING", 0, 1)
    farm.call("scancel", f"{other}_[0,1]", "99999")
    farm.wait(other, every("CANCELLED", 0, 1))


# ---------------------------------------------------------------------- words

REFUSALS = {
    "sbatch --parsable --array=0-1001 --wrap=true": (
        1,
        "",
        "sbatch: error: Batch job submission failed: Invalid job array specification\n",
    ),
    "sbatch --parsable --array=3-1 --wrap=true": (
        1,
        "",
        "sbatch: error: Batch job submission failed: Invalid job array specification\n",
    ),
    "sbatch --parsable --gres=gpu:1 --wrap=true": (
        1,
        "",
        "sbatch: error: Invalid generic resource (gres) specification\n",
    ),
    "sbatch --no-such --wrap=true": (
        255,
        "",
        "sbatch: unrecognized option '--no-such'\nTry \"sbatch --help\" for more information\n",
    ),
    "sbatch --time=abc --wrap=true": (255, "", "sbatch: error: Invalid --time specification\n"),
    "sbatch nobody.sh": (1, "", "sbatch: error: Unable to open file nobody.sh\n"),
    "sbatch": (1, "", "sbatch: error: Batch script is empty!\n"),
    "squeue --jobs=99999": (1, "", "slurm_load_jobs error: Invalid job id specified\n"),
    "squeue --noheader": (0, "", ""),
    "squeue": (0, f"{DEFAULT_HEAD}\n", ""),
    "squeue --states=nosuch": (
        1,
        "",
        INVALID_STATE.format("nosuch"),
    ),
    "scancel 99999": (0, "", ""),
    "scancel": (1, "", "scancel: error: No job identification provided\n"),
    "scancel abc": (1, "", "scancel: error: Invalid job id abc\n"),
    "scancel 5_[1-": (1, "", "scancel: error: Invalid job id 5_[1-\n"),
    "scancel --user=nosuch": (1, "", "scancel: error: Invalid user name: nosuch\n"),
    "sacct -P": (1, "", "Slurm accounting storage is disabled\n"),
    "scontrol show job 99999": (1, "", "slurm_load_jobs error: Invalid job id specified\n"),
    "scontrol requeue 99999": (1, "", "Invalid job id specified for job 99999\n"),
    "squeue --version": (0, "slurm-wlm 22.05.8\n", ""),
}


@pytest.mark.parametrize("command", REFUSALS)
def test_words_that_are_not_about_a_job(farm: Farm, command: str) -> None:
    assert farm.call(*command.split()) == REFUSALS[command]


def test_how_jobs_are_shown(farm: Farm) -> None:
    name = "a-name-that-is-longer-than-twenty-letters-by-far"
    job = farm.submit("sleep 1000", f"--job-name={name}", "--comment=a b|c", "--time=1")
    farm.wait(job, {"": "RUNNING"})

    def show(*options: str) -> str:
        return farm.call("squeue", "--noheader", f"--jobs={job}", *options)[1]

    line = show("--format=%i|%A|%F|%K|%T|%t|%r|%j|%k|%V|%S|%e|%M|%l|%N|%R|%P|%D")
    moment = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
    line = re.sub("n[12]", "NODE", re.sub(r"0:0\d", "0:0N", re.sub(moment, "WHEN", line)))
    expected = f"{job}|{job}|{job}|N/A|RUNNING|R|None|{name}|a b|c|WHEN|WHEN|WHEN|0:0N|1:00|NODE|NODE|main|1\n"
    assert line == expected
    assert show("--format=%10i|%.10i|%.3j") == f"{job:<10}|{job:>10}|a-n\n"
    assert show("--Format=Name,State") == f"{name[:20]}{'RUNNING':<20}\n"
    assert show("--Format=Name:|,JobArrayID:5,State:.9") == f"{name}|{job:<5}  RUNNING\n"
    assert show("--Format=RestartCnt:,exit_code:|,Comment:") == "00|a b|c\n"
    code, out, err = farm.call("squeue", "--noheader", "--Format=nosuch")
    assert (code, out, err) == (0, "\n", "squeue: error: Invalid job format specification: nosuch\n")
    code, out, _ = farm.call("scontrol", "--oneliner", "show", "job", job)
    assert code == 0
    assert {f"JobId={job}", f"JobName={name}", "JobState=RUNNING", "Requeue=1", "Restarts=0"} <= set(out.split())


def test_what_the_controller_says_of_itself(farm: Farm) -> None:
    host = os.uname().nodename
    assert farm.call("scontrol", "ping") == (0, f"Slurmctld(primary) at {host} is UP\n", "")
    code, out, _ = farm.call("scontrol", "show", "config")
    settings = dict(re.findall(r"^(\w+) += (.*)$", out, re.MULTILINE))
    assert code == 0
    expected = {"MaxArraySize": "1001", "MinJobAge": "300 sec", "KillWait": "2 sec", "SLURM_VERSION": "22.05.8"}
    assert settings.items() >= expected.items()
    assert int(settings["MaxJobCount"]) > 0
    assert settings["AccountingStorageType"] == "accounting_storage/none"


# ---------------------------------------------------------------------- what goes wrong


def test_a_controller_that_is_gone(farm: Farm) -> None:
    def stop() -> None:
        if farm.real is not None:
            farm.real["slurmctld"].stop()
        elif farm.fake is not None:
            farm.fake.stop()

    stop()
    unreachable = "Unable to contact slurm controller (connect failure)\n"
    assert farm.call("squeue") == (1, "", f"slurm_load_jobs error: {unreachable}")
    assert farm.call("scancel", "1") == (8, "", f"scancel: error: Kill job error on job id 1: {unreachable}")
    words = f"sbatch: error: Batch job submission failed: {unreachable}"
    assert farm.call("sbatch", "--parsable", "--output=/dev/null", "--wrap=true") == (1, "", words)
    assert farm.call("scontrol", "show", "config") == (1, "", f"slurm_load_ctl_conf error: {unreachable}")


def test_a_job_that_is_requeued_waits_with_its_ids(farm: Farm) -> None:
    array = farm.submit("sleep 1000", "--array=0-1", "--requeue")
    farm.wait(array, every("RUNNING", 0, 1))
    if farm.fake is not None:
        farm.fake.settings.requeue_delay = 1000
    assert farm.call("scontrol", "requeue", f"{array}_0") == (0, "", "")
    farm.wait(array, {"_0": "PENDING", "_1": "RUNNING"})
    assert farm.rows(array)["_0"] == ["PENDING", "BeginTime", "0", "1", ""]


def test_a_node_that_is_gone(farm: Farm) -> None:
    """Its jobs have failed, or wait for another node; when only the daemon has died, their processes go on."""
    fixed = farm.submit("sleep 1000", "--array=0-1", "--no-requeue")
    moving = farm.submit("sleep 1000", "--array=0-1", "--requeue")
    for array in (fixed, moving):
        farm.wait(array, every("RUNNING", 0, 1))
    where = {(array, label): row[4] for array in (fixed, moving) for label, row in farm.rows(array).items()}
    assert sorted(where.values()) == ["n1", "n1", "n2", "n2"]
    if farm.real is not None:
        farm.real["n1"].kill()
    elif farm.fake is not None:
        farm.fake.settings.requeue_delay = 1000
        farm.fake.fail_node("n1", kill=False)
    for array, ended in ((fixed, "NODE_FAIL"), (moving, "PENDING")):
        farm.wait(array, {label: ended if where[array, label] == "n1" else "RUNNING" for label in farm.states(array)})
    ((label, failed),) = [(label, row) for label, row in farm.rows(fixed).items() if row[0] == "NODE_FAIL"]
    assert failed == ["NODE_FAIL", "NodeDown", "0", "0", "n1"]
    assert where[fixed, label] == "n1"
    (waiting,) = [row for row in farm.rows(moving).values() if row[0] == "PENDING"]
    assert waiting == ["PENDING", "BeginTime", "0", "1", ""]


# ---------------------------------------------------------------------- the fake alone


@pytest.fixture
def fake() -> Iterator[Farm]:
    with FakeSlurm() as slurm:
        yield Farm({**os.environ, "PATH": f"{slurm.bin}:{os.environ['PATH']}"}, slurm.directory, fake=slurm)


def test_orders_are_for_one_call_each_or_for_all(fake: Farm) -> None:
    slurm = fake.fake
    assert slurm is not None
    slurm.next("squeue", Say(out="no id\n", code=3), Edit(lambda answer: Answer(f"a warning\n{answer.out!s}")))
    slurm.always("squeue", Say(err="no\n", code=1))
    answers = [fake.call("squeue", "-h", "-o", "%i") for _ in range(3)]
    slurm.always("squeue", None)
    answers.append(fake.call("squeue", "-h"))
    assert answers == [(3, "no id\n", ""), (0, "a warning\n", ""), (1, "", "no\n"), (0, "", "")]
    assert slurm.count("squeue") == 4
    assert [call.arguments for call in slurm.calls[:1]] == [("-h", "-o", "%i")]


@pytest.mark.parametrize("act", [Hang(done=True), Stop(done=True)], ids=repr)
def test_a_call_may_do_its_work_and_never_answer(fake: Farm, act: Hang | Stop) -> None:
    slurm = fake.fake
    assert slurm is not None
    slurm.next("sbatch", act)
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(
            ["sbatch", "--output=/dev/null", "--wrap=sleep 1000"], env=fake.environment, timeout=0.3, check=False
        )
    assert [job.state for job in slurm.jobs()] == ["RUNNING"]
    deadline = time.monotonic() + TIMEOUT
    while not slurm.calls[0].abandoned:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_array_may_be_accepted_in_part(fake: Farm) -> None:
    slurm = fake.fake
    assert slurm is not None
    slurm.next("sbatch", Only([1]))
    array = fake.submit("true", "--array=0-3")
    fake.wait(array, {"_1": "COMPLETED"})


def test_what_has_ended_is_forgotten(fake: Farm) -> None:
    slurm = fake.fake
    assert slurm is not None
    fake.wait(fake.submit("true"), {"": "COMPLETED"})
    slurm.settings.min_job_age = 0.1
    job = fake.submit("true")
    fake.wait(job, {})
    slurm.lose_state(first_id=1)
    assert fake.submit("true") == "1"


async def test_a_controller_may_tell_any_state_and_lose_its_jobs(fake: Farm) -> None:
    slurm = fake.fake
    assert slurm is not None
    array = fake.submit("sleep 1000", "--array=0-1")
    slurm.show("A_NEW_WORD", 0)
    assert fake.states(array) == {"_0": "A_NEW_WORD", "_1": "RUNNING"}
    slurm.preempt(1)
    await slurm.wait(lambda: [job.restarts for job in slurm.jobs()] == [0, 1])
    slurm.lose_state()
    assert fake.states(array) == {}
    await slurm.wait(lambda: slurm.alive() == [])


def test_accounting_where_there_is_some_may_be_late(fake: Farm) -> None:
    slurm = fake.fake
    assert slurm is not None
    slurm.commands.accounting = 1000.0
    job = fake.submit("exit 3")
    fake.wait(job, {"": "FAILED"})
    expected = ["sacct", "-P", "-n", f"--jobs={job}", "--format=JobID,State,ExitCode"]
    assert fake.call(*expected) == (0, "", "")
    slurm.commands.accounting = 0.0
    assert fake.call(*expected) == (0, f"{job}|FAILED|3:0\n", "")


def test_nothing_is_left_of_it() -> None:
    with FakeSlurm() as slurm:
        farm = Farm({**os.environ, "PATH": f"{slurm.bin}:{os.environ['PATH']}"}, slurm.directory, fake=slurm)
        farm.submit("trap '' TERM; setsid sleep 1000 & sleep 1000", "--array=0-3")
        assert len(slurm.alive()) >= 4
    assert not slurm.directory.exists()
    assert slurm.alive() == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0-3", ((0, 1, 2, 3), None)), ("1,5,2-4:2%7", ((1, 2, 4, 5), 7)), ("7%0", ((7,), None))],
)
def test_indices(text: str, expected: tuple[Sequence[int], int | None]) -> None:
    assert indices(text) == expected


def test_ids_and_times() -> None:
    assert job_ids("5_[1-2,4],6,7_1") == [(5, frozenset({1, 2, 4})), (6, None), (7, frozenset({1}))]
    assert [duration(text) for text in ("1", "0:01", "1:2:3", "2-3", "1-1:1")] == [60, 1, 3723, 183600, 90060]
