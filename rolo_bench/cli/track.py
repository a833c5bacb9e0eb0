"""`rolo-bench track`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from rolo_bench.cli.options import console
from rolo_bench.errors import TrackerError, UsageError


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
@click.option("--video", type=click.Path(path_type=Path), help="Film with the boxes drawn in, .mp4 or .gif.")
@click.option("--frames", type=click.IntRange(1), help="Stop after so many frames.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
@click.option("--window", is_flag=True, help="Show the video while it is tracked; q ends it.")
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
) -> None:
    """Run a tracker on VIDEO; write boxes and an annotated video.

    VIDEO is a file, a folder of images, a pattern such as 'frames/*.png', or the number of a camera.
    """
    import numpy as np

    from rolo_bench.run.plugins import find_plugin, parse_options
    from rolo_bench.run.video import parse_box, show_window, track_video

    first = np.stack([parse_box(text) for text in inits]) if inits else None
    plugin = find_plugin(tracker)
    made = [plugin.make(parse_options(pairs)) for _ in inits or (None,)]
    target = boxes or Path(f"{Path(source).stem.strip('*') or 'frames'}_{plugin.name}.txt")
    shown = show_window if window else None
    for path in (target, video):
        itself = (
            path is not None and path.exists() and os.path.exists(source) and os.path.samefile(path, source)
        )
        if path is not None and path.exists() and not (force or itself):
            raise UsageError(f"{path}: is there already; choose another file to write, or --force")
    found, seconds, error = track_video(made, source, first, target, video, plugin.name, frames, shown)
    files = target if len(made) == 1 else f"{target.with_stem(target.stem + '_1')} to _{len(made)}"
    where = f"boxes in {files}" + (f", video in {video}" if video else "")
    if error:
        raise TrackerError(f"{error}; the {len(found)} frames before it are kept, {where}")
    speed = len(found) / max(seconds.sum(), 1e-9)
    console.print(f"{len(found)} frames at {speed:.1f} fps; {where}", markup=False)
