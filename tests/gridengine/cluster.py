"""A real Grid Engine on this machine, for tests: sge_qmaster and one sge_execd, which plays the node `localhost`.

It is private: its root with configuration, spool and logs is one directory, and it has a network namespace of its own,
as its daemons listen at all addresses: ``unshare --net python -m pytest ...``. Clients find it by `SGE_ROOT` and the
other variables of `environment`.

    with Cluster.create(directory) as cluster:       # the node is there
        cluster.call("qsub", "-b", "y", "true")
        cluster["sge_qmaster"].kill()
        cluster["sge_qmaster"].start()
        cluster.wait_ready()

A second node is not possible: all execution daemons of a cluster listen at one port number.

All of this blocks; a trio program calls it in a thread.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.slurm.cluster import GENTLE, READY, ClusterError, Daemon, Process, run_client, wait_until

SLOTS: Final = 200
"""Of the one node, whatever the machine has: jobs of tests wait more than they compute."""
QUEUE: Final = "main.q"
CLUSTERS: Final = Path("/run/runtime-gridengine")
MARK: Final = "RUNTIME_GRIDENGINE_CLUSTER"
"""The environment variable that the daemons, and so their jobs, carry; its value is the cluster's directory."""

_PROGRAMS: Final = Path("/usr/lib/gridengine")
"""Debian's. What it has in /usr/bin are scripts that read /etc/default/gridengine first."""
_SHARED: Final = Path("/usr/share/gridengine")
_NEEDED: Final = ("sge_qmaster", "sge_execd", "spoolinit", "spooldefaults", "qconf", "qsub", "qacct")

_BOOTSTRAP: Final = """\
admin_user              root
default_domain          none
ignore_fqdn             true
spooling_method         classic
spooling_lib            libspoolc
spooling_params         {spool}
binary_path             {programs}
qmaster_spool_dir       {directory}/qmaster
security_mode           none
listener_threads        2
worker_threads          2
scheduler_threads       1
"""
_CONFIGURATION: Final = {
    "execd_spool_dir": "{directory}/execd",
    "min_uid": "0",
    "min_gid": "0",
    "load_report_time": "00:00:02",
    "max_unheard": "00:00:10",
    "execd_params": "ENABLE_ADDGRP_KILL=TRUE",
    "reporting_params": "accounting=true reporting=false flush_time=00:00:01 joblog=false sharelog=00:00:00",
}
"""Settings in place of Debian's: jobs of root, short waits, and all processes of a job ended."""
_SCHEDULER: Final = {
    "schedule_interval": "0:0:1",
    "flush_submit_sec": "1",
    "flush_finish_sec": "1",
    "job_load_adjustments": "NONE",
}
_PARALLEL: Final = {
    "pe_name": "smp",
    "slots": "999",
    "user_lists": "NONE",
    "xuser_lists": "NONE",
    "start_proc_args": "NONE",
    "stop_proc_args": "NONE",
    "allocation_rule": "$pe_slots",
    "control_slaves": "FALSE",
    "job_is_first_task": "TRUE",
    "urgency_slots": "min",
    "accounting_summary": "FALSE",
    "qsort_args": "NONE",
}


