"""`rolo-bench plot`: figures from the results store."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rolo_bench import plots
from rolo_bench.cli.options import (
    Whole,
    console,
    convention_option,
    label_option,
    labelled,
    published_option,
    say,
    scored_options,
    stored_options,
    together,
)
from rolo_bench.errors import DataError, UsageError, find_name
from rolo_bench.plots.style import STYLES, Form
from rolo_bench.project import read_project

if TYPE_CHECKING:
    import pandas as pd

    from rolo_bench.plots.figure import Shown
    from rolo_bench.scores.scored import Scored

UNITS = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4, "pt": 1 / 72.27, "": 1.0}
"""Inches; a point is TeX's, in which a document says how wide its column is."""
PAGE = ("width", "height", "font", "title", "no_title", "note", "grid", "style")


class Length(click.ParamType):
    """A length such as ``3.3in``, ``84mm``, ``8.4cm`` or ``240pt``, in inches."""

    name = "length"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Inches."""
        found = re.fullmatch(r"(\d+\.?\d*|\.\d+) *(in|cm|mm|pt|)", str(value).strip().lower())
        inches = float(found[1]) * UNITS[found[2]] if found else 0.0
        if not 0.5 <= inches <= 60:
            self.fail(
                f"{value!r} is not a length from 0.5in to 60in; write 3.3in, 84mm, 8.4cm or 240pt.",
                param,
                ctx,
            )
        return inches


file_options = together(
    click.option(
        "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", multiple=True,
        help="File to write, .png, .pdf or .svg; repeat for several [default: figures/NAME.png].",
    ),
    click.option(
        "--dpi", type=Whole(10, 2400), default=150, show_default=True, help="Resolution of a .png."
    ),
    click.option(
        "--width", type=Length(), metavar="LENGTH",
        help="Width of the whole figure, such as 3.3in, 84mm, 8.4cm or 240pt; the legend then stands below, and all "
        "figures of one width have axes of one size [default: what it needs].",
    ),
    click.option(
        "--height", type=Length(), metavar="LENGTH", help="Height of the whole figure [default: what it needs]."
    ),
    click.option(
        "--font-size", "font", type=click.FloatRange(3, 40), metavar="POINTS",
        help="Size of labels; ticks, legend and notes go with it, down to 6 [default: 9; 8 with --width].",
    ),
    click.option("--title", metavar="TEXT", help="Title in place of the figure's own."),
    click.option("--no-title", is_flag=True, help="No title and no line under it: they are printed, for a caption."),
    click.option("--note/--no-note", default=True, help="Notes below; without them they are printed, for a caption."),
    click.option("--grid/--no-grid", default=True, help="Lines behind the curves."),
    click.option(
        "--style", type=click.Choice(list(STYLES)), default="screen", show_default=True,
        help="paper: the Times-like STIX fonts that come with matplotlib; no TeX is needed.",
    ),
)  # fmt: skip
figure_options = together(
    stored_options(None),
    scored_options,
    convention_option,
    published_option,
    click.option("--numbers", is_flag=True, help="Write the numbers behind the figure beside it, as CSV."),
    file_options,
    label_option,
    click.option(
        "--order", metavar="NAME,…", help="Trackers that come first, in this order; the others follow by rank."
    ),
    click.option("--highlight", metavar="NAME,…", help="Trackers in thick lines on top, named in bold."),
)  # fmt: skip


def _form(no_title: bool, title: str | None, **page: Any) -> Form:
    """How a figure is set, as the options say and, for names and colours, the project file."""
    project = read_project()
    if title == "":
        raise UsageError("--title needs a text; --no-title leaves it out")
    return Form(title="" if no_title else title, labels=project.labels, colours=project.colours, **page)


def _named(
    form: Form, found: Scored, labels: tuple[tuple[str, str], ...], order: str | None, highlight: str | None
) -> Form:  # fmt: skip
    """A form with the names, order and highlights that were asked for, each of a tracker that is there."""
    known = list(dict.fromkeys(found.scores["tracker"]))

    def names(text: str | None) -> tuple[str, ...]:
        return tuple(find_name("tracker", n.strip(), known) for n in (text or "").split(",") if n.strip())

    return replace(form, labels=labelled(labels, known), order=names(order), highlight=names(highlight))


@click.group(epilog="Example: rolo-bench plot success --suite demo")
def plot() -> None:
    """Draw success, precision, speed and other figures."""


def _write(figure: Shown, paths: tuple[Path, ...], dpi: int, table: pd.DataFrame | None) -> None:
    """Write a figure and, where there is a table, its numbers beside the first file; print what it leaves out."""
    from rolo_bench.files import write_atomic
    from rolo_bench.scores.tables import render

    for path in paths:
        click.echo(plots.save(figure, path, dpi))
    if table is not None:
        target = paths[0].with_suffix(".csv")
        write_atomic(target, render(table, "csv"))
        click.echo(target)
    for line in filter(None, figure.left_out):
        say(f"for the caption: {line}")


def _add(name: str, help_: str) -> None:
    @click.command(
        name=name, help=help_, epilog=f"Example: rolo-bench plot {name} --suite demo --width 3.3in"
    )
    @figure_options
    def command(
        published: bool, numbers: bool, output: tuple[Path, ...], dpi: int, labels: tuple[tuple[str, str], ...],
        order: str | None, highlight: str | None, **rest: Any,
    ) -> None:  # fmt: skip
        form, found = _load(rest, labels, order, highlight)
        figure, table = plots.draw(name, found, published, form)
        _write(figure, output or (Path("figures") / f"{name}.png",), dpi, table if numbers else None)
        for note in found.scores.attrs["notes"]:
            say(note)

    plot.add_command(command)


def _load(
    rest: dict[str, Any], labels: tuple[tuple[str, str], ...], order: str | None, highlight: str | None
) -> tuple[Form, Scored]:
    """Form and scores from the options of a figure."""
    from rolo_bench.scores.scored import load_scores

    form = _form(**{k: rest.pop(k) for k in PAGE})
    found = load_scores(**rest)
    return _named(form, found, labels, order, highlight), found


for _name, _help in plots.FIGURES.items():
    _add(_name, _help)


@plot.command(name="all", epilog="Example: rolo-bench plot all --suite demo --folder figures")
@figure_options
@click.option(
    "--folder", default="figures", show_default=True, type=click.Path(path_type=Path), metavar="DIR",
    help="Folder for the figures.",
)  # fmt: skip
def all_(
    folder: Path, published: bool, numbers: bool, output: tuple[Path, ...], dpi: int,
    labels: tuple[tuple[str, str], ...], order: str | None, highlight: str | None, **rest: Any,
) -> None:  # fmt: skip
    """Every figure that can be drawn from the results, as PNG (or as the endings of -o say)."""
    form, found = _load(rest, labels, order, highlight)
    drawn, reasons = plots.draw_all(found, published, form)
    for name, (figure, table) in drawn.items():
        paths = tuple(folder / f"{name}{path.suffix}" for path in output or (Path("x.png"),))
        _write(figure, paths, dpi, table if numbers else None)
    for name, reason in reasons.items():
        console.print(f"{name}: left out: {reason}", markup=False)


@plot.command(epilog="Example: rolo-bench plot steps results/study/steps.csv")
@click.argument("table", type=click.Path(path_type=Path), default=Path("results/study/steps.csv"))
@click.option("--subtitle", default="", metavar="TEXT", help="Suite, sequences and convention of the table.")
@click.option("--device", default="", metavar="TEXT", help="What the speeds were measured on.")
@click.option("--no-paper", is_flag=True, help="Leave out the paper's own numbers.")
@click.option("--numbers", is_flag=True, help="Write the numbers behind the figure beside it, as CSV.")
@file_options
def steps(
    table: Path, subtitle: str, device: str, no_paper: bool, output: tuple[Path, ...], dpi: int, numbers: bool,
    **page: Any,
) -> None:  # fmt: skip
    """Mean IoU and speed over step size (figure 6 of the paper), from a table of `rolo-bench study steps`."""
    from rolo_bench.scores import published

    frame = _read_csv(table, "make it with `rolo-bench study steps`")
    paper = None if no_paper else published.steps()
    figure = plots.steps(frame, paper, subtitle, device, form=_form(**page))
    both = plots.steps_table(frame, paper) if numbers else None
    _write(figure, output or (Path("figures/steps.png"),), dpi, both)


@plot.command(epilog="Example: rolo-bench plot curves training/curves.csv -o curves.png")
@click.argument("table", type=click.Path(path_type=Path))
@file_options
def curves(table: Path, output: tuple[Path, ...], dpi: int, **page: Any) -> None:
    """Training curves from a CSV: first column step or epoch, then losses and scores."""
    frame = _read_csv(table, "training writes one beside its checkpoint")
    figure = plots.curves(frame, subtitle=table.name, form=_form(**page))
    _write(figure, output or (Path("figures/curves.png"),), dpi, None)


def _read_csv(path: Path, hint: str) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_csv(path, comment="#")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; {hint}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {hint}") from None
    except ValueError as error:
        raise DataError(
            f"{path}: not a readable CSV table ({str(error).splitlines()[0][:80]}); {hint}"
        ) from None
