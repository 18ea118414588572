"""make's jobserver: the jobs of a backend and what they start share its slots."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from runtime.backend.job_paths import ENVIRONMENT_FILE
from runtime.backend.local.jobserver import BUSY, Jobserver
from runtime.job import FailureKind, JobHandle, JobSpec, JobStatus
from tests.backend.compilers import NINJA, PYPI_MAKE, SYSTEM_MAKE, Compilers
from tests.backend.local_jobs import Local, hear, local, tell
from tests.campaigns import jobserver as campaign

both_containments = pytest.mark.parametrize("containment", ["tree", "group"])


@pytest.fixture
def compilers(tmp_path: Path) -> Iterator[Compilers]:
    made = Compilers(tmp_path / "build")
    yield made
    made.close()


SHOW = 'echo "<$MAKEFLAGS>"; ls -m /proc/$$/fd; :'
"""Prints the variable and the descriptors of a shell."""


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a change in the pipes of a job, which has no event here."""
    with trio.fail_after(30):
        while not condition():  # noqa: ASYNC110 - see above
            await trio.sleep(0.001)


def jobserver(here: Local) -> Jobserver:
    assert here.driver._jobserver is not None
    return here.driver._jobserver


CLIENTS = [
    pytest.param("tree", True, SYSTEM_MAKE, id="tree-make"),
    pytest.param("group", True, SYSTEM_MAKE, id="group-make"),
    pytest.param("tree", True, PYPI_MAKE, id="tree-make-4.4"),
    pytest.param("tree", "fifo", PYPI_MAKE, id="tree-make-4.4-fifo"),
    pytest.param("group", "fifo", PYPI_MAKE, id="group-make-4.4-fifo"),
]


@pytest.mark.parametrize(("containment", "form", "program"), CLIENTS)
async def test_three_builds_never_have_more_compilers_than_slots(
    tmp_path: Path, compilers: Compilers, containment: str, form: bool | str, program: str
) -> None:
    async with local(tmp_path / "run", containment=containment, max_parallelism=4) as here:
        jobs = [compilers.build(name, program, jobserver=form) for name in ("a", "b", "c")]
        handles = await here.session.submit(jobs)
        await compilers.wait_started(4)
        for _ in range(8):
            compilers.let_go()
            await compilers.wait_started(1)
        compilers.let_go(4)
        for handle in handles.values():
            assert (await here.session.completed(handle)).status is JobStatus.PASSED
        assert compilers.most_at_once() == 4
        assert jobserver(here).pool.held == 0
        assert "warning: jobserver" not in here.log("a")


async def test_ninja_takes_tokens_from_a_fifo(tmp_path: Path, compilers: Compilers) -> None:
    async with local(tmp_path / "run", containment="group", max_parallelism=4) as here:
        handles = await here.session.submit([compilers.build("a", NINJA, jobserver="fifo")])
        await compilers.wait_started(1)
        await wait_until(lambda: jobserver(here).pool.held == 3)
        compilers.let_go()  # it looks for tokens when it starts, and when one of its processes has ended
        await compilers.wait_started(3)
        compilers.let_go(3)
        assert (await here.session.completed(handles["a"])).status is JobStatus.PASSED


@both_containments
async def test_what_a_killed_make_holds_comes_back(tmp_path: Path, compilers: Compilers, containment: str) -> None:
    async with local(tmp_path / "run", containment=containment, max_parallelism=4) as here:
        handles = await here.session.submit([compilers.build(name) for name in ("a", "b", "c")])
        started = await compilers.wait_started(4)
        greedy = max(handles, key=started.count)
        assert started.count(greedy) == 2
        compilers.note_killed(greedy)
        await here.backend.kill_many([greedy], by="the test")
        await compilers.wait_started(2)
        compilers.let_go(8)
        for name, handle in handles.items():
            status = (await here.session.completed(handle)).status
            assert status is (JobStatus.KILLED if name == greedy else JobStatus.PASSED)
        assert compilers.most_at_once() == 4