class Cluster:
    """Two daemons and their directory, made by `create`. ``cluster["sge_execd"]`` is a daemon.

    As a context manager, it is shut down at the end of the block.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.common = directory / "default" / "common"
        environment = {
            # Little, as jobs inherit what the execution daemon has.
            **{name: value for name, value in self.environment.items() if name.startswith(("SGE_", "PATH", "LD_"))},
            "SGE_ND": "1",  # in the foreground
            MARK: str(directory),
        }
        self.daemons = {
            name: Daemon(name, (str(_PROGRAMS / name),), directory / f"{name}.output", environment)
            for name in ("sge_qmaster", "sge_execd")
        }

    def __getitem__(self, name: str) -> Daemon:
        return self.daemons[name]

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.shut_down()

    @property
    def environment(self) -> dict[str, str]:
        """The environment for clients of the cluster: this program's, with the variables of Grid Engine."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SGE_")}
        return {
            **inherited,
            "PATH": f"{_PROGRAMS}:{os.environ.get('PATH', os.defpath)}",
            "LD_LIBRARY_PATH": str(_PROGRAMS),
            "SGE_ROOT": str(self.directory),
            "SGE_CELL": "default",
            "SGE_ARCH": _architecture(),
            "SGE_QMASTER_PORT": "6444",
            "SGE_EXECD_PORT": "6445",
        }

    # ------------------------------------------------------------------ up and down

    @classmethod
    def create(cls, directory: Path) -> Cluster:
        """Make a cluster in a directory that does not exist yet, start it, and wait until its node is there.

        Raises:
            ClusterError: if something is missing, or it does not come up; then nothing of it is left running, and its
                directory is kept, for its logs. Nothing at all is left by another exception, such as Ctrl-C.
        """
        check_machine()
        directory.mkdir(parents=True, mode=0o755)
        cluster = cls(directory)
        try:
            cluster._lay_out()
            cluster["sge_qmaster"].start()
            cluster.wait(lambda: cluster._answers("qconf", "-sconf"), "its master answers")
            cluster._configure()
            cluster["sge_execd"].start()
            cluster.wait_ready()
        except ClusterError:
            cluster._end_processes()
            raise
        except BaseException:
            cluster.shut_down()
            raise
        return cluster

    def shut_down(self) -> None:
        """End every process of the cluster, those of its jobs included, and remove its directory.

        Raises:
            ClusterError: if a process survives; the directory is kept.
        """
        self._end_processes()
        shutil.rmtree(self.directory, ignore_errors=True)

    def heal(self) -> None:
        """Restore it: no jobs, and both daemons run."""
        for daemon in self.daemons.values():
            daemon.thaw()
            daemon.start()
        self.wait(lambda: self._answers("qconf", "-sconf"), "its master answers")
        if not wait_until(self._is_ready, 1):  # it takes a minute to find a master that was started again
            self["sge_execd"].restart()
        if self.jobs():
            with contextlib.suppress(ClusterError):  # a job has just ended
                self.call("qdel", "-f", "-u", "*")
        daemons = {daemon.process for daemon in self.daemons.values()}
        for process in self.processes():
            if process not in daemons and "sge_" not in _name(process.pid):
                process.signal(signal.SIGKILL)
        self.wait(lambda: not self.jobs(), "its queue is empty")
        self.wait_ready()

    def _end_processes(self) -> None:
        for daemon in reversed(self.daemons.values()):
            daemon.kill()
        # Shepherds and jobs have left the session of their daemon.
        deadline = time.monotonic() + GENTLE
        while left := list(self.processes()):
            for process in left:
                process.signal(signal.SIGKILL)
            if not all(process.wait(max(0.0, deadline - time.monotonic())) for process in left):
                msg = f"processes of {self.directory} survive SIGKILL: {', '.join(str(p.pid) for p in left)}"
                raise ClusterError(msg)

    def processes(self) -> Iterator[Process]:
        """Yield all processes of the cluster: daemons, shepherds, and jobs, but no clients."""
        expected = f"{MARK}={self.directory}".encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and (process := Process.of(int(entry.name))) is not None:
                with contextlib.suppress(OSError):  # it has just ended
                    if expected in (entry / "environ").read_bytes().split(b"\0"):
                        yield process

    # ------------------------------------------------------------------ asking it

    def call(self, *command: str, timeout: float = 30) -> str:
        """Run a client, and return what it prints.

        Raises:
            ClusterError: if it fails, or takes more than `timeout` seconds.
        """
        return run_client(command, self.environment, timeout)

    def jobs(self) -> list[list[str]]:
        """Return the words of each line that qstat has of jobs: the id is the first one, and the state the fifth."""
        return [line.split() for line in self.call("qstat", "-u", "*").splitlines()[2:]]

    def tasks(self) -> set[str]:
        """Return the array and the index of each element that is queued or runs: ``7 3``."""
        found = set()
        for words in (line.split() for line in self.call("qstat", "-u", "*", "-g", "d").splitlines()[2:]):
            found.add(f"{words[0]} {words[-1]}")
        return found

    def wait_ready(self, timeout: float = READY) -> None:
        """Wait until the node takes jobs.

        Raises:
            ClusterError: if it does not in time, or as soon as a daemon has died; with what the daemon said last.
        """
        self.wait(self._is_ready, "its node is there", timeout)

    def wait(self, condition: object, what: str, timeout: float = READY) -> None:
        """Wait until `condition` returns true, asked ten times a second; `what` says what is waited for.

        Raises:
            ClusterError: if that takes more than `timeout` seconds.
        """
        assert callable(condition)
        if not wait_until(condition, timeout):
            raise self._error(f"waited {timeout:g} s until {what}")

    def _is_ready(self) -> bool:
        if not all(daemon.is_alive for daemon in self.daemons.values()):
            raise self._error("it can have no node")
        try:
            lines = self.call("qstat", "-f", "-q", QUEUE).splitlines()
        except ClusterError:
            return False
        # Name, type, slots, load, architecture; and a sixth word if it is in some state.
        words = next((line.split() for line in lines if line.startswith(f"{QUEUE}@")), [])
        return len(words) == 5 and words[3] != "-NA-"

    def _answers(self, *command: str) -> bool:
        with contextlib.suppress(ClusterError):
            self.call(*command, timeout=5)
            return True
        return False

    def _error(self, what: str) -> ClusterError:
        said = []
        for daemon in self.daemons.values():
            text = daemon.output.read_text(errors="replace") if daemon.output.exists() else ""
            state = "runs" if daemon.is_alive else "has ended"
            said.append(f"{daemon.name} {state}: {' / '.join(text.splitlines()[-2:])}")
        return ClusterError(f"Grid Engine in {self.directory}: {what}; {'; '.join(said)}")

    # ------------------------------------------------------------------ making it

    def _lay_out(self) -> None:
        for name in ("bin", "lib", "utilbin"):
            (self.directory / name).mkdir()
            (self.directory / name / _architecture()).symlink_to(_PROGRAMS)
        (self.directory / "util").symlink_to(_SHARED / "util")
        for name in ("qmaster/job_scripts", "execd", "default/common"):
            (self.directory / name).mkdir(parents=True)
        spool = f"{self.common};{self.directory}/qmaster"
        (self.common / "bootstrap").write_text(
            _BOOTSTRAP.format(spool=spool, programs=_PROGRAMS, directory=self.directory)
        )
        (self.common / "act_qmaster").write_text("localhost\n")
        (self.common / "host_aliases").write_text(f"localhost {socket.gethostname()}\n")
        settings = {name: value.format(directory=self.directory) for name, value in _CONFIGURATION.items()}
        configuration = self.directory / "configuration"
        configuration.write_text(_replaced((_SHARED / "default-configuration").read_text(), settings))
        self.call("spoolinit", "classic", "libspoolc", spool, "init")
        self.call("spooldefaults", "configuration", str(configuration))
        self.call("spooldefaults", "complexes", str(_SHARED / "util/resources/centry"))
        self.call("spooldefaults", "usersets", str(_SHARED / "util/resources/usersets"))
        self.call("spooldefaults", "managers", "root")

    def _configure(self) -> None:
        for option in ("-ah", "-as"):
            with contextlib.suppress(ClusterError):  # the master is an administrative host already
                self.call("qconf", option, "localhost")
        self._add("-Msconf", _replaced(self.call("qconf", "-ssconf"), _SCHEDULER))
        self._add("-Ap", "".join(f"{name} {value}\n" for name, value in _PARALLEL.items()))
        queue = {
            "qname": QUEUE,
            "hostlist": "localhost",
            "load_thresholds": "NONE",
            "pe_list": "smp",
            "slots": str(SLOTS),
        }
        self._add("-Aq", _replaced(self.call("qconf", "-sq"), queue))  # the template

    def _add(self, option: str, text: str) -> None:
        file = self.directory / "object"
        file.write_text(text)
        self.call("qconf", option, str(file))


