"""`rolo-bench bench`."""

from __future__ import annotations

import click

from rolo_bench.cli.options import Whole, data_options, format_option, trackers_option


@click.command(epilog="Example: rolo-bench bench --tracker ncc --tracker mosse --frames 200")
@trackers_option
@data_options
@click.option(
    "--frames", type=Whole(1), default=100, show_default=True, help="Frames of the first sequence to time."
)
@format_option
def bench(
    trackers: tuple[str, ...], suite: str, data: str | None, partial: bool, frames: int, format_: str | None
) -> None:
    """Time decoding, trackers and the whole loop on this machine (nothing is stored)."""
    from rolo_bench.datasets.suites import load_suite
    from rolo_bench.run.timing import time_trackers
    from rolo_bench.scores.tables import render

    loaded = load_suite(suite, data, partial)
    click.echo(render(time_trackers(trackers or ("static", "ncc", "mosse"), loaded, frames), format_))
