"""The guides do what they print."""

import configparser
import importlib
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import click
import cv2
import pytest

import rolo_bench
from rolo_bench.cli import COMMANDS, cli, main
from rolo_bench.plots import FIGURES
from rolo_bench.scores.conventions import CONVENTIONS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").glob("*.md"))]


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """The words of each line after a prompt, or of each line where none has one."""
    lines = text.splitlines()
    return [shlex.split(line.removeprefix("$ "), comments=True) for line in lines if line.strip()]


def follow(lines: list[list[str]]) -> None:
    """Give every command in turn; each must succeed."""
    for words in lines:
        assert words[0] == "rolo-bench"
        assert main(words[1:]) == 0, words


@pytest.mark.slow
@pytest.mark.usefixtures("short_demo")
def test_plugin_guide_runs_as_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    guide = ROOT / "docs" / "plugins.md"
    code, call, program = blocks(guide, "python")
    Path("meanshift.py").write_text(code)
    Path("hold.py").write_text(program)
    lines = commands("".join(blocks(guide, "console")))
    assert len(lines) == 6
    follow(lines)
    assert "meanshift-32" in capsys.readouterr().out
    monkeypatch.syspath_prepend(tmp_path)
    names: dict = {}
    exec(call, names)  # the same file and options as on the command line: nothing to do again
    assert {o.what for o in names["outcomes"]} == {"skipped"}


