from __future__ import annotations

import os
from pathlib import Path

import trio

from runtime.backend.slurm.commands import Commands
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
        while alive(mark):  # noqa: ASYNC110 - SIGKILL was sent to all of it, and takes its time
            await trio.sleep(0.01)


async def test_one_that_is_stopped_is_killed_as_well() -> None:
    done = await Commands(ENVIRONMENT, 0.1).run(["sh", "-c", "kill -STOP $$"])
    assert done.timed_out


async def test_who_holds_its_output_is_not_waited_for(tmp_path: Path) -> None:
    with trio.fail_after(30):
        done = await Commands(ENVIRONMENT, 20).run(["sh", "-c", f"sleep 1000 & echo $! >{tmp_path}/pid; echo done"])
    assert done.output == "done\n"
    os.kill(int((tmp_path / "pid").read_text()), 9)


async def test_cancelling_kills_it() -> None:
    mark = f"cancelled-{os.getpid()}"
    commands = Commands({**ENVIRONMENT, TOKEN: mark}, 60)
    with trio.move_on_after(0.1) as scope:
        await commands.run(["sleep", "1000"])
    assert scope.cancelled_caught
    assert not alive(mark)
