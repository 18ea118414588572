"""Calls with paths, of which one may be on a file system that does not answer."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from runtime.cli import timed_calls
from runtime.cli.timed_calls import call_each_with_timeout
from runtime.jobfile.errors import InputError
from tests.cli.program import call, environment, job_file, results


def test_each_path_is_asked_about_once_and_in_one_thread() -> None:
    asked: list[tuple[str, int]] = []
    call_each_with_timeout(
        lambda path: asked.append((path, threading.get_ident())), ["b", "a", "b", "c", "a"], what="the path"
    )
    assert [path for path, _ in asked] == ["b", "a", "c"]
    (thread,) = {thread for _, thread in asked}
    assert thread != threading.get_ident()
    call_each_with_timeout(lambda _: 1 / 0, [], what="the path")


def test_an_error_comes_back() -> None:
    with pytest.raises(ZeroDivisionError):
        call_each_with_timeout(lambda _: 1 / 0, ["a"], what="the path")


def test_the_one_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timed_calls, "TIMEOUT", 0.1)
    held = threading.Event()
    asked = []

    def ask(path: str) -> None:
        asked.append(path)
        if path == "/dead":
            held.wait()

    try:
        with pytest.raises(InputError, match=r"^the directory /dead does not answer: no result for 0\.1 s"):
            call_each_with_timeout(ask, ["/good", "/dead", "/later"], what="the directory")
    finally:
        held.set()
    assert asked[:2] == ["/good", "/dead"]


def test_the_limit_is_for_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each call takes half of its checks, so all of them together take more than the timeout of one.
    monkeypatch.setattr(timed_calls, "TIMEOUT", 0.2)
    checks = threading.Semaphore(0)
    join = threading.Thread.join

    def count_check(self: threading.Thread, timeout: float | None = None) -> None:
        checks.release()
        join(self, timeout)

    monkeypatch.setattr(threading.Thread, "join", count_check)

    def ask(_path: str) -> None:
        for _ in range(timed_calls._CHECKS // 2):
            checks.acquire()

    call_each_with_timeout(ask, map(str, range(6)), what="the path")


def test_without_a_thread_they_are_made_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    asked: list[str] = []
    call_each_with_timeout(asked.append, ["a", "b"], what="the path")
    assert asked == ["a", "b"]


DEAD = """
import os, threading
from runtime.cli import timed_calls
timed_calls.TIMEOUT = 0.5
def answers(function):
    def ask(path, *args, **rest):
        if "/dead" in os.fspath(path):
            open("asked", "a").write("once\\n")
            threading.Event().wait()
        return function(path, *args, **rest)
    return ask
for name in ("realpath", "islink", "isdir"):
    setattr(os.path, name, answers(getattr(os.path, name)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("key", ["odir", "log_path", "soft_stop"])
def test_a_run_whose_directory_does_not_answer_is_not_started_and_names_it(tmp_path: Path, key: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(DEAD)
    dead = str(tmp_path / "dead" / "there")
    good = {f"good{number}": {"cmd": "true", "odir": str(tmp_path / "good" / str(number))} for number in range(3)}
    jobs = {**good, "bad": {"cmd": "true", key: dead}, "next": {"cmd": "true", key: dead + "2"}}
    paths = f"{tmp_path}:{environment()['PYTHONPATH']}"
    done = call(tmp_path, "run", job_file(tmp_path, jobs), env={"PYTHONPATH": paths})
    named = dead if key == "odir" else f"{tmp_path}/dead"
    expected = f"the directory {named} does not answer: no result for 0.5 s; expected a file system that works"
    assert (done.code, done.out, done.err) == (2, "", f"job-runtime: {expected}\n")
    assert (tmp_path / "asked").read_text() == "once\n"
    assert list((tmp_path / "results").iterdir()) == []


@pytest.mark.slow
def test_a_place_for_the_results_that_does_not_answer_is_named(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(DEAD)
    paths = f"{tmp_path}:{environment()['PYTHONPATH']}"
    file = job_file(tmp_path, {"a": {"cmd": "true"}})
    done = call(tmp_path, "run", file, "--out", "dead", env={"PYTHONPATH": paths})
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"job-runtime: --out: the run's directory {tmp_path}/dead/")
    assert "does not answer: no result for 0.5 s" in done.err


def test_directories_in_one_directory_ask_about_that_once(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nreal = os.path.realpath\n"
        "def realpath(path, **rest):\n"
        "    if 'scratch' in os.fspath(path): open('asked', 'a').write(f'{path}\\n')\n"
        "    return real(path, **rest)\n"
        "os.path.realpath = realpath\n"
    )
    jobs = {f"job{number}": {"cmd": "true", "odir": f"{tmp_path}/scratch/{number}"} for number in range(20)}
    paths = f"{tmp_path}:{environment()['PYTHONPATH']}"
    assert call(tmp_path, "run", job_file(tmp_path, jobs), env={"PYTHONPATH": paths}).code == 0
    assert (tmp_path / "asked").read_text() == f"{tmp_path}/scratch\n"
    assert {job["status"] for job in results(tmp_path)["jobs"]} == {"passed"}
