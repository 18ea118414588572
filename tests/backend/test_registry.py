"""`BackendRegistry`: names, lazy imports, entry points, the default, and messages of errors."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime import FakeBackend, JobSpec, LegacyLauncherAdapter, LocalBackend, RegistryError
from runtime.backend.registry import BackendRegistry, backends


class TinyLauncher:
    """A legacy launcher class."""

    def __init__(self, job: object) -> None:
        self.job = job

    def launch(self) -> None: ...

    def poll(self) -> None: ...

    def kill(self) -> None: ...


HERE = f"{TinyLauncher.__module__}:TinyLauncher"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> BackendRegistry:
    monkeypatch.delenv("JOB_RUNTIME_BACKEND", raising=False)
    return BackendRegistry()


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed distribution that registers a backend and a launcher by entry points."""
    (tmp_path / "site_farm.py").write_text(
        "from runtime import FakeBackend\n"
        "class Farm(FakeBackend):\n    name = 'farm'\n"
        "class FarmLauncher:\n"
        "    def __init__(self, job): pass\n"
        "    launch = poll = kill = lambda self: None\n"
    )
    info = tmp_path / "site_farm-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: site-farm\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[runtime.backends]\nfarm = site_farm:Farm\n\n[runtime.launchers]\nold-farm = site_farm:FarmLauncher\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield info
    sys.modules.pop("site_farm", None)


def test_the_built_in_ones_are_made_by_name(registry: BackendRegistry) -> None:
    assert isinstance(registry.create("fake"), FakeBackend)
    local = registry.create("local", max_parallelism=3)
    assert isinstance(local, LocalBackend)
    assert local.max_parallelism == 3
    assert {"fake", "local"} <= set(registry.names())
    assert "fake, gridengine, local, lsf" in repr(registry)


def test_an_unknown_name_lists_what_there_is_and_suggests(registry: BackendRegistry) -> None:
    with pytest.raises(
        RegistryError,
        match=r"there is no backend 'locl'; did you mean 'local'\? There are: fake, gridengine, local, lsf",
    ):
        registry.create("locl")
    with pytest.raises(
        RegistryError, match=r"there is no backend 'xyz'\. There are: .*legacy:package\.module:ClassName"
    ):
        registry.check("xyz")


def test_a_name_is_registered_once(registry: BackendRegistry) -> None:
    registry.register("mine", FakeBackend)
    assert isinstance(registry.create("mine"), FakeBackend)
    for again in ("mine", "local"):
        with pytest.raises(
            RegistryError,
            match=f"backend '{again}' is registered already; there are: fake, gridengine, local, lsf, mine",
        ):
            registry.register(again, FakeBackend)
    with pytest.raises(RegistryError, match="registered already"):
        registry.register_launcher("mine", HERE)
    for no_name in ("", "legacy:x"):
        with pytest.raises(RegistryError, match="cannot be the name of a backend"):
            registry.register(no_name, FakeBackend)
    registry.clear()
    assert registry.names() == BackendRegistry().names()


class NoLauncher:
    """Has the methods of a launcher, but is passed as a class, and not as a text."""

    def launch(self) -> None: ...
    def poll(self) -> None: ...
    def kill(self) -> None: ...


@pytest.mark.parametrize("launcher", [NoLauncher, NoLauncher(), None, 7, "", "no path", "a.module", "a:b:c", "1:A"])
def test_a_launcher_that_could_not_be_created_is_not_registered(registry: BackendRegistry, launcher: Any) -> None:
    with pytest.raises(RegistryError, match=r"expected text, package\.module:ClassName|expected package\.module:Cl"):
        registry.register_launcher("mine", launcher)
    assert "mine" not in registry.names()


@pytest.mark.parametrize("factory", [None, 7, FakeBackend(), "", "no path", "a.module"])
def test_a_factory_that_could_not_be_called_is_not_registered(registry: BackendRegistry, factory: Any) -> None:
    with pytest.raises(RegistryError, match=r"a callable that returns a backend|expected package\.module:attri"):
        registry.register("mine", factory)
    assert "mine" not in registry.names()


@pytest.mark.parametrize("name", [None, 7, b"mine"])
def test_a_name_is_text(registry: BackendRegistry, name: Any) -> None:
    with pytest.raises(RegistryError, match="cannot be the name of a backend"):
        registry.register(name, FakeBackend)


