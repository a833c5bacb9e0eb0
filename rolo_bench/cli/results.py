"""`rolo-bench verify` and `rolo-bench results`."""

from __future__ import annotations

from pathlib import Path

import click

from rolo_bench.cli.list_ import tell
from rolo_bench.cli.options import (
    console,
    data_option,
    partial_option,
    protocol_option,
    results_option,
    rows_option,
    sequence_option,
    suite_option,
)
from rolo_bench.errors import DataError, counted


@click.command(epilog="Example: rolo-bench verify --results results --suite otb30 --data ~/otb --partial")
@results_option
@suite_option(None)
@data_option
@partial_option
@rows_option
@click.option("--prune", is_flag=True, help="Set aside what is not to be trusted; nothing is deleted.")
def verify(
    results: Path, suite: str | None, data: str | None, partial: bool, format_: str, prune: bool
) -> None:
    """Find every edited, truncated, foreign or stale result; with --suite also against its truth and images."""
    from rolo_bench.datasets.suites import load_suite
    from rolo_bench.run import verify as check
    from rolo_bench.run.store import Store

    store = Store(results)
    if not store.root.is_dir():
        raise DataError(f"{results}: no such folder of results")
    loaded = {} if suite is None else {s.name: s for s in [load_suite(suite, data, partial)]}
    found = list(check.find_faults(store, loaded))
    rows = [(f.suite, f.protocol, f.tracker, f.fault.value, f.words) for f in found]
    if format_ == "text":
        for suite_, protocol, tracker, fault, words in rows:
            click.echo(f"{suite_}/{protocol}/{tracker}: {fault}: {words}")
    else:
        tell(("suite", "protocol", "tracker", "fault", "words"), rows, format_)
    bad = [f for f in found if f.fault not in check.HARMLESS]
    count = sum(n for *_, n in store.contents())
    console.print(f"{counted(count, 'sequence')} of trackers, {counted(len(bad), 'fault')}", markup=False)
    if prune and bad:
        moved = counted(check.prune(store, bad), "file")
        console.print(f"{moved} set aside in {store.root}/*/*/.aside", markup=False)
    elif bad:
        raise DataError("not all results are to be trusted; set those aside with --prune, then run again")


@click.group(epilog="Example: rolo-bench results mv ncc ncc-old --suite demo")
def results() -> None:
    """Rename or remove results."""


@results.command(epilog="Example: rolo-bench results rm ncc --suite demo --sequence CarPass")
@click.argument("tracker")
@suite_option()
@protocol_option
@results_option
@sequence_option
def rm(tracker: str, suite: str, protocol: str, results: Path, only: tuple[str, ...]) -> None:
    """Delete the results of TRACKER, or those on some sequences."""
    from rolo_bench.datasets.suites import suite_label
    from rolo_bench.run.store import Store

    count = Store(results).delete(suite_label(suite), protocol, tracker, only)
    console.print(f"deleted {tracker} on {counted(count, 'sequence')}", markup=False)


@results.command(epilog="Example: rolo-bench results mv ncc ncc-old --suite demo")
@click.argument("tracker")
@click.argument("name")
@suite_option()
@protocol_option
@results_option
def mv(tracker: str, name: str, suite: str, protocol: str, results: Path) -> None:
    """File the results of TRACKER under NAME."""
    from rolo_bench.datasets.suites import suite_label
    from rolo_bench.run.store import Store

    Store(results).rename(suite_label(suite), protocol, tracker, name)
    console.print(f"{tracker} is now {name}", markup=False)
