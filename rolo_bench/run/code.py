"""The code that makes a tracker's boxes: its file and all that it imports, read off the source without running it.

A module counts where it lies in the tracker's own folder, or is a part of rolo-bench that can change a box. What
is read is the program, not the text: comments, docstrings and layout may change. All else that is imported is a
library, of which the version counts.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from rolo_bench.errors import TrackerError

OWN = "rolo_bench"
ROOMS = (
    "cli", "datasets", "errors", "exchange", "fetch", "files", "folders", "nn.train", "paper", "plots", "report",
    "run", "scores",
)  # fmt: skip
APART = tuple(f"{OWN}.{room}" for room in ROOMS)
"""Rooms that bring data, carry and judge results, and train: no box depends on them."""
COUNTED = (f"{OWN}.run.opencv",)
DYNAMIC = {"import_module", "__import__"}


@dataclass(frozen=True)
class Code:
    """SHA-256 of a tracker's program; by top-level names the libraries it imports and its own modules."""

    digest: str
    libraries: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Source:
    """Where a tracker's program begins.

    Attributes:
        path: its file.
        module: its name as a module; empty for a plugin file, which is known by no name.
        folder: where modules of its own are looked for; None for a part of rolo-bench.
        top: the one package in ``folder`` that is its own; empty where all in the folder is.
    """

    path: Path
    module: str = ""
    folder: Path | None = None
    top: str = ""

    def find(self, name: str) -> Path | None:
        """The file of an imported module if it counts as the tracker's program."""
        if name == OWN or name.startswith(f"{OWN}."):
            apart = any(_in(name, room) and not _in(self.module, room) for room in APART)
            return None if apart and name not in COUNTED else _own_file(name)
        if self.folder is None or (self.top and name.split(".")[0] != self.top):
            return None
        place = self.folder.joinpath(*name.split("."))
        tried = (place.with_name(f"{place.name}.py"), place / "__init__.py")
        return next((p for p in tried if p.is_file()), None)


def _in(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


def read_code(source: Source) -> Code:
    """Follow the imports of a tracker's program from its file.

    Raises:
        TrackerError: a file of it cannot be read or is no Python.
    """
    todo, seen, libraries = [(source.module, source.path)], {source.module}, set[str]()
    parts: dict[str, str] = {}
    while todo:
        name, path = todo.pop()
        program, asked = _read(path)
        parts[name] = program
        for wanted in asked:
            full = _absolute(wanted, name, path)
            names = (
                [f"{full[:-2]}.{m}" for m in _modules(source.find(full[:-2]))]
                if full.endswith(".*")
                else [full]
            )
            for module in names:
                for part in _with_parents(module):
                    found = source.find(part)
                    if found is not None and part not in seen:
                        seen.add(part)
                        todo.append((part, found))
                top = module.split(".")[0]
                if top and top != OWN and source.find(top) is None and top not in sys.stdlib_module_names:
                    libraries.add(top)
    lines = "".join(f"{name}\n{parts[name]}\n" for name in sorted(parts))
    own = frozenset(name.split(".")[0] for name in seen - {source.module}) - {OWN}
    return Code(hashlib.sha256(lines.encode()).hexdigest(), frozenset(libraries), own)


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[: k + 1]) for k in range(len(parts)))


def _modules(package: Path | None) -> list[str]:
    """Names of the modules beside a package's ``__init__.py``."""
    return sorted(p.stem for p in package.parent.glob("*.py")) if package is not None else []


def _absolute(wanted: str, name: str, path: Path) -> str:
    """A relative import, ``..part``, as seen from a module, as an absolute name."""
    level = len(wanted) - len(wanted.lstrip("."))
    if not level:
        return wanted
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    base = package[: len(package) - level + 1]
    return ".".join([*base, *filter(None, [wanted[level:]])])


@lru_cache(maxsize=1024)
def _own_file(name: str) -> Path | None:
    """The file of a module of rolo-bench; nothing is imported for it but the package's two outlying rooms."""
    parent, _, last = name.rpartition(".")
    if not parent:
        return Path(__file__).resolve().parents[1] / "__init__.py"
    above = _own_file(parent)
    if above is None or above.name != "__init__.py":
        return None
    place = above.parent / last
    found = next((p for p in (place.with_name(f"{last}.py"), place / "__init__.py") if p.is_file()), None)
    if found is None and name in (f"{OWN}.datasets", f"{OWN}.trackers"):  # lie elsewhere in a checkout
        spec = importlib.util.find_spec(name)
        return Path(spec.origin) if spec is not None and spec.origin else None
    return found


def _read(path: Path) -> tuple[str, tuple[str, ...]]:
    try:
        status = path.stat()
        return _parsed(path, status.st_size, status.st_mtime_ns)
    except (OSError, SyntaxError, ValueError, RecursionError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise TrackerError(f"{path}: cannot be imported: {type(error).__name__}: {first}") from None


@lru_cache(maxsize=1024)
def _parsed(path: Path, size: int, modified: int) -> tuple[str, tuple[str, ...]]:
    """A file's program as text, and what it imports: ``a.b``, ``..a``, ``a.*`` for any module of a package."""
    tree = ast.parse(path.read_bytes())
    for node in _statements(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        first = body[0].value if body and isinstance(body[0], ast.Expr) else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            del body[0]
        body[:] = [n for n in body if not (isinstance(n, ast.If) and _for_types(n.test))]
    program = ast.dump(tree)
    dynamic = any(f"'{name}'" in program for name in DYNAMIC)
    return program, tuple(dict.fromkeys(_imports(ast.walk(tree) if dynamic else _statements(tree))))


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """A module and what it consists of down to statements; `ast.walk` goes into expressions, too, which takes long."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            part = getattr(node, name, None)
            if isinstance(part, list):
                todo += part


def _for_types(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _imports(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield base
            yield from (f"{base}{'' if base.endswith('.') else '.'}{a.name}" for a in node.names)
        elif isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in DYNAMIC:
                yield from _dynamic(node.args[0])


def _dynamic(argument: ast.expr) -> Iterator[str]:
    """What ``import_module`` may import: a name as written, or any module where it ends in ``{...}``."""
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        yield argument.value
    elif isinstance(argument, ast.JoinedStr) and isinstance(argument.values[0], ast.Constant):
        stem = str(argument.values[0].value)
        if stem.endswith("."):
            yield f"{stem}*"
