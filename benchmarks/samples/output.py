"""A sample of `output`: a job that writes a large log, on this runtime or by a redirection of the shell.

Of what it wrote, this process must have read nothing and written nothing. The kernel counts what a process reads and
writes, with that of children that it has waited for; a contained job is waited for by another process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trio

from runtime import EventBatch, JobCompletionEvent, JobSpec, JobStatus, LocalBackend

A_LITTLE = 20_000
"""Bytes that we may read and write ourselves: messages between processes, the dump of the job's environment."""


def transferred() -> int:
    """Return how many bytes this process has read and written so far."""
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counts["rchar"]) + int(counts["wchar"])


async def run(command: list[str], directory: str, fail_patterns: list[str]) -> float:
    """Run a job; return the seconds from when it is submitted until its completion is received.

    Raises:
        AssertionError: if we have read or written more than `A_LITTLE`, as must be with a fail pattern.
    """
    ended: list[JobCompletionEvent] = []
    seconds = 0.0
    send, receive = trio.open_memory_channel[EventBatch](0)
    with send, receive:
        async with LocalBackend(1, directory).open(send) as backend:
            before = transferred()
            begin = time.perf_counter()
            await backend.submit(JobSpec(name="job", cmd=command, fail_patterns=fail_patterns))
            while not ended:
                ended += [event for event in await receive.receive() if isinstance(event, JobCompletionEvent)]
            seconds = time.perf_counter() - begin
            touched = transferred() - before
            assert touched < A_LITTLE, f"{touched} bytes went through Python"
    assert [event.status for event in ended] == [JobStatus.PASSED]
    return seconds


def redirect(command: list[str], directory: str) -> float:
    """Let a shell do it; return the seconds that it took."""
    log = Path(directory, "job", "job.log")
    log.parent.mkdir()
    begin = time.perf_counter()
    subprocess.run(["/bin/sh", "-c", 'exec "$@" >"$0" 2>&1', str(log), *command], check=True)
    return time.perf_counter() - begin


def main() -> None:
    """Measure once: ``MEGABYTES``, and ``--shell`` for the shell, or a fail pattern."""
    size = int(sys.argv[1]) * 1_000_000
    command = ["head", "-c", str(size), "/dev/zero"]
    options = sys.argv[2:]
    with tempfile.TemporaryDirectory() as directory:
        shell = options == ["--shell"]
        seconds = redirect(command, directory) if shell else trio.run(run, command, directory, options)
        assert Path(directory, "job", "job.log").stat().st_size == size
    print(json.dumps({"megabytes_per_second": size / seconds / 1e6, "seconds": seconds}))


if __name__ == "__main__":
    main()