async def test_a_job_that_is_to_start_gets_the_next_slot(tmp_path: Path, compilers: Compilers) -> None:
    async with local(tmp_path / "run", containment="tree", max_parallelism=3) as here, trio.open_nursery() as nursery:
        builds = await here.session.submit([compilers.build("a")])
        assert await compilers.wait_started(3) == ["a", "a", "a"]
        nursery.start_soon(here.session.submit, [compilers.one("b")])
        await trio.testing.wait_all_tasks_blocked()
        assert jobserver(here).pool.waiting == 1
        compilers.let_go()
        assert await compilers.wait_started(1) == ["b"]
        compilers.let_go(4)
        assert (await here.session.completed(builds["a"])).status is JobStatus.PASSED
        assert compilers.most_at_once() == 3


@both_containments
@pytest.mark.parametrize(
    ("exported", "flags"),
    [
        (None, " -j --jobserver-fds=20,21 --jobserver-auth=20,21"),
        ("k", "k -j --jobserver-fds=20,21 --jobserver-auth=20,21"),
        ("-k -- A=b", "-k -j --jobserver-fds=20,21 --jobserver-auth=20,21 -- A=b"),
    ],
)
async def test_a_client_gets_two_descriptors_and_options_that_name_them(
    tmp_path: Path, containment: str, exported: str | None, flags: str
) -> None:
    exports = {} if exported is None else {"MAKEFLAGS": exported}
    async with local(tmp_path / "run", containment=containment, max_parallelism=2) as here:
        await here.run(SHOW, jobserver=True, exports=exports)
        assert here.log().splitlines() == [f"<{flags}>", "0, 1, 2, 20, 21"]
        dumped = (here.run_dir / "job" / ENVIRONMENT_FILE).read_text().splitlines()
        lines = [line for line in dumped if line.startswith("MAKEFLAGS=")]
        assert lines == ([] if exported is None else [f"MAKEFLAGS={shlex.quote(exported)}"])


@both_containments
@pytest.mark.parametrize("fields", [{}, {"jobserver": False}])
async def test_other_jobs_get_neither(tmp_path: Path, containment: str, fields: dict[str, Any]) -> None:
    async with local(tmp_path / "run", containment=containment, max_parallelism=2) as here:
        await here.run(SHOW, **fields)
        assert here.log().splitlines() == ["<>", "0, 1, 2"]


async def test_without_a_limit_there_are_no_slots_to_share(tmp_path: Path) -> None:
    async with local(tmp_path / "run", containment="tree", max_parallelism=0) as here:
        await here.run(SHOW, jobserver=True)
        assert here.log().splitlines() == ["<>", "0, 1, 2"]


@both_containments
async def test_a_client_that_cannot_be_started_leaves_nothing_open(tmp_path: Path, containment: str) -> None:
    async with local(tmp_path / "run", containment=containment, max_parallelism=2) as here:
        await here.run(jobserver=True)
        await trio.testing.wait_all_tasks_blocked()
        before = open_descriptors()
        for form in (True, "fifo"):
            event = await here.run(["/no/such/program"], jobserver=form)
            assert event.reason is not None
            assert event.reason.kind is FailureKind.LAUNCH_ERROR
            await here.run(jobserver=form)
        await trio.testing.wait_all_tasks_blocked()
        assert open_descriptors() == before


async def test_a_job_that_returns_more_than_it_has_taken_gives_nobody_a_slot(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "done")
    os.mkfifo(tmp_path / "go")
    forge = "import os; os.read(20, 1); os.write(21, b'+' * 1000); os.write(os.open('/proc/self/fd/20', 1), b'+' * 100)"
    command = f"'{sys.executable}'" + f' -c "{forge}"; echo >{tmp_path}/done; read x <{tmp_path}/go'
    async with local(tmp_path / "run", containment="tree", max_parallelism=4) as here:
        handles = await here.session.submit([JobSpec(name="a", cmd=command, jobserver=True)])
        await hear(tmp_path / "done")
        await wait_until(lambda: jobserver(here).pool.free == 0)
        assert jobserver(here).pool.held == 3
        jobserver(here).pool.sanity_check()
        await tell(tmp_path / "go")
        assert (await here.session.completed(handles["a"])).status is JobStatus.PASSED
        assert jobserver(here).pool.held == 0


