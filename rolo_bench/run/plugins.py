"""Finding tracker plugins: built in, installed by entry point, in a folder, or one file.

A plugin file holds one class that has ``init`` and ``update``; a file with several names the one it means in
``TRACKER = ClassName``. A folder with an ``__init__.py`` is a plugin as well, and its modules are its own.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import pkgutil
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from rolo_bench.errors import RoloBenchError, TrackerError, UsageError, did_you_mean, find_name, same_name
from rolo_bench.files import digest
from rolo_bench.run.code import Code, Source, read_code
from rolo_bench.run.external import command_tracker, from_anywhere
from rolo_bench.run.options import check_options, declared, described
from rolo_bench.run.worker import guarded
from rolo_bench.tracker import suite_defaults

COMMAND = "command"
"""Where a tracker comes from that is a program of its own."""
PACKAGE = "__init__.py"
GROUP = "rolo_bench.trackers"  # of entry points, and the package of the built-in ones


@dataclass(frozen=True)
class Place:
    """A tracker as it was found, before any of its code is run: its name, where it comes from, where it begins.

    Attributes:
        tracker: what `find_plugin` takes: a name, the path of a file, or a class.
        source: None of a class that was typed into a session, and of a program.
    """

    name: str
    origin: str
    tracker: str | type
    source: Source | None

    def code(self) -> Code:
        """The program that makes its boxes; raises what `rolo_bench.run.code.read_code` raises."""
        if self.source is not None:
            return read_code(self.source)
        if self.origin == COMMAND:
            return Code(command_tracker(str(self.tracker))[2])
        assert isinstance(self.tracker, type)
        return Code(_digest(self.tracker))


@dataclass(frozen=True)
class Plugin:
    """A tracker class, the name it goes by, where it comes from, and the SHA-256 of its source."""

    name: str
    cls: type
    origin: str
    source_digest: str

    def options(self) -> dict[str, Any]:
        """Constructor keywords with their defaults."""
        with guarded(f"tracker {self.name}: its options cannot be read"):
            parameters = inspect.signature(self.cls).parameters.values()
        return {p.name: p.default for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}

    def defaults(self, suite: str) -> dict[str, Any]:
        """Options that the tracker asks for on a suite."""
        with guarded(f"tracker {self.name}: its suite_defaults cannot be read"):
            return suite_defaults(self.cls, suite)

    def check(self, options: dict[str, Any]) -> None:
        """Refuse options that the tracker does not have, and values of another kind than it declares.

        Raises:
            UsageError: such an option.
        """
        known, parameters = self.options(), inspect.signature(self.cls).parameters.values()
        more = any(p.kind is p.VAR_KEYWORD for p in parameters)
        check_options(f"tracker {self.name}", declared(self.cls, known), options, more)

    def make(self, options: dict[str, Any]) -> Any:
        """A fresh tracker.

        Raises:
            UsageError: an option that the tracker does not have.
            TrackerError: its constructor raised; one of our own errors passes as it is.
        """
        self.check(options)
        with guarded(f"tracker {self.name} cannot be made", RoloBenchError):
            return self.cls(**options)

    def summary(self) -> str:
        """First line of the class's docstring."""
        return (inspect.getdoc(self.cls) or "").split("\n")[0]


def builtin_names() -> tuple[str, ...]:
    """Names of the trackers that come with rolo-bench."""
    package = importlib.import_module(GROUP)
    return tuple(m.name.replace("_", "-") for m in pkgutil.iter_modules(package.__path__))


def installed_names() -> dict[str, str]:
    """Trackers of installed packages by entry point: name and what it points at."""
    return {e.name: e.value for e in entry_points(group=GROUP)}


def plugin_folder() -> Path | None:
    """The user's folder of plugin files, from ``ROLO_BENCH_TRACKERS``."""
    value = os.environ.get("ROLO_BENCH_TRACKERS")
    return Path(value) if value else None


