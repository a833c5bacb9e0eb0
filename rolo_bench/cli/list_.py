"""`rolo-bench list`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from rolo_bench.cli.options import results_option


def _rows(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)] if rows else []
    for row in rows:
        click.echo("  ".join([*(cell.ljust(w) for cell, w in zip(row, widths)), row[-1]]).rstrip())


@click.group(name="list", epilog="Example: rolo-bench list trackers")
def list_() -> None:
    """List trackers, suites, weights or results."""


@list_.command(epilog="Example: rolo-bench list trackers")
def trackers() -> None:
    """Trackers by name, where each comes from, and its options."""
    from rolo_bench.run.plugins import catalogue

    _rows(catalogue())


@list_.command(epilog="Example: rolo-bench list suites")
def suites() -> None:
    """Built-in suites; a folder or a table file is a suite as well."""
    from rolo_bench.datasets.suites import suite_names

    _rows(list(suite_names().items()))


@list_.command(epilog="Example: rolo-bench list weights")
def weights() -> None:
    """Detector weights: name, size, licence, and where the file is on this machine."""
    from rolo_bench.fetch.weights import table

    _rows(table())


@list_.command(epilog="Example: rolo-bench list results --results results")
@results_option
def results(results: Path) -> None:
    """Results by suite, protocol and tracker: how many sequences, and what is not to be trusted."""
    from rolo_bench.run.store import Store
    from rolo_bench.run.verify import find_faults

    store = Store(results)
    marks: dict[tuple[str, ...], list[str]] = {}
    for finding in find_faults(store):
        said = marks.setdefault((finding.suite, finding.protocol, finding.tracker), [])
        words = finding.words.removeprefix(f"{finding.tracker}: ")
        said.append(f"{finding.stem} {finding.fault.value}" if finding.stem else words)
    rows = []
    for *names, count in store.contents():
        said = marks.get(tuple(names), [])
        more = [f"and {len(said) - 3} more"] if len(said) > 3 else []
        rows.append((*names, "; ".join([f"{count} sequences", *said[:3], *more])))
    _rows(rows)
