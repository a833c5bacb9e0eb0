"""`rolo-bench init`."""

from __future__ import annotations

from pathlib import Path

import click

from rolo_bench.cli.options import Pair, console
from rolo_bench.errors import UsageError


@click.command(epilog="Example: rolo-bench init --suite otb30 --data ~/otb --label rolo='ROLO (ours)'")
@click.option("--suite", metavar="NAME", help="Suite of every command.")
@click.option("--data", metavar="DIR", help="Folder of the videos.")
@click.option("--results", metavar="DIR", help="Folder of the results.")
@click.option("--partial", is_flag=True, default=None, help="Take the sequences that are there.")
@click.option("--convention", metavar="NAME", help="Scoring rule.")
@click.option(
    "--label", "labels", type=Pair(), multiple=True, metavar="NAME=TEXT",
    help="What figures call a tracker; repeat for several.",
)  # fmt: skip
@click.option(
    "--colour", "colours", type=Pair("rolo=#d62728"), multiple=True, metavar="NAME=#RRGGBB",
    help="Its colour; repeat for several.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Write over a project file that is there.")
def init(
    suite: str | None, data: str | None, results: str | None, partial: bool | None, convention: str | None,
    labels: tuple[tuple[str, str], ...], colours: tuple[tuple[str, str], ...], force: bool,
) -> None:  # fmt: skip
    """Write rolo-bench.toml here: options that every command in this folder takes from it.

    What is not given stands in it as a comment. Options on the command line come before the file.
    """
    from rolo_bench.datasets.suites import find_suite
    from rolo_bench.files import write_atomic
    from rolo_bench.project import FILE, Project, project_text, read_project
    from rolo_bench.scores.conventions import find_convention

    there = None if force else read_project().path
    if there:
        raise UsageError(f"{there}: is there already; change it there, or write over it with --force")
    wanted = Project(
        suite=suite and find_suite(suite), data=data, results=results, partial=partial,
        convention=convention and find_convention(convention).name, labels=dict(labels), colours=dict(colours),
    )  # fmt: skip
    write_atomic(Path(FILE), project_text(wanted))
    click.echo(FILE)
    console.print("next: rolo-bench run --tracker NAME, rolo-bench score", markup=False)
