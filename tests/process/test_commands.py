from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import trio

from runtime.process import Child
from runtime.process import commands as module
from runtime.process.commands import Commands
from tests.backend.local_jobs import TOKEN, alive

ENVIRONMENT = {"PATH": os.environ["PATH"]}


async def test_a_command_s_code_and_words_come_back() -> None:
    done = await Commands(ENVIRONMENT, 60).run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done.code, done.output, done.errors, done.timed_out, done.missing) == (3, "out\n", "err\n", False, False)


async def test_its_environment_is_the_one_that_was_given() -> None:
    done = await Commands({**ENVIRONMENT, "WORD": "x y"}, 60).run(["sh", "-c", 'echo "$WORD"; env | wc -l'])
    assert done.output.splitlines()[0] == "x y"


async def test_output_is_whole_however_much_and_whatever_it_is() -> None:
    done = await Commands(ENVIRONMENT, 60).run(["sh", "-c", "head -c 5000000 /dev/zero; printf '\\377'"])
    assert len(done.output) == 5_000_001
    assert done.output.endswith("\0\ufffd")


@pytest.mark.parametrize("stream", ["1", "2"])
async def test_one_that_prints_without_end_is_killed_with_all_that_it_started(stream: str) -> None:
    mark = f"prints-{os.getpid()}-{stream}"
    with trio.fail_after(30):
        done = await Commands({**ENVIRONMENT, TOKEN: mark}, None, max_output=1000).run(
            ["sh", "-c", f"yes >&{stream} & wait"]
        )
        assert (done.code, done.too_much, done.timed_out) == (None, True, False)
        assert (len(done.output), len(done.errors.partition("\nit ")[0])) == ((1000, 0) if stream == "1" else (0, 1000))
        assert done.errors.endswith("\nit printed more than 1000 bytes")
        while alive(mark):  # SIGKILL was sent to all of it, and takes its time
            await trio.lowlevel.checkpoint()


async def test_one_that_has_printed_too_much_and_ended_gives_no_listing_that_is_cut_off() -> None:
    done = await Commands(ENVIRONMENT, 60, max_output=1000).run(["head", "-c", "1001", "/dev/zero"])
    assert (done.code, done.too_much, len(done.output)) == (None, True, 1000)
    done = await Commands(ENVIRONMENT, 60, max_output=1000).run(["head", "-c", "1000", "/dev/zero"])
    assert (done.code, done.too_much, len(done.output)) == (0, False, 1000)


async def test_there_is_no_such_program() -> None:
    # With a directory in the PATH that we may not search, the error for an unknown program is EACCES.
    done = await Commands({**ENVIRONMENT, "PATH": "/usr/bin:/bin"}, 60).run(["no-such-program"])
    assert (done.code, done.missing) == (None, True)
    assert "no-such-program cannot be started: No such file or directory" in done.errors


async def test_past_its_deadline_it_is_killed_with_all_that_it_started() -> None:
    mark = f"commands-{os.getpid()}"
    done = await Commands({**ENVIRONMENT, TOKEN: mark}, 1).run(
        ["sh", "-c", "echo begun; trap '' TERM; sleep 1000 & sleep 1000"]
    )
    assert (done.code, done.timed_out, done.output) == (None, True, "begun\n")
    assert "it did not return within 1 s" in done.errors
    with trio.fail_after(30):
        while alive(mark):  # SIGKILL was sent to all of it, and takes its time
            await trio.lowlevel.checkpoint()


async def test_one_that_is_stopped_is_killed_as_well() -> None:
    done = await Commands(ENVIRONMENT, 0.1).run(["sh", "-c", "kill -STOP $$"])
    assert done.timed_out


async def test_who_holds_its_output_is_not_waited_for_but_killed() -> None:
    mark = f"holds-{os.getpid()}"
    with trio.fail_after(30):
        done = await Commands({**ENVIRONMENT, TOKEN: mark}, 20).run(["sh", "-c", "sleep 1000 & echo done"])
        assert (done.code, done.output) == (0, "done\n")
        while alive(mark):
            await trio.lowlevel.checkpoint()


async def test_who_has_left_its_group_is_neither_waited_for_nor_killed(tmp_path: Path) -> None:
    """As a daemon that a tool starts once, for all that come later."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with trio.fail_after(30):
        script = f"setsid sh -c 'echo $$ >{fifo}; exec sleep 1000' & read pid <{fifo}; echo $pid"
        done = await Commands(ENVIRONMENT, 20).run(["sh", "-c", script])
    os.kill(int(done.output), 9)  # it lives


async def test_cancelling_kills_it() -> None:
    mark = f"cancelled-{os.getpid()}"
    commands = Commands({**ENVIRONMENT, TOKEN: mark}, 60)
    with trio.move_on_after(0.1) as scope:
        await commands.run(["sleep", "1000"])
    assert scope.cancelled_caught
    assert not alive(mark)


async def test_a_start_that_hangs_is_not_waited_for_by_a_cancel_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The directory of a program may be in a file system that does not answer."""
    mark = f"hanging-{os.getpid()}"
    begun, answers = threading.Event(), threading.Event()
    start = module._start

    def slow(argv: Sequence[str], environment: Mapping[str, str]) -> object:
        begun.set()
        answers.wait()
        started = start(argv, environment)
        assert alive(mark)
        return started

    monkeypatch.setattr(module, "_start", slow)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Commands({**ENVIRONMENT, TOKEN: mark}, 60).run, ["sleep", "1000"])
            await trio.to_thread.run_sync(begun.wait)
            nursery.cancel_scope.cancel()
    answers.set()
    with trio.fail_after(30):
        while alive(mark):  # a thread ends it, in its own time
            await trio.lowlevel.checkpoint()


async def test_one_that_does_not_die_does_not_hold_up_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when its file system does not answer: it dies of SIGKILL when that answers again."""
    monkeypatch.setattr(module, "_END_TIMEOUT", 0.01)
    pids: list[int] = []
    with monkeypatch.context() as patched:
        patched.setattr(Child, "signal_group", lambda self, number: pids.append(self.pid))
        done = await Commands(ENVIRONMENT, 0.1).run(["sleep", "1000"])
        assert done.timed_out
        with trio.fail_after(30):
            while len(pids) < 2:  # the second is that of the thread, which waits for its death now
                await trio.lowlevel.checkpoint()
    os.kill(pids[0], 9)
    with trio.fail_after(30):
        while os.path.exists(f"/proc/{pids[0]}"):  # that thread reaps it
            await trio.lowlevel.checkpoint()
