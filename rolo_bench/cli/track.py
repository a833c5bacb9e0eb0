"""`rolo-bench track`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from rolo_bench.cli.options import console


@click.command(
    epilog="Example: rolo-bench track walk.mp4 --init 120,80,40,90 --tracker rolo --video walk-rolo.mp4"
)
@click.argument("source", metavar="VIDEO")
@click.option(
    "--init", metavar="X,Y,W,H", help="First box in pixels, x and y of the corner from 0 [default: draw it]."
)
@click.option("--tracker", default="rolo", show_default=True, metavar="NAME", help="Tracker or plugin file.")
@click.option(
    "-o", "--option", "pairs", multiple=True, metavar="NAME=VALUE", help="Option of the tracker; repeatable."
)
@click.option(
    "--boxes",
    type=click.Path(path_type=Path),
    help="Text file for the boxes [default: VIDEO_TRACKER.txt here].",
)
@click.option("--video", type=click.Path(path_type=Path), help="MP4 file for the video with boxes drawn in.")
@click.option("--frames", type=int, help="Stop after so many frames.")
@click.option("--window", is_flag=True, help="Show the video while it is tracked; q ends it.")
def track(
    source: str,
    init: str | None,
    tracker: str,
    pairs: tuple[str, ...],
    boxes: Path | None,
    video: Path | None,
    frames: int | None,
    window: bool,
) -> None:
    """Run a tracker on VIDEO, a file or the number of a camera; write boxes and an annotated video."""
    from rolo_bench.boxfiles import format_boxes
    from rolo_bench.files import write_atomic
    from rolo_bench.run.plugins import find_plugin, parse_options
    from rolo_bench.run.video import parse_box, track_video

    first = parse_box(init) if init else None
    plugin = find_plugin(tracker)
    found, seconds = track_video(
        plugin.make(parse_options(pairs)),
        source,
        first,
        video,
        plugin.name,
        frames,
        _window() if window else None,
    )
    target = boxes or Path(f"{Path(source).stem}_{plugin.name}.txt")
    write_atomic(target, format_boxes(found))
    speed = len(seconds) / max(seconds.sum(), 1e-9)
    console.print(
        f"{len(found)} frames at {speed:.1f} fps; boxes in {target}"
        + (f", video in {video}" if video else "")
    )


def _window() -> Callable[[Any], bool]:
    import cv2

    def show(picture: Any) -> bool:
        cv2.imshow("rolo-bench", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        return cv2.waitKey(1) & 0xFF != ord("q")

    return show
