"""A real Slurm on this machine, for tests: munged, slurmctld, and two slurmd that play the nodes `n1` and `n2`.

It is private: configuration, state, spool, logs, sockets and keys are in one directory; it listens on loopback only, on
the first free ports from 17000; several can run side by side. Clients find it by the environment variable `SLURM_CONF`.

    with Cluster.create(directory) as cluster:       # the nodes are idle
        cluster.call("sbatch", "--wrap", "true")
        cluster["slurmctld"].kill()
        cluster["slurmctld"].start()
        cluster.wait_idle()

Each daemon runs in the foreground, as a process that was started here, and is stopped, frozen, thawed and killed by its
id. A process id alone may be reused, so it is kept together with the time at which the process began.

All of this blocks; a trio program calls it in a thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import select
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import attrs

NODES: Final = ("n1", "n2")
CPUS: Final = 16
"""Per node, whatever the machine has: jobs of tests wait more than they compute."""
MEMORY: Final = 32_000
"""Per node, in MiB, whatever the machine has."""
MAX_ARRAY_SIZE: Final = 1001
"""Slurm's default: indices go to 1000."""

FIRST_PORT: Final = 17_000
READY: Final = 30.0
"""Seconds for the nodes to become idle; it takes one or two on an idle machine."""
GENTLE: Final = 5.0
"""Seconds from SIGTERM to SIGKILL for a daemon."""
MARK: Final = "RUNTIME_SLURM_CLUSTER"
"""The environment variable that the daemons, and so their helpers, carry; its value is the cluster's directory."""

PROGRAMS: Final = ("munged", "slurmctld", "slurmd", "sinfo", "scancel", "srun", "sbatch")

_CONF: Final = """\
ClusterName=runtime
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket
CredType=cred/munge
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool/%n
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/%n.pid
SlurmctldLogFile={directory}/log/slurmctld.log
SlurmdLogFile={directory}/log/%n.log
JobCompType=jobcomp/filetxt
JobCompLoc={directory}/log/jobs.txt
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
# A process that was forked while its job was being signalled would escape `linuxproc`.
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
# Nodes that claim more processors than there are would be drained without this.
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=100
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
PropagateResourceLimits=NONE
MaxArraySize={array}
MaxJobCount=20000
# Short waits, so that what a controller does after minutes can be seen in seconds.
SlurmdTimeout=10
SlurmctldTimeout=10
KillWait=2
CompleteWait=0
ReturnToService=2
NodeName=DEFAULT CPUs={cpus} RealMemory={memory} State=UNKNOWN
NodeName={nodes} NodeHostname={host} NodeAddr=127.0.0.1 Port={first}-{last}
# Jobs go to the node with the fewest, so that two nodes are two.
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE LLN=YES State=UP
"""

BY_CGROUPS: Final = {"ProctrackType": "proctrack/cgroup", "TaskPlugin": "task/cgroup"}
"""Settings with which the kernel limits the memory of jobs, by `_CGROUP_CONF`."""
BY_GATHERING: Final = {
    "JobAcctGatherType": "jobacct_gather/linux",
    "JobAcctGatherFrequency": "task=1",
    "JobAcctGatherParams": "OverMemoryKill",
}
"""Settings with which Slurm itself does, once a second."""
_CGROUP_CONF: Final = """\
CgroupPlugin=cgroup/v1
ConstrainRAMSpace=yes
ConstrainSwapSpace=yes
AllowedSwapSpace=0
"""
_CGROUP_FILE: Final = "cgroup.conf"
_CGROUPS: Final = Path("/sys/fs/cgroup")


class ClusterError(Exception):
    """There is no cluster; the message tells why, in one line."""


