"""`rolo-bench show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rolo_bench.cli.options import console, data_option, partial_option, results_option, trackers_option
from rolo_bench.errors import DataError, UsageError

if TYPE_CHECKING:
    from rolo_bench.plots.frames import Track
    from rolo_bench.sequence import Sequence


@click.command(
    epilog="Example: rolo-bench show Car4 --tracker rolo --tracker STRUCK --suite otb30 --sheet car4.png"
)
@click.argument("sequence")
@trackers_option
@click.option("--suite", metavar="NAME", help="Suite [default: the only one in the results].")
@data_option
@partial_option
@results_option
@click.option("--frames", metavar="LIST", help="Frame numbers of the video, such as 1,50,100 or 10-200.")
@click.option("--sheet", type=click.Path(path_type=Path), metavar="FILE", help="Contact sheet, .png or .jpg.")
@click.option("--video", type=click.Path(path_type=Path), metavar="FILE", help="Video, .mp4 or .gif.")
@click.option(
    "--failures", is_flag=True, help="Strips of the frames around each loss of the target, a file each."
)
@click.option(
    "--heatmap",
    metavar="TRACKER",
    help="Run this tracker on the sequence and lay its heatmaps over the frames.",
)
@click.option(
    "-o", "--option", "pairs", multiple=True, metavar="NAME=VALUE",
    help="Option of the --heatmap tracker [default: variant=heatmap for rolo].",
)  # fmt: skip
@click.option(
    "--count", default=6, show_default=True, help="Frames on the sheet where --frames is not given."
)
@click.option("--columns", default=0, help="Frames in a row of the sheet [default: by their number].")
@click.option("--rate", default=25.0, show_default=True, help="Frames per second of the video.")
@click.option(
    "--folder", default="figures", show_default=True, type=click.Path(path_type=Path), metavar="DIR",
    help="Folder for pictures that are given no file name.",
)  # fmt: skip
def show(
    sequence: str,
    trackers: tuple[str, ...],
    suite: str | None,
    data: str | None,
    partial: bool,
    results: Path,
    frames: str | None,
    sheet: Path | None,
    video: Path | None,
    failures: bool,
    heatmap: str | None,
    pairs: tuple[str, ...],
    count: int,
    columns: int,
    rate: float,
    folder: Path,
) -> None:
    """Draw boxes of trackers and the truth on frames of SEQUENCE: a sheet, a video, or strips of failures.

    Without --sheet, --video or --failures a contact sheet is written to figures/SEQUENCE.png.
    """
    from rolo_bench.datasets.suites import load_suite
    from rolo_bench.plots import frames as pictures
    from rolo_bench.run.store import Store
    from rolo_bench.scores.scored import chosen_suite

    store = Store(results)
    name = suite or ("demo" if heatmap and not trackers else chosen_suite(store, None))
    loaded = load_suite(name, data, partial, only=(sequence,))
    one = loaded.sequences[0]
    shown = _tracks(store, loaded.name, one, trackers, bool(heatmap))
    numbers = parse_frames(frames, one) if frames else None
    maps: tuple[Any, ...] = ()
    if heatmap:
        last = max(numbers) + 1 if numbers else len(one)
        shown, maps = _with_maps(heatmap, pairs, loaded.name, one, shown, last)
    if failures:
        _write_failures(one, shown, folder)
    if video:
        wanted = range(len(one)) if numbers is None else numbers
        click.echo(pictures.write_video(video, pictures.frames_between(one, shown, wanted, maps=maps), rate))
    if sheet or not (failures or video):
        wanted = numbers if numbers is not None else spaced(len(one), count)
        images = list(pictures.frames_between(one, shown, wanted, 360, maps))
        click.echo(
            pictures.write_image(sheet or folder / f"{one.name}.png", pictures.contact_sheet(images, columns))
        )


def _with_maps(
    name: str, pairs: tuple[str, ...], suite: str, one: Sequence, shown: tuple[Track, ...], stop: int
) -> tuple[tuple[Track, ...], tuple[Any, ...]]:
    """Run a tracker with heatmaps and put its boxes before the others."""
    from rolo_bench.plots.frames import run_with_maps, tracks
    from rolo_bench.run.plugins import find_plugin, parse_options
    from rolo_bench.tracker import suite_defaults

    plugin = find_plugin(name)
    options = {"variant": "heatmap"} if name == "rolo" and not pairs else {}
    options |= suite_defaults(plugin.cls, suite) | parse_options(pairs)
    boxes, maps = run_with_maps(one, plugin.make(options), stop)
    return tracks(one, {f"{name} (heatmap)": boxes} | {t.name: t.boxes for t in shown[1:]}), tuple(maps)


def _tracks(
    store: Any, suite: str, one: Sequence, trackers: tuple[str, ...], only_named: bool = False
) -> tuple[Track, ...]:
    """The truth and the trackers asked for, or all that have results on the sequence."""
    from rolo_bench.plots.frames import tracks
    from rolo_bench.scores.tables import display_name

    if only_named and not trackers:
        return tracks(one, {})
    names = trackers or tuple(
        t for t in store.trackers(suite, "ope") if one.name in store.sequences(suite, "ope", t)
    )
    if not names:
        console.print(f"no results on {one.name} in {store.root}; only the truth is drawn", markup=False)
    boxes, oracle = {}, []
    for name in names:
        result = store.load(suite, "ope", name, one.name)[0]
        marked = bool(store.meta(suite, "ope", name).get("oracle"))
        label = display_name(name, oracle=marked)
        boxes[label] = result.boxes
        oracle += [label] * marked
    return tracks(one, boxes, oracle)


def _write_failures(one: Sequence, shown: tuple[Track, ...], folder: Path) -> None:
    from rolo_bench.plots import frames as pictures

    for track in shown[1:]:
        assert track.overlaps is not None
        found = pictures.failures(track.overlaps)
        console.print(
            f"{track.name} on {one.name}: {len(found)} failures"
            + (f" at frames {', '.join(str(one.first_frame + i) for i in found[:12])}" if found else ""),
            markup=False,
        )
        for at in found[:12]:
            path = folder / f"{one.name}_{track.name.replace(' ', '_')}_{one.first_frame + at:04d}.png"
            click.echo(pictures.write_image(path, pictures.failure_strip(one, track, at)))


def spaced(length: int, count: int) -> list[int]:
    """``count`` indices spread evenly from the first to the last of ``length`` frames."""
    import numpy as np

    return sorted({round(i) for i in np.linspace(0, length - 1, max(min(count, length), 1))})


def parse_frames(text: str, one: Sequence) -> list[int]:
    """``1,50,100-110`` as indices; the numbers are those of the video, so BlurCar1 starts at 247.

    Raises:
        UsageError: not such a list.
        DataError: a number outside the sequence.
    """
    indices: list[int] = []
    for part in text.split(","):
        first, dash, end = part.strip().partition("-")
        try:
            a = int(first)
            b = int(end) if dash else a
        except ValueError:
            raise UsageError(f"--frames {text!r}: write numbers and ranges, such as 1,50,100-120") from None
        indices += range(a - one.first_frame, b - one.first_frame + 1)
    outside = [i for i in indices if not 0 <= i < len(one)]
    if outside or not indices:
        last = one.first_frame + len(one) - 1
        raise DataError(f"{one.name} has frames {one.first_frame} to {last}; --frames asks for {text}")
    return indices
