"""The rooms of the house: who may import whom, read off the source; see docs/architecture.md."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FACE = "rolo_bench"  # hands names on, and is nobody's ground
# From the ground up: a room may import what lies in itself and in the rows before its own.
LAYERS = (
    {"ground": "boxes errors files folders project"},
    {"words": "sequence protocols boxfiles detection tracker association"},
    {"datasets": "datasets"},
    {"run": "run", "fetch": "fetch"},
    {"scores": "scores", "exchange": "exchange"},
    {"plots": "plots"},
    {"detect": "nn.detect"},
    {"rolo": "nn.rolo", "plus": "nn.plus"},
    {"train": "nn.train"},
    {"paper": "paper", "report": "report", "trackers": "trackers"},
    {"cli": "cli __main__"},
)
FLOOR = {room: floor for floor, row in enumerate(LAYERS) for room in row}
ROOM_OF = {name: room for row in LAYERS for room, names in row.items() for name in names.split()}
HOMES = {"torch": ("rolo_bench.nn", "rolo_bench.trackers"), "matplotlib": ("rolo_bench.plots",)}


def sources() -> dict[str, Path]:
    """Every module that ships, by its name as installed."""
    found = {}
    for top in ("rolo_bench", "datasets", "trackers"):
        for path in (ROOT / top).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            found[".".join(parts if top == "rolo_bench" else (FACE, *parts))] = path
    return found


def room(module: str) -> str:
    """The room of a module; a KeyError is a module without one."""
    name = module.removeprefix(f"{FACE}.")
    return ROOM_OF[".".join(name.split(".")[:2]) if name.startswith("nn.") else name.split(".")[0]]


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """What is imported anywhere in a tree: module, and name in it or nothing."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((a.name, "") for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, "imports are absolute"
            yield from ((node.module, a.name) for a in node.names)


def at_run_time(tree: ast.Module) -> ast.Module:
    """A module less what only type checkers read."""
    body = [n for n in tree.body if not (isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")]
    return ast.Module(body, [])


MODULES = sources()
TREES = {m: ast.parse(p.read_text(encoding="utf-8")) for m, p in MODULES.items()}
GRAPH = {
    module: {f"{m}.{n}" if f"{m}.{n}" in MODULES else m for m, n in imported(tree)}
    & MODULES.keys() - {module}
    for module, tree in TREES.items()
    if module != FACE
}


def test_no_circle():
    TopologicalSorter(GRAPH).prepare()


@pytest.mark.parametrize("module", sorted(GRAPH.keys() - {f"{FACE}.nn"}))
def test_imports_go_downward(module):
    for other in GRAPH[module]:
        lower = FLOOR[room(other)] < FLOOR[room(module)]
        assert room(other) == room(module) or lower, f"{module} imports {other}"


def test_the_face_is_nobodys_ground():
    assert [m for m, others in GRAPH.items() if FACE in others] == []


def test_few_modules_stand_at_the_top_and_nn_has_four_rooms():
    assert len(list((ROOT / "rolo_bench").glob("*.py"))) <= 13
    inside = {p.name for p in (ROOT / "rolo_bench" / "nn").iterdir() if p.name != "__pycache__"}
    assert inside == {"__init__.py", "detect", "rolo", "plus", "train"}


@pytest.mark.parametrize("library", HOMES)
def test_heavy_libraries_have_a_home(library):
    guests = {
        module
        for module, tree in TREES.items()
        if any(m.split(".")[0] == library for m, _ in imported(at_run_time(tree)))
    }
    assert {m for m in guests if not m.startswith(HOMES[library])} == set()
