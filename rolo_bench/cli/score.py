"""`rolo-bench score`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from rolo_bench.cli.options import (
    console,
    convention_option,
    data_option,
    format_option,
    partial_option,
    protocol_option,
    results_option,
    suite_option,
    trackers_option,
)
from rolo_bench.errors import UsageError

VIEWS = ("summary", "sequences", "attributes", "pairs", "wins")


@click.command(epilog="Example: rolo-bench score --suite otb30 --data ~/otb --partial --format md")
@suite_option()
@trackers_option
@data_option
@results_option
@partial_option
@protocol_option
@convention_option
@format_option
@click.option(
    "--view", type=click.Choice(VIEWS), default="summary", show_default=True,
    help="A row per tracker; scores per sequence; per attribute; paired tests; sequences won and mean ranks.",
)  # fmt: skip
@click.option("--published", is_flag=True, help="Add published numbers of the nine trackers of the paper.")
@click.option(
    "--all-sequences", is_flag=True,
    help="With --partial, score each tracker on all it has instead of on the sequences that all have.",
)  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the table to a file.")
def score(
    suite: str,
    trackers: tuple[str, ...],
    data: str | None,
    results: Path,
    partial: bool,
    protocol: str,
    convention: str,
    format_: str | None,
    view: str,
    published: bool,
    all_sequences: bool,
    output: Path | None,
) -> None:
    """Score results: one row a tracker, best first, with intervals and paired tests against the best."""
    from rolo_bench.datasets.suites import load_annotations
    from rolo_bench.files import write_atomic
    from rolo_bench.run.store import Store
    from rolo_bench.scores.score import score as score_results
    from rolo_bench.scores.summary import coverage
    from rolo_bench.scores.tables import fit, render

    if published and view != "summary":
        raise UsageError("--published goes with --view summary")
    loaded = load_annotations(suite, data or "", partial)
    scores = score_results(
        Store(results), loaded, trackers, protocol.lower(), convention, partial, not all_sequences
    )
    table = _view(scores, view, published, format_)
    notes = list(scores.attrs["notes"])
    if view == "summary" and format_ is None and not output and sys.stdout.isatty():
        table, hidden = fit(table, shutil.get_terminal_size().columns)
        notes += (
            [f"too wide for this terminal: {', '.join(hidden)}; --format md shows them"] if hidden else []
        )
    text = render(table, format_)
    if output:
        write_atomic(output, text)
        console.print(f"wrote {output}", markup=False)
    else:
        click.echo(text, nl=False)
    for note in notes:
        console.print(note, markup=False)
    first = scores.iloc[0]
    console.print(
        f"{loaded.name}, {first['protocol'].upper()}, convention {first['convention']}, {coverage(scores)}"
        + _meaning(view),
        markup=False,
    )


def _view(scores, view: str, published: bool, format_: str | None):
    """The table of one view; rounded columns for people, all columns for programs."""
    from rolo_bench.scores import statistics, summary, tables

    if view == "sequences":
        return _per_sequence(scores, format_)
    if view == "attributes":
        return _per_attribute(scores, format_)
    if view == "pairs":
        pairs = summary.mark_oracles(statistics.pairwise(summary.matrix(scores)), scores)
        return pairs.assign(on=summary.coverage(scores))
    if view == "wins":
        won = summary.mark_oracles(statistics.sequences_won(summary.matrix(scores)), scores)
        return won.sort_values("mean_rank", ignore_index=True).assign(on=summary.coverage(scores))
    table = summary.summary(scores)
    if published:
        table = summary.with_published(table, scores)
    return table if format_ in ("csv", "json") else tables.for_people(table)


def _per_sequence(scores, format_: str | None):
    from rolo_bench.scores.summary import labels, matrix

    return (
        scores if format_ in ("csv", "json") else matrix(scores).rename(columns=labels(scores)).reset_index()
    )


def _per_attribute(scores, format_: str | None):
    from rolo_bench.scores.summary import by_attribute, coverage, labels

    table = by_attribute(scores)
    if format_ in ("csv", "json"):
        return table
    wide = table.pivot(index="attribute", columns="tracker", values="auc").rename(columns=labels(scores))
    wide = wide.reset_index()
    counts = table.groupby("attribute")["sequences"].max()
    wide.insert(1, "sequences", [counts[a] for a in wide["attribute"]])
    wide = wide.sort_values("sequences", ascending=False, kind="stable", ignore_index=True)
    whole = wide["attribute"] == "ALL"
    return wide.assign(sequences=wide["sequences"].astype(str).mask(whole, coverage(scores)))


def _meaning(view: str) -> str:
    if view == "summary":
        return (
            "; auc_95: bootstrap interval over sequences; vs_best: paired Wilcoxon test, Holm-corrected "
            "(same: no difference at 0.05)"
        )
    if view == "pairs":
        return "; AUC, paired Wilcoxon test, Holm-corrected over all pairs"
    return "; AUC" if view in ("sequences", "attributes") else "; by AUC, 1 is the best rank"
