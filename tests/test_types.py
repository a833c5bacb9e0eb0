"""The type check reads what ships: all modules, also those that are mapped into the package."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.typecheck import check, sources

ROOT = Path(__file__).parents[1]


def test_every_module_is_installed_and_checked() -> None:
    """A folder that setup.cfg does not name would neither ship nor be checked."""
    trees = [p for folder in ("rolo_bench", "trackers", "datasets") for p in (ROOT / folder).rglob("*.py")]
    assert set(trees) <= set(sources(ROOT).values())
    assert Path("rolo_bench/py.typed") in sources(ROOT)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what ships."""
    for folder in ("rolo_bench", "trackers", "datasets", "results/published"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    return tmp_path


def test_plain_errors_in_mapped_folders_are_found(tree: Path) -> None:
    modules = {
        "trackers/static.py": "rolo_bench.trackers.static",
        "datasets/otb.py": "rolo_bench.datasets.otb",
    }
    # without what they import: it is read, too, by the check itself, but takes half a minute
    quick = ["--follow-imports=skip", *(word for module in modules.values() for word in ("-m", module))]
    assert check(tree, *quick).returncode == 0
    for path in modules:
        with (tree / path).open("a", encoding="utf-8") as file:
            file.write('\nWRONG: int = "no number"\n')
    found = check(tree, *quick)
    assert found.returncode == 1
    assert all(f"rolo_bench/{path}" in found.stdout for path in modules), found.stdout + found.stderr
    assert found.stdout.count("[assignment]") == 2
