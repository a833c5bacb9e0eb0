"""`rolo-bench annotate`."""

from __future__ import annotations

import os
import sys
import webbrowser
from contextlib import suppress
from pathlib import Path

import click

from rolo_bench.cli.options import console


@click.command(epilog="Example: rolo-bench annotate walk.mp4 --folder my-videos")
@click.argument("source", metavar="VIDEO")
@click.option(
    "--folder", default="annotations", show_default=True, type=click.Path(path_type=Path), metavar="DIR",
    help="Folder of sequences to put it into; afterwards `--suite DIR`.",
)  # fmt: skip
@click.option("--name", metavar="NAME", help="Name of the sequence [default: the video's].")
@click.option(
    "--browser/--no-browser", default=None, help="Open a browser [default: where there is a display]."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port of the page [default: a free one]."
)
def annotate(source: str, folder: Path, name: str | None, browser: bool | None, port: int) -> None:
    """Draw boxes on key frames of VIDEO in the browser; what lies between follows, and all is saved at once.

    VIDEO is a file, a folder of images, or a pattern such as 'frames/*.png'. The outcome is a sequence in OTB layout,
    DIR/NAME. The same command takes the work up again.
    """
    from rolo_bench.cli.track import frame_bar
    from rolo_bench.run.annotate import Annotator, open_annotation

    with frame_bar(f"frames of {Path(source).name}") as progress:
        annotation = open_annotation(
            source, folder, name, lambda done, count: progress(done, count, float("nan"))
        )
    made = Annotator(annotation, port)
    with suppress(KeyboardInterrupt):
        console.print(f"annotate at {made.url} (this machine alone); Ctrl-C or Finish ends it", markup=False)
        if browser or (browser is None and _has_display()):
            webbrowser.open(made.url)
        made.done.wait()
    made.close()
    console.print(f"{annotation.summary()}, in {annotation.folder}", markup=False)
    console.print(
        f"next: rolo-bench run --tracker rolo --suite {annotation.folder.parent} "
        f"--sequence {annotation.folder.name}",
        markup=False,
    )


def _has_display() -> bool:
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
