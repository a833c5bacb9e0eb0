"""`rolo-bench check`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from rolo_bench.cli.options import (
    FromProject,
    attribute_option,
    console,
    data_option,
    partial_option,
    sequence_option,
)
from rolo_bench.errors import DataError, TrackerError, UsageError, counted
from rolo_bench.project import read_project

if TYPE_CHECKING:
    from rolo_bench.run.check import Remark


@click.group(epilog="Example: rolo-bench check suite otb30 --data ~/otb")
def check() -> None:
    """Look over a suite or a tracker before a long night."""


def _told(remarks: Iterable[Remark]) -> int:
    """Print remarks as they come, and count the faults."""
    faults = 0
    for remark in remarks:
        click.echo(f"{'ok ' if remark.fine else 'BAD'}  {remark.about}: {remark.words}")
        faults += not remark.fine
    return faults


@check.command(epilog="Example: rolo-bench check suite otb30 --data ~/otb --partial")
@click.argument("suite", required=False)
@data_option
@partial_option
@sequence_option
@attribute_option
def suite(
    suite: str | None, data: str | None, partial: bool, only: tuple[str, ...], attributes: tuple[str, ...]
) -> None:
    """Decode every image of SUITE (by default that of the project file) and look at every row of its truth."""
    from rolo_bench.datasets.suites import load_suite
    from rolo_bench.run.check import check_suite

    suite = suite or read_project().suite
    if suite is None:
        raise UsageError(
            "name a suite (see `rolo-bench list suites`), a folder of sequences, or a .csv table"
        )
    loaded = load_suite(suite, data, partial, True, only, True, attributes)
    if only or attributes:  # the others were not asked for
        loaded = replace(loaded, missing=())
    faults = _told(check_suite(loaded))
    if faults:
        raise DataError(
            f"{counted(faults, 'fault')} in suite {suite}; fetch or mend those, or leave them out"
        )
    console.print("no faults", markup=False)


@check.command(epilog="Example: rolo-bench check tracker ./meanshift.py -o bins=32")
@click.argument("tracker")
@click.option(
    "-o", "--option", "pairs", multiple=True, metavar="NAME=VALUE", help="Option of the tracker; repeatable."
)
@click.option(
    "--suite",
    cls=FromProject,
    default="demo",
    show_default=True,
    metavar="NAME",
    help="Its first sequence is taken.",
)
@data_option
def tracker(tracker: str, pairs: tuple[str, ...], suite: str, data: str | None) -> None:
    """Run TRACKER on 20 frames: contract, determinism, speed, and mistakes that are often made."""
    from rolo_bench.datasets.suites import load_suite
    from rolo_bench.run.check import check_tracker
    from rolo_bench.run.plugins import parse_options

    loaded = load_suite(suite, data, True)
    faults = _told(check_tracker(tracker, loaded.sequences[0], loaded.name, parse_options(pairs)))
    if faults:
        raise TrackerError(
            f"{counted(faults, 'fault')} in {tracker}; docs/plugins.md shows how a tracker is written"
        )
    console.print("no faults", markup=False)