def folder_plugins(folder: Path | None) -> dict[str, Path]:
    """Plugins in a folder by name: files, and folders with an ``__init__.py``."""
    if folder is None or not folder.is_dir():
        return {}
    found = [p for p in folder.glob("*.py") if not p.name.startswith("_")] + list(
        folder.glob("*/__init__.py")
    )
    return {name_of(p): p for p in sorted(found)}


def name_of(path: Path) -> str:
    """What a plugin is called after its file, or its folder."""
    return (path.parent.name if path.name == PACKAGE else path.stem).replace("_", "-")


def plugin_source(path: Path) -> Source:
    """Where the program of a plugin file begins; of a package's ``__init__.py`` only the package is its own."""
    path = path.resolve()
    if path.name != PACKAGE:
        return Source(path, folder=path.parent)
    return Source(path, path.parent.name, path.parents[1], path.parent.name)


def locate(tracker: str | Path | type) -> Place:
    """Where a tracker comes from, by name, by path of its file, or as a class; its code is not run.

    Raises:
        UsageError: unknown name (the message lists the known ones), or no such file.
    """
    if isinstance(tracker, type):
        return Place(tracker.__name__, f"class of {tracker.__module__}", tracker, source_of(tracker))
    name = str(tracker)
    if " " in name and not Path(name).is_file():
        return Place(command_tracker(name)[0], COMMAND, from_anywhere(name), None)
    if name.endswith(".py") or os.sep in name or name in (os.curdir, os.pardir):
        return _place_of(_plugin_file(Path(name)))
    own, ours = folder_plugins(plugin_folder()), builtin_names()
    values = {} if name in own or name in ours else installed_names()  # which reads a file of every package
    known = sorted({*ours, *values, *own})
    here = next((str(p) for p in (Path(name), Path(f"{name}.py")) if name and p.exists()), None)
    if here and same_name(name, known) is None:
        raise UsageError(f"unknown tracker {name!r}; write ./{here} for the plugin in this folder")
    name = find_name("tracker", name, known, "or the path of a plugin file")
    if name in own:
        return _place_of(own[name])
    if name in ours:
        return Place(name, "built in", name, _module_source(f"{GROUP}.{name.replace('-', '_')}"))
    module = values[name].partition(":")[0]
    return Place(name, f"installed, {values[name]}", name, _module_source(module))


def _plugin_file(path: Path) -> Path:
    """The file of a plugin that was named by its path.

    Raises:
        UsageError: there is none.
    """
    if path.is_dir():
        if not (path / PACKAGE).is_file():
            raise UsageError(
                f"{path}: a folder is a plugin if it has an {PACKAGE}; add one, or name a file in it"
            )
        return path / PACKAGE
    if not path.is_file():
        raise UsageError(f"{path}: no such plugin file{_beside_it(path)}")
    if path.suffix != ".py":
        raise UsageError(f"{path}: a plugin is a Python file, .py, or a folder with an {PACKAGE}")
    return path


def _beside_it(path: Path) -> str:
    near = did_you_mean(path.name, (p.name for p in path.parent.glob("*.py") if p.is_file()))
    return near if "did you" in near else ""


def find_plugin(tracker: str | Path | type) -> Plugin:
    """A tracker by name, by path of its file, as a class, or as a command with its arguments.

    Raises:
        UsageError: unknown name (the message lists the known ones), or no such file.
        TrackerError: the file cannot be imported or holds no tracker.
    """
    place = locate(tracker)
    if place.origin == COMMAND:
        return Plugin(place.name, command_tracker(str(place.tracker))[1], COMMAND, place.code().digest)
    if isinstance(place.tracker, type):
        _check(place.name, place.tracker)
        return Plugin(place.name, place.tracker, place.origin, _digest(place.tracker))
    if place.tracker.endswith(".py"):
        return _from_file(Path(place.tracker))
    if place.origin == "built in":
        assert place.source is not None
        return _from_module(place.name, importlib.import_module(place.source.module), place.origin)
    return _from_entry(next(e for e in entry_points(group=GROUP) if e.name == place.tracker))


