"""The guides do what they print."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from rolo_bench.cli import main

ROOT = Path(__file__).resolve().parents[1]


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
def test_plugin_guide_runs_as_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    guide = ROOT / "docs" / "plugins.md"
    code, call, program = blocks(guide, "python")
    Path("meanshift.py").write_text(code)
    Path("hold.py").write_text(program)
    lines = [
        line[2:] for block in blocks(guide, "console") for line in block.splitlines() if line.startswith("$ ")
    ]
    assert len(lines) == 6
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "rolo-bench"
        assert main(words[1:]) == 0, line
    assert "meanshift-32" in capsys.readouterr().out
    monkeypatch.syspath_prepend(tmp_path)
    names: dict = {}
    exec(call, names)  # the same file and options as on the command line: nothing to do again
    assert {o.what for o in names["outcomes"]} == {"skipped"}


def test_links_between_documents_lead_somewhere():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http://", "https://", "mailto:")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_no_machine_paths_in_the_documents():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]:
        assert not re.search(r"(^|[\s\"'(])/(work|root|home/\w+)/", page.read_text(encoding="utf-8")), (
            page.name
        )


def test_names_in_prose_are_those_of_the_code():
    """Every `rolo_bench.…` in backquotes, in documents and docstrings, leads somewhere."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    pages += [p for top in ("rolo_bench", "datasets", "trackers") for p in (ROOT / top).rglob("*.py")]
    for page in pages:
        for name in re.findall(r"`(rolo_bench(?:\.\w+)+)`", page.read_text(encoding="utf-8")):
            found, rest = resolve(name)
            for part in rest:
                found = getattr(found, part, None) or getattr(found, "__annotations__", {}).get(part)
            assert found is not None, f"{page.name}: {name}"


def resolve(name: str) -> tuple[object, list[str]]:
    """The module that a dotted name begins with, and the parts that are left of the name."""
    parts = name.split(".")
    for k in range(len(parts), 0, -1):
        try:
            return importlib.import_module(".".join(parts[:k])), parts[k:]
        except ImportError:
            continue
    return None, []
