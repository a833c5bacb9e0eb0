"""`rolo-bench export`."""

from __future__ import annotations

from pathlib import Path

import click

from rolo_bench.cli.options import (
    console,
    exclude_option,
    protocol_option,
    results_option,
    sequence_option,
    suite_option,
    trackers_option,
)
from rolo_bench.errors import counted
from rolo_bench.exchange.exporting import FORMATS


@click.command(epilog="Example: rolo-bench export got10k out --suite demo --tracker ncc")
@click.argument("format_", metavar="FORMAT", type=click.Choice(list(FORMATS), case_sensitive=False))
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@suite_option("otb30")
@trackers_option
@exclude_option
@sequence_option
@protocol_option
@results_option
def export(
    format_: str,
    folder: Path,
    suite: str,
    trackers: tuple[str, ...],
    exclude: tuple[str, ...],
    only: tuple[str, ...],
    protocol: str,
    results: Path,
) -> None:
    """Write results in the layout of another toolkit or server; all trackers of the suite by default.

    FORMAT is got10k, pysot, pytracking, lasot, vot, vot-workspace, otb-json, otb-mat, got10k-server or
    trackingnet-server.
    """
    from rolo_bench.datasets.suites import counts_from_zero, suite_label
    from rolo_bench.exchange.exporting import export_results
    from rolo_bench.run.store import Store
    from rolo_bench.scores.scored import chosen_trackers

    store = Store(results)
    names = chosen_trackers(store, suite, protocol, trackers, exclude)
    for tracker, count in export_results(
        store, suite_label(suite), names, format_, folder, protocol, counts_from_zero(suite), only
    ):
        console.print(f"{tracker}: {counted(count, 'sequence')} in {folder / tracker}", markup=False)