def _place_of(path: Path) -> Place:
    source = plugin_source(path)
    return Place(name_of(source.path), str(source.path), str(source.path), source)


def kept_origin(place: Place) -> str:
    """Where a tracker comes from, for a record: of a file its name alone, since folders differ by machine."""
    path = Path(place.origin)
    if path.suffix != ".py":
        return place.origin
    return f"{path.parent.name}/{PACKAGE}" if path.name == PACKAGE else path.name


def source_of(cls: type) -> Source | None:
    """Where a class begins; None where it has no file."""
    path = _file_of(cls)
    if path is None:
        return None
    inside = cls.__module__.startswith("rolo_bench.")
    return Source(path, cls.__module__) if inside else Source(path, folder=path.parent)


def _module_source(module: str) -> Source | None:
    """Where an installed module begins; its packages are not run."""
    top = module.split(".")[0]
    if top == "rolo_bench":
        path = Source(Path()).find(module)
        return None if path is None else Source(path, module)
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        return None
    home = Path(spec.origin).parent
    folder = home.parent if Path(spec.origin).name == "__init__.py" else home
    path = Source(Path(), folder=folder, top=top).find(module)
    return None if path is None else Source(path, module, folder, top)


def catalogue() -> list[tuple[str, str, str]]:
    """Every tracker that can be named: its name, where it comes from, and what it is.

    Of one that cannot be loaded the second is ``broken``, of one that this machine lacks something for
    ``unavailable``, and the third says why.
    """
    rows = []
    for name in sorted({*builtin_names(), *installed_names(), *folder_plugins(plugin_folder())}):
        try:
            plugin = find_plugin(name)
            lacks = getattr(plugin.cls, "unavailable", "")
            rows.append((name, "unavailable" if lacks else plugin.origin, lacks or plugin.summary()))
        except RoloBenchError as error:
            rows.append((name, "broken", str(error)))
    return rows


def option_help(tracker: str) -> list[tuple[str, str, str]]:
    """The options of a tracker: name, default, and what its docstring says of it.

    Raises:
        UsageError, TrackerError: it cannot be found or loaded.
    """
    plugin = find_plugin(tracker)
    words = described(plugin.cls)
    known = {name: repr(default) for name, default in plugin.options().items()}
    if told := getattr(plugin.cls, "settings_of", ()):  # in the place of the keywords of any name
        words.pop("settings", None)
        words |= {name: described(kind).get(name, "") for kind, names in told for name in names.split()}
    others = {name: "…" for name in words if name not in known}
    return [(name, default, words.get(name, "")) for name, default in (known | others).items()]


def _from_entry(entry: Any) -> Plugin:
    with guarded(f"entry point {entry.name} = {entry.value} cannot be loaded"):
        found = entry.load()
    if isinstance(found, ModuleType):
        return _from_module(entry.name, found, f"installed, {entry.value}")
    _check(entry.name, found)
    return Plugin(entry.name, found, f"installed, {entry.value}", _digest(found))


def import_file(path: Path) -> ModuleType:
    """A plugin file as a module, imported once for where it lies and what it and the files that it imports hold.

    Modules and data beside it are its own: two plugins that each have a ``helper.py`` never get each other's, nor one
    the weights that lie beside a copy of it.

    Raises:
        TrackerError: its code fails, or it is not a Python file.
    """
    source = plugin_source(path)
    code = read_code(source)
    key = hashlib.sha256(f"{source.path}\0{code.digest}".encode(errors="surrogateescape")).hexdigest()[:12]
    name = f"rolo_bench_plugin_{re.sub(r'[^0-9A-Za-z_]', '_', name_of(source.path))}_{key}"
    if name in sys.modules:
        return sys.modules[name]
    parts = [str(source.path.parent)] if source.top else None
    spec = importlib.util.spec_from_file_location(name, source.path, submodule_search_locations=parts)
    if spec is None or spec.loader is None:
        raise TrackerError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    assert source.folder is not None
    with _beside(source.folder, code.own | {source.top} - {""}), guarded(f"{path}: cannot be imported"):
        sys.modules[name] = module
        if source.top:
            sys.modules[source.top] = module  # a package may import parts of itself by its name
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return module


