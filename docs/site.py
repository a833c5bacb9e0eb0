"""What the site holds beside the pages of this folder; ``mkdocs build`` calls it (mkdocs.yml).

The README is its first page. The tutorial is executed when the site is built. From the code come a page for each
scoring convention, one for each package and one for the commands, so that none can be forgotten. A built page that
would load anything from elsewhere is an error.
"""

from __future__ import annotations

import atexit
import base64
import re
import shutil
import sys
import tempfile
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import click
import numpy as np

from rolo_bench.cli import cli
from rolo_bench.scores.conventions import CONVENTIONS, Convention, mean_rate

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.typecheck import sources  # noqa: E402  (which file is installed where)

LINK = r"\]\((?!https?:|#)([^)\s]+)\)"
LATE = "---\nsearch: {boost: 0.05}\n---\n\n"  # the search finds guides first
WITHOUT_API = ("rolo_bench.cli", "rolo_bench.published")  # described by their commands; data alone


# -- pages -------------------------------------------------------------------------------------------------------


def pages() -> dict[str, str]:
    """Every page that is made from something else than a file of this folder: its place, its Markdown."""
    made = {
        "index.md": "---\nhide: navigation\n---\n\n"
        + moved((ROOT / "README.md").read_text(encoding="utf-8")),
        "contributing.md": moved((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")),
        "changelog.md": moved((ROOT / "CHANGELOG.md").read_text(encoding="utf-8")),
        "commands.md": LATE + "# Commands\n\n" + command_help(cli, "rolo-bench", 2),
    }
    made |= {f"conventions/{name}.md": convention_page(c) for name, c in CONVENTIONS.items()}
    return made | {f"api/{name}.md": package_page(name, modules) for name, modules in packages().items()}


def moved(text: str) -> str:
    """A page of the root as one of the site: its links lead to pages, and so does that to the notebook."""
    other = {
        "docs/tutorial.ipynb": "tutorial.md",
        "CONTRIBUTING.md": "contributing.md",
        "CHANGELOG.md": "changelog.md",
    }
    text = re.sub(LINK, lambda m: f"]({other.get(m[1], m[1].removeprefix('docs/'))})", text)
    return re.sub(r"\[docs/([\w-]+)\.\w+\]", r"[\1]", text)


def command_help(command: click.Command, name: str, level: int) -> str:
    """The help of a command and of all below it, a heading each."""
    context = click.Context(command, info_name=name, terminal_width=80, help_option_names=["-h", "--help"])
    text = f"{'#' * level} {name}\n\n```text\n{command.get_help(context)}\n```\n\n"
    if isinstance(command, click.Group):
        for word in command.list_commands(context):
            below = command.get_command(context, word)
            assert below is not None
            text += command_help(below, f"{name} {word}", min(level + 1, 3))
    return text


def packages() -> dict[str, list[str]]:
    """The modules of each package, by the order of setup.cfg."""
    found: dict[str, list[str]] = {}
    for place in sources(ROOT):
        *parents, name = place.with_suffix("").parts
        if place.suffix == ".py" and not name.startswith("__"):
            found.setdefault(".".join(parents), []).append(".".join([*parents, name]))
    return {p: sorted(modules) for p, modules in found.items() if p not in WITHOUT_API}


def package_page(name: str, modules: list[str]) -> str:
    """The page of one package: what its docstrings say."""
    head = f"{LATE}# {name}\n\n::: {name}\n    options: {{members: false, show_root_heading: false}}\n"
    return "\n".join([head, *(f"::: {module}\n" for module in modules)])


# -- conventions -------------------------------------------------------------------------------------------------


def convention_texts() -> dict[str, str]:
    """What docs/conventions.md says of each convention under the heading that names it."""
    text = (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8")
    found = {}
    for heading, body in re.findall(r"^### ([^\n]+)\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE):
        found |= {name: body.strip() for name in heading.split(", ") if name in CONVENTIONS}
    return found


def differences(name: str) -> list[tuple[str, str]]:
    """The row of a convention in the table of docs/conventions.md, as heading and cell."""
    lines = (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8").splitlines()
    head = next(line for line in lines if line.startswith("| convention |"))
    row = next((line for line in lines if line.startswith(f"| `{name}` |")), "")
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (head, row)]
    return list(zip(*cells))[1:]


def convention_page(convention: Convention) -> str:
    """One convention: its rule, its text, where it differs, what it makes of an example, its function."""
    name = convention.name
    facts = [
        ("official for", ", ".join(convention.suites) or "no data set"),
        ("source", convention.source),
        ("column `auc` holds", convention.headline),
        (
            "frames per second",
            "mean of 1/t" if convention.fps is mean_rate else "updates divided by their time",
        ),
        ("a mean weighs", "each frame alike" if convention.pooled else "each sequence alike"),
        *differences(name),
    ]
    text = re.sub(LINK, r"](../\1)", convention_texts().get(name, ""))
    shown = [CONVENTIONS["otb"], convention] if name != "otb" else [convention]
    parts = [
        f"# {name}\n\n*{convention.rule}.*",
        text,
        f"`rolo-bench score --convention {name}` scores by it; [what all share](../conventions.md).",
        f"## In short\n\n| | {name} |\n|---|---|\n" + "\n".join(f"| {k} | {v} |" for k, v in facts),
        "## On eight frames\n\n" + example(shown),
        f"## In the code\n\n::: rolo_bench.scores.conventions.{convention.curves.__name__}\n"
        "    options: {heading_level: 3}",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def example(conventions: list[Convention]) -> str:
    """Eight frames on which conventions part, and their scores as a table."""
    true = [20.0, 20.0, 40.0, 40.0]
    truth = np.array([true] * 6 + [[-5.0, 20, 40, 40], [np.nan] * 4])
    boxes = np.array([[22.0, 20, 40, 40], true, [30, 20, 40, 40], [45.4, 20, 40, 40], [np.nan] * 4, [20, 20, 40, 0],
                      [-5, 20, 40, 40], true])  # fmt: skip
    extra = {"absent": np.isnan(truth).any(axis=1), "size": (320, 240)}
    text = (
        "The target stands at 20, 20 with sides of 40; in frame 7 it reaches over the left edge, in frame 8 it is not "
        "there. The tracker's first box is off by 2 pixels, its second exact, its third and fourth are off by 10 and "
        "25.4; then it says nothing, gives a box without height, is exact, and gives a box where no target is.\n\n"
        "| convention | headline | precision at 20 px | mean overlap | failures |\n|---|---:|---:|---:|---:|\n"
    )
    for c in conventions:
        curves = c.score(boxes, truth, **extra)
        precision = "none" if np.isnan(curves.precision20) else f"{curves.precision20:.3f}"
        text += (
            f"| `{c.name}` | {curves.auc:.3f} | {precision} | {curves.mean_iou:.3f} | {curves.failures} |\n"
        )
    return text


def without_sections(text: str) -> str:
    """docs/conventions.md as the site has it: each convention's section is a page of its own."""
    for heading in re.findall(r"^### ([^\n]+)$", text, re.MULTILINE):
        if set(heading.split(", ")) <= set(CONVENTIONS):
            text = re.sub(rf"^### {re.escape(heading)}\n.*?(?=^##)", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"^\| `([\w-]+)` \|(?=.*[>≥])", r"| [`\1`](conventions/\1.md) |", text, flags=re.MULTILINE)


# -- the tutorial ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def executed(notebook: str) -> tuple[str, dict[str, bytes]]:
    """A notebook run from top to bottom, as Markdown and the pictures in it; a cell that fails raises."""
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.reads(notebook, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        quiet = ["--log-level=ERROR"]  # it warns of its own connection, which stays on this machine
        there = {"metadata": {"path": folder}}
        NotebookClient(book, extra_arguments=quiet, timeout=300, resources=there).execute()
    parts, pictures = [], {}
    for cell in book.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" in data:
                name = f"tutorial/{len(pictures) + 1}.png"
                pictures[name] = base64.b64decode(data["image/png"])
                parts.append(f"![What the cell draws]({name})")
            elif "text/html" in data:
                table = re.sub(r"<table[^>]*>", "<table>", "".join(data["text/html"].splitlines()))
                parts.append(f'<div class="output">{table}</div>')
            else:
                parts.append(f"```text\n{(output.get('text') or data.get('text/plain', '')).rstrip()}\n```")
    return "\n\n".join(parts) + "\n", pictures


# -- what mkdocs calls -------------------------------------------------------------------------------------------


def on_config(config: Any) -> Any:
    """The generated pages take their places in the menu; mkdocstrings reads the packages as they are installed."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    for target, source in sources(ROOT).items():
        (Path(folder) / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, Path(folder) / target)
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [folder]
    menu = {title: entries for tab in config.nav for title, entries in tab.items()}
    menu["Measuring"] += [{name: f"conventions/{name}.md"} for name in CONVENTIONS]
    menu["Code"].append({"API": [{name: f"api/{name}.md"} for name in packages()]})
    return config


on_config.mkdocs_priority = 100  # type: ignore[attr-defined]  # before mkdocstrings looks where to read


def on_files(files: Any, config: Any) -> Any:
    """Adds what is made here to what lies in the folder."""
    from mkdocs.structure.files import File

    text, pictures = executed((ROOT / "docs" / "tutorial.ipynb").read_text(encoding="utf-8"))
    for place, content in {**pages(), "tutorial.md": text, **pictures}.items():
        files.append(File.generated(config, place, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to built-in trackers lead to their page; conventions leave their sections to theirs."""
    markdown = re.sub(
        r"\]\(\.\./trackers/(\w+)\.py\)", r"](api/rolo_bench.trackers.md#rolo_bench.trackers.\1)", markdown
    )
    return without_sections(markdown) if page.file.src_uri == "conventions.md" else markdown


def on_page_content(html: str, **_: Any) -> str:
    """Options in code stay in one piece where a line is broken."""
    return re.sub(r"(?<=[\s>])--[a-z][\w-]*", r'<span class="option">\g<0></span>', html)


class Loads(HTMLParser):
    """Collects what a page loads from another place when it is opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Sources and style sheets; a link that a reader clicks loads nothing."""
        given = dict(attrs)
        wanted = given.get("src") or (
            given.get("href") if tag == "link" and given.get("rel") != "canonical" else ""
        )
        if wanted and re.match(r"(https?:)?//", wanted):
            self.found.append(wanted)


def on_post_build(config: Any) -> None:
    """Every page of the site, once more: it loads nothing from elsewhere."""
    from mkdocs.exceptions import Abort

    for page in sorted(Path(config.site_dir).rglob("*.html")):
        if found := Loads(page.read_text(encoding="utf-8")).found:
            raise Abort(f"{page.relative_to(config.site_dir)} loads {', '.join(found)}")
