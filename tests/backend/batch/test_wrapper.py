"""The wrapper, run by real shells: a job gets its arguments and variables unchanged, and its end is recorded."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from runtime.backend.batch.exit_records import TAKEN, UNSEEN, ExitRecord
from runtime.backend.batch.job_files import JobFiles, Member
from runtime.backend.batch.store import Store
from runtime.backend.batch.wrapper import render_job, without_shell_variables
from runtime.job import JobSpec
from runtime.process import SoftSteps, inherited_environment
from runtime.roots import Roots
from tests.backend.batch.scripted import prepared

SHELLS = [shell for shell in ("sh", "dash", "bash", "busybox", "mksh") if shutil.which(shell)]

PROLOGUE = """\
_jr_index=$INDEX
_jr_restart=${RESTART:-0}
_jr_id=7_$INDEX
_jr_host=here
_jr_cgroup=$CGROUP
_jr_cgroups=$CGROUPS
_jr_membership=$MEMBERSHIP
"""

HOSTILE = (
    "a b", " ", "'", '"', "'\"'", "$HOME", "$(touch pwned)", "`touch pwned`", "a;touch pwned", "a\ntouch pwned\n", "\n",
    "\\", "\\n", "a\\", "*", "?", "[a]", "~", "#", "!", "!!", "&", "|", "<in", ">out", "-rf", "--", "\t", "é", "\udcff",
    "x" * 50_000,
)  # fmt: skip
"""Words with a meaning to some shell, large ones, and some that are not UTF-8."""


class Runs:
    """A run directory, and its wrapper in a shell."""

    def __init__(self, directory: Path, shell: str) -> None:
        self.directory = directory
        self.shell = [shell, "sh"] if shell == "busybox" else [shell]
        self.environment = {**inherited_environment(), "CGROUP": "", "CGROUPS": "", "MEMBERSHIP": "/dev/null"}
        self.roots = Roots(str(directory))
        self.roots.open()
        self.store = Store(self.roots, JobFiles(self.roots, self.environment, None, SoftSteps(None, None)))
        self.store.lay_out(PROLOGUE)
        self.array = ""

    def write(self, *jobs: JobSpec) -> None:
        members = [
            Member(job, 1, f"aa{number}", prepared(self.store, self.roots, job)) for number, job in enumerate(jobs)
        ]
        self.array = self.store.write_array("array", members)

    def start(self, index: int = 0, **environment: str) -> subprocess.Popen[bytes]:
        argv = [*self.shell, self.store.wrapper, self.array, "0"]
        return subprocess.Popen(
            argv,
            env={**self.environment, "INDEX": str(index), **environment},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def finish(self, process: subprocess.Popen[bytes]) -> int:
        output, errors = process.communicate(timeout=60)
        assert (output, errors) == (b"", b"")
        return process.returncode

    def run(self, index: int = 0, **environment: str) -> int:
        return self.finish(self.start(index, **environment))

    def record(self, index: int = 0) -> ExitRecord:
        return self.store.read_all_records([f"aa{index}"])[f"aa{index}"]

    def log(self, job: str = "job") -> bytes:
        return (self.directory / job / "job.log").read_bytes()


@pytest.fixture(params=SHELLS)
def runs(request: pytest.FixtureRequest, tmp_path: Path) -> Runs:
    return Runs(tmp_path / "run dir'", request.param)


def job(cmd: str | Sequence[str], **fields: Any) -> JobSpec:
    return JobSpec(**{"name": "job", "cmd": cmd, **fields})


def without_loader(directory: Path) -> str:
    """Return the path of a program that looks valid, but that the system does not execute: its loader is missing."""
    binary = bytearray(Path(os.path.realpath("/bin/true")).read_bytes())
    loader = binary.index(b"/lib64/ld-linux")
    binary[loader : loader + 6] = b"/nolib"
    path = directory / "binary"
    path.write_bytes(binary)
    path.chmod(0o755)
    return str(path)


def until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)


def test_hostile_words_come_to_the_program_as_they_were(runs: Runs) -> None:
    assert len(HOSTILE) == 31
    program = "import os, sys; [os.write(1, os.fsencode(word) + b'\\0') for word in sys.argv[1:]]"
    runs.write(job(["python3", "-c", program, *HOSTILE]))
    assert runs.run() == 0
    assert runs.log() == b"".join(os.fsencode(word) + b"\0" for word in HOSTILE)
    assert list(Path(runs.directory).rglob("pwned")) == []


def test_hostile_values_come_to_the_environment_as_they_were(runs: Runs) -> None:
    exports = {f"WORD{number}": word for number, word in enumerate(HOSTILE)}
    runs.write(
        job(
            """exec python3 -c 'import os
