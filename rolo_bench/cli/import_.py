"""`rolo-bench import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rolo_bench.cli.options import console, data_option, results_option, suite_option
from rolo_bench.errors import DataError, UsageError, counted
from rolo_bench.exchange.importing import FORMATS
from rolo_bench.protocols import PROTOCOLS

if TYPE_CHECKING:
    from rolo_bench.datasets.suites import Entry
    from rolo_bench.exchange.importing import Imported


@click.command(
    "import", epilog="Example: rolo-bench import otb-json results/OPE/STRUCK --suite otb30 --tracker STRUCK"
)
@click.argument("format_", metavar="FORMAT", type=click.Choice(list(FORMATS), case_sensitive=False))
@click.argument("path", type=click.Path(path_type=Path))
@suite_option("otb30")
@click.option(
    "--tracker", metavar="NAME", help="File the results under NAME; of several in a folder take this one."
)
@click.option(
    "--protocol", type=click.Choice(list(PROTOCOLS), case_sensitive=False), default=None,
    help="Take the files as this protocol [default: what they hold; of a .mat file of TRE the first start, as ope].",
)  # fmt: skip
@results_option
@data_option
@click.option(
    "--pad", type=click.Choice(["none", "hold"]), default=None,
    help="Accept files that are too short: rows missing at the end are 'no box' (none) or repeat the last box (hold).",
)  # fmt: skip
@click.option(
    "--cut", type=click.Choice(["auto", "before", "after"]), is_flag=False, flag_value="auto",
    help="Accept files that are too long: leave out the rows before the benchmark's range or after it; --cut alone "
    "decides by their number and the first box.",
)  # fmt: skip
@click.option(
    "--hold",
    is_flag=True,
    help="Repeat the last box in rows without one, as OTB's MATLAB code of 2013 does.",
)
@click.option(
    "--zero-based/--one-based", default=None,
    help="Pixels in files of got10k, pysot and pytracking count from 0, or from 1 [default: as the suite's truth].",
)  # fmt: skip
@click.option(
    "--corners", is_flag=True, help="Rows in files of those three are x1, y1, x2, y2 in place of x, y, w, h."
)
@click.option("--force", is_flag=True, help="Replace results of the same name that are there already.")
def import_(
    format_: str, path: Path, suite: str, tracker: str | None, protocol: str | None, results: Path,
    data: str | None, pad: str | None, cut: str | None, hold: bool, zero_based: bool | None, corners: bool, force: bool,
) -> None:  # fmt: skip
    """Take in results of other toolkits; what is wrong in a file is named, by file and row.

    FORMAT is otb-mat, otb-json, got10k, pysot, pytracking or vot; PATH is a file, or a folder with everything
    below it. Rows without a box (NaN, zero size, complex numbers) are kept as "no box". A file that is damaged,
    or of another length than its sequence, is refused in one line, and the others are imported. With --data each
    first box is compared with the true one; where they differ, the likely cause is named.
    """
    from rolo_bench.datasets.suites import counts_from_zero, suite_label
    from rolo_bench.exchange.fit import Repairs
    from rolo_bench.exchange.importing import import_results, targets
    from rolo_bench.exchange.reading import Meaning
    from rolo_bench.run.store import Store

    if (zero_based is not None or corners) and not FORMATS[format_].open:
        raise UsageError(
            f"{format_} says itself what a row means; --zero-based, --one-based and --corners are for "
            + ", ".join(name for name, known in FORMATS.items() if known.open)
        )
    entries, truths = targets(suite, data)
    meaning = Meaning(counts_from_zero(suite) if zero_based is None else zero_based, corners)
    outcomes = []
    for outcome in import_results(
        format_, path, suite_label(suite), entries, Store(results), tracker, protocol,
        Repairs(pad, cut, hold), truths, meaning, force,
    ):  # fmt: skip
        outcomes.append(outcome)
        for note in outcome.notes:
            console.print(f"{outcome.source.name}: {note}", markup=False)
    _summary(outcomes, suite, entries)


def _summary(outcomes: list[Imported], suite: str, entries: tuple[Entry, ...]) -> None:
    for label, kind in sorted({(o.tracker, o.protocol) for o in outcomes if o.protocol}):
        mine = [o for o in outcomes if (o.tracker, o.protocol) == (label, kind)]
        new = sum(o.what == "imported" for o in mine)
        same = sum(o.what == "unchanged" for o in mine)
        line = f"{label} on {suite} ({kind}): {new} of {len(entries)} sequences imported"
        console.print(line + (f", {same} there already" if same else ""), markup=False)
    outside = len({o.source for o in outcomes if o.what == "outside"})
    if outside:
        console.print(
            f"{counted(outside, 'file is', 'files are')} of sequences outside {suite}: left out", markup=False
        )
    refused = [o for o in outcomes if o.what == "refused"]
    if len(refused) == 1 == len(outcomes):
        raise DataError(str(refused[0].error))
    for outcome in refused:
        console.print(f"refused: {outcome.error}", markup=False)
    if refused:
        rest = "" if len(refused) == len(outcomes) else "; the others are imported"
        raise DataError(f"{len(refused)} of {len(outcomes)} files refused (see above){rest}")
