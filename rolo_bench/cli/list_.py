"""`rolo-bench list`."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rolo_bench.cli.options import console, results_option, rows_option
from rolo_bench.errors import DataError, counted

if TYPE_CHECKING:
    from rolo_bench.run.store import Store


def tell(
    columns: tuple[str, ...], rows: Iterable[tuple[str, ...]], format_: str, whole: bool = False
) -> None:
    """Print rows: as aligned text, or for programs with the names of the columns.

    On a terminal a row is cut to its width or, where it is to be read ``whole``, goes on below.
    """
    listed = list(rows)
    if format_ != "text":
        import pandas as pd

        from rolo_bench.scores.tables import render

        click.echo(render(pd.DataFrame(listed, columns=list(columns)), format_), nl=False)
        return
    widths = [max((len(row[i]) for row in listed), default=0) for i in range(len(columns) - 1)]
    wide = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    room = max(wide - sum(widths) - 2 * len(widths), 20)
    for row in listed:
        first, *more = (textwrap.wrap(row[-1], room) if whole else []) or [row[-1]]
        line = "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths)), first]).rstrip()
        click.echo(line if len(line) <= wide or whole else line[: wide - 1] + "…")
        for words in more:
            click.echo(" " * (wide - room) + words)


@click.group(name="list", epilog="Example: rolo-bench list trackers")
def list_() -> None:
    """List trackers, suites, weights or results."""


@list_.command(epilog="Example: rolo-bench list trackers rolo")
@click.argument("names", metavar="[TRACKER]...", nargs=-1)
@click.option("--options", is_flag=True, help="The options of all of them, as of those that are named.")
@rows_option
def trackers(names: tuple[str, ...], options: bool, format_: str) -> None:
    """Trackers by name and where each comes from; of those that are named their options, defaults and what they do."""
    from rolo_bench.run.plugins import catalogue, option_help

    if not (names or options):
        tell(("tracker", "from", "what"), catalogue(), format_)
        return
    here = (name for name, origin, _ in catalogue() if origin not in ("broken", "unavailable"))
    rows = [(name, *row) for name in names or here for row in option_help(name)]
    if format_ != "text":
        tell(("tracker", "option", "default", "what"), rows, format_)
        return
    tell(
        ("tracker", "option", "what"),
        [(n, f"-o {o}={default}", words) for n, o, default, words in rows],
        format_,
        whole=True,
    )


@list_.command(epilog="Example: rolo-bench list suites")
@rows_option
def suites(format_: str) -> None:
    """Built-in suites; a folder or a table file is a suite as well."""
    from rolo_bench.datasets.suites import suite_names

    tell(("suite", "what"), suite_names().items(), format_)


@list_.command(epilog="Example: rolo-bench list weights")
@rows_option
def weights(format_: str) -> None:
    """Detector weights: name, file, bytes and where it is on this machine; for programs SHA-256 and licence, too."""
    from rolo_bench.fetch.weights import table

    columns, *rows = table()
    if format_ == "text":
        rows = [row[:3] + row[-1:] for row in (columns, *rows)]
        columns = rows[0]
    tell(columns, rows, format_)


@list_.command(epilog="Example: rolo-bench list results --results results")
@results_option
@rows_option
def results(results: Path, format_: str) -> None:
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
        oracle = _is_oracle(store, *names)
        if format_ == "text":
            parts = [counted(count, "sequence"), *["oracle"] * oracle, *said[:3], *more]
            rows.append((*names, "; ".join(parts)))
        else:
            rows.append((*names, str(count), str(oracle).lower(), "; ".join(said)))
    if not rows:
        console.print(f"no results in {results}", markup=False)
    columns = ("suite", "protocol", "tracker", "sequences")
    tell(columns if format_ == "text" else (*columns, "oracle", "faults"), rows, format_)


def _is_oracle(store: Store, suite: str, protocol: str, tracker: str) -> bool:
    """Whether a tracker was shown the truth; that its record is damaged is told elsewhere."""
    with suppress(DataError):
        return bool(store.meta(suite, protocol, tracker).get("oracle"))
    return False