async def test_a_job_that_has_closed_its_descriptors_is_offered_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    async with local(tmp_path / "run", containment="tree", max_parallelism=4) as here:
        close = f"import os; os.closerange(3, 100); open('{tmp_path}/go').read()"
        job = JobSpec(name="a", cmd=[sys.executable, "-c", close], jobserver=True)
        handles = await here.session.submit([job])
        await wait_until(lambda: jobserver(here).pool.holders[0].is_closed)
        await wait_until(lambda: jobserver(here).pool.held == 0)
        await tell(tmp_path / "go")
        assert (await here.session.completed(handles["a"])).status is JobStatus.PASSED


async def test_gcc_links_with_the_tokens_of_its_job(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("__attribute__((noipa)) int f(int a) { return a + 1; }\n")
    (tmp_path / "b.c").write_text("int f(int); int main(void) { return f(-1); }\n")
    make = tmp_path / "make"  # for each of its compilers a recipe
    make.write_text(f'#!/bin/sh\necho "$MAKEFLAGS" >>{tmp_path}/called\nexec {SYSTEM_MAKE} "$@"\n')
    make.chmod(0o755)
    command = f"cd {tmp_path} && gcc -O1 -flto=jobserver -flto-partition=1to1 a.c b.c -o ab && ./ab"
    async with local(tmp_path / "run", containment="tree", max_parallelism=3) as here:
        assert (await here.run(command, jobserver=True, exports={"MAKE": str(make)})).status is JobStatus.PASSED
        assert here.log() == ""
    flags = set((tmp_path / "called").read_text().splitlines())  # it asks for the version first
    assert flags == {" -j --jobserver-fds=20,21 --jobserver-auth=20,21"}


async def test_a_job_that_waits_for_a_slot_can_be_killed(tmp_path: Path, compilers: Compilers) -> None:
    async with local(tmp_path / "run", containment="group", max_parallelism=2) as here, trio.open_nursery() as nursery:
        builds = await here.session.submit([compilers.build("a")])
        await compilers.wait_started(2)
        nursery.start_soon(here.session.submit, [compilers.one("b")])
        await trio.testing.wait_all_tasks_blocked()
        await here.backend.kill_many(["b"], by="the test")
        await trio.testing.wait_all_tasks_blocked()
        assert jobserver(here).pool.waiting == 0
        compilers.let_go(4)
        assert (await here.session.completed(builds["a"])).status is JobStatus.PASSED


async def test_of_a_submission_what_finds_no_slot_is_refused(tmp_path: Path, compilers: Compilers) -> None:
    async with local(tmp_path / "run", containment="tree", max_parallelism=4) as here, trio.open_nursery() as nursery:
        builds = await here.session.submit([compilers.build("a")])
        await compilers.wait_started(4)
        waiting = [compilers.one("b"), compilers.one("c")]
        handles: dict[str, JobHandle] = {}
        answered = trio.Event()

        async def submit() -> None:
            handles.update(await here.session.submit(waiting))
            answered.set()

        nursery.start_soon(submit)
        await trio.testing.wait_all_tasks_blocked()
        compilers.let_go()
        assert await compilers.wait_started(1) == ["b"]
        await answered.wait()
        assert here.backend.busy_because == BUSY
        compilers.let_go(4)
        assert list(handles) == ["b"]
        for handle in [*builds.values(), *handles.values()]:
            assert (await here.session.completed(handle)).status is JobStatus.PASSED


@pytest.mark.slow
def test_random_builds_have_never_more_compilers_than_slots() -> None:
    """How long they take, and whether they use all slots, is a matter of the campaign, on an idle machine."""
    seen = campaign.play(1, 2, longest=0.02)
    assert seen.killed == 1
    assert seen.compilers > campaign.FILES * 3
