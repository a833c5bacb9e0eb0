"""`rolo-bench audit` and `rolo-bench compare-conventions`."""

from __future__ import annotations

from pathlib import Path

import click

from rolo_bench.cli.options import Whole, console, format_option, stored_options
from rolo_bench.errors import UsageError


@click.command(epilog="Example: rolo-bench audit --printed 0.410 --tracker STRUCK --data ~/otb")
@stored_options("otb30")
@format_option
@click.option("--printed", metavar="NUMBER", help="A number as a paper prints it: which rule gives it?")
@click.option(
    "--sort",
    metavar="NAME",
    help="Results of yolo with association=oracle: YOLO + SORT as the authors ran it.",
)
@click.option(
    "--decimals", type=Whole(0, 17), default=5, show_default=True, help="Decimals of the recomputed values."
)
def audit(
    suite: str, trackers: tuple[str, ...], data: str | None, results: Path, partial: bool, protocol: str,
    format_: str | None, printed: str | None, sort: str | None, decimals: int,
) -> None:  # fmt: skip
    """Recompute the legends of the ROLO paper's figure 5, or find the rule behind any printed number.

    Without --printed: every number of the legends beside what imported boxes give under the authors' rule and
    under the benchmark's. With --printed and --tracker: which convention and measure give that number. With --sort:
    the authors' protocol for YOLO + SORT beside yolo-sort.
    """
    from rolo_bench.datasets.suites import load_annotations
    from rolo_bench.paper import audit as auditing
    from rolo_bench.run.store import Store
    from rolo_bench.scores.tables import render

    store, loaded = Store(results), load_annotations(suite, data or "", partial)
    if printed is not None:
        tracker = auditing.require_tracker(store, loaded, protocol, trackers)
        table = auditing.explain(auditing.readings(store, loaded, tracker, protocol, partial), printed)
        click.echo(render(table, format_, decimals), nl=False)
        console.print(f"{tracker} on {loaded.name}: {auditing.conclusion(table, printed)}", markup=False)
        return
    if trackers:
        raise UsageError(
            "--tracker goes with --printed NUMBER; without it all of the paper's trackers are listed"
        )
    if sort is not None:
        table = auditing.sort_readings(store, loaded, sort, protocol, partial=partial)
        click.echo(render(table, format_, decimals), nl=False)
        if format_ is None:
            click.echo(f"\n{auditing.SORT_RULE}")
        return
    click.echo(render(auditing.all_legends(store, loaded, protocol, partial), format_, decimals), nl=False)
    if format_ is None:
        click.echo(f"\n{auditing.RULE}\nBesides, three differences from a fair test:")
        for number, line in enumerate(auditing.DIFFERENCES, 1):
            click.echo(f"  {number}. {line}")
        if protocol in auditing.PROTOCOL_NOTES:
            click.echo(auditing.PROTOCOL_NOTES[protocol])
        click.echo("docs/audit.md explains it for a reader who has only the paper.")


@click.command(
    "compare-conventions", epilog="Example: rolo-bench compare-conventions --suite otb30 --data ~/otb"
)
@stored_options("otb30")
@format_option
def compare_conventions(
    suite: str, trackers: tuple[str, ...], data: str | None, results: Path, partial: bool, protocol: str,
    format_: str | None,
) -> None:  # fmt: skip
    """Score the same boxes under every convention, and say what makes the difference."""
    from rolo_bench.datasets.suites import load_annotations
    from rolo_bench.paper.audit import compare
    from rolo_bench.run.store import Store
    from rolo_bench.scores.conventions import CONVENTIONS
    from rolo_bench.scores.tables import render

    loaded = load_annotations(suite, data or "", partial)
    click.echo(render(compare(Store(results), loaded, trackers, protocol, partial), format_, 4), nl=False)
    if format_ is None:
        width = max(map(len, CONVENTIONS))
        click.echo("")
        for rule in CONVENTIONS.values():
            click.echo(f"{rule.name.ljust(width)}  {rule.rule}")
        click.echo(
            "docs/conventions.md explains each; precision and norm_precision are not defined by rolo2016."
        )
