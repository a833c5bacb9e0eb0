"""`rolo-bench report`."""

from __future__ import annotations

from pathlib import Path

import click

from rolo_bench.cli.options import (
    console,
    data_option,
    partial_option,
    protocol_option,
    results_option,
    trackers_option,
)
from rolo_bench.errors import DataError

DEFAULT_RULES = ("otb", "got10k", "pysot", "pytracking", "rolo2016")


@click.command(epilog="Example: rolo-bench report --suite demo -o report.html --latex tables")
@click.option("--suite", metavar="NAME", help="Suite [default: the only one in the results].")
@trackers_option
@data_option
@partial_option
@results_option
@protocol_option
@click.option(
    "--convention",
    "conventions",
    multiple=True,
    metavar="NAME",
    help="Scoring rule; repeat for several, the first one leads [default: otb got10k pysot pytracking rolo2016].",
)
@click.option(
    "--frames",
    default=3,
    show_default=True,
    metavar="N",
    help="Pictures of each sequence to put in, where its images are at hand; 0 for none.",
)
@click.option(
    "-o",
    "--output",
    default="report.html",
    show_default=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File to write.",
)
@click.option(
    "--latex", type=click.Path(path_type=Path), metavar="DIR", help="Write LaTeX tables to this folder as well."
)  # fmt: skip
def report(
    suite: str | None,
    trackers: tuple[str, ...],
    data: str | None,
    partial: bool,
    results: Path,
    protocol: str,
    conventions: tuple[str, ...],
    frames: int,
    output: Path,
    latex: Path | None,
) -> None:
    """Write one self-contained HTML page: summary, curves to explore, tables, frames, provenance, warnings."""
    from rolo_bench.datasets.suites import load_annotations, load_suite
    from rolo_bench.report.data import collect
    from rolo_bench.report.page import latex_tables, write_report
    from rolo_bench.run.store import Store
    from rolo_bench.scores.scored import chosen_suite

    store = Store(results)
    name = chosen_suite(store, suite)
    try:
        loaded = load_suite(name, data, partial) if frames else load_annotations(name, data or "", partial)
    except DataError as error:
        if not frames:
            raise
        loaded = load_annotations(name, data or "", partial)
        console.print(f"no pictures of frames: {error}", markup=False)
        frames = 0
    rules = conventions or DEFAULT_RULES
    found = collect(store, loaded, trackers, protocol.lower(), rules, partial)
    click.echo(write_report(output, found, frames))
    if latex:
        for path in latex_tables(found.scores, latex, found.published):
            click.echo(path)
    for note in found.scores.attrs.get("notes", []):
        console.print(note, markup=False)
