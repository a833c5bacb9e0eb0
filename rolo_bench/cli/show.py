"""`rolo-bench show`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rolo_bench.cli.options import (
    Number,
    Whole,
    console,
    data_option,
    exclude_option,
    film_option,
    label_option,
    labelled,
    partial_option,
    results_option,
    suite_option,
    trackers_option,
)
from rolo_bench.errors import counted
from rolo_bench.plots.style import ORACLE, Form
from rolo_bench.project import read_project

if TYPE_CHECKING:
    from rolo_bench.plots.frames import Drawn
    from rolo_bench.sequence import Sequence


@click.command(
    epilog="Example: rolo-bench show Car4 --tracker rolo --tracker STRUCK --suite otb30 --sheet car4.png"
)
@click.argument("sequence")
@trackers_option
@exclude_option
@suite_option(None)
@data_option
@partial_option
@results_option
@label_option
@click.option("--frames", metavar="LIST", help="Frame numbers of the video, such as 1,50,100 or 10-200.")
@click.option("--sheet", type=click.Path(path_type=Path), metavar="FILE", help="Contact sheet, .png or .jpg.")
@film_option
@click.option(
    "--failures", is_flag=True, help="Strips of the frames around each loss of the target, a file each."
)
@click.option("--heatmap", metavar="TRACKER", help="Run this tracker and lay its heatmaps over the frames.")
@click.option(
    "-o", "--option", "pairs", multiple=True, metavar="NAME=VALUE",
    help="Option of the --heatmap tracker [default: variant=heatmap for rolo].",
)  # fmt: skip
@click.option(
    "--count",
    type=Whole(1),
    default=6,
    show_default=True,
    help="Frames on the sheet where --frames is not given.",
)
@click.option("--columns", type=Whole(1), help="Frames in a row of the sheet [default: by their number].")
@click.option(
    "--rate",
    default=25.0,
    type=Number(0, min_open=True),
    show_default=True,
    help="Frames per second of the film.",
)
@click.option(
    "--folder", default="figures", show_default=True, type=click.Path(path_type=Path), metavar="DIR",
    help="Folder for pictures that are given no file name.",
)  # fmt: skip
def show(
    sequence: str,
    trackers: tuple[str, ...],
    exclude: tuple[str, ...],
    suite: str | None,
    data: str | None,
    partial: bool,
    results: Path,
    labels: tuple[tuple[str, str], ...],
    frames: str | None,
    sheet: Path | None,
    video: Path | None,
    failures: bool,
    heatmap: str | None,
    pairs: tuple[str, ...],
    count: int,
    columns: int | None,
    rate: float,
    folder: Path,
) -> None:
    """Draw boxes of trackers and the truth on frames of SEQUENCE: a sheet, a video, or strips of failures.

    Without --sheet, --video or --failures a contact sheet is written to figures/SEQUENCE.png.
    """
    from rolo_bench.datasets.suites import load_suite
    from rolo_bench.plots import frames as pictures
    from rolo_bench.run.film import write_film
    from rolo_bench.run.store import Store
    from rolo_bench.scores.scored import chosen_suite, chosen_trackers

    store = Store(results)
    name = suite or ("demo" if heatmap and not trackers else chosen_suite(store, None))
    loaded = load_suite(name, data, partial, only=(sequence,))
    one = loaded.sequences[0]
    numbers = pictures.parse_frames(frames, one) if frames else range(len(one))
    trackers = chosen_trackers(store, name, "ope", trackers, exclude)
    stored = bool(trackers) or not heatmap
    boxes, oracle = pictures.results_on(one, store, loaded.name, trackers) if stored else ({}, [])
    if not (boxes or heatmap):
        console.print(f"no results on {one.name} in {store.root}; only the truth is drawn", markup=False)
    maps: list[Any] = []
    if heatmap:
        tracker, label, marked = _heatmap_tracker(heatmap, pairs, loaded.name)
        stop = len(one) if failures else max(numbers) + 1
        rows, maps = pictures.run_with_maps(one, tracker, stop)
        boxes, oracle = {label: rows} | boxes, oracle + [label] * marked
    shown = pictures.tracks(one, boxes, oracle, _form(labels, boxes))
    if failures:
        _failures(one, shown, folder)
    if video:
        click.echo(write_film(video, (pictures.framed(one, shown, i, maps=maps) for i in numbers), rate))
    if sheet or not (failures or video):
        some = numbers if frames else pictures.spaced(len(one), count)
        made = pictures.sheet(one, shown, some, columns or 0, maps)
        click.echo(pictures.write_image(sheet or folder / f"{one.name}.png", made))


def _form(labels: tuple[tuple[str, str], ...], names: Iterable[str]) -> Form:
    """What the trackers that are drawn are called, and which colours they have in place of their own."""
    called = labelled(labels, (name.removesuffix(ORACLE) for name in names))
    return Form(labels=called, colours=read_project().colours)


def _heatmap_tracker(name: str, pairs: tuple[str, ...], suite: str) -> tuple[Any, str, bool]:
    """A tracker to run for its heatmaps, what its boxes are called, and whether it is an oracle."""
    from rolo_bench.run.plugins import find_plugin, parse_options
    from rolo_bench.run.worker import guarded
    from rolo_bench.tracker import is_oracle

    plugin = find_plugin(name)
    options = {"variant": "heatmap"} if name == "rolo" and not pairs else {}
    tracker = plugin.make(options | plugin.defaults(suite) | parse_options(pairs))
    with guarded(f"tracker {plugin.name}"):
        marked = is_oracle(tracker)
    return tracker, f"{plugin.name} ({'oracle, ' if marked else ''}heatmap)", marked


def _failures(one: Sequence, shown: tuple[Drawn, ...], folder: Path) -> None:
    """Write the strips of each tracker, and say at which frames it failed."""
    from rolo_bench.plots.frames import write_failures

    for track in shown[1:]:
        found, paths = write_failures(one, track, folder)
        at = f" at frames {', '.join(str(one.first_frame + i) for i in found[:12])}" if found else ""
        console.print(f"{track.name} on {one.name}: {counted(len(found), 'failure')}{at}", markup=False)
        for path in paths:
            click.echo(path)