for n in range(31): os.write(1, os.environb[b"WORD%d" % n] + b"\\0")'""",
            exports=exports,
        )
    )
    assert runs.run() == 0
    assert runs.log() == b"".join(os.fsencode(word) + b"\0" for word in HOSTILE)


@pytest.mark.parametrize("word", [word for word in HOSTILE[:-1] if word.strip()])
def test_hostile_commands_mean_what_they_mean_locally(tmp_path: Path, word: str) -> None:
    runs = Runs(tmp_path / "run", "sh")
    runs.write(job(word, name=word))
    code = runs.run()
    here = tmp_path / "here"
    here.mkdir()
    expected = subprocess.run(["/bin/sh", "-c", os.fsencode(word)], cwd=here, capture_output=True, check=False)
    assert code == expected.returncode


def test_names_of_variables_that_shells_drop_come_through_all_the_same(runs: Runs) -> None:
    runs.environment["BASH_FUNC_module%%"] = "() { echo loaded; }"
    runs.store = Store(runs.roots, JobFiles(runs.roots, runs.environment, None, SoftSteps(None, None)))
    runs.write(job(["env"], exports={"with-dash": "yes", "PLAIN": "also"}))
    assert runs.run() == 0
    lines = runs.log().splitlines()
    assert {b"with-dash=yes", b"PLAIN=also", b"BASH_FUNC_module%%=() { echo loaded; }"} <= set(lines)


def test_a_program_is_never_a_builtin_and_may_have_an_odd_name(runs: Runs, tmp_path: Path) -> None:
    script = tmp_path / "bin" / "-rf"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho odd $1\n")
    script.chmod(0o755)
    path = "/usr/bin:/bin"  # with a directory that we may not search, ENOENT becomes EACCES
    exports = {"PATH": f"{script.parent}:{path}"}
    runs.write(job(["-rf", "a"], exports=exports), job(["exit", "3"], name="exit", exports={"PATH": path}))
    assert runs.run(0) == 0
    assert runs.log() == b"odd a\n"
    assert runs.run(1) == 127  # and did not make the wrapper exit
    record = runs.record(1)
    assert (record.launch_error is not None, record.code) == (True, None)  # as locally, where no shell looks for it


def test_what_would_be_a_variable_to_env_is_refused() -> None:
    with pytest.raises(ValueError, match="'-a=b' has to be started by env"):
        render_job(["-a=b"], token="t", files="f", log="l", cwd="c", exports={}, unpassed={})


def test_the_wrapper_s_own_variables_are_not_the_job_s(runs: Runs) -> None:
    runs.write(job("env"))
    runs.run()
    assert b"_jr_" not in runs.log()


def test_the_job_s_directory_input_and_log_are_as_locally(runs: Runs, tmp_path: Path) -> None:
    runs.write(job("pwd -P; cat; echo to stderr >&2; ls /proc/self/fd", cwd=str(tmp_path)))
    assert runs.run() == 0
    lines = runs.log().decode().split()
    assert lines == [str(tmp_path), "to", "stderr", "0", "1", "2", "3"]  # 3 is what ls reads with


@pytest.mark.parametrize(
    ("cmd", "code", "signal"),
    [("exit 0", 0, None), ("exit 7", 7, None), ("kill -KILL $$", None, 9), ("kill -SEGV $$", None, 11)],
)
def test_how_it_ended_is_recorded(tmp_path: Path, cmd: str, code: int | None, signal: int | None) -> None:
    runs = Runs(tmp_path, "sh")
    runs.write(job(cmd))
    runs.run()
    record = runs.record()
    assert (record.code, record.signal, record.stopped, record.launch_error) == (code, signal, None, None)
    assert (record.id, record.host, record.restarts) == ("7_0", "here", 0)


