"""`rolo-bench compare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from rolo_bench.cli.options import (
    attribute_option,
    console,
    convention_option,
    data_option,
    label_option,
    labelled,
    partial_option,
    protocol_option,
    results_option,
    sequence_option,
    suite_option,
    trackers_option,
)

MOST = 8
ENDINGS = {".html": "html", ".csv": "csv", ".json": "json", ".txt": "text"}


@click.command(epilog="Example: rolo-bench compare ncc mosse --suite demo -o compare.html")
@click.argument("first")
@click.argument("second")
@suite_option(None)
@trackers_option
@data_option
@results_option
@partial_option
@protocol_option
@convention_option
@sequence_option
@attribute_option
@label_option
@click.option(
    "--format", "format_", type=click.Choice(["text", "csv", "json"]), default=None,
    help="text; csv: the sequences; json: all of it [default: text, or as the file's ending says].",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write .html, .csv, .json or .txt."
)  # fmt: skip
def compare(
    first: str, second: str, labels: tuple[tuple[str, str], ...], format_: str | None, output: Path | None,
    **stored: Any,
) -> None:  # fmt: skip
    """Compare two trackers, two runs (their folders) or two folders of results.

    Differences per sequence, their mean with a 95 % interval, a paired test, and in what the runs differ: options,
    weights, seed, code, versions. Of two folders of results each tracker is compared with its namesake.
    """
    from rolo_bench.errors import UsageError
    from rolo_bench.files import write_atomic
    from rolo_bench.scores import compare as comparing
    from rolo_bench.scores.tables import render

    kind = format_ or (ENDINGS.get(output.suffix.lower()) if output else "text")
    if kind is None:
        raise UsageError(f"{output}: a comparison is written as {', '.join(ENDINGS)}")
    called = labelled(labels, comparing.trackers_of(first, second, stored["results"]))
    names = called if kind in ("html", "text") else {}  # programs read trackers' own
    found = comparing.compare_results(first, second, labels=names, **stored)
    if kind == "html":
        from rolo_bench.report.comparison import render_comparison

        text = render_comparison(found)
    elif kind == "csv":
        text = render(comparing.sequence_rows(found), "csv")
    elif kind == "json":
        text = json.dumps([comparing.as_record(one) for one in found], indent=1) + "\n"
    else:
        most = 0 if output else MOST
        text = "\n".join(comparing.in_text(one, most) for one in found)
    if output:
        write_atomic(output, text)
        console.print(f"wrote {output}", markup=False)
    else:
        click.echo(text, nl=False)
