"""`rolo-bench track`."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rolo_bench.cli.options import console, film_option, serve_option
from rolo_bench.errors import TrackerError, UsageError, counted

if TYPE_CHECKING:
    from rolo_bench.run.video import Progress

PAUSE = 10.0
"""Seconds between two lines of progress where there is no terminal."""


@click.command(
    epilog="Example: rolo-bench track walk.mp4 --init 120,80,40,90 --tracker rolo --video walk-rolo.mp4"
)
@click.argument("source", metavar="VIDEO")
@click.option(
    "--init", "inits", multiple=True, metavar="X,Y,W,H",
    help="First box in pixels, x and y of the corner from 0; repeat for several targets, each with a tracker of its "
    "own [default: draw it].",
)  # fmt: skip
@click.option("--tracker", default="rolo", show_default=True, metavar="NAME", help="Tracker or plugin file.")
@click.option(
    "-o", "--option", "pairs", multiple=True, metavar="NAME=VALUE", help="Option of the tracker; repeatable."
)
@click.option(
    "--boxes",
    type=click.Path(path_type=Path),
    help="Text file for the boxes [default: VIDEO_TRACKER.txt here].",
)
@film_option
@click.option("--frames", type=click.IntRange(1), help="Stop after so many frames.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
@click.option("--window", is_flag=True, help="Show the video while it is tracked; q ends it.")
@serve_option
def track(
    source: str,
    inits: tuple[str, ...],
    tracker: str,
    pairs: tuple[str, ...],
    boxes: Path | None,
    video: Path | None,
    frames: int | None,
    force: bool,
    window: bool,
    serve: int | None,
) -> None:
    """Run a tracker on VIDEO; write boxes and an annotated video.

    VIDEO is a file, a folder of images, a pattern such as 'frames/*.png', or the number of a camera.
    """
    import numpy as np

    from rolo_bench.run.live import screen
    from rolo_bench.run.plugins import find_plugin, parse_options
    from rolo_bench.run.video import box_files, check_display, parse_box, track_video

    first = np.stack([parse_box(text) for text in inits]) if inits else None
    plugin = find_plugin(tracker)
    target = boxes or Path(f"{Path(source).stem.strip('*') or 'frames'}_{plugin.name}.txt")
    files = box_files(target, max(len(inits), 1))
    for path in (*files, video):
        _check_free(path, source, force)
    if first is None:
        check_display()
    with screen(window, serve, lambda line: console.print(line, markup=False)) as view:
        made = [plugin.make(parse_options(pairs)) for _ in inits or (None,)]
        with frame_bar(f"{plugin.name} on {Path(source).name}") as progress:
            found, seconds, error = track_video(
                made, source, first, target, video, plugin.name, frames, view, progress
            )
    where = f"boxes in {files[0]}" + (f" to _{len(files)}" if len(files) > 1 else "")
    where += f", video in {video}" if video else ""
    if error:
        raise TrackerError(
            f"{error}; the {counted(len(found), 'frame before it is', 'frames before it are')} kept, {where}"
        )
    speed = len(found) / max(seconds.sum(), 1e-9)
    console.print(f"{counted(len(found), 'frame')} at {speed:.1f} fps; {where}", markup=False)


def _check_free(path: Path | None, source: str, force: bool) -> None:
    """Refuse to write over a file or a folder; that it is the video itself is said later, whatever is forced."""
    if path is not None and path.is_dir():
        raise UsageError(f"{path}: is a folder; name a file in it")
    if path is None or not path.exists() or force:
        return
    if not (os.path.exists(source) and os.path.samefile(path, source)):
        raise UsageError(f"{path}: is there already; choose another file to write, or --force")


@contextmanager
def frame_bar(title: str) -> Iterator[Progress]:
    """A bar with frames, time to go and fps, where there are any, on a terminal; elsewhere a line now and then."""
    if not console.is_terminal:
        said = time.monotonic()

        def line(done: int, count: int | None, spent: float) -> None:
            nonlocal said
            if time.monotonic() - said > PAUSE:
                said = time.monotonic()
                of = f" of {count}" if count else ""
                console.print(f"{title}: {done}{of} frames{_fps(done, spent, ', ')}", markup=False)

        yield line
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[speed]}", markup=False),
    )  # fmt: skip
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None, speed="")

        def draw(done: int, count: int | None, spent: float) -> None:
            bar.update(task, completed=done, total=count, speed=_fps(done, spent))

        yield draw


def _fps(done: int, spent: float, before: str = "") -> str:
    return "" if math.isnan(spent) else f"{before}{done / max(spent, 1e-9):.0f} fps"