@attrs.frozen
class Process:
    """A process that was started here, now or by an earlier program."""

    pid: int
    born: int
    """When it began, in the kernel's ticks since boot: distinguishes it from a later process with the same id."""

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """Return the process with that id; `None` if there is none, or it is a zombie."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    @property
    def is_alive(self) -> bool:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)  # a child of this program is reaped
        return Process.of(self.pid) == self

    def signal(self, *numbers: signal.Signals) -> None:
        """Send signals, if it is alive."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            # Checked after the pidfd was opened: so the pidfd refers to this process, and not to a later one.
            if self.is_alive:
                for number in numbers:
                    signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            pass
        finally:
            os.close(handle)

    def wait(self, timeout: float) -> bool:
        """Wait until it has ended, for at most `timeout` seconds; return whether it has."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if self.is_alive:
                poll = select.poll()
                poll.register(handle, select.POLLIN)
                poll.poll(timeout * 1000)
        finally:
            os.close(handle)
        return not self.is_alive


@attrs.define(eq=False)
class Daemon:
    """One daemon of a cluster, running or not."""

    name: str
    """``munged``, ``slurmctld``, or the name of the node that it plays."""
    argv: tuple[str, ...]
    """The command that starts it in the foreground."""
    output: Path
    """The file for its output; the logs of Slurm's daemons are in the same directory."""
    environment: Mapping[str, str]
    """Its environment variables."""
    process: Process | None = None
    """The process that was started last."""

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.is_alive

    def start(self) -> None:
        """Start it, unless it runs. It needs some time to be ready: see `Cluster.wait_idle`."""
        if self.is_alive:
            return
        to_output = (os.POSIX_SPAWN_OPEN, 1, str(self.output), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        pid = os.posix_spawn(
            self.argv[0],
            self.argv,
            self.environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                to_output,
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,  # so that a Ctrl-C at the terminal does not reach it
        )
        self.process = Process.of(pid)

    def stop(self) -> None:
        """End it with SIGTERM, and with SIGKILL if it does not."""
        self._signal(signal.SIGTERM, signal.SIGCONT)
        if self.process is not None and not self.process.wait(GENTLE):
            self.kill()

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._signal(signal.SIGKILL)
        if self.process is not None and not self.process.wait(GENTLE):
            msg = f"{self.name} (process {self.process.pid}) survived SIGKILL for {GENTLE:g} s"
            raise ClusterError(msg)

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop it with SIGSTOP until it is thawed; its sockets still accept connections."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue it with SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, *numbers: signal.Signals) -> None:
        if self.process is not None:
            self.process.signal(*numbers)


class Cluster:
    """Four daemons and their directory. Made by `create` or `find`.

    ``cluster["slurmctld"]`` is a daemon; the others are ``munged``, ``n1`` and ``n2``. As a context manager, it is shut
    down at the end of the block.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.conf = directory / "slurm.conf"
        """The value for `SLURM_CONF`."""
        programs = {name: shutil.which(name, path=_path()) or name for name in PROGRAMS}
        files = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munged.pid", "seed-file": "munge.seed"}
        files["log-file"] = "log/munged.log"
        commands = {
            "munged": [programs["munged"], "--foreground", *(f"--{o}={directory}/{file}" for o, file in files.items())],
            "slurmctld": [programs["slurmctld"], "-D"],
            **{node: [programs["slurmd"], "-D", "-N", node] for node in NODES},
        }
        environment = {**self.environment, MARK: str(directory)}
        self.daemons = {
            name: Daemon(name, tuple(argv), directory / "log" / f"{name}.output", environment)
            for name, argv in commands.items()
        }

    def __getitem__(self, name: str) -> Daemon:
        return self.daemons[name]

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.shut_down()

    @property
    def environment(self) -> dict[str, str]:
        """The environment for clients of the cluster: this program's, with `SLURM_CONF`."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH"))}
        return {**inherited, "PATH": _path(), "SLURM_CONF": str(self.conf)}

    # ------------------------------------------------------------------ up and down

    @classmethod
    def create(cls, directory: Path, settings: Mapping[str, str] = MappingProxyType({})) -> Cluster:
        """Make a cluster in a directory that does not exist yet, start it, and wait until its nodes are idle.

        Args:
            directory: for all of its files.
            settings: of Slurm, in place of those that it has here, or besides them.

        Raises:
            ClusterError: if something is missing, or it does not come up; then nothing of it is left running, and its
                directory is kept, for its logs. Nothing at all is left by another exception, such as Ctrl-C.
        """
        check_machine()
        try:
            directory.mkdir(parents=True, mode=0o755)
        except FileExistsError:
            msg = f"{directory} exists: a cluster may be running there (make slurm-down)"
            raise ClusterError(msg) from None
        cluster = cls(directory)
        try:
            cluster._lay_out(settings)
            for daemon in cluster.daemons.values():
                daemon.start()
                if daemon.name == "munged":
                    cluster._wait_for_munge()
            cluster._remember()
            cluster.wait_idle()
        except ClusterError:
            cluster._end_processes()
            raise
        except BaseException:
            cluster.shut_down()
            raise
        return cluster

    @classmethod
    def find(cls, directory: Path) -> Cluster | None:
        """Return the cluster that was made in `directory`, by any program; `None` if there is none."""
        cluster = cls(directory)
        try:
            known = json.loads((directory / "processes.json").read_text())
        except FileNotFoundError:
            return None
        for name, (pid, born) in known.items():
            cluster[name].process = Process(pid, born)
        return cluster

    def shut_down(self) -> None:
        """End every process of the cluster, those of its jobs included, and remove its directory.

        Raises:
            ClusterError: if a process survives; the directory is kept.
        """
        self._end_processes()
        if (self.directory / _CGROUP_FILE).exists():
            _remove_cgroups()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, *names: str) -> None:
        """Start daemons, all unless named, and remember their processes for later programs."""
        for name in names or self.daemons:
            self[name].start()
        self._remember()

    def heal(self) -> None:
        """Restore it: no jobs, and every daemon runs."""
        for daemon in self.daemons.values():
            daemon.thaw()
        self.start()
        self.wait(lambda: self._answers("scontrol", "ping"), "its controller answers")
        for job in self.call("squeue", "--noheader", "--format=%A").split():
            self.call("scancel", job)
        self.resume()
        self.wait_idle()

    def resume(self) -> None:
        """Let nodes that are drained or down accept jobs again, if the controller answers."""
        with contextlib.suppress(ClusterError):  # also: a node has come back by itself meanwhile
            for node, state in self.nodes().items():
                if state.startswith(("drain", "drng", "down")):
                    self.call("scontrol", "update", f"NodeName={node}", "State=RESUME")

    def _end_processes(self) -> None:
        for daemon in self.daemons.values():
            if daemon.process is not None:
                daemon.process.signal(signal.SIGTERM, signal.SIGCONT)
        for daemon in self.daemons.values():
            if daemon.process is not None and not daemon.process.wait(GENTLE):
                daemon.kill()
        # Job steps leave their slurmd's session, so that they survive it.
        deadline = time.monotonic() + GENTLE
        while left := list(self.processes()):
            for process in left:
                process.signal(signal.SIGKILL)
            if not all(process.wait(max(0.0, deadline - time.monotonic())) for process in left):
                msg = f"processes of {self.directory} survive SIGKILL: {', '.join(str(p.pid) for p in left)}"
                raise ClusterError(msg)

    def processes(self) -> Iterator[Process]:
        """Yield all processes of the cluster: daemons, job steps, and jobs, but no clients."""
        daemon = f"{MARK}={self.directory}".encode()
        here = f"SLURM_CONF={self.conf}".encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and (process := Process.of(int(entry.name))) is not None:
                try:
                    variables = (entry / "environ").read_bytes().split(b"\0")
                except OSError:
                    continue  # it has just ended
                of_a_job = here in variables and any(v.startswith(b"SLURMD_NODENAME=") for v in variables)
                if daemon in variables or of_a_job:
                    yield process

    # ------------------------------------------------------------------ asking it

    def call(self, *command: str, timeout: float = 30) -> str:
        """Run a client, and return what it prints.

        Raises:
            ClusterError: if it fails, or takes more than `timeout` seconds.
        """
        return run_client(command, self.environment, timeout)

    def nodes(self) -> dict[str, str]:
        """Return the state of each node, as the controller names it."""
        lines = self.call("sinfo", "--noheader", "--Node", "--format=%N %t").splitlines()
        return dict(line.split() for line in lines)

    def wait_idle(self, timeout: float = READY) -> None:
        """Wait until all nodes are idle.

        Raises:
            ClusterError: if they are not in time, or as soon as a daemon has died; with what the daemon said last.
        """
        self.wait(self._is_idle, "its nodes are idle", timeout)

    def wait(self, condition: Callable[[], bool], what: str, timeout: float = READY) -> None:
        """Wait until `condition` returns true, asked ten times a second.

        Raises:
            ClusterError: if that takes more than `timeout` seconds; `what` says what was waited for.
        """
        if not wait_until(condition, timeout):
            raise self._error(f"waited {timeout:g} s until {what}")

    def _is_idle(self) -> bool:
        if not all(daemon.is_alive for daemon in self.daemons.values()):
            raise self._error("it can have no idle nodes")
        try:
            return self.nodes() == dict.fromkeys(NODES, "idle")
        except ClusterError:
            return False  # it does not answer yet

    def _error(self, what: str) -> ClusterError:
        daemons = self.daemons.values()
        states = ", ".join(f"{daemon.name} {'runs' if daemon.is_alive else 'has ended'}" for daemon in daemons)
        last = next((daemon for daemon in daemons if not daemon.is_alive), self["slurmctld"])
        return ClusterError(f"Slurm in {self.directory}: {what}; {states}. {last.name}: {self._last_words(last)}")

    def _answers(self, *command: str) -> bool:
        with contextlib.suppress(ClusterError):
            self.call(*command, timeout=5)
            return True
        return False

    def _last_words(self, daemon: Daemon) -> str:
        lines = [
            line
            for path in (daemon.output, daemon.output.with_suffix(".log"))
            if path.exists()
            for line in path.read_text(errors="replace").splitlines()
        ]
        errors = [line for line in lines if "error" in line or "fatal" in line or "Error" in line]
        return " / ".join((errors or lines or ["(it said nothing)"])[-2:])

    # ------------------------------------------------------------------ making it

    def _lay_out(self, settings: Mapping[str, str]) -> None:
        for name in ("log", "state", "spool", *(f"spool/{node}" for node in NODES)):
            (self.directory / name).mkdir(mode=0o755)
        key = self.directory / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        first = _free_ports(1 + len(NODES))
        self.conf.write_text(
            _CONF.format(
                directory=self.directory,
                user=pwd.getpwuid(os.geteuid()).pw_name,
                host=socket.gethostname().split(".")[0],
                port=first,
                first=first + 1,
                last=first + len(NODES),
                nodes=f"n[1-{len(NODES)}]",
                cpus=CPUS,
                memory=MEMORY,
                array=MAX_ARRAY_SIZE,
            )
        )
        if settings:
            lines = [line for line in self.conf.read_text().splitlines() if line.partition("=")[0] not in settings]
            self.conf.write_text("\n".join([*(f"{name}={value}" for name, value in settings.items()), *lines, ""]))
        if settings.get("TaskPlugin") == BY_CGROUPS["TaskPlugin"]:
            (self.directory / _CGROUP_FILE).write_text(_CGROUP_CONF)

    def _wait_for_munge(self) -> None:
        path = self.directory / "munge.socket"
        deadline = time.monotonic() + READY
        while not path.exists():
            if not self["munged"].is_alive or time.monotonic() > deadline:
                msg = f"munged does not come up: {self._last_words(self['munged'])}"
                raise ClusterError(msg)
            time.sleep(0.02)

    def _remember(self) -> None:
        known = {
            name: (daemon.process.pid, daemon.process.born)
            for name, daemon in self.daemons.items()
            if daemon.process is not None
        }
        (self.directory / "processes.json").write_text(json.dumps(known))


