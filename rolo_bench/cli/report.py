"""`rolo-bench report`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rolo_bench.cli.options import FromProject, console, say, scored_options, stored_options
from rolo_bench.errors import counted
from rolo_bench.project import read_project


@click.command(epilog="Example: rolo-bench report --suite demo -o report.html --latex tables")
@stored_options(None)
@scored_options
@click.option(
    "--convention", "conventions", cls=FromProject, multiple=True, metavar="NAME",
    help="Scoring rule; repeat for several, the first one leads [default: the suite's own, otb got10k pysot "
    "pytracking rolo2016].",
)  # fmt: skip
@click.option(
    "--frames", default=6, show_default=True, metavar="N", type=click.IntRange(min=0),
    help="Pictures of each sequence to put in, where its images are at hand.",
)  # fmt: skip
@click.option("--no-frames", "frames", flag_value=0, type=int, help="No pictures.")
@click.option("--clips", is_flag=True, help="A few seconds around the worst failure of each tracker.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
    help="File to write [default: report.html; index.html in the first folder of --index].",
)  # fmt: skip
@click.option(
    "--latex", type=click.Path(path_type=Path), metavar="DIR", help="Write LaTeX tables to this folder as well."
)  # fmt: skip
@click.option(
    "--index", multiple=True, type=click.Path(path_type=Path), metavar="DIR",
    help="Write no report but a page that leads to those in this folder; repeat for several.",
)  # fmt: skip
def report(
    conventions: tuple[str, ...], frames: int, clips: bool, output: Path | None, latex: Path | None,
    index: tuple[Path, ...], **stored: Any,
) -> None:  # fmt: skip
    """Write one self-contained HTML page: summary, curves to explore, tables, frames, provenance, warnings."""
    if index:
        from rolo_bench.report.index import write_index

        home = index[0] if index[0].is_dir() else index[0].parent
        output = output or home / "index.html"
        found_reports = write_index(output, index)
        click.echo(output)
        console.print(counted(len(found_reports), "report"), markup=False)
        return
    from rolo_bench.plots.style import Form
    from rolo_bench.report.page import latex_tables, report_results

    output, project = output or Path("report.html"), read_project()
    form = Form(labels=project.labels, colours=project.colours)
    found = report_results(output, conventions=conventions, frames=frames, clips=clips, form=form, **stored)
    click.echo(output)
    if latex:
        for path in latex_tables(found.scores, latex, found.published):
            click.echo(path)
    for note in found.scores.attrs["notes"]:
        say(note)
