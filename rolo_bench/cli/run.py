"""`rolo-bench run` and `rolo-bench demo`."""

from __future__ import annotations

import re
import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from rolo_bench.cli.options import (
    Number,
    Whole,
    attribute_option,
    console,
    data_options,
    protocol_option,
    results_option,
    say,
    sequence_option,
    serve_option,
    trackers_option,
)
from rolo_bench.cli.progress import Board, animated, counted_frames, duration, shown
from rolo_bench.errors import DataError, RoloBenchError, TrackerError, UsageError, counted
from rolo_bench.run.job import FRAME_LIMIT, START_LIMIT

LEAST_MEMORY = 10**6

if TYPE_CHECKING:
    from rolo_bench.datasets.suites import Suite
    from rolo_bench.run.runner import Outcome
    from rolo_bench.scores.conventions import Convention


@click.command(epilog="Example: rolo-bench run --tracker ncc --suite otb30 --data ~/otb --partial")
@trackers_option
@data_options
@protocol_option
@results_option
@sequence_option
@attribute_option
@click.option(
    "-o", "--option", "pairs", multiple=True, metavar="NAME=VALUE", help="Option of the tracker; repeatable."
)
@click.option("--name", metavar="NAME", help="File the results under this name (one tracker only).")
@click.option(
    "--repeat", type=Whole(1, 999), default=1, show_default=True, metavar="N",
    help="Run N times with seeds one apart, as NAME_000, NAME_001 …; `score --view repeats` gives mean and spread.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Make results anew, even those that are complete.")
@click.option("--seed", type=Whole(0, 2**32 - 1), default=0, show_default=True,
              help="Seed of trackers that use global random numbers.")  # fmt: skip
@click.option("--jobs", type=Whole(1, 256), default=1, show_default=True, metavar="N",
              help="So many sequences at once; the boxes are the same, the speeds are marked.")  # fmt: skip
@click.option("--threads", type=Whole(1, 1024), default=1, show_default=True, metavar="N",
              help="Threads of torch and OpenCV in each process; recorded, as some boxes depend on it.")  # fmt: skip
@click.option("--frame-timeout", type=Number(0, min_open=True), default=FRAME_LIMIT, show_default=True,
              metavar="SECONDS", help="A tracker that takes longer for one frame has failed.")  # fmt: skip
@click.option("--start-timeout", type=Number(0, min_open=True), default=START_LIMIT, show_default=True,
              metavar="SECONDS", help="A tracker that takes longer until it is made has failed.")  # fmt: skip
@click.option("--timeout", type=Number(0, min_open=True), metavar="SECONDS",
              help="A tracker that takes longer for a sequence has failed [default: no limit].")  # fmt: skip
@click.option("--memory", metavar="SIZE",
              help="A tracker that holds more has failed, such as 4GB [default: no limit].")  # fmt: skip
@click.option("--retry-failed", type=click.Choice(["yes", "no"]), default="yes", show_default=True,
              help="Try again what failed the last time.")  # fmt: skip
@click.option("--scheduler", metavar="ADDRESS",
              help="Run on the Dask cluster with this scheduler, or that of a scheduler file (.json).")  # fmt: skip
