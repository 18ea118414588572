"""Runs the command line in forks of a process that has imported it, which takes a tenth of the time of a new process.

What runs is `runtime.__main__`, or another module that calls the command line, in a process of its own, with standard
streams, a directory and an environment of its own, as ``python -m`` has them. What an interpreter reads when it starts
cannot be given: see `can_run`.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]

_IMPORTED = (
    "runtime.backend.local.backend",
    "runtime.backend.registry",
    "runtime.cli.listing",
    "runtime.cli.main",
    "runtime.cli.past_commands",
    "runtime.cli.prepare",
    "runtime.cli.rerun_jobs",
    "runtime.cli.run",
    "runtime.process.supervisors",
)
_MAX_REQUEST = 1 << 20


def can_run(environment: Mapping[str, str]) -> bool:
    """Whether a fork can have this environment: nothing in it that an interpreter reads when it starts is new."""
    return all(
        environment.get(name) == os.environ.get(name)
        for name in {*environment, *os.environ}
        if name.startswith(("PYTHON", "LC_", "LANG")) and name != "PYTHONPATH"
    ) and environment.get("PYTHONPATH") == str(ROOT)


class ForkServer:
    """The process, seen from the tests. It ends with them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.is_broken: bool = False
        """Whether it owes an answer to an earlier request, which would be taken for that to the next one."""
        self._socket, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.cli.fork_server", str(its.fileno())],
                cwd=ROOT,
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
            )
        atexit.register(self.close)

    def run(
        self,
        module: str,
        arguments: Sequence[str],
        directory: Path,
        environment: Mapping[str, str],
        streams: Sequence[IO[bytes]],
        timeout: float,
    ) -> int:
        """Run a module to its end; return its exit code, negative for a signal, as `subprocess` does.

        Args:
            module: its name.
            arguments: those of the program.
            directory: where it runs.
            environment: its environment, for which `can_run` holds.
            streams: its standard input, output and error.
            timeout: seconds that it may take.

        Raises:
            TimeoutError: if it takes longer. The server is broken then, as after any other exception.
        """
        request = json.dumps([[module, *arguments], str(directory), dict(environment)]).encode()
        assert len(request) < _MAX_REQUEST
        with self._lock:  # a test may call it from several threads
            try:
                self._socket.settimeout(timeout)
                socket.send_fds(self._socket, [request], [stream.fileno() for stream in streams])
                return os.waitstatus_to_exitcode(int(self._socket.recv(100)))
            except BaseException:
                self.is_broken = True
                raise

    def close(self) -> None:
        """End it."""
        self._socket.close()
        self._process.wait()


def _serve(requests: socket.socket) -> None:
    for name in _IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    while True:
        request, fds, _, _ = socket.recv_fds(requests, _MAX_REQUEST, 3)
        if not request:
            return
        pid = os.fork()
        if pid == 0:
            requests.close()
            words, directory, environment = json.loads(request)
            _become(words, directory, environment, fds)
            runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        for fd in fds:
            os.close(fd)
        requests.send(str(os.waitpid(pid, 0)[1]).encode())


def _become(words: Sequence[str], directory: str, environment: Mapping[str, str], fds: Sequence[int]) -> None:
    """Make this process what ``python -m`` with these words would be when it begins."""
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = words
    sys.path[0] = directory
    importlib.invalidate_caches()
    gc.unfreeze()


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