def test_nothing_is_imported_before_it_is_asked_for(registry: BackendRegistry, plugin: Path) -> None:
    registry.register("later", "no_such_module_at_all:Backend")
    assert {"farm", "old-farm", "later"} <= set(registry.names())
    registry.check("later")
    assert "site_farm" not in sys.modules
    assert registry.create("farm").name == "farm"
    assert "site_farm" in sys.modules
    before = list(sys.path)
    with pytest.raises(RegistryError, match="importing 'no_such_module_at_all' failed: ModuleNotFoundError"):
        registry.create("later")
    assert sys.path == before


def test_launchers_come_behind_the_adapter(registry: BackendRegistry, plugin: Path) -> None:
    for name in ("old-farm", f"legacy:{HERE}"):
        assert isinstance(registry.create(name, poll_interval=0.5), LegacyLauncherAdapter)
    registry.register_launcher("tiny", HERE)
    tiny = registry.create("tiny")
    assert isinstance(tiny, LegacyLauncherAdapter)
    assert tiny.launcher_cls is TinyLauncher


def test_two_distributions_with_one_name_are_an_error(registry: BackendRegistry, plugin: Path) -> None:
    (plugin / "entry_points.txt").write_text("[runtime.backends]\nlocal = site_farm:Farm\n")
    with pytest.raises(
        RegistryError, match=r"backend 'local' is registered twice: again as 'site_farm:Farm' by site-farm"
    ):
        registry.names()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("legacy:", "names nothing that could be imported; expected legacy:package.module:ClassName"),
        ("legacy:no colon", "names nothing that could be imported"),
        ("legacy:os.path", "names nothing that could be imported"),
        ("legacy:../x:Y", "names nothing that could be imported"),
        ("legacy:collections:OrderedDic", r"'collections' has no 'OrderedDic'; did you mean 'OrderedDict'\?"),
        ("legacy:collections:OrderedDict", "has no launch, no poll, no kill; expected a launcher class"),
        ("legacy:math:pi", r"stands for 3\.14.*; expected a launcher class"),
    ],
)
def test_a_path_that_leads_nowhere_says_where_it_ends(registry: BackendRegistry, path: str, text: str) -> None:
    with pytest.raises(RegistryError, match=text):
        registry.create(path)


def test_a_factory_must_make_a_backend(registry: BackendRegistry) -> None:
    registry.register("number", lambda: 3)  # type: ignore[arg-type, return-value]  # the mistake in question
    with pytest.raises(RegistryError, match="factory of backend 'number' returned 3; expected a RuntimeBackend"):
        registry.create("number")
    registry.register("constant", f"{__name__}:HERE")
    with pytest.raises(RegistryError, match="expected a callable that returns a backend"):
        registry.create("constant")


@pytest.mark.parametrize("error", ["ZeroDivisionError", "SystemExit"])
def test_a_module_that_raises_or_exits_while_it_is_imported_is_named(
    registry: BackendRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    (tmp_path / "breaks_at_import.py").write_text(f"raise {error}('at import')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RegistryError, match=f"importing 'breaks_at_import' failed: {error}: at import"):
        registry.create("legacy:breaks_at_import:Launcher")


def test_launchers_get_the_directory_of_the_run(registry: BackendRegistry, tmp_path: Path) -> None:
    def own(job: Any) -> Any:
        return job

    given = registry.load(f"legacy:{HERE}")
    job = JobSpec(name="a", cmd="true")
    for view, odir in ((None, str(tmp_path / "a")), (own, None)):
        adapter = given(run_dir=tmp_path, view=view)
        assert isinstance(adapter, LegacyLauncherAdapter)
        launcher = adapter._make(job)
        assert isinstance(launcher, TinyLauncher)
        assert isinstance(launcher.job, JobSpec)
        assert launcher.job.odir == odir


def test_the_default_is_the_name_that_was_set_or_the_variable_or_local(
    registry: BackendRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert registry.default == "local"
    monkeypatch.setenv("JOB_RUNTIME_BACKEND", "fake")
    assert registry.default == "fake"
    assert isinstance(registry.create(), FakeBackend)
    registry.default = "local"
    assert registry.default == "local"
    with pytest.raises(RegistryError, match="there is no backend 'nowhere'"):
        registry.default = "nowhere"
    registry.clear()
    assert registry.default == "fake"


def test_there_is_one_for_the_command_line() -> None:
    shared: Any = backends
    assert isinstance(shared, BackendRegistry)


def test_the_default_instance_hides_no_module_of_the_package() -> None:
    import runtime.backend.legacy as legacy  # noqa: PLR0402 - this form is the one in question

    assert legacy.LegacyLauncherAdapter is LegacyLauncherAdapter
