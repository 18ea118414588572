"""`JobSpec`: what to run, what it needs, and how to tell whether it passed.

A specification is a light, frozen value that is checked when it is made. So a bad pattern, command or number is an
error where it is made, which names the field and the value, and not an error in the middle of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import ClassVar, Final, Literal

import attrs

from runtime.errors import SpecError
from runtime.job.command import has_options
from runtime.job.kinds import Kinds
from runtime.job.numbers import brief, is_number
from runtime.job.patterns import compile_pattern
from runtime.job.retry import Retry
from runtime.job.secret import Secret
from runtime.job.sizes import MAX_SIZE
from runtime.job.soft_stop import SoftStop, check_soft_stop
from runtime.job.status import JobStatus

MAX_SEED_BITS: Final = 256
"""Bits. Arbitrary: more than any simulator takes. Above 14,000 bits (4300 digits), `str` of an integer would raise."""

Containment = Literal["tree", "group"]
Leftovers = Literal["ignore", "warn", "fail"]

CONTAINMENTS: Final[tuple[Containment, ...]] = ("tree", "group")
"""Which processes of a local job are killed when it ends: all of them, or those of its process group."""

LEFTOVERS: Final[tuple[Leftovers, ...]] = ("ignore", "warn", "fail")
"""What happens when a local job leaves processes running."""

RunIf = Literal["passed", "any-passed", "ended"]
"""The condition under which a job runs, once all of its dependencies have ended: that all of them passed, that any of
them passed, or none.
"""
RUN_IFS: Final[tuple[RunIf, ...]] = ("passed", "any-passed", "ended")

MIN_MEMORY: Final = 4 << 20
"""Bytes. A program with the longest arguments that Linux takes cannot begin with half of it, and a smaller ceiling is a
slip, such as ``4096`` for so many megabytes."""

WATCHED_KEYS: Final = ("timeout_from", "idle_timeout")
"""Fields for which the log of a job has to be watched while it runs."""

_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})
_REPORT_GROUPS: Final = ("value", "unit")
DEFAULT_SHELL: Final = "/bin/sh"
_SHELL: Final = 'the path of a shell, or the words that a command is added to: ["/bin/bash", "-eo", "pipefail", "-c"]'
_COMMAND: Final = "a command: text for the shell, or a sequence of words"
_COLLECTIONS: Final = (tuple, list, set, frozenset, Sequence)  # the abstract one last, because it is slow to check
_NONE: Final = type(None)
_TYPES: Final = (
    ("target", (str,), "text"),
    ("job_type", (str,), "text"),
    ("full_name", (str,), "text"),
    ("qual_name", (str,), "text"),
    ("backend", (_NONE, str), "a backend's name, or None"),
    ("seed", (_NONE, int), "a whole number, or None"),
    ("renew_odir", (bool,), "True or False"),
    ("raw_lines", (bool,), "True or False"),
    ("secret_cmd", (bool,), "True or False"),
    ("dry_run", (bool,), "True or False"),
    ("interactive", (bool,), "True or False"),
)
"""Field, the classes that its value may have, and their description for messages."""
_typed: Final = attrgetter(*(field for field, _, _ in _TYPES))
_good_classes: Final[set[tuple[type, ...]]] = set()
"""Classes of the values of these fields that were found to be good together."""


class Referable:
    """The slot for weak references, which backends and callers keep to jobs.

    In a base class, as a class that had it among its own slots could not be assigned to a draft (see `drafts`).
    """

    __slots__ = ("__weakref__",)


@attrs.frozen(kw_only=True, eq=False, weakref_slot=False)
class JobSpec(Referable):
    """One job. Compares and hashes by identity. The mappings that it is made with must not be changed afterwards.

    Raises:
        SpecError: when it is made, if a field has a value that it cannot have.
    """

    some_are_watched: ClassVar[bool] = False
    """Whether this process has made a specification with `WATCHED_KEYS`. If not, no job has to be asked for them."""
    some_have_ceilings: ClassVar[bool] = False
    """The same for `memory`."""

    name: str
    """The name for people. Any text but the empty one."""
    cmd: str | Sequence[str]
    """A string is run by `shell`; a sequence of strings is a program and its arguments, which no shell sees."""
    shell: str | Sequence[str] = DEFAULT_SHELL
    """The shell for a `cmd` that is a string: its path, to which ``-c`` and `cmd` are added; or words to which `cmd` is
    added, such as ``["/bin/bash", "-eo", "pipefail", "-c"]``."""
    target: str = "run"
    """The phase that the job belongs to, such as ``build`` or ``run``."""
    job_type: str = ""
    """The class of job, for launchers and reports that distinguish classes."""
    seed: int | None = None
    """The seed that `cmd` was made with."""
    secret_cmd: bool = False
    """Whether values in `cmd` may be secret: no message and no result of ours quotes it then. Other programs of the
    machine may see the command of a process (``ps``); a secret is safer in `exports`."""
    backend: str | None = None
    """The name of the backend to run on; `None` for the run's default."""
    resources: Mapping[str, int | None] | None = None
    """What the job holds while it runs: name to amount, `None` for the whole resource."""
    dependencies: Sequence[str] = ()
    """Ids of the jobs that must end before this one starts."""
    run_if: RunIf = "passed"
    """When it runs, once its dependencies have ended: ``"passed"``, if all of them passed; ``"any-passed"``, if any of
    them passed; ``"ended"``, in any case. A run that is being stopped starts no job, whatever this is.
    """
    _needs_all: bool | None = attrs.field(default=None, repr=False, alias="needs_all_dependencies_passing")
    """DVSim's name for `run_if`: `True` is ``"passed"``, `False` is ``"any-passed"``."""
    weight: float = 1
    """Priority: a heavier job starts first."""
    timeout: float | None = None
    """Seconds from its start until it is stopped; `None` for no limit."""
    timeout_from: str | None = None
    """A regular expression: it runs from when a line of its log matches, and waits until then, as for a licence. So
    `timeout`, `idle_timeout` and `slow` count from that line, and `queue_timeout` from the start of its process. `None`
    if it runs as soon as its process does. For backends that see its log (`RuntimeBackend.watches_logs`); others fail
    it."""
    queue_timeout: float | None = None
    """Seconds that it may wait in a backend's queue before it runs; with `timeout_from`, also that it may wait for that
    line, which is counted by itself. `None` for no limit."""
    idle_timeout: float | None = None
    """Seconds without a change of its log, while it runs, until it is stopped as hung; `None` for no limit. For
    backends as `timeout_from`."""
    slow: float | None = None
    """Seconds that it may run before it is named as slow, once, in the log of the program; nothing else follows. `None`
    for never."""
    soft_stop: SoftStop | Literal[False] | None = None
    """What it gets before SIGTERM when it is stopped, so that it can close its files: a signal for all its processes
    (``"SIGINT"``, ``signal.SIGINT``), or the name of a file to make, in `odir` unless absolute. `False` for neither;
    `None` for the backend's choice. For backends that have a soft stop, such as `LocalBackend`; others ignore it."""
    soft_timeout: float | None = None
    """Seconds from the soft stop to SIGTERM, unless it ends sooner; `None` for the backend's choice."""
    exports: Mapping[str, str] = attrs.field(default=_NOTHING, repr=False)
    """Environment variables to add to the inherited ones. Values may be secret: no message of ours quotes one."""
    cwd: str | None = None
    """The directory to run in; `None` for `odir`."""
    odir: str | None = None
    """The output directory; `None` for one of its own in the run directory."""
    renew_odir: bool = False
    """Whether to move an existing output directory aside and start with an empty one."""
    log_path: str | None = None
    """Where its output goes; `None` for ``job.log`` in the output directory."""
    pass_patterns: Sequence[str] = ()
    """Each must match some line of the log."""
    fail_patterns: Sequence[str] = ()
    """None may match a line of the log."""
    kinds: Kinds | Mapping[str, Sequence[str]] | None = None
    """Which lines of its log show that the infrastructure has failed: ``{"licence": [...]}``, see `Kinds`; `None` for
    none. Only the log of a job that did not pass is searched for them. What matches goes before a fail pattern, an exit
    code and a signal, but not before a stop: a job that was killed for its timeout has that kind."""
    runtime_pattern: str | None = None
    """Finds the run time that the tool reports: groups ``value`` and ``unit``."""
    simulated_time_pattern: str | None = None
    """Finds the simulated time that the tool reports: groups ``value`` and ``unit``."""
    max_log: int | None = None
    """Bytes that its log may have; `None` for no limit. A job whose log has more is stopped, and has failed."""
    memory: int | None = None
    """Bytes of memory that all its processes together may use, from `MIN_MEMORY`; `None` for no ceiling. A job that
    needs more is ended, and has failed as `FailureKind.OUT_OF_MEMORY`. For backends that see to it
    (`RuntimeBackend.limits_memory`); others fail it."""
    raw_lines: bool = False
    r"""Whether patterns see the log's bytes unchanged: only ``\n`` ends a line, and escape sequences are part of it."""
    dry_run: bool = False
    """Prepare everything, start nothing, pass."""
    interactive: bool = False
    """Run alone, on the user's terminal."""
    tags: Sequence[str] = ()
    """Free words, for selecting."""
    containment: Containment | None = None
    """Which processes of a local job are killed when it ends: see `LocalBackend`; `None` for the backend's choice."""
    leftovers: Leftovers | None = None
    """What happens when a local job leaves processes running: see `LocalBackend`; `None` for the backend's choice."""
    jobserver: bool | Literal["fifo"] = False
    """Whether it is a client of make's jobserver, which `LocalBackend` is: see there. ``"fifo"``: for clients that know
    that form of the protocol alone."""
    pre_launch: Callable[[], object] | None = None
    """Called once for each attempt, in a thread, before the job starts; if it raises, the job is KILLED with a launch
    error."""
    post_finish: Callable[[JobStatus], object] | None = None
    """Called once for each attempt, in a thread, with its status; if it raises, a job that passed has failed."""
    retry: Retry | int | Mapping[str, int] | None = None
    """Whether a scheduler tries it again if it does not pass: a `Retry`, or what its `times` may be, which becomes one;
    `None` for no retry. Each attempt has the same command and the same directory: what an earlier attempt left is
    renamed before it begins, see `runtime.job.attempts`."""
    full_name: str = ""
    """The name that no other job of the run has; `name` unless given."""
    qual_name: str = ""
    """The name that no other job of its class has; `name` unless given."""

    @property
    def id(self) -> str:
        """The job's `full_name`, which identifies it in a run."""
        return self.full_name

    @property
    def needs_all_dependencies_passing(self) -> bool:
        """Whether it runs only if all of its dependencies passed; for launchers that ask, as DVSim's may."""
        return self.run_if == "passed"

    def __attrs_post_init__(self) -> None:
        if not _is_text(self.name):
            raise self._error("name", self.name, "text that is not empty")
        for field in ("full_name", "qual_name"):
            if getattr(self, field) == "":
                # Normal forms are set once, here: a frozen attrs class allows that only in this way.
                object.__setattr__(self, field, self.name)
        self._check_types()
        if self.run_if != "passed" or self._needs_all is not None:
            self._normalise_run_if()
        if self.shell is not DEFAULT_SHELL:
            self._normalise_shell()
        if self.containment is not None or self.leftovers is not None or self.soft_stop is not None:
            self._check_choice("containment", CONTAINMENTS)
            self._check_choice("leftovers", LEFTOVERS)
            self._check_soft_stop()
        for field in ("dependencies", "pass_patterns", "fail_patterns", "tags"):
            value = getattr(self, field)
            # An empty tuple, the default, needs no check: most fields of most jobs have it.
            if value.__class__ is not tuple or value:
                object.__setattr__(self, field, self._texts(field, value))
        self._check_numbers()
        if self.kinds is not None or self.retry is not None:
            self._normalise_failures()
        if self.resources is not None:
            self._check_resources(self.resources)
        self.check_texts()

    def check_texts(self) -> None:
        """Check the command, the paths, the variables and the patterns. A part of making it, also of a variant.

        Raises:
            SpecError: if one of them has a value that it cannot have.
        """
        self._normalise_command()
        if self.cwd is not None or self.odir is not None or self.log_path is not None:
            self._normalise_paths()
        if self.exports:
            self._check_exports(self.exports)
        self._check_patterns()

    def _error(self, field: str, given: object, expected: str) -> SpecError:
        return SpecError(f"job {self.name!r}: {field} is {brief(given)}; expected {expected}")

    def _check_types(self) -> None:
        classes = tuple(map(type, _typed(self)))
        if classes not in _good_classes:  # one of four sets for almost all jobs: to ask each field would cost far more
            for field, kinds, expected in _TYPES:
                value = getattr(self, field)
                if value.__class__ not in kinds and not (isinstance(value, str) and str in kinds):
                    raise self._error(field, value, expected)
            if all(each in kinds for each, (_, kinds, _) in zip(classes, _TYPES, strict=True)):
                _good_classes.add(classes)
        if self.jobserver is not False and not (self.jobserver is True or self.jobserver == "fifo"):
            raise self._error("jobserver", self.jobserver, "True, False or 'fifo'")
        if self.pre_launch is None and self.post_finish is None:  # usual: a loop would cost more than this question
            return
        for field in ("pre_launch", "post_finish"):
            value = getattr(self, field)
            if value is not None and not callable(value):
                raise self._error(field, value, "something that can be called, or None")

    def _normalise_shell(self) -> None:
        shell = self.shell
        words: tuple[object, ...] = (shell,)
        if not isinstance(shell, str) and isinstance(shell, list | tuple):
            words = tuple(shell)
            object.__setattr__(self, "shell", words)
        if not words or not words[0] or not all(isinstance(word, str) for word in words) or has_options(shell):
            raise self._error("shell", shell, _SHELL)
        if any("\0" in str(word) for word in words):
            raise self._error("cmd", shell, "text without NUL bytes")

    def _check_choice(self, field: str, choices: tuple[str, ...]) -> None:
        value = getattr(self, field)
        if value is not None and value not in choices:
            raise self._error(field, value, " or ".join(map(repr, choices)) + ", or None")

    def _check_soft_stop(self) -> None:
        if self.soft_stop is None or self.soft_stop is False:
            return
        try:
            check_soft_stop(self.soft_stop, "False for neither, or None for the backend's choice")
        except ValueError as exc:
            raise SpecError(f"job {self.name!r}: soft_stop is {exc}") from None

    def _normalise_run_if(self) -> None:
        if self.run_if not in RUN_IFS:
            raise self._error("run_if", self.run_if, " or ".join(map(repr, RUN_IFS)))
        needs_all = self._needs_all
        if needs_all is None:
            return
        if not isinstance(needs_all, bool):
            raise self._error("needs_all_dependencies_passing", needs_all, "True or False")
        meant: RunIf = "passed" if needs_all else "any-passed"
        if self.run_if not in ("passed", meant):
            raise self._error("needs_all_dependencies_passing", needs_all, f"run_if alone, which is {self.run_if!r}")
        object.__setattr__(self, "run_if", meant)
        object.__setattr__(self, "_needs_all", None)  # so that `attrs.evolve` can set another `run_if`

    def _normalise_failures(self) -> None:
        """Set the normal forms of `kinds` and `retry`, which names some of them."""
        try:
            kinds = self.kinds if self.kinds is None or isinstance(self.kinds, Kinds) else Kinds(self.kinds)
            retry = self.retry if self.retry is None or isinstance(self.retry, Retry) else Retry(self.retry)
            if retry is not None:
                retry.check_kinds([] if kinds is None else kinds.custom())
        except SpecError as exc:
            raise SpecError(f"job {self.name!r}: {exc}") from None
        object.__setattr__(self, "kinds", kinds or None)
        object.__setattr__(self, "retry", retry if retry is not None and retry.times else None)

    def _normalise_command(self) -> None:
        cmd = self.cmd
        if isinstance(cmd, str):
            words: tuple[str, ...] = (cmd,)
        elif isinstance(cmd, set | frozenset | bytes) or not isinstance(cmd, _COLLECTIONS):
            raise self._error("cmd", cmd, _COMMAND)
        else:
            words = self._texts("cmd", cmd)
            object.__setattr__(self, "cmd", words)
        if not words or not words[0].strip():
            raise self._error("cmd", Secret(cmd) if self.secret_cmd else cmd, _COMMAND)
        if "\0" in "".join(words):
            raise self._error("cmd", Secret(cmd) if self.secret_cmd else cmd, "text without NUL bytes")

    def _texts(self, field: str, value: object) -> tuple[str, ...]:
        if isinstance(value, str) or not isinstance(value, _COLLECTIONS):
            raise self._error(field, value, "a sequence of texts")
        texts = tuple(value)
        for text in texts:
            if not isinstance(text, str):
                raise self._error(field, text, "texts only")
        return texts

    def _normalise_paths(self) -> None:
        for field in ("cwd", "odir", "log_path"):
            value = getattr(self, field)
            if value is not None:
                object.__setattr__(self, field, self._path(field, value))

    def _path(self, field: str, value: object) -> str:
        path = value.__fspath__() if hasattr(value, "__fspath__") else value
        if not isinstance(path, str) or not path or "\0" in path:
            raise self._error(field, value, "a path: text that is not empty and has no NUL byte")
        return path

    def _check_numbers(self) -> None:
        if self.timeout is not None or self.queue_timeout is not None or self.soft_timeout is not None:
            self._check_timeouts("timeout", "queue_timeout", "soft_timeout")
        if self.idle_timeout is not None or self.slow is not None:
            self._check_timeouts("idle_timeout", "slow")
            JobSpec.some_are_watched = True
        if self.seed is not None and self.seed.bit_length() > MAX_SEED_BITS:
            raise self._error("seed", self.seed, f"a whole number of at most {MAX_SEED_BITS} bits, or None")
        if self.max_log is not None and not (self.max_log.__class__ is int and 0 < self.max_log <= MAX_SIZE):
            raise self._error("max_log", self.max_log, f"a whole number of bytes from 1 to {MAX_SIZE}, or None")
        if self.memory is not None:
            if not (self.memory.__class__ is int and MIN_MEMORY <= self.memory <= MAX_SIZE):
                raise self._error("memory", self.memory, f"a whole number of bytes from {MIN_MEMORY}, or None")
            JobSpec.some_have_ceilings = True
        if not is_number(self.weight):
            raise self._error("weight", self.weight, "a finite number")

    def _check_timeouts(self, *fields: str) -> None:
        for field in fields:
            value = getattr(self, field)
            if value is not None and not (is_number(value) and value > 0):
                raise self._error(field, value, "a positive number of seconds, or None")

    def _check_resources(self, resources: Mapping[str, int | None]) -> None:
        if not isinstance(resources, Mapping):
            raise self._error("resources", resources, "a mapping of names to amounts")
        for name, amount in resources.items():
            if not _is_text(name):
                raise self._error("resources", name, "names of resources as text")
            if amount is not None and (amount.__class__ is not int or amount < 0):
                raise self._error(f"resources[{name!r}]", amount, "a whole number from 0, or None for all of it")

    def _check_exports(self, exports: Mapping[str, str]) -> None:
        if not isinstance(exports, Mapping):
            raise self._error("exports", Secret(exports), "a mapping of names to values")
        for name, value in exports.items():
            if not _is_text(name) or "=" in name or "\0" in name:
                raise self._error("exports", name, "names without '=' and NUL")
            if not _is_text(value, or_empty=True) or "\0" in value:
                raise self._error(f"exports[{name!r}]", Secret(value), "text without NUL")

    def _check_patterns(self) -> None:
        if self.pass_patterns:
            self._check_each("pass_patterns", self.pass_patterns)
        if self.fail_patterns:
            self._check_each("fail_patterns", self.fail_patterns)
        if self.runtime_pattern is not None:
            self._check_each("runtime_pattern", [self.runtime_pattern], _REPORT_GROUPS)
        if self.simulated_time_pattern is not None:
            self._check_each("simulated_time_pattern", [self.simulated_time_pattern], _REPORT_GROUPS)
        if self.timeout_from is not None:
            self._check_each("timeout_from", [self.timeout_from])
            JobSpec.some_are_watched = True

    def _check_each(self, key: str, patterns: Iterable[str], groups: tuple[str, ...] = ()) -> None:
        try:
            for pattern in patterns:
                compile_pattern(pattern, groups=groups)
        except SpecError as exc:
            raise SpecError(f"job {self.name!r}: {key}: {exc}") from exc


# The slot of `full_name` under a second name. A property is a call, and the id is read several times for each job.
JobSpec.id = JobSpec.full_name  # type: ignore[method-assign, assignment]  # reading a slot gives what the property gave


def _is_text(value: object, *, or_empty: bool = False) -> bool:
    return isinstance(value, str) and (or_empty or bool(value))