def check_machine() -> None:
    """Check that this machine can have a cluster, and bring the loopback interface up.

    Raises:
        ClusterError: with what is missing, and what to do about it.
    """
    if os.geteuid() != 0:
        raise ClusterError("a Grid Engine of our own needs root: its daemons start jobs as the users who submit them")
    missing = [name for name in _NEEDED if not (_PROGRAMS / name).exists()]
    if missing:
        packages = "apt install gridengine-master gridengine-exec gridengine-client"
        raise ClusterError(f"there is no {', '.join(missing)} in {_PROGRAMS}: install it (Debian: {packages})")
    others = [name for _, name in socket.if_nameindex() if name != "lo"]
    if others:
        raise ClusterError(
            f"this is no network namespace of its own, as it has {', '.join(others)}: Grid Engine would listen at all "
            "addresses. Use `make test-gridengine`, or begin the command with `unshare --net`"
        )
    with socket.socket() as control:
        up = 0x1 | 0x40  # IFF_UP | IFF_RUNNING
        fcntl.ioctl(control, 0x8914, struct.pack("16sh", b"lo", up))  # SIOCSIFFLAGS


def of_this_program() -> Path:
    """Return the directory of a cluster that ends with this program."""
    me = Process.of(os.getpid())
    assert me is not None, "this process is alive"
    return CLUSTERS / f"program-{me.pid}-{me.born}"


def _architecture() -> str:
    """Return the name that Grid Engine has for the architecture."""
    return {"x86_64": "lx-amd64", "aarch64": "lx-arm64"}.get(os.uname().machine, f"lx-{os.uname().machine}")


def _replaced(text: str, settings: dict[str, str]) -> str:
    """Return a list of settings with some values replaced; each takes one line."""
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    kept = [line for line in lines if line and line.split()[0] not in settings]
    return "".join(f"{line}\n" for line in [*kept, *(f"{name} {value}" for name, value in settings.items())])


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""
