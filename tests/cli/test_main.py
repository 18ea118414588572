"""The command line as a whole: wrong input of all kinds, each one message and exit code 2, and nothing started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Here
from tests.cli.program import Done, call, end_of, environment, job_file, started
from tests.jobfile.without_lines import without_lines
from tests.unmeasured import unmeasured

RAN = "touch {file_dir}/ran"


def check_refused(directory: Path, done: Done, *complaints: str) -> None:
    """One line, exit code 2, nothing started, no directory made."""
    assert done.code == 2, done
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert done.err.startswith("job-runtime: ")
    for complaint in complaints:
        assert complaint in done.err or complaint in without_lines(done.err)
    assert not (directory / "ran").exists()
    assert not (directory / "results").exists()


def toml(directory: Path, content: str | bytes) -> str:
    content = content.encode() if isinstance(content, str) else content
    (directory / "jobs.toml").write_bytes(content)
    return "jobs.toml"


GOOD = f"[jobs.good]\ncmd = '{RAN}'\n"
BAD_FILES: dict[str, tuple[str | bytes, list[str]]] = {
    "unknown key": (GOOD + "tiemout = 3", ['jobs.toml: [jobs.good]: unknown key "tiemout"; did you mean "timeout"?']),
    "bad type": (GOOD + "weight = 'x'", ['jobs.toml: [jobs.good]: weight is "x"; expected a number']),
    "bad regex": (
        GOOD + "pass_patterns = ['(']",
        ["jobs.toml: [jobs.good]: ", "pattern '(' is not a regular expression"],
    ),
    "cycle": (
        GOOD + "[jobs.a]\ncmd='x'\nneeds=['b']\n[jobs.b]\ncmd='x'\nneeds=['a']",
        ["jobs.toml: ", "cycle", "'a' -> 'b' -> 'a'"],
    ),
    "cycle of one": (GOOD + "needs = ['good']", ["jobs.toml: ", "cycle"]),
    "duplicate in the file": (GOOD + GOOD, ["jobs.toml:3:", "not TOML"]),
    "duplicate of a matrix": (
        GOOD + "[jobs.a]\ncmd='x'\nmatrix.n=[1]\n[jobs.'a.n=1']\ncmd='x'",
        ['makes the job "a.n=1", and so does jobs.toml: [jobs.a]'],
    ),
    "unknown dependency": (
        GOOD + "[jobs.a]\ncmd='x'\nneeds=['god']",
        ['jobs.toml: [jobs.a]: needs "god"', 'did you mean "good"?'],
    ),
    "unknown backend": (GOOD + "backend = 'lcal'", ['jobs.toml: job "good": ', "'lcal'", "did you mean 'local'"]),
    "unknown backend of a table": (
        GOOD + "[backends.lcal]\nx=1",
        ["jobs.toml: [backends.lcal]: ", "did you mean 'local'"],
    ),
    "unknown option of a backend": (
        GOOD + "[backends.local]\nmax_paralelism=1",
        ['jobs.toml: [backends.local]: unknown key "max_paralelism"; did you mean "max_parallelism"?'],
    ),
    "bad option of a backend": (
        GOOD + "[backends.local]\nmax_parallelism=-1",
        ["jobs.toml: [backends.local]: ", "max_parallelism is -1"],
    ),
    "impossible resource": (GOOD + "resources={l=5}\n[resources]\nl=4", ["jobs.toml: ", "'l'", "5", "4"]),
    "resource without a limit": (GOOD + "resources={l=5}", ["jobs.toml: ", "'l'", "no limit"]),
    "not TOML": ("jobs = {", ["jobs.toml:1:", "not TOML"]),
    "binary junk": (bytes(range(256)) * 10, ["jobs.toml:2: not UTF-8"]),
    "not UTF-8": (GOOD.encode() + b"# caf\xe9", ["jobs.toml:3: not UTF-8"]),
    "a number beyond a float": (
        GOOD + "weight = 1" + "0" * 400,
        ["jobs.toml: jobs.good.weight is a number of 1329 bits"],
    ),
    "a number beyond a float of a backend": (
        GOOD + "[backends.local]\nkill_timeout = 1" + "0" * 400,
        ["jobs.toml: backends.local.kill_timeout is a number of 1329 bits; expected whole numbers from"],
    ),
    "a float beyond a float": (GOOD + "timeout = 1e999", ['jobs.toml: not TOML: the number "1e999" is too large']),
    "no number": (GOOD + "timeout = nan", ["jobs.toml: [jobs.good]: timeout is nan; expected a number of seconds"]),
    "too long a time": (GOOD + "timeout = 1e10", ["timeout is 10000000000.0; expected", "up to 1000000000 s"]),
    "a name for a backend": (GOOD + "[backends.local]\nname = 'x'", ['[backends.local]: unknown key "name"; ']),
    "a directory for a backend": (
        GOOD + "[backends.local]\nrun_dir = 1",
        ['[backends.local]: unknown key "run_dir"'],
    ),
    "an unknown key of a backend that no job uses": (
        GOOD + "[backends.slurm]\npartion = 'x'",
        ['jobs.toml: [backends.slurm]: unknown key "partion"; did you mean "partition"?'],
    ),
    "a resource without a limit": (
        GOOD + "resources = { lic = 1 }",
        ["'lic', which has no limit (there are limits for: none); expected a limit under [resources], or --resource "],
    ),
    "a policy": (
        GOOD + "backend = 'fake'\n[backends.fake]\npolicy = 1",
        ['[backends.fake]: unknown key "policy"; it knows: drain_timeout, max_parallelism'],
    ),
    "empty": ("", ["jobs.toml: has no jobs"]),
    "include of nothing": (GOOD + "[x]", ['unknown key "x"']),
    "bad include": ("include=['no/*.toml']\n" + GOOD, ['jobs.toml: include "no/*.toml" matches no file']),
    "include of itself": ("include=['jobs.toml']\n" + GOOD, ['jobs.toml: include "jobs.toml" closes a cycle']),
    "repetitions": (GOOD + "seeds = 1_000_000_000", ["jobs.toml: [jobs.good]: stands for 1000000000 jobs"]),
    "depth": ("x = " + "[" * 100_000, ["jobs.toml: nested too deeply"]),
    "long key": ("a." * 500_000 + "a = 1", ["jobs.toml:1: a key has more than"]),
    "a misspelt variable": (
        "[vars]\nwidth = 8\n[jobs.good]\ncmd = 'x {var.widht}'",
        ["jobs.toml: [jobs.good]: cmd has {var.widht}, which has no value; did you mean {var.width}?"],
    ),
    "defaults that multiply": (
        "[vars]\na0 = '0123456789'\n"
        + "".join(f"a{number} = '{{var.a{number - 1}}}{{var.a{number - 1}}}'\n" for number in range(1, 40))
        + "[jobs.a]\ncmd = '{var.a39}'",
        ["jobs.toml: [vars]: a14 has 163840 characters; expected at most 131072"],
    ),
    "a chain of defaults": (
        "[vars]\n"
        + "".join(f"a{number} = '{{var.a{number + 1}}}'\n" for number in range(20_000))
        + "[jobs.a]\ncmd = '{var.a0}'",
        ["jobs.toml: [vars]: a50 is the last of more than 50 defaults that contain each other"],
    ),
    "a text of variables": (
        f"[vars]\na = '{'x' * 100_000}'\n[jobs.a]\ncmd = '{'{var.a}' * 300_000}'",
        ["jobs.toml: [jobs.a]: cmd has variables of 30000000000 characters; expected at most 16777216"],
    ),
    "escape sequences": ("[jobs.'\x9b']", ['[jobs."\\x9b"]: has no cmd']),
    "escape sequences in names": ('[jobs."\\u001b[2J"]\ncmd=1', ["\\x1b[2J", "cmd is 1"]),
}


@pytest.mark.parametrize("what", BAD_FILES)
def test_a_bad_file_is_refused(tmp_path: Path, here: Here, what: str) -> None:
    content, complaints = BAD_FILES[what]
    check_refused(tmp_path, here("run", toml(tmp_path, content)), *complaints)


LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_CPU, (2, 2))
sys.argv = ["runtime", "run", sys.argv[1]]
try:
    runpy.run_module("runtime", run_name="__main__")
finally:
    # Not from getrusage, which in a child begins with the peak of the process that forked it.
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(int(status["VmHWM"].split()[0]) // 1024)
"""


