"""`rolo-bench score`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import click

from rolo_bench.cli.options import (
    console,
    convention_option,
    format_option,
    published_option,
    say,
    scored_options,
    stored_options,
)
from rolo_bench.scores.conventions import find_convention
from rolo_bench.scores.score import REQUIRE
from rolo_bench.scores.summary import VIEWS


@click.command(epilog="Example: rolo-bench score --suite otb30 --data ~/otb --partial --format md")
@stored_options("demo")
@scored_options
@convention_option
@format_option
@click.option(
    "--view", type=click.Choice(list(VIEWS)), default="summary", show_default=True,
    help="A row per tracker; scores per sequence; per attribute; paired tests; sequences won and mean ranks; "
    "long-term precision, recall and F; runs of one tracker taken together.",
)  # fmt: skip
@published_option
@click.option(
    "--require", type=click.Choice(list(REQUIRE), case_sensitive=False), default="all", show_default=True,
    help="Compare: " + "; ".join(f"{k}: {v}" for k, v in REQUIRE.items()) + ".",
)  # fmt: skip
@click.option(
    "--no-cache", "cached", is_flag=True, default=True, flag_value=False,
    help="Score everything anew, also what was scored before and has not changed.",
)  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help="Write the table to a file, .csv, .md, .tex, .json or .txt.")  # fmt: skip
def score(format_: str | None, view: str, published: bool, output: Path | None, **stored: Any) -> None:
    """Score results: one row a tracker, best first, with intervals and paired tests against the best."""
    from rolo_bench.files import write_atomic
    from rolo_bench.scores import summary, tables
    from rolo_bench.scores.scored import load_scores

    format_ = tables.format_of(output, format_)
    scores = load_scores(**stored).scores
    say(scores.attrs["compared"])
    table = summary.view(scores, view, published, format_ in ("csv", "json"))
    notes = [*map(str, scores.attrs["stale"]), *scores.attrs["misfits"], *scores.attrs["trained"]]
    if view in ("summary", "pairs") and format_ is None and not output and sys.stdout.isatty():
        table, hidden = tables.fit(table, shutil.get_terminal_size().columns)
        if hidden:
            notes.append(f"too wide for this terminal: {', '.join(hidden)}; --format md shows them")
    first = scores.iloc[0]
    rule = find_convention(first["convention"])
    where = (
        f"{first['suite']}, {first['protocol'].upper()}, convention {rule.name}, {summary.coverage(scores)}"
    )
    text = tables.render(table, format_, caption=f"{where}.")
    if output:
        write_atomic(output, text)
        console.print(f"wrote {output}", markup=False)
    else:
        click.echo(text, nl=False)
    for note in notes:
        say(note)
    headline = f"; auc is {rule.headline}" if rule.headline != "AUC" else ""
    if table.get("dropped") is not None and format_ not in ("csv", "json"):
        headline += f"; dropped: frames on which {rule.name} lets nobody win or lose"
    say(f"{where}; {VIEWS[view]}{headline}")
