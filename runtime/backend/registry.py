"""`BackendRegistry`: from a name in a job file to a backend.

A name stands for a factory, which is imported when it is first asked for. Names come from the package itself, from
whoever calls `register`, and from the entry points of installed distributions (groups ``runtime.backends`` and
``runtime.launchers``). ``legacy:package.module:ClassName`` stands for that launcher class behind the adapter,
registered or not.

Every program that uses the package imports this module, so it imports next to nothing itself.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from runtime.errors import RegistryError

if TYPE_CHECKING:
    from runtime.backend.backend import RuntimeBackend

    Factory = Callable[..., RuntimeBackend]

BACKEND_GROUP: Final = "runtime.backends"
LAUNCHER_GROUP: Final = "runtime.launchers"
DEFAULT_VARIABLE: Final = "JOB_RUNTIME_BACKEND"
LEGACY_PREFIX: Final = "legacy:"

BUILT_IN: Final = {
    "local": "runtime.backend.local:LocalBackend",
    "fake": "runtime.backend.fake:FakeBackend",
    "slurm": "runtime.backend.slurm:SlurmBackend",
}


class BackendRegistry:
    """Names to factories of backends.

    Nothing is imported before it is asked for, and nothing here touches `sys.path`.
    """

    # `runtime.backends` is the default instance, and so hides the package of that name. By this name Python finds the
    # package's modules all the same: `import runtime.backend.local as local` works.
    __name__ = "runtime.backends"

    def __init__(self) -> None:
        self._factories: dict[str, Factory | str] = dict(BUILT_IN)
        self._launchers: dict[str, str] = {}
        self._entry_points_read = False
        self._default: str | None = None

    def __repr__(self) -> str:
        return f"<BackendRegistry {', '.join(sorted({*self._factories, *self._launchers}))}>"

    def register(self, name: str, factory: Factory | str) -> None:
        """Let `name` stand for `factory`: something that returns a backend, or ``package.module:attribute``.

        Raises:
            RegistryError: if the name is taken, or no name; if `factory` is neither something to call nor such a path.
        """
        self._read_entry_points()
        self._check_free(name)
        if isinstance(factory, str):
            _split(factory, "package.module:attribute")
        elif not callable(factory):
            raise RegistryError(_not_callable(name, factory))
        self._factories[name] = factory

    def register_launcher(self, name: str, launcher: str) -> None:
        """Let `name` stand for the legacy launcher class ``package.module:ClassName`` behind the adapter.

        Raises:
            RegistryError: if the name is taken, or no name; if `launcher` is no such path.
        """
        self._read_entry_points()
        self._check_free(name)
        if not isinstance(launcher, str):
            msg = (
                f"launcher {name!r} is {launcher!r}; expected: text, package.module:ClassName; a class itself goes by "
                f"register({name!r}, functools.partial(LegacyLauncherAdapter, ...))"
            )
            raise RegistryError(msg)
        _split(launcher.removeprefix(LEGACY_PREFIX), "package.module:ClassName")
        self._launchers[name] = launcher.removeprefix(LEGACY_PREFIX)

    def names(self) -> list[str]:
        """Return all names, sorted."""
        self._read_entry_points()
        return sorted({*self._factories, *self._launchers})

    @property
    def default(self) -> str:
        """The name to use where none is given: what was set, or else the variable ``JOB_RUNTIME_BACKEND``, or
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
            RegistryError: if it is not; the message lists what there is, and the nearest.
        """
        self._read_entry_points()
        if name.startswith(LEGACY_PREFIX):
            _split(name.removeprefix(LEGACY_PREFIX), f"{LEGACY_PREFIX}package.module:ClassName")
        elif name not in self._factories and name not in self._launchers:
            known = self.names()
            hint = _hint(name, known) or "."
            there_are = ", ".join([*known, f"{LEGACY_PREFIX}package.module:ClassName"])
            msg = f"there is no backend {name!r}{hint} There are: {there_are}"
            raise RegistryError(msg)

    def load(self, name: str) -> Factory:
        """Import what `name` stands for, and return a factory of backends.

        Raises:
            RegistryError: if the name is unknown, or what it stands for cannot be imported or called.
        """
        self.check(name)
        if name.startswith(LEGACY_PREFIX):
            return LauncherFactory(name.removeprefix(LEGACY_PREFIX), name)
        if name in self._launchers:
            return LauncherFactory(self._launchers[name], name)
        factory = self._factories[name]
        if isinstance(factory, str):
            factory = _import(factory, f"backend {name!r}")
        with foreign(f"backend {name!r} cannot be looked at"):
            if not callable(factory):
                raise RegistryError(_not_callable(name, factory))
        return factory

    def create(self, name: str | None = None, **options: Any) -> RuntimeBackend:
        """Make a backend; it is not opened.

        Args:
            name: which; `None` for `default`.
            options: for its factory.

        Raises:
            RegistryError: as for `load`, or if the factory raises anything else, or exits, or returns something else.
            TypeError: if the factory does not know an option.
            ValueError: if an option cannot be what it is.
        """
        from runtime.backend.backend import RuntimeBackend

        name = self.default if name is None else name
        factory = self.load(name)
        with foreign(f"backend {name!r} cannot be made", TypeError, ValueError):
            backend = factory(**options)
            if not isinstance(backend, RuntimeBackend):
                msg = f"the factory of backend {name!r} returned {backend!r}; wanted: a RuntimeBackend"
                raise RegistryError(msg)
        return backend

    def clear(self) -> None:
        """Go back to the built-in names and the built-in default; for tests."""
        self._factories = dict(BUILT_IN)
        self._launchers = {}
        self._entry_points_read = False
        self._default = None

    def _check_free(self, name: str) -> None:
        if not isinstance(name, str) or not name or name.startswith(LEGACY_PREFIX):
            msg = f"{name!r} cannot be the name of a backend; wanted: text that does not start with {LEGACY_PREFIX!r}"
            raise RegistryError(msg)
        if name in self._factories or name in self._launchers:
            msg = f"backend {name!r} is registered already; there are: {', '.join(self.names())}"
            raise RegistryError(msg)

    def _read_entry_points(self) -> None:
        if self._entry_points_read:
            return
        import importlib.metadata

        factories, launchers = dict(self._factories), dict(self._launchers)
        for group, known in ((BACKEND_GROUP, factories), (LAUNCHER_GROUP, launchers)):
            for point in importlib.metadata.entry_points(group=group):
                if point.name in factories or point.name in launchers:
                    where = "" if point.dist is None else f" by {point.dist.name}"
                    msg = f"backend {point.name!r} is registered twice: again as {point.value!r}{where}, in {group}"
                    raise RegistryError(msg)
                known[point.name] = point.value
        self._factories, self._launchers, self._entry_points_read = factories, launchers, True


def _not_callable(name: str, factory: object) -> str:
    return f"backend {name!r} stands for {factory!r}; wanted: something to call that returns a backend"


def _split(path: str, wanted: str) -> tuple[str, str]:
    module, _, attribute = path.partition(":")
    if not all(part.isidentifier() for part in module.split(".")) or not all(
        part.isidentifier() for part in attribute.split(".")
    ):
        msg = f"{path!r} names nothing that could be imported; wanted: {wanted}"
        raise RegistryError(msg)
    return module, attribute


def _hint(name: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


@contextmanager
def foreign(failed: str, *passed: type[BaseException]) -> Iterator[None]:
    """Around other people's code: what that raises becomes a `RegistryError`.

    `SystemExit` above all, which a caller would take for an end in order: a program, say, that nobody meant to be
    imported, or a launcher that finds no licence.

    Args:
        failed: what the error says before what was raised.
        passed: what is raised as it is.
    """
    try:
        yield
    except (Exception, SystemExit) as exc:
        if isinstance(exc, (RegistryError, MemoryError, *passed)):
            raise
        msg = f"{failed}: {type(exc).__name__}: {exc}"
        raise RegistryError(msg) from exc


def _import(path: str, what: str) -> Any:
    module_name, attribute = _split(path, "package.module:attribute")
    with foreign(f"{what} is {path!r}, and importing {module_name!r} failed"):
        found: Any = importlib.import_module(module_name)
    for part in attribute.split("."):
        with foreign(f"{what} is {path!r}, and looking up {part!r} in it failed"):
            try:
                found = getattr(found, part)
            except AttributeError as exc:
                msg = f"{what} is {path!r}, and {module_name!r} has no {attribute!r}{_hint(part, dir(found))}"
                raise RegistryError(msg) from exc
    return found


class LauncherFactory:
    """Puts the launcher class at a path behind the adapter.

    Raises:
        RegistryError: if it cannot be imported, or is no launcher class.
    """

    def __init__(self, path: str, name: str) -> None:
        launcher_cls = _import(path, f"backend {name!r}")
        wanted = "wanted: a launcher class with launch(), poll() and kill()"
        if not isinstance(launcher_cls, type):
            msg = f"backend {name!r} stands for {launcher_cls!r}; {wanted}"
            raise RegistryError(msg)
        with foreign(f"backend {name!r} cannot be looked at"):
            methods = ("launch", "poll", "kill")
            missing = [method for method in methods if not callable(getattr(launcher_cls, method, None))]
            if missing:
                lacks = f"which has no {', no '.join(missing)}"
                msg = f"backend {name!r} stands for {launcher_cls.__qualname__}, {lacks}; {wanted}"
                raise RegistryError(msg)
        self.launcher_cls = launcher_cls

    def __call__(self, *, run_dir: str | os.PathLike[str] | None = None, **options: Any) -> RuntimeBackend:
        """Return an adapter that is not opened.

        Args:
            run_dir: where jobs that name no directory get theirs; `None`: that is left to the launchers.
            options: of the adapter.
        """
        from runtime.backend.legacy import LegacyLauncherAdapter
        from runtime.backend.legacy.job_view import view_for

        if run_dir is not None and options.get("view") is None:
            options["view"] = view_for(self.launcher_cls, os.fspath(run_dir))
        return LegacyLauncherAdapter(self.launcher_cls, **options)


backends: Final = BackendRegistry()
"""The registry that the command line uses."""
