"""`BackendRegistry`: maps the names of backends in job files to their factories.

A factory is imported when it is first needed. Names come from the package itself, from calls of `register`, and from
the entry points of installed distributions (groups ``runtime.backends`` and ``runtime.launchers``).
``legacy:package.module:ClassName`` names that launcher class behind the adapter, registered or not.

Every program that uses the package imports this module, so its own imports are few and cheap.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from runtime.errors import RegistryError

if TYPE_CHECKING:
    from runtime.backend.contract.backend import RuntimeBackend

    Factory = Callable[..., RuntimeBackend]

BACKEND_GROUP: Final = "runtime.backends"
LAUNCHER_GROUP: Final = "runtime.launchers"
DEFAULT_VARIABLE: Final = "JOB_RUNTIME_BACKEND"
LEGACY_PREFIX: Final = "legacy:"

BUILT_IN: Final = {
    "local": "runtime.backend.local:LocalBackend",
    "fake": "runtime.backend.fake:FakeBackend",
    "gridengine": "runtime.backend.gridengine:GridEngineBackend",
    "lsf": "runtime.backend.lsf:LsfBackend",
    "slurm": "runtime.backend.slurm:SlurmBackend",
}


class BackendRegistry:
    """Maps names to factories of backends.

    Imports nothing before it is needed, and never changes `sys.path`.
    """

    def __init__(self) -> None:
        self._factories: dict[str, Factory | str] = dict(BUILT_IN)
        self._launchers: dict[str, str] = {}
        self._entry_points_read = False
        self._default: str | None = None

    def __repr__(self) -> str:
        return f"<BackendRegistry {', '.join(sorted({*self._factories, *self._launchers}))}>"

    def register(self, name: str, factory: Factory | str) -> None:
        """Register `factory`, a callable that returns a backend or the text ``package.module:attribute``, as `name`.

        Raises:
            RegistryError: if the name is taken or is not valid; if `factory` is neither a callable nor such a text.
        """
        self._read_entry_points()
        self._check_free(name)
        if isinstance(factory, str):
            _split(factory, "package.module:attribute")
        elif not callable(factory):
            raise RegistryError(_not_callable(name, factory))
        self._factories[name] = factory

    def register_launcher(self, name: str, launcher: str) -> None:
        """Register the legacy launcher class ``package.module:ClassName``, behind the adapter, as `name`.

        Raises:
            RegistryError: if the name is taken or is not valid; if `launcher` is not such a text.
        """
        self._read_entry_points()
        self._check_free(name)
        if not isinstance(launcher, str):
            raise RegistryError(
                f"launcher {name!r} is {launcher!r}; expected text, package.module:ClassName; pass a class itself "
                f"with register({name!r}, functools.partial(LegacyLauncherAdapter, ...))"
            )
        _split(launcher.removeprefix(LEGACY_PREFIX), "package.module:ClassName")
        self._launchers[name] = launcher.removeprefix(LEGACY_PREFIX)

    def names(self) -> list[str]:
        """Return all names, sorted."""
        self._read_entry_points()
        return sorted({*self._factories, *self._launchers})

    @property
    def default(self) -> str:
        """The name for jobs that give none: the one that was set, else the value of ``JOB_RUNTIME_BACKEND``, else
        ``local``.
        """
        return self._default or os.environ.get(DEFAULT_VARIABLE) or "local"

    @default.setter
    def default(self, name: str | None) -> None:
        if name is not None:
            self.check(name)
        self._default = name

    def check(self, name: str) -> None:
        """Check that `name` is known, without importing anything.

        Raises:
            RegistryError: if it is not; the message lists the known names and suggests the nearest.
        """
        self._read_entry_points()
        if name.startswith(LEGACY_PREFIX):
            _split(name.removeprefix(LEGACY_PREFIX), f"{LEGACY_PREFIX}package.module:ClassName")
        elif name not in self._factories and name not in self._launchers:
            known = self.names()
            hint = _hint(name, known) or "."
            there_are = ", ".join([*known, f"{LEGACY_PREFIX}package.module:ClassName"])
            raise RegistryError(f"there is no backend {name!r}{hint} There are: {there_are}")

    def load(self, name: str) -> Factory:
        """Import the factory that is registered as `name`, and return it.

        Raises:
            RegistryError: if the name is unknown, or the factory cannot be imported or called.
        """
        self.check(name)
        if name.startswith(LEGACY_PREFIX):
            return LauncherFactory(name.removeprefix(LEGACY_PREFIX), name)
        if name in self._launchers:
            return LauncherFactory(self._launchers[name], name)
        named = self._factories[name]
        factory = _import(named, f"backend {name!r}") if isinstance(named, str) else named
        with foreign(f"backend {name!r} cannot be examined"):
            if not callable(factory):
                raise RegistryError(_not_callable(name, factory))
        return factory

    def create(self, name: str | None = None, **options: object) -> RuntimeBackend:
        """Return a new backend, which is not open.

        Args:
            name: the name of the backend; `None` for `default`.
            options: for its factory.

        Raises:
            RegistryError: as for `load`; or if the factory exits, returns something else, or raises any other error.
            TypeError: if the factory does not know an option.
            ValueError: if the value of an option is not valid.
        """
        from runtime.backend.contract.backend import RuntimeBackend

        name = self.default if name is None else name
        factory = self.load(name)
        with foreign(f"backend {name!r} cannot be made", TypeError, ValueError):
            backend = factory(**options)
            if not isinstance(backend, RuntimeBackend):
                raise RegistryError(f"the factory of backend {name!r} returned {backend!r}; expected a RuntimeBackend")
        return backend

    def clear(self) -> None:
        """Restore the built-in names and the built-in default; for tests."""
        self._factories = dict(BUILT_IN)
        self._launchers = {}
        self._entry_points_read = False
        self._default = None

    def _check_free(self, name: str) -> None:
        if not isinstance(name, str) or not name or name.startswith(LEGACY_PREFIX):
            msg = f"{name!r} cannot be the name of a backend; expected text that does not start with {LEGACY_PREFIX!r}"
            raise RegistryError(msg)
        if name in self._factories or name in self._launchers:
            raise RegistryError(f"backend {name!r} is registered already; there are: {', '.join(self.names())}")

    def _read_entry_points(self) -> None:
        if self._entry_points_read:
            return
        import importlib.metadata  # late, because few programs need it

        factories, launchers = dict(self._factories), dict(self._launchers)
        for group, known in ((BACKEND_GROUP, factories), (LAUNCHER_GROUP, launchers)):
            for point in importlib.metadata.entry_points(group=group):
                if point.name in factories or point.name in launchers:
                    where = "" if point.dist is None else f" by {point.dist.name}"
                    msg = f"backend {point.name!r} is registered twice: again as {point.value!r}{where}, in {group}"
                    raise RegistryError(msg)
                known[point.name] = point.value
        # All at once, and only now: after an error, the next call reads them again and raises it again.
        self._factories, self._launchers, self._entry_points_read = factories, launchers, True


def _not_callable(name: str, factory: object) -> str:
    return f"backend {name!r} stands for {factory!r}; expected a callable that returns a backend"


def _split(path: str, expected: str) -> tuple[str, str]:
    module, _, attribute = path.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        raise RegistryError(f"{path!r} names nothing that could be imported; expected {expected}")
    return module, attribute


def _hint(name: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


@contextmanager
def foreign(failed: str, *passed: type[BaseException]) -> Iterator[None]:
    """A block for code of other packages: exceptions that it raises become a `RegistryError`.

    That includes `SystemExit`, which would end our process as if all went well: raised by a script that is not meant
    to be imported, for example, or by a launcher that finds no licence.

    Args:
        failed: the beginning of the message, before the exception's own.
        passed: exceptions that are raised as they are.
    """
    try:
        yield
    except (Exception, SystemExit) as exc:
        if isinstance(exc, (RegistryError, MemoryError, *passed)):  # no fault of the other package
            raise
        raise RegistryError(f"{failed}: {type(exc).__name__}: {exc}") from exc


def _import(path: str, what: str) -> object:
    module_name, attribute = _split(path, "package.module:attribute")
    with foreign(f"{what} is {path!r}, and importing {module_name!r} failed"):
        found: object = importlib.import_module(module_name)
    for part in attribute.split("."):
        with foreign(f"{what} is {path!r}, and looking up {part!r} in it failed"):
            try:
                found = getattr(found, part)
            except AttributeError as exc:
                msg = f"{what} is {path!r}, and {module_name!r} has no {attribute!r}{_hint(part, dir(found))}"
                raise RegistryError(msg) from exc
    return found


class LauncherFactory:
    """A factory of adapters around the launcher class at ``package.module:ClassName``.

    Raises:
        RegistryError: if that cannot be imported, or is not a launcher class.
    """

    def __init__(self, path: str, name: str) -> None:
        launcher_cls = _import(path, f"backend {name!r}")
        expected = "expected a launcher class with launch(), poll() and kill()"
        if not isinstance(launcher_cls, type):
            raise RegistryError(f"backend {name!r} stands for {launcher_cls!r}; {expected}")
        with foreign(f"backend {name!r} cannot be examined"):
            methods = ("launch", "poll", "kill")
            missing = [method for method in methods if not callable(getattr(launcher_cls, method, None))]
            if missing:
                lacks = f"which has no {', no '.join(missing)}"
                raise RegistryError(f"backend {name!r} stands for {launcher_cls.__qualname__}, {lacks}; {expected}")
        self.launcher_cls = launcher_cls

    def __call__(self, *, run_dir: str | os.PathLike[str] | None = None, **options: object) -> RuntimeBackend:
        """Return a new adapter, which is not open.

        Args:
            run_dir: the parent of the directories of jobs that name none; `None`: the launchers choose.
            options: for the adapter.
        """
        from runtime.backend.legacy import LegacyLauncherAdapter
        from runtime.backend.legacy.job_view import view_for

        if run_dir is not None and options.get("view") is None:
            options["view"] = view_for(self.launcher_cls, os.fspath(run_dir))
        adapter: Factory = LegacyLauncherAdapter  # which raises a `TypeError` for an unknown option
        return adapter(self.launcher_cls, **options)


backends: Final = BackendRegistry()
"""The registry that the command line uses."""