@pytest.mark.slow
@pytest.mark.usefixtures("short_demo")
def test_first_screen_of_the_readme_works_as_typed(tmp_path, monkeypatch, capsys):
    """From an empty folder: a new tracker is scored, an own video tracked, and the example in Python runs."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## ")[0]
    setup, *typed = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    tracker, example = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert "pip install -c constraints.txt . &&" in setup
    Path("mine.py").write_text(tracker, encoding="utf-8")
    film = cv2.VideoWriter("walk.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 25, (320, 240))
    frames = rolo_bench.load_suite("demo", only=("WalkerStreet",)).sequences[0].frames
    for k in range(20):
        film.write(cv2.cvtColor(frames.image(k), cv2.COLOR_RGB2BGR))
    film.release()
    lines = commands("".join(typed))
    assert len(setup.split("&&")) + len(lines) <= 10
    follow(lines)
    assert "mine" in capsys.readouterr().out and Path("walk-mosse.mp4").is_file()
    assert len([line for line in example.splitlines() if line]) == 3
    exec(example, {})
    assert "mosse" in capsys.readouterr().out


def test_completion_is_turned_on_as_the_readme_says():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    variable, shell = re.search(r"\$\((_\w+)=(\w+) rolo-bench\)", text).groups()
    words = {variable: shell.replace("source", "complete"), "COMP_WORDS": "rolo-bench sco", "COMP_CWORD": "1"}
    call = [sys.executable, "-m", "rolo_bench"]
    done = subprocess.run(call, env=os.environ | words, capture_output=True, text=True, check=True)
    assert done.stdout == "plain,score\n"


@pytest.mark.slow
def test_guide_to_own_data_runs_as_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    guide = ROOT / "docs" / "own-data.md"
    (program,) = blocks(guide, "python")
    _, table = blocks(guide, "text")
    exec(program, {})
    Path("halves.csv").write_text(table, encoding="utf-8")
    follow(commands("".join(blocks(guide, "console"))))
    assert Path("slide.png").is_file() and "OCC" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("short_demo")
def test_guide_to_own_detector_runs_as_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    guide = ROOT / "docs" / "own-detector.md"
    (program,) = blocks(guide, "python")
    typed, _ = blocks(guide, "console")
    Path("red.py").write_text(program, encoding="utf-8")
    follow(commands(typed))
    assert "yolo-red" in capsys.readouterr().out


def test_every_command_that_a_page_prints_exists_with_its_options():
    for page in (p for p in PAGES if p.name != "CHANGELOG.md"):  # which also tells of options that are gone
        text = page.read_text(encoding="utf-8")
        printed = re.findall(r"^(?: {4}|\$ )?(rolo-bench .*)$", text, re.MULTILINE)
        printed += re.findall(r"`(rolo-bench [^`]+)`", text)
        for line in printed:
            words = shlex.split(re.sub(r"\s+", " ", line).partition("…")[0], comments=True)[1:]
            command, names = cli, {"--help", "--version"}
            while isinstance(command, click.Group) and words and not words[0].startswith("-"):
                command = command.get_command(click.Context(command), words.pop(0))
                assert command, f"{page.name}: {line}"
            for parameter in command.params:
                names |= {*parameter.opts, *parameter.secondary_opts}
            unknown = {w.partition("=")[0] for w in words if re.match(r"--?[a-z]", w)} - names
            assert not unknown, f"{page.name}: {line}"


def test_contrib_is_laid_over_the_same_release_of_opencv():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert len(set(re.findall(r"^opencv-(?:contrib-)?python==(.*)$", text, re.MULTILINE))) == 1


def test_every_guide_stands_in_the_menu_and_in_the_readme():
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert f" {page.name}" in menu, page.name
        assert f"](docs/{page.name})" in readme, page.name


def test_links_between_documents_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http://", "https://", "mailto:")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_site_has_a_page_for_each_convention_with_a_text_of_its_own():
    made = runpy.run_path(str(ROOT / "docs" / "site.py"))
    texts = made["convention_texts"]()
    for name, convention in CONVENTIONS.items():
        page = made["pages"]()[f"conventions/{name}.md"]
        assert texts[name] and texts[name][:40] in page, f"docs/conventions.md has no section {name}"
        assert len(made["differences"](name)) == 6, f"the table of docs/conventions.md has no row {name}"
        assert convention.rule in page and convention.source in page
        module, _, function = re.findall(r"^::: (\S+)", page, re.MULTILINE)[0].rpartition(".")
        assert getattr(importlib.import_module(module), function) is convention.curves
    menu = made["without_sections"]((ROOT / "docs" / "conventions.md").read_text(encoding="utf-8"))
    assert "### otb" not in menu and "](conventions/rolo2016.md)" in menu


def test_the_site_describes_every_package_and_every_command():
    made = runpy.run_path(str(ROOT / "docs" / "site.py"))
    described = "".join(made["pages"]().values())
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    for package in set(setup["options"]["packages"].split()) - set(made["WITHOUT_API"]) - {"rolo_bench.nn"}:
        assert f"# {package}\n" in described, package
    for command in (*COMMANDS, "plot success", "train tracker"):
        assert f"# rolo-bench {command}\n" in described, command


def test_every_picture_of_the_gallery_is_shown_and_made_by_its_one_command():
    shown = re.findall(r"\]\(gallery/([\w.-]+)\)", (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8"))
    program = (ROOT / "docs" / "gallery" / "make.py").read_text(encoding="utf-8")
    assert sorted(shown) == sorted(
        p.name for p in (ROOT / "docs" / "gallery").iterdir() if p.suffix in (".png", ".jpg")
    )
    for name in shown:
        assert Path(name).stem in FIGURES or f'"{name}"' in program, name


def test_the_same_pythons_are_promised_and_checked():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    promised = re.findall(r"Python :: (3\.\d+)", setup["metadata"]["classifiers"])
    workflow = (ROOT / ".github" / "workflows" / "checks.yml").read_text(encoding="utf-8")
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    assert re.findall(r'"(3\.\d+)"', workflow) == promised
    assert re.findall(r"py(3)(\d+)", tox["tox"]["envlist"]) == [tuple(v.split(".")) for v in promised]


def test_what_a_page_loads_is_told_from_what_it_links_to():
    loads = runpy.run_path(str(ROOT / "docs" / "site.py"))["Loads"]
    there = "https://example.org/"
    assert loads(f'<a href="{there}">a</a><img src="x.png"><link rel="canonical" href="{there}">').found == []
    assert loads(f'<img src="{there}a"><script src="//b"></script><link rel="icon" href="{there}c">').found == [
        there + "a", "//b", there + "c"
    ]  # fmt: skip


def test_the_version_stands_in_one_place():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    version = setup["metadata"]["version"]
    assert rolo_bench.__version__ == version
    assert f"\n## {version} (" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for path in (*ROOT.glob("*.cff"), *ROOT.glob("*.toml"), ROOT / "README.md", ROOT / "mkdocs.yml"):
        assert version not in path.read_text(encoding="utf-8"), path.name


def test_every_place_that_names_ruff_names_the_tested_one():
    pin = re.search(r"^ruff==.*$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)[0]
    named = re.findall(r"ruff==[\d.]+", (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert named and set(named) == {pin}


def test_no_machine_paths_in_the_documents():
    for page in PAGES:
        assert not re.search(r"(^|[\s\"'(])/(work|root|home/\w+)/", page.read_text(encoding="utf-8")), (
            page.name
        )


def test_names_in_prose_are_those_of_the_code():
    """Every `rolo_bench.…` in backquotes, in documents and docstrings, leads somewhere."""
    pages = [p for p in PAGES if p.name != "CHANGELOG.md"]  # which also tells of names that are gone
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
