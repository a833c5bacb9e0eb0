"""`rolo-bench audit` and `rolo-bench compare-conventions`."""

from __future__ import annotations

from pathlib import Path

import click

from rolo_bench.cli.options import (
    console,
    data_option,
    format_option,
    partial_option,
    protocol_option,
    results_option,
    suite_option,
    trackers_option,
)
from rolo_bench.errors import UsageError


@click.command(epilog="Example: rolo-bench audit --printed 0.410 --tracker STRUCK --data ~/otb")
@suite_option("otb30")
@trackers_option
@data_option
@results_option
@partial_option
@protocol_option
@format_option
@click.option("--printed", metavar="NUMBER", help="A number as a paper prints it: which rule gives it?")
@click.option("--decimals", default=5, show_default=True, help="Decimals of the recomputed values.")
def audit(
    suite: str,
    trackers: tuple[str, ...],
    data: str | None,
    results: Path,
    partial: bool,
    protocol: str,
    format_: str | None,
    printed: str | None,
    decimals: int,
) -> None:
    """Recompute the legends of the ROLO paper's figure 5, or find the rule behind any printed number.

    Without --printed: every number of the legends beside what imported boxes give under the authors' rule and
    under the benchmark's. With --printed and --tracker: which convention and measure give that number.
    """
    from rolo_bench.datasets.suites import load_annotations
    from rolo_bench.paper import audit as auditing
    from rolo_bench.run.store import Store
    from rolo_bench.scores.tables import render

    store, protocol = Store(results), protocol.lower()
    loaded = load_annotations(suite, data or "", partial)
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
    table = _legends(store, loaded, protocol, partial)
    click.echo(render(table, format_, decimals), nl=False)
    if format_ is None:
        click.echo(f"\n{auditing.RULE}\nBesides, three differences from a fair test:")
        for number, line in enumerate(auditing.DIFFERENCES, 1):
            click.echo(f"  {number}. {line}")
        if protocol in auditing.PROTOCOL_NOTES:
            click.echo(auditing.PROTOCOL_NOTES[protocol])
        click.echo("docs/audit.md explains it for a reader who has only the paper.")


def _legends(store, suite, protocol: str, partial: bool):
    import pandas as pd

    from rolo_bench.paper.audit import paper_legends
    from rolo_bench.scores import published as reference

    parts = [p for p in ("otb30", "otb30-test") if reference.legends(p, protocol)]
    return pd.concat(
        [paper_legends(store, suite, protocol, part, partial) for part in parts], ignore_index=True
    )


@click.command(
    "compare-conventions", epilog="Example: rolo-bench compare-conventions --suite otb30 --data ~/otb"
)
@suite_option("otb30")
@trackers_option
@data_option
@results_option
@partial_option
@protocol_option
@format_option
def compare_conventions(
    suite: str,
    trackers: tuple[str, ...],
    data: str | None,
    results: Path,
    partial: bool,
    protocol: str,
    format_: str | None,
) -> None:
    """Score the same boxes under every convention, and say what makes the difference."""
    from rolo_bench.datasets.suites import load_annotations
    from rolo_bench.paper.audit import compare
    from rolo_bench.run.store import Store
    from rolo_bench.scores.conventions import CONVENTIONS
    from rolo_bench.scores.tables import render

    loaded = load_annotations(suite, data or "", partial)
    table = compare(Store(results), loaded, trackers, protocol.lower(), partial)
    click.echo(render(table, format_, 4), nl=False)
    if format_ is None:
        width = max(map(len, CONVENTIONS))
        click.echo("")
        for rule in CONVENTIONS.values():
            click.echo(f"{rule.name.ljust(width)}  {rule.rule}")
        click.echo(
            "docs/conventions.md explains each; precision and norm_precision are not defined by rolo2016."
        )