@click.option(
    "--send-data", is_flag=True, help="Send images to a cluster that does not see them under their path."
)
@click.option("--in-process", is_flag=True, help="Run trackers in this process, for a debugger.")
@click.option(
    "--show", is_flag=True, help="Show frames, boxes and truth in a window meanwhile, of the first process."
)
@serve_option
@click.option(
    "--share", is_flag=True,
    help="Detect once for trackers that use the same detector; each is charged the time it took.",
)  # fmt: skip
@click.pass_context
def run(
    context: click.Context,
    trackers: tuple[str, ...],
    suite: str,
    data: str | None,
    partial: bool,
    protocol: str,
    results: Path,
    only: tuple[str, ...],
    attributes: tuple[str, ...],
    pairs: tuple[str, ...],
    name: str | None,
    repeat: int,
    force: bool,
    seed: int,
    jobs: int,
    threads: int,
    frame_timeout: float,
    start_timeout: float,
    timeout: float | None,
    memory: str | None,
    retry_failed: str,
    scheduler: str | None,
    send_data: bool,
    in_process: bool,
    show: bool,
    serve: int | None,
    share: bool,
) -> None:
    """Run trackers on a suite; what is current is skipped, so the same command resumes.

    A terminal shows frames of all trackers and the time that is left; each sequence gets a line with its score by the
    suite's own rule and its speed.

    Each tracker runs in a process of its own: whatever it does there costs it the sequence, and nothing else.
    """
    from rolo_bench.datasets.suites import load_suite
    from rolo_bench.run.job import Limits
    from rolo_bench.run.live import screen
    from rolo_bench.run.plugins import locate, parse_options
    from rolo_bench.run.runner import How, frames_of
    from rolo_bench.run.store import Store

    _check_together(trackers, name, jobs, in_process, scheduler, show or serve is not None, share)
    places = [locate(t) for t in trackers]
    how = How(
        jobs,
        threads,
        Limits(frame_timeout, timeout, _bytes(memory), start_timeout),
        retry_failed == "yes",
        in_process,
        scheduler,
        send_data,
    )
    if seed + repeat > 2**32:
        raise UsageError(f"--repeat {repeat} from --seed {seed} goes beyond the last seed, {2**32 - 1}")
    store = Store(results)
    asked = {
        "store": store, "options": parse_options(pairs), "name": name, "force": force, "seed": seed,
        "protocol": protocol, "how": how,
    }  # fmt: skip
    loaded = load_suite(suite, data, partial, only=only, tolerant=True, attributes=attributes)
    if loaded.missing and not (only or attributes):
        console.print(f"{loaded.name}: {loaded.note()}; not there: {', '.join(loaded.missing)}", markup=False)
    for note in loaded.notes:
        say(note)
    failures = made = 0
    board = Board(frames_of(loaded, protocol), [t for t in trackers for _ in range(repeat)])
    said = screen(show, serve, lambda line: console.print(line, markup=False))
    shared = store.scratch() if share else nullcontext()
    with _terminated(), shared as folder, said as view, shown(board):
        asked["how"] = replace(how, view=view, shared=folder)
        runs = ((p, t, n) for p, t in zip(places, trackers) for n in range(repeat))
        for index, (place, tracker, number) in enumerate(runs):
            label = (name or place.name) + (f"_{number:03d}" if repeat > 1 else "")
            board.begin(index, label)
            try:
                of_this = asked | {"name": label, "seed": seed + number}
                good, bad = _run_one(tracker, loaded, label, of_this, board)
                made, failures = made + good, failures + bad
            except RoloBenchError as error:
                if len(places) == 1:
                    raise
                console.print(f"  {place.name}: failed: {error}", markup=False, style="red")
                failures += 1
    if made and context.get_parameter_source("suite"):  # not called by a command that goes on by itself
        console.print(f"results in {results / loaded.name / protocol}", markup=False)
        console.print(f"next: {_next(context, loaded)}", markup=False)
    if failures:
        raise TrackerError(
            f"{failures} failed, the rest is kept; mend what is said of each and run the same command again"
        )


def _check_together(
    trackers: tuple[str, ...],
    name: str | None,
    jobs: int,
    in_process: bool,
    scheduler: str | None,
    live: bool,
    share: bool,
) -> None:
    """Refuse options that do not go together."""
    if not trackers:
        raise UsageError(
            "name a tracker with --tracker NAME (see `rolo-bench list trackers`) or a plugin file"
        )
    if name and len(trackers) > 1:
        raise UsageError("--name goes with one --tracker")
    if (in_process or scheduler) and jobs > 1:
        raise UsageError("--in-process and --scheduler go without --jobs")
    if scheduler and live:
        raise UsageError("--scheduler goes without --show and --serve")
    if share and (in_process or scheduler):
        raise UsageError(
            "--in-process and --scheduler go without --share: each process then detects for itself"
        )


def _bytes(text: str | None) -> int | None:
    """``4GB``, ``500MB`` or a number of bytes, which are `LEAST_MEMORY` at least: no process does with less."""
    if text is None:
        return None
    match = re.fullmatch(r"([0-9.]+)\s*([kmgt]?)b?", text.strip().lower())
    try:
        size = int(float(match[1]) * 1000 ** " kmgt".index(match[2] or " ")) if match else 0
    except (ValueError, OverflowError):
        size = 0
    if size < LEAST_MEMORY:
        raise UsageError(f"--memory {text[:60]!r}: write a size of 1MB or more, such as 4GB or 500MB")
    return size


