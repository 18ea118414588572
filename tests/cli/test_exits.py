"""`SystemExit` raised by foreign code is no orderly end: the exit code is never 0."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.program import Done, call, job_file, results, statuses
from tests.unmeasured import UNMEASURED

LAUNCHER = """
    def __init__(self, job): pass
    def launch(self): pass
    def poll(self): pass
    def kill(self): pass
"""

SITE = (
    """
import ctypes, sys, threading
from runtime import LocalBackend

class LimitMeta(type):
    @property
    def max_parallel(cls): sys.exit(0)
class Limit(metaclass=LimitMeta):"""
    + LAUNCHER
    + """
class MethodMeta(type):
    def __getattr__(cls, name): sys.exit(0)
class Method(metaclass=MethodMeta): pass

def factory(**options): sys.exit(0)

async def leave(*_): sys.exit(0)

class Setup(LocalBackend):
    def make_driver(self, control):
        driver = super().make_driver(control)
        driver.setup = leave
        return driver
class Launch(LocalBackend):
    def make_driver(self, control):
        driver = super().make_driver(control)
        driver.launch = leave
        return driver
class Resources(LocalBackend):
    @property
    def resources(self): sys.exit(0)
    @resources.setter
    def resources(self, value): pass

class Inject:
    polls = 0
    def __init__(self, job): pass
    def launch(self): inject()
    def poll(self):
        Inject.polls += 1
        if not Inject.polls % 10: inject()  # Python drops an exception that comes in a finalizer
        return type('Status', (), {'name': 'RUNNING'})()
    def kill(self): pass

def inject():
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(threading.main_thread().ident), ctypes.py_object(SystemExit))

def __getattr__(name):
    if name == "Lazy": sys.exit(0)
    raise AttributeError(name)
"""
)

PROGRAM = """
import sys
from runtime import backends
from runtime.cli.main import main
for name in ("factory", "Setup", "Launch", "Resources"):
    backends.register(name, f"site_code:{name}")
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "site_code.py").write_text(SITE)
    (tmp_path / "exiting.py").write_text("import sys; sys.exit()")
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


def run_on(site: Path, backend: str) -> Done:
    """Run a job there, and one on this machine, by a program that has registered the backends of the site."""
    jobs = {"here": {"cmd": "true", "backend": "local"}, "there": {"cmd": "true"}}
    words = ["run", job_file(site, jobs), "--backend", backend, "--pythonpath", "."]
    # To write what was measured takes long enough for other threads to run after the event loop is closed.
    return call(site, *words, program="program.py", env=UNMEASURED)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("legacy:exiting:Launcher", "importing 'exiting' failed: SystemExit"),
        ("legacy:site_code:Lazy", "looking up 'Lazy' in it failed: SystemExit"),
        ("legacy:site_code:Method", "cannot be examined: SystemExit"),
        ("legacy:site_code:Limit", "reading the attributes of Limit raised SystemExit"),
        ("factory", "cannot be made: SystemExit"),
    ],
)
def test_before_the_run_it_is_wrong_input(site: Path, backend: str, said: str) -> None:
    done = run_on(site, backend)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert said in done.err
    assert not (site / "results").exists()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["Setup", "Launch"])
def test_a_backend_that_exits_costs_its_own_jobs(site: Path, backend: str) -> None:
    done = run_on(site, backend)
    assert done.code == 3
    assert statuses(site) == {"here": "passed", "there": "killed"}
    assert "SystemExit" in results(site)["jobs"][1]["message"]


@pytest.mark.slow
def test_an_exit_that_is_injected_into_the_main_thread_ends_the_run_with_results(site: Path) -> None:
    done = run_on(site, "legacy:site_code:Inject")
    assert done.code == 70
    assert "foreign code told this process to exit" in done.err
    assert done.err.count("\n") == 1
    assert statuses(site).keys() == {"here", "there"}


