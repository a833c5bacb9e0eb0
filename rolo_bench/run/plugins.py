"""Finding tracker plugins: built in, installed by entry point, in a folder, or one file.

A plugin file holds one class that has ``init`` and ``update``; a file with several names the one it means in
``TRACKER = ClassName``.
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
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from rolo_bench.errors import RoloBenchError, TrackerError, UsageError
from rolo_bench.files import digest
from rolo_bench.run.external import command_tracker
from rolo_bench.run.worker import guarded
from rolo_bench.tracker import suite_defaults

GROUP = "rolo_bench.trackers"  # of entry points, and the package of the built-in ones


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
        """Refuse options that the tracker does not have, and what is no yes or no where one is asked for.

        Raises:
            UsageError: such an option.
        """
        known, parameters = self.options(), inspect.signature(self.cls).parameters.values()
        for name, value in options.items():
            if isinstance(known.get(name), bool) and not isinstance(value, bool):
                raise UsageError(f"tracker {self.name}: option {name} is true or false, not {value!r}")
        unknown = [k for k in options if k not in known]
        if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters):
            listed = ", ".join(known) or "none"
            raise UsageError(f"tracker {self.name}: unknown option {unknown[0]!r}; it has: {listed}")

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


def folder_names(folder: Path | None) -> tuple[str, ...]:
    """Names of the plugin files in a folder."""
    if folder is None or not folder.is_dir():
        return ()
    return tuple(sorted(p.stem.replace("_", "-") for p in folder.glob("*.py") if not p.name.startswith("_")))


def find_plugin(tracker: str | Path | type) -> Plugin:
    """A tracker by name, by path of its file, as a class, or as a command with its arguments.

    Raises:
        UsageError: unknown name (the message lists the known ones), or no such file.
        TrackerError: the file cannot be imported or holds no tracker.
    """
    if isinstance(tracker, type):
        _check(tracker.__name__, tracker)
        return Plugin(tracker.__name__, tracker, f"class of {tracker.__module__}", _digest(tracker))
    name = str(tracker)
    if " " in name and not Path(name).is_file():
        label, found, digest_ = command_tracker(name)
        return Plugin(label, found, "command", digest_)
    if name.endswith(".py") or os.sep in name:
        path = Path(name)
        if not path.is_file():
            raise UsageError(f"{name}: no such plugin file")
        return _from_file(path)
    canonical = name.replace("_", "-")
    folder = plugin_folder()
    if folder is not None and canonical in folder_names(folder):
        return _from_file(next(p for p in folder.glob("*.py") if p.stem.replace("_", "-") == canonical))
    if canonical in builtin_names():
        module = importlib.import_module(f"{GROUP}.{canonical.replace('-', '_')}")
        return _from_module(canonical, module, "built in")
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            return _from_entry(entry)
    known = sorted({*builtin_names(), *installed_names(), *folder_names(folder)})
    raise UsageError(f"unknown tracker {name!r}; known: {', '.join(known)}, or the path of a plugin file")


def catalogue() -> list[tuple[str, str, str]]:
    """Every tracker that can be named: its name, where it comes from, and what it is with its options.

    Of one that cannot be loaded the second is ``broken``, of one that this machine lacks something for
    ``unavailable``, and the third says why.
    """
    rows = []
    for name in sorted({*builtin_names(), *installed_names(), *folder_names(plugin_folder())}):
        try:
            plugin = find_plugin(name)
            options = ", ".join(f"{k}={v!r}" for k, v in plugin.options().items())
            lacks = getattr(plugin.cls, "unavailable", "")
            if lacks:
                rows.append((name, "unavailable", lacks))
                continue
            rows.append((name, plugin.origin, f"{plugin.summary()} {f'[{options}]' if options else ''}"))
        except RoloBenchError as error:
            rows.append((name, "broken", str(error)))
    return rows


def _from_entry(entry: Any) -> Plugin:
    with guarded(f"entry point {entry.name} = {entry.value} cannot be loaded"):
        found = entry.load()
    if isinstance(found, ModuleType):
        return _from_module(entry.name, found, f"installed, {entry.value}")
    _check(entry.name, found)
    return Plugin(entry.name, found, f"installed, {entry.value}", _digest(found))


def import_file(path: Path) -> ModuleType:
    """A plugin file as a module, imported once for what it holds; it may import files beside it.

    Raises:
        TrackerError: its code fails, or it is not a Python file.
    """
    name = f"rolo_bench_plugin_{path.stem}_{digest(path)[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TrackerError(f"{path}: not a Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    try:
        with guarded(f"{path}: cannot be imported"):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(str(path.resolve().parent))
    return module


def own_classes(module: ModuleType, *methods: str) -> list[type[Any]]:
    """Public classes that a module defines itself and that have these methods."""
    own = [c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == module.__name__]
    public = [c for c in own if not c.__name__.startswith("_")]
    return [c for c in public if all(callable(getattr(c, m, None)) for m in methods)]


def _from_file(path: Path) -> Plugin:
    plugin = _from_module(path.stem.replace("_", "-"), import_file(path), str(path))
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


def _digest(cls: type) -> str:
    try:
        return digest(Path(inspect.getfile(cls)))
    except (OSError, TypeError):  # typed into a session: no file, but code
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
            raise UsageError(f"option {pair!r}: write it as name=value")
        try:
            options[key.replace("-", "_")] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            options[key.replace("-", "_")] = {"true": True, "false": False}.get(text.lower(), text)
    return options
