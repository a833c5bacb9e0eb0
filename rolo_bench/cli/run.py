"""`rolo-bench run` and `rolo-bench demo`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rolo_bench.cli.options import console, data_options, protocol_option, results_option, trackers_option
from rolo_bench.errors import RoloBenchError, TrackerError, UsageError

if TYPE_CHECKING:
    from rolo_bench.datasets.suites import Suite
    from rolo_bench.run.plugins import Plugin
    from rolo_bench.run.runner import Progress


@click.command(epilog="Example: rolo-bench run --tracker ncc --suite otb30 --data ~/otb --partial")
@trackers_option
@data_options
@protocol_option
@results_option
@click.option(
    "--sequence", "only", multiple=True, metavar="NAME", help="Only this sequence; repeat for several."
)
@click.option(
    "-o", "--option", "pairs", multiple=True, metavar="NAME=VALUE", help="Option of the tracker; repeatable."
)
@click.option("--name", metavar="NAME", help="File the results under this name (one tracker only).")
@click.option(
    "--repeat", type=click.IntRange(1, 999), default=1, show_default=True, metavar="N",
    help="Run N times with seeds one apart, as NAME_000, NAME_001 …; `score --view repeats` gives mean and spread.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Make results anew, even those that are complete.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True,
              help="Seed of trackers that use global random numbers.")  # fmt: skip
def run(
    trackers: tuple[str, ...],
    suite: str,
    data: str | None,
    partial: bool,
    protocol: str,
    results: Path,
    only: tuple[str, ...],
    pairs: tuple[str, ...],
    name: str | None,
    repeat: int,
    force: bool,
    seed: int,
) -> None:
    """Run trackers on a suite; what is complete is skipped, so the same command resumes."""
    from rolo_bench.datasets.suites import load_suite
    from rolo_bench.run.plugins import find_plugin, parse_options
    from rolo_bench.run.store import Store

    if not trackers:
        raise UsageError(
            "name a tracker with --tracker NAME (see `rolo-bench list trackers`) or a plugin file"
        )
    if name and len(trackers) > 1:
        raise UsageError("--name goes with one --tracker")
    plugins = [find_plugin(t) for t in trackers]
    options = parse_options(pairs)
    for plugin in plugins:
        plugin.check(options)
    loaded = load_suite(suite, data, partial, only=only)
    if loaded.missing and not only:
        console.print(f"{loaded.name}: {loaded.note()}; not there: {', '.join(loaded.missing)}")
    for note in loaded.notes:
        console.print(note, markup=False)
    how = {"store": Store(results), "options": options, "force": force}
    failures = 0
    for plugin, number in ((p, n) for p in plugins for n in range(repeat)):
        label = (name or plugin.name) + (f"_{number:03d}" if repeat > 1 else "")
        try:
            failures += _run_one(
                plugin, loaded, protocol, label, how | {"name": label, "seed": seed + number}
            )
        except RoloBenchError as error:
            if len(plugins) == 1:
                raise
            console.print(f"  {plugin.name}: failed: {error}", markup=False)
            failures += 1
    if failures:
        raise TrackerError(
            f"{failures} failed, the rest is kept; fix the tracker and run the same command again"
        )


def _run_one(plugin: Plugin, suite: Suite, protocol: str, label: str, how: dict[str, Any]) -> int:
    """Run one tracker, say what became of each sequence, and count the failures."""
    from rolo_bench.run.runner import run_suite

    count = {"done": 0, "skipped": 0, "failed": 0}
    with _progress(f"{label} on {suite.name}", len(suite.sequences)) as (advance, tick):
        for outcome in run_suite(plugin, suite, protocol=protocol, progress=tick, **how):
            count[outcome.what] += 1
            if outcome.what == "failed":
                console.print(f"  {outcome.stem}: failed: {outcome.error}", markup=False)
            elif outcome.what == "done" and not console.is_terminal:
                console.print(f"  {outcome.stem}: {outcome.fps:.1f} fps", markup=False)
            advance()
    parts = [f"{count['done']} done"]
    parts += [f"{count[k]} {k}" for k in ("skipped", "failed") if count[k]]
    console.print(f"{label} on {suite.name} ({protocol}): {', '.join(parts)}", markup=False)
    return count["failed"]


@contextmanager
def _progress(title: str, total: int) -> Iterator[tuple[Callable[[], None], Progress | None]]:
    """A bar on a terminal, a plain line in a log: gives `advance` for sequences and `tick` for frames."""
    if not console.is_terminal:
        console.print(title, markup=False)
        yield (lambda: None), None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[frame]}"),
    )  # fmt: skip
    with Bar(*columns, console=console) as bar:
        task = bar.add_task(title, total=total, frame="")

        def tick(sequence: str, frame: int, frames: int) -> None:
            if frame % 10 == 0 or frame == frames:
                bar.update(task, frame=f"{sequence} {frame}/{frames}")

        yield (lambda: bar.advance(task)), tick


@click.command(epilog="Example: rolo-bench demo --results /tmp/demo")
@results_option
@click.option(
    "--tracker", "trackers", multiple=True, metavar="NAME",
    help="Tracker; repeatable [default: rolo yolo-sort yolo mosse ncc static].",
)  # fmt: skip
@click.pass_context
def demo(context: click.Context, results: Path, trackers: tuple[str, ...]) -> None:
    """Run trackers on the synthetic suite, print the scores and draw the success plot."""
    from rolo_bench.cli.plot import plot
    from rolo_bench.cli.score import score

    names = trackers or ("rolo", "yolo-sort", "yolo", "mosse", "ncc", "static")
    context.invoke(run, trackers=names, suite="demo", results=results)
    context.invoke(score, suite="demo", results=results)
    context.invoke(plot.commands["success"], suite="demo", results=results)