@pytest.mark.parametrize(
    "what",
    [
        *("repetitions", "depth", "long key", "binary junk"),
        *("defaults that multiply", "a chain of defaults", "a text of variables"),
    ],
)
def test_a_hostile_file_costs_little(tmp_path: Path, what: str) -> None:
    """At most 200 MB, and not even two seconds of a processor, the start of the program included."""
    file = toml(tmp_path, BAD_FILES[what][0])
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, file],
        cwd=tmp_path,
        env={**unmeasured(), "PYTHONPATH": environment()["PYTHONPATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert 0 < int(done.stdout) <= 200


def test_what_cannot_be_read_is_refused(tmp_path: Path, here: Here) -> None:
    os.mkfifo(tmp_path / "fifo")
    check_refused(tmp_path, here("run", "missing.toml"), "missing.toml: cannot be read: No such file or directory")
    check_refused(tmp_path, here("run", "."), "cannot be read: Is a directory")
    check_refused(tmp_path, here("run", "fifo"), "fifo: is no regular file")


@pytest.mark.parametrize("arguments", [["run"], ["list"], ["run", "--log-file", "log"]])
def test_where_the_current_directory_was_deleted_nothing_is_started(
    tmp_path: Path, here: Here, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    file = tmp_path / toml(tmp_path, GOOD)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    done = here(*arguments, str(file), "--out", str(tmp_path / "out"))
    complaint = "the current directory cannot be found: No such file or directory; expected one that exists"
    check_refused(tmp_path, done, complaint)
    assert list(tmp_path.iterdir()) == [file]


def test_bad_json_lines_are_refused(tmp_path: Path, here: Here) -> None:
    done = here("run", "-", stdin=b'{"name": "good", "cmd": "x"}\n{"name": 1}\n')
    check_refused(tmp_path, done, "<stdin>:2: name is 1; expected")
    check_refused(tmp_path, here("run", "-", stdin=b""), "standard input: has no jobs; expected a JSON object a line")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--select", "nothing"], '--select "nothing" matches no job'),
        (["--backend", "lcal"], "--backend: there is no backend 'lcal'; did you mean 'local'?"),
        (
            ["--backend", "legacy:nowhere:X"],
            "No module named 'nowhere'; expected it to be installed, or --pythonpath with its directory\n",
        ),
        (["--backend", "legacy:os:getcwd"], "expected a launcher class"),
        (["--backend", "legacy:x"], "expected legacy:package.module:ClassName"),
        (["--pythonpath", "missing"], '--pythonpath is "missing"; expected a directory'),
        (["--out", "jobs.toml"], "--out: the run's directory"),
        (["--log-file", "missing/log"], "--log-file missing/log: No such file"),
    ],
)
def test_a_bad_option_is_refused(tmp_path: Path, here: Here, options: list[str], complaint: str) -> None:
    check_refused(tmp_path, here("run", toml(tmp_path, GOOD), *options), complaint)


@pytest.mark.parametrize(
    "options",
    [
        ["--max-parallel", "-1"],
        ["--max-parallel", "1_0"],
        ["--max-parallel", "٣"],
        ["--resource", "x"],
        ["--resource", "x=y"],
        ["--resource", "=3"],
        ["--reseed", "0"],
        ["--reseed", "2", "--fixed-seed", "1"],
        ["--fixed-seed", "-1"],
        ["--seed-base", "x"],
        ["--seed-base", "99999999999999999999"],
        ["--timeout-multiplier", "0"],
        ["--timeout-multiplier", "nan"],
        ["--timeout-multiplier", "1_0"],
        ["--timeout-multiplier", "1e999"],
        ["--print-interval", " 1"],
        ["--print-interval", "٣"],
        ["--print-interval", "1e999"],
        ["--max-parallel", "1" + "0" * 400],
        ["--resource", "x=1" + "0" * 5000],
        ["--print-interval", "-1"],
        ["--print-interval", "inf"],
        ["--max-failures", "0"],
        ["--fail-fast", "--keep-going"],
        ["--on-missing-resource", "cry"],
        ["--max-odirs", "x"],
        ["--drai"],
        [],
    ],
)
def test_a_bad_command_line_is_refused(tmp_path: Path, here: Here, options: list[str]) -> None:
    check_refused(tmp_path, here(*(["run", toml(tmp_path, GOOD), *options] if options else [])), "--help)")


def test_help_says_what_there_is(tmp_path: Path, here: Here) -> None:
    assert "Exit codes: 0 all passed" in " ".join(here("--help").out.split())
    assert "--drain" in here("run", "--help").out
    assert here("--version").out.startswith("job-runtime ")


def test_help_waits_for_nothing_that_only_a_run_needs(tmp_path: Path) -> None:
    program = """
import sys
from runtime.cli.main import main
try:
    main(["--help"])
except SystemExit as ended:
    slow = {"trio", "attr", "rich", "cattrs", "logging", "importlib.metadata"} & sys.modules.keys()
    sys.exit(f"imported: {slow}" if slow else ended.code)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Exit codes" in done.stdout


@pytest.mark.parametrize("missing", ["rich", "cattrs"])
def test_a_missing_extra_is_one_line(tmp_path: Path, missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from runtime.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "run", toml(tmp_path, GOOD)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    check_refused(
        tmp_path,
        Done(done.returncode, done.stdout, done.stderr),
        f"needs the extra cli: pip install '.[cli]' in a checkout (there is no {missing})",
    )


def test_a_bug_is_one_line_and_a_file(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import runtime.jobfile.regression as r\ndef load(*_): 1 / 0\nr.load = load\n"
    )
    (tmp_path / "tmp").mkdir()
    env = {"PYTHONPATH": f"{tmp_path}:{environment()['PYTHONPATH']}", "TMPDIR": str(tmp_path / "tmp")}
    done = call(tmp_path, "run", toml(tmp_path, GOOD), env=env)
    assert done.code == 70
    (crash,) = (tmp_path / "tmp").iterdir()
    assert done.err == (
        f"job-runtime: a bug, please report it: ZeroDivisionError: division by zero (the traceback is in {crash})\n"
    )
    assert "in load" in crash.read_text()


def test_want_of_memory_is_one_line_and_no_bug(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import runtime.jobfile.regression as r\ndef load(*_): raise MemoryError\nr.load = load\n"
    )
    env = {"PYTHONPATH": f"{tmp_path}:{environment()['PYTHONPATH']}", "TMPDIR": str(tmp_path / "missing")}
    done = call(tmp_path, "run", toml(tmp_path, GOOD), env=env)
    assert (done.code, done.err) == (71, "job-runtime: there is not enough memory for the runtime itself\n")


def test_list_shows_jobs_each_after_what_it_needs(tmp_path: Path, here: Here) -> None:
    jobs = {
        "merge": {"cmd": "x", "needs": ["sim"], "run_if": "any-passed"},
        "report": {"cmd": "x", "needs": ["merge"], "run_if": "ended"},
        "sim": {"cmd": "x", "needs": ["build"], "seeds": "1..3"},
        "build": {"cmd": "x", "backend": "fake"},
    }
    done = here("list", job_file(tmp_path, jobs), "--reseed", "2", "--seed-base", "1")
    assert (done.code, done.err) == (0, "")
    build, first, second, merge, report = done.out.splitlines()
    assert report == "report  after the end of merge"
    assert build.startswith("build")
    assert first.startswith("sim.seed=")
    assert first.endswith("  after build")
    assert merge == f"merge  after any of {first.split()[0]}, {second.split()[0]}"
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
@pytest.mark.parametrize("words", [["list", "jobs.json"], ["backends"], ["--help"], ["run", "--help"], ["--version"]])
def test_what_cannot_be_said_is_no_success(tmp_path: Path, words: list[str]) -> None:
    job_file(tmp_path, {"a": {"cmd": "x"}})
    with open("/dev/full", "w") as full, started(tmp_path, *words, stdout=full) as program:
        done = end_of(program)
    assert (done.code, done.err) == (74, "job-runtime: standard output: No space left on device\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the following arguments are required: COMMAND (see job-runtime --help)"),
        (["run"], "the following arguments are required: FILE (see job-runtime run --help)"),
        (["run", "x", "--reseed", "0"], "argument --reseed: '0' is given; expected a whole number from 1"),
        (["run", "x", "--max-parallel", "9" * 30], "expected a whole number from 0 to 18446744073709551615"),
        (["run", "x", "--fixed-seed", "9" * 20], "expected a whole number from 0 to 18446744073709551615"),
        (["run", "x", "--timeout-multiplier", "1e7"], "'1e7' is given; expected a number above 0 and below a million"),
        (["run", "x", "--fail-fast", "--max-failures", "2"], "--max-failures: not allowed with argument --fail-fast"),
        (["run", "x", "\x1b[2Jy"], "unrecognized arguments: \\x1b[2Jy (see job-runtime run --help)"),
        (["list", "x", "--drain", "y"], "unrecognized arguments: --drain y (see job-runtime list --help)"),
    ],
)
def test_a_wrong_command_line_is_one_line(here: Here, words: list[str], said: str) -> None:
    done = here(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("job-runtime: ")
    assert done.err.endswith("--help)\n")
    assert done.err.count("\n") == 1
    assert said in done.err


def test_list_refuses_what_run_refuses(tmp_path: Path, here: Here) -> None:
    check_refused(tmp_path, here("list", toml(tmp_path, "jobs = 1")), "jobs is 1; expected tables")


def test_backends_shows_what_there_is(tmp_path: Path, here: Here) -> None:
    done = here("backends")
    assert (done.code, done.err) == (0, "")
    names = [line.split()[0] for line in done.out.splitlines()]
    assert names[:-1] == sorted(names[:-1])
    assert {"fake", "local", "legacy:package.module:ClassName"} <= set(names)
    assert "local  (default)" in done.out
    assert "\n      max_parallelism (a whole number): how many jobs" in here("backends", "--verbose").out
    assert "fake  (default)" in call(tmp_path, "backends", env={"JOB_RUNTIME_BACKEND": "fake"}).out