def run_client(command: Sequence[str], environment: Mapping[str, str], timeout: float) -> str:
    """Run a command, and return what it prints.

    Raises:
        ClusterError: if it fails, or takes more than `timeout` seconds.
    """
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        msg = f"{shlex.join(command)} did not return within {timeout:g} s"
        raise ClusterError(msg) from None
    if done.returncode != 0:
        msg = f"{shlex.join(command)} returned {done.returncode}: {done.stderr.strip()}"
        raise ClusterError(msg)
    return done.stdout


def wait_until(condition: Callable[[], bool], timeout: float) -> bool:
    """Wait until `condition` returns true, asked ten times a second; return whether it did within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def check_machine() -> None:
    """Check that this machine can have a cluster.

    Raises:
        ClusterError: with what is missing, and what to do about it.
    """
    if os.geteuid() != 0:
        msg = "a Slurm of our own needs root: its daemons start jobs as the users who submit them"
        raise ClusterError(msg)
    missing = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if missing:
        msg = f"there is no {', '.join(missing)}: install Slurm and munge (Debian: apt install slurm-wlm munge)"
        raise ClusterError(msg)


def has_cgroups() -> bool:
    """Whether this machine has the cgroups that `BY_CGROUPS` needs."""
    return all((_CGROUPS / name / "cgroup.procs").exists() for name in ("memory", "freezer"))


def _remove_cgroups() -> None:
    """Remove the cgroups of nodes, which Slurm leaves behind."""
    for node in NODES:
        for top in _CGROUPS.glob(f"*/slurm_{node}"):
            for directory, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):  # another cluster uses it
                    os.rmdir(directory)


def _path() -> str:
    """Return the `PATH` with the directories of daemons, which not every user's has."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def _free_ports(count: int) -> int:
    """Return the first of `count` consecutive ports that are free."""
    for first in range(FIRST_PORT, FIRST_PORT + 1000, 10):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    msg = f"no {count} free ports in a row from {FIRST_PORT}"
    raise ClusterError(msg)