@contextmanager
def _beside(folder: Path, own: frozenset[str]) -> Iterator[None]:
    """While it lasts, modules of a folder are found first, and no others under the names ``own``.

    In a worker, whose only plugin it is, the folder is on the path for good, and what was imported stays.
    """
    if str(folder) in sys.path:
        yield
        return
    hidden = {k: sys.modules.pop(k) for k in list(sys.modules) if k.split(".")[0] in own}
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for key in [k for k in sys.modules if k.split(".")[0] in own]:
            del sys.modules[key]
        sys.modules.update(hidden)


def own_classes(module: ModuleType, *methods: str) -> list[type[Any]]:
    """Public classes that a module defines itself and that have these methods."""
    own = [c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == module.__name__]
    public = [c for c in own if not c.__name__.startswith("_")]
    return [c for c in public if all(callable(getattr(c, m, None)) for m in methods)]


def _from_file(path: Path) -> Plugin:
    plugin = _from_module(name_of(path), import_file(path), str(path))
    return Plugin(plugin.name, plugin.cls, plugin.origin, digest(path))


def _from_module(name: str, module: ModuleType, origin: str) -> Plugin:
    with guarded(f"{origin} ({name}): cannot be read"):
        chosen, classes = getattr(module, "TRACKER", None), own_classes(module, "init", "update")
    if chosen is None:
        if len(classes) != 1:
            what = "no class with init and update" if not classes else f"{len(classes)} tracker classes"
            raise TrackerError(
                f"{origin} ({name}): holds {what}; name the one you mean as TRACKER = ClassName"
            )
        chosen = classes[0]
    _check(name, chosen)
    return Plugin(name, chosen, origin, _digest(chosen))


def _check(name: str, cls: Any) -> None:
    if not inspect.isclass(cls) or not all(callable(getattr(cls, m, None)) for m in ("init", "update")):
        raise TrackerError(f"tracker {name}: {cls!r} is not a class with init(image, box) and update(image)")


def _file_of(cls: type) -> Path | None:
    """The file that a class stands in; None where it was typed into a session."""
    try:
        path = Path(inspect.getfile(cls)).resolve()
    except (OSError, TypeError):
        return None
    typed = [f.__code__.co_filename for f in vars(cls).values() if inspect.isfunction(f)]
    return None if any(name.startswith("<") for name in typed) or not path.is_file() else path


def _digest(cls: type) -> str:
    path = _file_of(cls)
    if path is not None:
        return digest(path)
    codes = [f.__code__ for f in vars(cls).values() if inspect.isfunction(f)]
    parts = [(c.co_name, c.co_code, c.co_names, c.co_varnames, str(c.co_consts)) for c in codes]
    return hashlib.sha256(re.sub(r" at 0x\w+", "", str(parts)).encode()).hexdigest()


def parse_options(pairs: tuple[str, ...]) -> dict[str, Any]:
    """``key=value`` pairs of the command line; values are read as Python literals where they are such.

    Raises:
        UsageError: a pair without ``=``.
    """
    import ast

    options: dict[str, Any] = {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not key:
            raise UsageError(f"option {pair[:60]!r}: write it as name=value")
        try:
            with warnings.catch_warnings(action="ignore"):  # of escapes such as \d in what is no literal
                options[key.replace("-", "_")] = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            options[key.replace("-", "_")] = {"true": True, "false": False}.get(text.lower(), text)
    return options