@pytest.mark.parametrize("exports", [{}, {"A": "1"}], ids=["plain", "by env"])
def test_a_code_is_told_from_a_signal(runs: Runs, exports: dict[str, str]) -> None:
    runs.write(job("exit 137", exports=exports), job("kill -KILL $$", name="killed", exports=exports))
    assert [runs.run(index) for index in (0, 1)] == [137, 137]
    assert [(record.code, record.signal) for record in map(runs.record, (0, 1))] == [(137, None), (None, 9)]


def test_what_the_system_does_not_execute_is_recorded_as_that(runs: Runs, tmp_path: Path) -> None:
    """Only the attempt shows that the loader of a binary is missing, or that the command is too long."""
    runs.write(job([without_loader(tmp_path)]), job(["/bin/true", "x" * 200_000], name="long"))
    for index in (0, 1):
        assert runs.run(index) == 127
        assert (
            runs.record(index).launch_error == "the system does not execute its program, or not with so long a command"
        )
    assert (runs.log(), runs.log("long")) == (b"", b"")


@pytest.mark.parametrize("name", ["SHELLOPTS", "OPTIND", "IFS", "LINENO"])
def test_a_variable_of_the_shell_s_that_is_inherited_is_the_job_s_alone(runs: Runs, name: str) -> None:
    """Each of them ends some shell at once, or is changed by it."""
    values = {"SHELLOPTS": "errexit:nounset"}
    inherited = {**runs.environment, name: values.get(name, "x")}
    runs.store = Store(runs.roots, JobFiles(runs.roots, inherited, None, SoftSteps(None, None)))
    runs.environment = without_shell_variables(inherited)
    runs.write(job(["/usr/bin/printenv", name]))
    assert runs.run() == 0
    assert runs.log().decode() == f"{values.get(name, 'x')}\n"


def test_its_times_are_recorded(runs: Runs) -> None:
    runs.write(
        job(["python3", "-c", "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"])
    )
    runs.run()
    record = runs.record()
    assert record.cpu_seconds is not None
    assert record.cpu_seconds >= 0.29
    assert record.seconds is not None
    assert record.seconds >= 0.29


@pytest.mark.parametrize(
    ("line", "folder", "file"),
    [
        ("0::/system.slice/slurmd/job_7/step_batch/user/task_0", "system.slice/slurmd/job_7", "memory.peak"),
        ("4:memory:/slurm/uid_0/job_7/step_batch", "memory/slurm/uid_0/job_7", "memory.max_usage_in_bytes"),
    ],
    ids=["v2", "v1"],
)
def test_its_memory_is_that_of_its_own_cgroup(runs: Runs, tmp_path: Path, line: str, folder: str, file: str) -> None:
    (tmp_path / "groups" / folder).mkdir(parents=True)
    (tmp_path / "groups" / folder / file).write_text("123456\n")
    membership = tmp_path / "membership"
    membership.write_text(f"9:cpu:/job_7\n{line}\n3:pids:/slurm/job_7/step\n")
    runs.write(job("true"), job("true", name="other"))
    where = {"CGROUPS": str(tmp_path / "groups"), "MEMBERSHIP": str(membership)}
    runs.run(0, CGROUP="job_7", **where)
    assert runs.record(0).peak_bytes == 123456
    runs.run(1, CGROUP="job_77", **where)
    assert runs.record(1).peak_bytes is None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"cmd": ["/no/such/program"]}, "no such program"),
        ({"cmd": ["no-such-program-at-all"]}, "no such program"),
        ({"cmd": ["/etc/passwd"]}, "no such program, or it may not be executed"),
        ({"cmd": "true", "shell": "/no/shell"}, "no such program"),
        ({"cmd": "true", "cwd": "/no/such/directory"}, "its cwd, or else its odir) does not exist"),
    ],
)
def test_what_cannot_be_started_is_recorded_as_that(runs: Runs, fields: dict[str, Any], reason: str) -> None:
    runs.write(job(**fields))
    assert runs.run() == 127
    record = runs.record()
    assert record.launch_error is not None
    assert reason in record.launch_error
    assert record.code is None