@contextmanager
def _terminated() -> Iterator[None]:
    """While it lasts, SIGTERM ends the run as Ctrl-C does."""

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {s: signal.signal(s, stop) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _next(context: click.Context, suite: Suite) -> str:
    """The command that scores what was run: with the options that were typed, as the project file holds the others."""
    words = ["rolo-bench", "score"]
    for name in ("suite", "data", "results", "protocol"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            words += [f"--{name}", str(context.params[name])]
    typed = context.get_parameter_source("partial") is ParameterSource.COMMANDLINE
    if suite.missing and (typed or not context.params["partial"]):
        words.append("--partial")
    return shlex.join(words)


def _run_one(tracker: str, suite: Suite, label: str, asked: dict[str, Any], board: Board) -> tuple[int, int]:
    """Run one tracker and say what became of each sequence; how many have results now, and how many failed."""
    from rolo_bench.run.runner import run_suite
    from rolo_bench.scores.conventions import find_convention, official

    rule = find_convention(official(suite.family))
    count = {"done": 0, "skipped": 0, "failed": 0, "failed before": 0}
    begun = False

    def begin() -> None:
        nonlocal begun
        if not begun and not animated():  # once something is under way
            frames = f"{counted(len(suite.sequences), 'sequence')}, {counted_frames(board.each)}"
            console.print(f"{label} on {suite.name}: {frames}", markup=False)
        begun = True

    def tick(stem: str, frame: int, frames: int) -> None:
        begin()
        board.tick(stem, frame, frames)

    found: dict[str, list[dict[str, Any]]] = {}
    for outcome in run_suite(tracker, suite, progress=tick, **asked):
        count["failed before" if outcome.what == "skipped" and outcome.error else outcome.what] += 1
        board.end(outcome.stem, outcome.frames, {"done": outcome.frames, "skipped": 0}.get(outcome.what))
        if outcome.what == "skipped":
            continue
        begin()
        scores = _scored(outcome, suite, rule)
        if scores:
            found.setdefault(outcome.result.sequence if outcome.result else "", []).append(scores)
        _say(outcome, scores, rule, board)
    parts = [f"{count['done']} done"]
    parts += [f"{count[k]} {k}" for k in ("skipped", "failed", "failed before") if count[k]]
    if found and count["done"] == sum(count.values()):
        parts.append(f"{rule.headline} {_mean(found, rule):.3f}")
    console.print(f"{label} on {suite.name} ({asked['protocol']}): {', '.join(parts)}", markup=False)
    return count["done"] + count["skipped"], count["failed"] + count["failed before"]


def _mean(found: dict[str, list[dict[str, Any]]], rule: Convention) -> float:
    """The mean over sequences, each the mean of its segments; by frames where the rule says so."""
    weights = {n: sum(p["counted"] for p in parts) if rule.pooled else 1 for n, parts in found.items()}
    sums = (weights[n] * sum(p["auc"] for p in parts) / len(parts) for n, parts in found.items())
    return float(sum(sums) / max(sum(weights.values()), 1))


def _scored(outcome: Outcome, suite: Suite, rule: Convention) -> dict[str, Any]:
    """The scores of what was filed; empty where nothing was, or where the truth is not at hand."""
    from rolo_bench.scores.score import score_results

    if outcome.result is None:
        return {}
    sequence = next(s for s in suite.sequences if s.name == outcome.result.sequence)
    try:
        return score_results([(outcome.result, sequence)], rule)[0]
    except DataError:
        return {}


def _say(outcome: Outcome, scores: dict[str, Any], rule: Convention, board: Board) -> None:
    """A line on a sequence that is over; in a log with the time that is left."""
    if outcome.what == "failed":
        console.print(f"  {outcome.stem}: failed: {outcome.error}", markup=False, style="red")
        for line in outcome.output:
            console.print(f"    | {line}", markup=False)
        return
    score = f"{rule.headline} {scores['auc']:.3f}, " if scores else ""
    left = board.left()
    rest = f"; {board.share()}, {duration(left)} left" if left is not None and not animated() else ""
    fps = f"{outcome.fps:,.{0 if outcome.fps >= 100 else 1}f} fps" if outcome.fps > 0 else "no speed"
    console.print(f"  {outcome.stem}: {score}{fps}{rest}", markup=False)


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
    context.invoke(run, trackers=names, suite="demo", results=results, share=True)
    context.invoke(score, suite="demo", results=results)
    context.invoke(plot.commands["success"], suite="demo", results=results)
