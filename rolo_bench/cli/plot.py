"""`rolo-bench plot`: figures from the results store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rolo_bench import plots
from rolo_bench.cli.options import (
    console,
    convention_option,
    exclude_option,
    published_option,
    stored_options,
    together,
)
from rolo_bench.errors import DataError, UsageError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NUMBERS = "\0numbers"
file_options = together(
    click.option(
        "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", multiple=True,
        help="File to write, .png, .pdf or .svg; repeat for several [default: figures/NAME.png].",
    ),
    click.option("--dpi", default=150, show_default=True, help="Resolution of a .png."),
)  # fmt: skip
figure_options = together(
    stored_options(
        None,
        click.option(
            "--data", multiple=True, is_flag=False, flag_value=NUMBERS, metavar="[DIR]",
            help="Folder of the videos, for the truth. Without DIR, or with a .csv file: write the numbers behind "
            "the figure, as --numbers does.",
        ),
    ),
    exclude_option,
    convention_option,
    published_option,
    click.option("--numbers", is_flag=True, help="Write the numbers behind the figure beside it, as CSV."),
    file_options,
)  # fmt: skip


def _split_data(data: tuple[str, ...]) -> tuple[str | None, bool, Path | None]:
    """Folder of the videos, whether numbers are wanted, and the file for them."""
    folders = [d for d in data if d != NUMBERS and not d.endswith(".csv")]
    files = [Path(d) for d in data if d.endswith(".csv")]
    if len(folders) > 1 or len(files) > 1:
        raise UsageError("--data names one folder of videos and one .csv at most")
    return (folders[0] if folders else None), len(folders) < len(data), (files[0] if files else None)


@click.group(epilog="Example: rolo-bench plot success --suite demo")
def plot() -> None:
    """Draw success, precision, speed and other figures."""


def _write(
    figure: Figure, paths: tuple[Path, ...], dpi: int, table: pd.DataFrame | None, target: Path | None = None
) -> None:
    """Write a figure and, where there is a table, its numbers: to ``target``, else beside the first file."""
    from rolo_bench.files import write_atomic
    from rolo_bench.scores.tables import render

    for path in paths:
        click.echo(plots.save(figure, path, dpi))
    if table is not None:
        target = target or paths[0].with_suffix(".csv")
        write_atomic(target, render(table, "csv"))
        click.echo(target)


def _add(name: str, help_: str) -> None:
    @click.command(name=name, help=help_, epilog=f"Example: rolo-bench plot {name} --suite demo")
    @figure_options
    def command(
        data: tuple[str, ...],
        published: bool,
        numbers: bool,
        output: tuple[Path, ...],
        dpi: int,
        **stored: Any,
    ) -> None:
        from rolo_bench.scores.scored import load_scores

        folder, wanted, target = _split_data(data)
        found = load_scores(data=folder, **stored)
        figure, table = plots.draw(name, found, published)
        paths = output or (Path("figures") / f"{name}.png",)
        _write(figure, paths, dpi, table if wanted or numbers else None, target)
        for note in found.scores.attrs["notes"]:
            console.print(note, markup=False)

    plot.add_command(command)


for _name, _help in plots.FIGURES.items():
    _add(_name, _help)


@plot.command(name="all", epilog="Example: rolo-bench plot all --suite demo --folder figures")
@figure_options
@click.option(
    "--folder", default="figures", show_default=True, type=click.Path(path_type=Path), metavar="DIR",
    help="Folder for the figures.",
)  # fmt: skip
def all_(
    folder: Path, data: tuple[str, ...], published: bool, numbers: bool, output: tuple[Path, ...], dpi: int,
    **stored: Any,
) -> None:  # fmt: skip
    """Every figure that can be drawn from the results, as PNG (or as the endings of -o say)."""
    from rolo_bench.scores.scored import load_scores

    videos, wanted, _ = _split_data(data)
    drawn, reasons = plots.draw_all(load_scores(data=videos, **stored), published)
    for name, (figure, table) in drawn.items():
        paths = tuple(folder / f"{name}{path.suffix}" for path in output or (Path("x.png"),))
        _write(figure, paths, dpi, table if wanted or numbers else None)
    for name, reason in reasons.items():
        console.print(f"{name}: left out: {reason}", markup=False)


@plot.command(epilog="Example: rolo-bench plot steps results/study/steps.csv")
@click.argument("table", type=click.Path(path_type=Path), default=Path("results/study/steps.csv"))
@click.option("--subtitle", default="", metavar="TEXT", help="Suite, sequences and convention of the table.")
@click.option("--device", default="", metavar="TEXT", help="What the speeds were measured on.")
@click.option("--no-paper", is_flag=True, help="Leave out the paper's own numbers.")
@file_options
@click.option(
    "--data", "--numbers", "numbers", is_flag=True, help="Write the numbers behind the figure as CSV."
)
def steps(
    table: Path, subtitle: str, device: str, no_paper: bool, output: tuple[Path, ...], dpi: int, numbers: bool
) -> None:
    """Mean IoU and speed over step size (figure 6 of the paper), from a table of `rolo-bench study steps`."""
    from rolo_bench.scores import published

    frame = _read_csv(table, "make it with `rolo-bench study steps`")
    paper = None if no_paper else published.steps()
    figure = plots.steps(frame, paper, subtitle, device)
    both = plots.steps_table(frame, paper) if numbers else None
    _write(figure, output or (Path("figures/steps.png"),), dpi, both)


@plot.command(epilog="Example: rolo-bench plot curves training/curves.csv -o curves.png")
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--title", default="Training", show_default=True, help="Title of the figure.")
@file_options
def curves(table: Path, title: str, output: tuple[Path, ...], dpi: int) -> None:
    """Training curves from a CSV: first column step or epoch, then losses and scores."""
    frame = _read_csv(table, "training writes one beside its checkpoint")
    figure = plots.curves(frame, title, table.name)
    _write(figure, output or (Path("figures/curves.png"),), dpi, None)


def _read_csv(path: Path, hint: str) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_csv(path, comment="#")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; {hint}") from None
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: not a readable CSV table ({str(error).splitlines()[0][:80]}); {hint}"
        ) from None