def test_a_link_in_the_place_of_the_log_is_not_followed(runs: Runs, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    runs.write(job("echo hello"))
    (runs.directory / "job" / "job.log").symlink_to(precious)
    assert runs.run() == 127
    assert runs.record().launch_error == "its log cannot be created"
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("restart", ["0", "1"])
@pytest.mark.parametrize("name", ["claim", "record", "log"])
@pytest.mark.parametrize("kind", ["link", "link to nothing", "hard link", "fifo"])
def test_what_was_planted_is_neither_followed_nor_waited_for(
    runs: Runs, tmp_path: Path, kind: str, name: str, restart: str
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    runs.write(job("echo hello"))
    ends = runs.directory / ".batch" / "ends" / "aa"
    path = {"claim": ends / "aa0.run", "record": ends / "aa0.end", "log": runs.directory / "job" / "job.log"}[name]
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "hard link":
        path.hardlink_to(precious)
    else:
        path.symlink_to(precious if kind == "link" else precious.with_name("new"))
    runs.run(RESTART=restart)  # it ends
    assert precious.read_text() == "precious"
    assert not precious.with_name("new").exists()


def test_a_log_is_fresh_at_each_run_and_each_start(runs: Runs) -> None:
    runs.write(job("echo first"))
    runs.run()
    runs.store.forget("aa0")
    runs.write(job("echo second"))
    runs.run()
    assert runs.log() == b"second\n"
    assert runs.run(RESTART="1") == 0
    assert runs.log() == b"second\n"
    assert runs.record().restarts == 1


def test_a_job_that_was_claimed_runs_once(runs: Runs) -> None:
    runs.write(job("echo ran >>ran"))
    assert [runs.run() for _ in range(3)] == [0, TAKEN, TAKEN]
    assert (runs.directory / "job" / "ran").read_text() == "ran\n"


@pytest.mark.parametrize("restart", ["0", "1"])
def test_a_job_that_was_revoked_never_begins(runs: Runs, restart: str) -> None:
    runs.write(job("echo ran >ran"))
    runs.store.revoke(["aa0"])
    assert runs.store.revoked(["aa0"]) == runs.store.claimed(["aa0"]) == {"aa0"}
    assert runs.run(RESTART=restart) == TAKEN
    assert not (runs.directory / "job" / "ran").exists()
    runs.store.forget("aa0")
    assert runs.store.claimed(["aa0"]) == set()
    assert runs.run(RESTART=restart) == 0


def test_a_job_that_has_begun_is_revoked_only_if_it_was_started_again(runs: Runs) -> None:
    runs.write(job("echo ran >>ran"))
    assert runs.run() == 0
    runs.store.revoke(["aa0"])
    assert runs.store.revoked(["aa0"]) == set()
    assert runs.run(RESTART="1") == 0
    for _ in range(2):
        runs.store.revoke(["aa0"], restarted={"aa0"})
        assert runs.store.revoked(["aa0"]) == {"aa0"}
        assert runs.run(RESTART="2") == TAKEN
    assert (runs.directory / "job" / "ran").read_text() == "ran\nran\n"


def test_another_start_does_not_leave_the_record_of_the_first(runs: Runs) -> None:
    runs.write(job("[ -e again ] || exit 3; kill -KILL $PPID"))
    assert runs.run() == 3
    (runs.directory / "job" / "again").touch()
    assert runs.run(RESTART="1") == -signal.SIGKILL
    assert runs.store.read_all_records(["aa0"]) == {}


def test_a_directory_that_is_not_seen_has_a_code_of_its_own(runs: Runs) -> None:
    runs.write(job("true"))
    shutil.rmtree(runs.array)
    assert runs.run() == UNSEEN


def test_a_directory_that_cannot_be_written_to_has_it_as_well(runs: Runs) -> None:
    runs.write(job("true"))
    shutil.rmtree(runs.directory / ".batch" / "ends")
    assert runs.run() == UNSEEN


def test_a_signal_to_all_ends_the_job_and_is_recorded(runs: Runs) -> None:
    runs.write(job("trap 'echo bye; exit 5' TERM; echo ready; while :; do :; done"))
    process = runs.start()
    until(lambda: (runs.directory / "job" / "job.log").exists() and b"ready" in runs.log())
    os.killpg(process.pid, signal.SIGTERM)
    assert runs.finish(process) == 5
    assert runs.log() == b"ready\nbye\n"
    record = runs.record()
    assert (record.code, record.signal, record.stopped) == (5, None, "TERM")


def test_a_job_takes_an_interrupt_as_it_would_locally(runs: Runs) -> None:
    runs.write(job(["python3", "-c", "import signal, sys\nprint('ready', flush=True)\nsignal.pause()"]))
    process = runs.start()
    until(lambda: (runs.directory / "job" / "job.log").exists() and b"ready" in runs.log())
    os.killpg(process.pid, signal.SIGINT)
    runs.finish(process)
    assert b"KeyboardInterrupt" in runs.log()
    assert runs.record().stopped == "INT"


def test_the_usual_shell_is_not_read_to_see_whether_it_is_a_program(tmp_path: Path) -> None:
    """That would be some 4,000 system calls for each job."""
    if shutil.which("strace") is None:
        pytest.skip("there is no strace to count with")
    runs = Runs(tmp_path / "run", "sh")
    runs.write(job("true"))
    runs.shell = ["strace", "-qq", "-e", "trace=read", "-o", str(tmp_path / "calls"), "sh"]
    assert runs.run() == 0
    assert len((tmp_path / "calls").read_text().splitlines()) < 500


def test_one_process_is_made_for_one_job(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("there is no strace to count with")
    runs = Runs(tmp_path / "run", "sh")
    runs.write(job(["/bin/true"]))
    runs.shell = ["strace", "-f", "-qq", "-e", "trace=clone,clone3,fork,vfork", "-o", str(tmp_path / "calls"), "sh"]
    assert runs.run() == 0
    calls = [line for line in (tmp_path / "calls").read_text().splitlines() if "SIGCHLD {" not in line]
    assert len(calls) == 1


# ---------------------------------------------------------------------- files that another job plants meanwhile


def planting_after(script: str, line: int) -> str:
    """Return the script with a call of `_jr_plant`, which keeps the status, after a line."""
    lines = script.split("\n")
    return "\n".join([*lines[:line], "_jr_plant", *lines[line:]])


def lines_of_commands(script: str) -> list[int]:
    """Return the lines after which another command can stand, from the one on in which the wrapper learns its job."""
    lines = script.split("\n")
    first = next(number for number, line in enumerate(lines, 1) if line.startswith('. "$_jr_job"'))
    return [
        number
        for number in range(first, len(lines) - 1)
        if not lines[number - 1].endswith("\\")
        and not subprocess.run(
            ["sh", "-n"], input=planting_after(script, number).encode(), capture_output=True, check=False
        ).returncode
    ]


PLANTS = ("mkfifo", "ln -s {victim}", "ln -s {victim}.new")
PATHS = ("$_jr_files.run", "$_jr_files.end", "$_jr_log")


@pytest.mark.parametrize("turn", range(3))
def test_what_another_job_plants_between_two_lines_is_neither_followed_nor_waited_for(
    tmp_path: Path, turn: int
) -> None:
    """In the place of claim, record and log, each kind in turn, after each line: only the job's own result is lost."""
    runs = Runs(tmp_path / "run", "sh")
    runs.write(job("kill -SEGV $$"), job([without_loader(tmp_path)], name="not executed"))
    victim = tmp_path / "victim"
    victim.write_text("precious")
    plants = [
        PLANTS[(number + turn) % 3].format(victim=f"'{victim}'") + f' "{path}"' for number, path in enumerate(PATHS)
    ]
    removal = "rm -f " + " ".join(f'"{path}"' for path in PATHS)
    function = "\n".join(["_jr_plant() {", "_jr_code=$?", removal, *plants, 'return "$_jr_code"', "}"])
    script = Path(runs.store.wrapper).read_text()
    first, last = script.split("\n").index("set +C"), script.split("\n").index("    _jr_status=$?")
    places = lines_of_commands(script)
    assert len([place for place in places if place < first]) > 10
    assert len([place for place in places if place > last]) > 20
    for place in places:
        head, rest = planting_after(script, place).split("\n", 1)
        Path(runs.store.wrapper).write_text(f"{head}\n{function}\n{rest}")
        for index in (0, 1) if place > last else (0,):  # whether it was executed matters to no line before
            process = runs.start(index)
            assert process.communicate(timeout=60) == (b"", b""), f"planted after line {place}"  # it ends
            assert victim.read_text() == "precious", f"planted after line {place}"
            assert not victim.with_name("victim.new").exists(), f"planted after line {place}"
            for path in (*runs.directory.glob(".batch/ends/aa/*"), *runs.directory.glob("*/job.log")):
                path.unlink()


@pytest.mark.parametrize("plant", PLANTS[1:])
@pytest.mark.parametrize("number", range(3))
def test_a_link_that_is_planted_after_the_look_is_not_followed(
    runs: Runs, tmp_path: Path, number: int, plant: str
) -> None:
    """No command is between the check of a path and its opening; there, the shell's O_EXCL protects."""
    runs.write(job("echo hello"))
    victim = tmp_path / "victim"
    victim.write_text("precious")
    script = Path(runs.store.wrapper).read_text()
    look = '    [ ! -L "$1" ] && [ ! -e "$1" ]\n'
    assert script.count(look) == 1
    ending = (".run", ".end", ".log")[number]
    planting = plant.format(victim=f"'{victim}'") + ' "$1"'
    late = f'{look}_jr_code=$?\ncase $_jr_code$1 in 0*{ending}) {planting} ;; esac\nreturn "$_jr_code"\n'
    Path(runs.store.wrapper).write_text(script.replace(look, late))
    runs.run()
    assert [path.name for path in runs.directory.rglob("*") if path.is_symlink()] == [
        f"{('aa0', 'job')[number > 1]}{ending}"
    ]
    assert victim.read_text() == "precious"
    assert not victim.with_name("victim.new").exists()


def test_a_log_is_appended_to(runs: Runs) -> None:
    """So a job may open it a second time, or truncate it, without harm."""
    runs.write(job("echo gone; : >/proc/self/fd/1; echo one; echo two >>/proc/self/fd/1; echo three"))
    assert runs.run() == 0
    assert runs.log() == b"one\ntwo\nthree\n"


def test_a_record_that_was_planted_beforehand_costs_nothing(runs: Runs) -> None:
    runs.write(job("echo hello"))
    os.mkfifo(runs.directory / ".batch" / "ends" / "aa" / "aa0.end")
    assert runs.run() == 0
    assert runs.record().code == 0


@pytest.mark.parametrize("folder", ["", "arrays", "arrays/array", "ends", "ends/aa"])
def test_a_link_in_the_place_of_a_folder_of_the_run_s_leads_nowhere(runs: Runs, tmp_path: Path, folder: str) -> None:
    """Even if all the files are there: an element reads only files of the run."""
    runs.write(job("echo hello"))
    path = runs.directory / ".batch" / folder
    away = tmp_path / "away"
    path.rename(away)
    path.symlink_to(away)
    assert runs.run() == UNSEEN
    assert not list(tmp_path.rglob("aa0.*"))
    assert not (runs.directory / "job" / "job.log").exists()


@pytest.mark.parametrize("command", ["rm -rf .batch", "mv .batch away; ln -s victim .batch"])
def test_a_job_that_takes_the_folder_away_loses_records_and_leads_nobody_elsewhere(runs: Runs, command: str) -> None:
    victim = runs.directory / "victim" / "ends" / "aa"
    victim.mkdir(parents=True)
    runs.write(job(f"cd ..; {command}"))
    assert runs.run() == 0
    assert runs.store.read_all_records(["aa0"]) == {}
    assert list(victim.iterdir()) == []


def test_the_run_directory_may_be_behind_a_link_of_the_user_s(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    runs = Runs(tmp_path / "link", "sh")
    runs.write(job("echo hello"))
    assert runs.run() == 0
    assert runs.record().code == 0
