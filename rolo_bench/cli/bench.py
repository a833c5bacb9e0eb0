"""`rolo-bench bench`."""

from __future__ import annotations

import time

import click

from rolo_bench.cli.options import data_option, format_option, partial_option, suite_option, trackers_option


@click.command(epilog="Example: rolo-bench bench --tracker ncc --tracker mosse --frames 200")
@trackers_option
@suite_option()
@data_option
@partial_option
@click.option("--frames", default=100, show_default=True, help="Frames of the first sequence to time.")
@format_option
def bench(
    trackers: tuple[str, ...], suite: str, data: str | None, partial: bool, frames: int, format_: str | None
) -> None:
    """Time decoding, trackers and the whole loop on this machine (nothing is stored)."""
    import pandas as pd

    from rolo_bench.datasets.suites import load_suite
    from rolo_bench.run.plugins import find_plugin
    from rolo_bench.run.runner import run_sequence
    from rolo_bench.scores.tables import render
    from rolo_bench.tracker import suite_defaults

    loaded = load_suite(suite, data, partial)
    sequence = loaded.sequences[0].slice(0, min(frames, len(loaded.sequences[0])))
    begin = time.perf_counter()
    for i in range(len(sequence)):
        sequence.frames.image(i)
    decode = (time.perf_counter() - begin) / len(sequence)
    rows = [{"part": "frames alone", "ms": 1000 * decode, "fps": 1 / decode, "loop_fps": float("nan")}]
    for name in trackers or ("static", "ncc", "mosse"):
        plugin = find_plugin(name)
        tracker = plugin.make(suite_defaults(plugin.cls, loaded.name))
        begin = time.perf_counter()
        _, seconds = run_sequence(tracker, sequence)
        loop = (time.perf_counter() - begin) / len(sequence)
        each = seconds[1:].mean()
        rows.append({"part": plugin.name, "ms": 1000 * each, "fps": 1 / each, "loop_fps": 1 / loop})
    click.echo(render(pd.DataFrame(rows), format_))