@pytest.mark.slow
def test_an_exit_from_what_a_backend_is_asked_before_the_run(site: Path) -> None:
    done = run_on(site, "Resources")
    assert (done.code, done.out, done.err.count("\n")) == (70, "", 1)
    assert "foreign code told this process to exit" in done.err


ENDING = """
import os, threading
from types import SimpleNamespace

def end():
    how = os.environ["HOW"]
    if how == "exit": os._exit(0)
    if how == "exec": os.execlp("true", "true")
    if how == "thread": thread = threading.Thread(target=os._exit, args=[0]); thread.start(); thread.join()
    if how == "fork":
        child = os.fork()
        if child == 0: os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7

if os.environ["WHERE"] == "import": end()

class Launcher:
    poll_freq = 0.01
    def __init__(self, job): self.at("constructor")
    def at(self, where):
        if os.environ["WHERE"] == where: end()
    def launch(self): self.at("launch")
    def poll(self):
        self.at("poll")
        return SimpleNamespace(name="PASSED")
    def kill(self): pass
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "where", "isolated", "said"),
    [
        ("exit", "constructor", False, "EndOfProcessError: os._exit(0) was called"),
        ("exit", "launch", False, "EndOfProcessError: os._exit(0) was called"),
        ("exit", "poll", False, "EndOfProcessError: os._exit(0) was called"),
        ("exec", "poll", False, "EndOfProcessError: os.execv"),
        ("exit", "constructor", True, "ended with exit code 0, during constructor of job 'there'"),
        ("exit", "poll", True, "ended with exit code 0, during poll() of job 'there'"),
        ("exec", "poll", True, "ended with exit code 0, during poll() of job 'there'"),
        ("thread", "poll", True, "ended with exit code 0, during poll() of job 'there'"),
    ],
)
def test_a_launcher_that_ends_its_process_costs_its_own_job(
    tmp_path: Path, how: str, where: str, isolated: bool, said: str
) -> None:
    done = run_ending(tmp_path, how, where, isolated=isolated)
    assert done.code == 3
    assert statuses(tmp_path)["here"] == "passed"
    there = results(tmp_path)["jobs"][1]
    assert there["status"] in {"failed", "killed"}
    assert said in there["message"]


@pytest.mark.slow
@pytest.mark.parametrize(("how", "warned"), [("thread", True), ("fork", False)])
def test_a_thread_of_a_launcher_ends_no_run_and_what_it_forks_ends_as_it_likes(
    tmp_path: Path, how: str, warned: bool
) -> None:
    done = run_ending(tmp_path, how, "poll")
    assert (done.code, set(statuses(tmp_path).values())) == (0, {"passed"})
    assert ("os._exit(0) was called in the thread" in done.out) == warned


@pytest.mark.slow
def test_a_module_of_launchers_that_ends_the_process_is_wrong_input(tmp_path: Path) -> None:
    done = run_ending(tmp_path, "exit", "import")
    assert (done.code, done.out) == (2, "")
    assert "importing 'ending' failed: EndOfProcessError: os._exit(0) was called" in done.err


def run_ending(directory: Path, how: str, where: str, *, isolated: bool = False) -> Done:
    (directory / "ending.py").write_text(ENDING)
    name = "legacy:ending:Launcher"
    jobs = {"here": {"cmd": "true", "backend": "local"}, "there": {"cmd": "true", "needs": ["here"]}}
    file = job_file(directory, jobs, backends={name: {"isolated": isolated}})
    words = ["run", file, "--backend", name, "--pythonpath", "."]
    return call(directory, *words, env={"HOW": how, "WHERE": where})


@pytest.mark.slow
def test_a_list_of_backends_names_the_one_that_exits(site: Path) -> None:
    done = call(site, "backends", "-v", "--pythonpath", ".", program="program.py")
    assert done.code == 0
    assert "local" in done.out


def test_help_is_an_end_in_order(tmp_path: Path) -> None:
    assert call(tmp_path, "--help").code == 0
    assert call(tmp_path, "no-such-command").code == 2
