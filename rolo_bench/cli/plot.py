"""`rolo-bench plot`: figures from the results store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rolo_bench.cli.options import (
    console,
    convention_option,
    partial_option,
    protocol_option,
    results_option,
    trackers_option,
)
from rolo_bench.errors import DataError, UsageError
from rolo_bench.scores.scored import Scored, load_scores

if TYPE_CHECKING:
    import pandas as pd


NUMBERS = "\0numbers"
FIGURES = (
    "success", "precision", "norm-precision", "fps", "speed", "attributes", "radar", "sequences", "ranks",
)  # fmt: skip


def figure_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that all figures share."""
    options = [
        click.option("--suite", metavar="NAME", help="Suite [default: the only one in the results]."),
        trackers_option,
        click.option(
            "--data", "data", multiple=True, is_flag=False, flag_value=NUMBERS, metavar="[DIR]",
            help="Folder of the videos, for the truth. Without DIR, or with a .csv file: write the numbers behind "
            "the figure, as --numbers does.",
        ),
        partial_option,
        results_option,
        protocol_option,
        convention_option,
        click.option("--published", is_flag=True, help="Add published numbers of the paper's nine trackers."),
        click.option("--numbers", is_flag=True, help="Write the numbers behind the figure beside it, as CSV."),
        click.option(
            "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", multiple=True,
            help="File to write, .png, .pdf or .svg; repeat for several [default: figures/NAME.png].",
        ),
        click.option("--dpi", default=150, show_default=True, help="Resolution of a .png."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


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


def _write(figure: Any, name: str, output: tuple[Path, ...], dpi: int) -> None:
    from rolo_bench.plots import save

    for path in output or (Path("figures") / f"{name}.png",):
        click.echo(save(figure, path, dpi))


def _write_numbers(table: pd.DataFrame, name: str, output: tuple[Path, ...], target: Path | None) -> None:
    from rolo_bench.files import write_atomic

    path = target or (output[0] if output else Path("figures") / f"{name}.png").with_suffix(".csv")
    write_atomic(path, table.to_csv(index=False, float_format="%.10g", lineterminator="\n"))
    click.echo(path)


def _make(name: str, found: Scored, published: bool) -> tuple[Any, pd.DataFrame]:
    """One figure and the table behind it."""
    from rolo_bench import plots

    scores, marks = found.scores, found.published
    key = name.replace("-", "_")
    if name == "success":
        return plots.success(scores, marks, _reference(scores) if published else None), plots.curve_table(
            scores
        )
    if name in ("precision", "norm-precision"):
        return getattr(plots, key)(scores, marks), plots.curve_table(scores, key)
    if name == "fps":
        speeds = _reference_speeds() if published else None
        return plots.fps(scores, marks, found.device, speeds), plots.fps_table(scores, speeds, marks)
    if name == "speed":
        return plots.speed(scores, marks, found.device), plots.speed_table(scores, marks)
    if name in ("attributes", "radar"):
        return getattr(plots, key)(scores, marks), plots.attribute_table(scores)
    if name == "sequences":
        return plots.sequences(scores, marks), plots.sequence_table(scores)
    return plots.ranks(scores, marks), plots.rank_table(scores)


def _reference(scores: pd.DataFrame) -> pd.DataFrame:
    from rolo_bench.scores import published as reference

    first = scores.iloc[0]
    if first["protocol"] != "ope" or first["convention"] not in reference.SAME_RULE:
        raise UsageError("published numbers stand beside OPE under the convention otb or otb-matlab only")
    rows = reference.published_summary(scores["sequence"])
    if rows.empty:
        raise UsageError(f"nothing is published for the sequences of {first['suite']}; leave --published out")
    return rows


def _reference_speeds() -> dict[str, float]:
    from rolo_bench.scores import published as reference

    table = reference.speeds()
    return {str(t): float(v) for t, v in zip(table["tracker"], table["fps"])}


def _add(name: str, help_: str) -> None:
    @click.command(name=name, help=help_, epilog=f"Example: rolo-bench plot {name} --suite demo")
    @figure_options
    def command(**o: Any) -> None:
        folder, numbers, target = _split_data(o["data"])
        found = load_scores(
            o["results"], o["suite"], o["trackers"], folder, o["partial"], o["protocol"], o["convention"]
        )
        figure, table = _make(name, found, o["published"])
        _write(figure, name, o["output"], o["dpi"])
        if numbers or o["numbers"]:
            _write_numbers(table, name, o["output"], target)
        for note in found.scores.attrs.get("notes", []):
            console.print(note, markup=False)

    plot.add_command(command)


for _name, _help in (
    ("success", "Share of frames above each overlap; ranked by AUC."),
    ("precision", "Share of frames within each centre error; ranked at 20 pixels."),
    ("norm-precision", "Precision with the error relative to the target's size."),
    ("fps", "Frames per second, log scale; the device is named."),
    ("speed", "AUC with its interval against frames per second."),
    ("attributes", "Success plots per challenge attribute."),
    ("radar", "AUC per challenge attribute on spokes."),
    ("sequences", "Heat table of AUC: sequences by trackers."),
    ("ranks", "Mean ranks with the critical difference."),
):
    _add(_name, _help)


@plot.command(name="all", epilog="Example: rolo-bench plot all --suite demo --folder figures")
@figure_options
@click.option(
    "--folder", default="figures", show_default=True, type=click.Path(path_type=Path), metavar="DIR",
    help="Folder for the figures.",
)  # fmt: skip
def all_(folder: Path, **o: Any) -> None:
    """Every figure that can be drawn from the results, as PNG (or as the endings of -o say)."""
    data, numbers, _ = _split_data(o["data"])
    kinds = [p.suffix for p in o["output"]] or [".png"]
    found = load_scores(
        o["results"], o["suite"], o["trackers"], data, o["partial"], o["protocol"], o["convention"]
    )
    for name in FIGURES:
        try:
            figure, table = _make(name, found, o["published"])
        except UsageError as error:
            console.print(f"{name}: left out: {error}", markup=False)
            continue
        paths = tuple(folder / f"{name}{kind}" for kind in kinds)
        _write(figure, name, paths, o["dpi"])
        if numbers or o["numbers"]:
            _write_numbers(table, name, paths, None)


@plot.command(epilog="Example: rolo-bench plot steps results/study/steps.csv")
@click.argument("table", type=click.Path(path_type=Path), default=Path("results/study/steps.csv"))
@click.option("--subtitle", default="", metavar="TEXT", help="Suite, sequences and convention of the table.")
@click.option("--device", default="", metavar="TEXT", help="What the speeds were measured on.")
@click.option("--no-paper", is_flag=True, help="Leave out the paper's own numbers.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", multiple=True,
    help="File to write, .png, .pdf or .svg; repeat for several [default: figures/NAME.png].",
)  # fmt: skip
@click.option("--dpi", default=150, show_default=True, help="Resolution of a .png.")
@click.option(
    "--data", "--numbers", "numbers", is_flag=True, help="Write the numbers behind the figure as CSV."
)
def steps(
    table: Path, subtitle: str, device: str, no_paper: bool, output: tuple[Path, ...], dpi: int, numbers: bool
) -> None:
    """Mean IoU and speed over step size (figure 6 of the paper), from a table of `rolo-bench study steps`."""
    from rolo_bench import plots
    from rolo_bench.scores import published as reference

    frame = _read_csv(table, "make it with `rolo-bench study steps`")
    paper = None if no_paper else reference.steps()
    figure = plots.steps(frame, paper, subtitle or _own_words(frame), device or _own_device(frame))
    _write(figure, "steps", output, dpi)
    if numbers:
        import pandas as pd

        both = [frame.assign(source="measured")]
        if paper is not None:
            both.append(paper.rename(columns={"lstm_fps": "fps"}).assign(source="published", tracker="paper"))
        _write_numbers(pd.concat(both, ignore_index=True), "steps", output, None)


def _own_words(frame: pd.DataFrame) -> str:
    """Suite and convention from the table's own columns, where it has them."""
    words = [str(frame[c].iloc[0]) for c in ("suite", "coverage", "convention") if c in frame.columns]
    return "  \N{MIDDLE DOT}  ".join(words)


def _own_device(frame: pd.DataFrame) -> str:
    return str(frame["device"].iloc[0]) if "device" in frame.columns else ""


@plot.command(epilog="Example: rolo-bench plot curves training/curves.csv -o curves.png")
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--title", default="Training", show_default=True, help="Title of the figure.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", multiple=True,
    help="File to write, .png, .pdf or .svg; repeat for several [default: figures/NAME.png].",
)  # fmt: skip
@click.option("--dpi", default=150, show_default=True, help="Resolution of a .png.")
def curves(table: Path, title: str, output: tuple[Path, ...], dpi: int) -> None:
    """Training curves from a CSV: first column step or epoch, then losses and scores."""
    from rolo_bench import plots

    frame = _read_csv(table, "training writes one beside its checkpoint")
    _write(plots.curves(frame, title, table.name), "curves", output, dpi)


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
