"""`rolo-bench report`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rolo_bench.cli.options import FromProject, console, exclude_option, stored_options


@click.command(epilog="Example: rolo-bench report --suite demo -o report.html --latex tables")
@stored_options(None)
@exclude_option
@click.option(
    "--convention", "conventions", cls=FromProject, multiple=True, metavar="NAME",
    help="Scoring rule; repeat for several, the first one leads [default: the suite's own, otb got10k pysot "
    "pytracking rolo2016].",
)  # fmt: skip
@click.option(
    "--frames", default=3, show_default=True, metavar="N",
    help="Pictures of each sequence to put in, where its images are at hand; 0 for none.",
)  # fmt: skip
@click.option(
    "-o", "--output", default="report.html", show_default=True, type=click.Path(path_type=Path), metavar="FILE",
    help="File to write.",
)  # fmt: skip
@click.option(
    "--latex", type=click.Path(path_type=Path), metavar="DIR", help="Write LaTeX tables to this folder as well."
)  # fmt: skip
def report(
    conventions: tuple[str, ...], frames: int, output: Path, latex: Path | None, **stored: Any
) -> None:
    """Write one self-contained HTML page: summary, curves to explore, tables, frames, provenance, warnings."""
    from rolo_bench.report.page import latex_tables, report_results

    found = report_results(output, conventions=conventions, frames=frames, **stored)
    click.echo(output)
    if latex:
        for path in latex_tables(found.scores, latex, found.published):
            click.echo(path)
    for note in found.scores.attrs["notes"]:
        console.print(note, markup=False)
