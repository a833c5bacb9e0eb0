"""``rolo-bench study``: step size and occlusion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rolo_bench.cli.options import (
    console,
    data_option,
    format_option,
    partial_option,
    results_option,
    suite_option,
)
from rolo_bench.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

STEPS = (1, 3, 6, 9)


@click.group(epilog="Example: rolo-bench study steps --suite demo")
def study() -> None:
    """Studies of the paper: step size, occlusion."""


def _show(table: pd.DataFrame, format_: str | None, output: Path) -> None:
    from rolo_bench.scores.tables import render

    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(render(table, "csv"), encoding="utf-8")
    click.echo(render(table, format_), nl=False)
    console.print(f"wrote {output}", markup=False)


def shared_options(command: Any) -> Any:
    """Options of both studies."""
    for option in (
        click.option("--detector", default=None, metavar="NAME",
                     help="Detector [default: yolox-nano; demo on the demo suite]."),
        click.option("--cache", metavar="DIR", help="Folder for detections [default: the cache folder]."),
        format_option, results_option, partial_option, data_option, suite_option(),
    ):  # fmt: skip
        command = option(command)
    return command


@study.command(epilog="Example: rolo-bench study steps --suite otb30 --data ~/otb --partial")
@shared_options
@click.option("--train", "train_on", metavar="DIR", multiple=True,
              help="Train a network for each step on the videos of this folder, or on `synthetic`; without it, "
              "those that come with rolo-bench are measured.")  # fmt: skip
@click.option("--motion", metavar="DIR", help="Annotations for pre-training, as in `train tracker`.")
@click.option("--seed", default=0, show_default=True, help="Of the training.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Processor threads.")
@click.option("--figure/--no-figure", default=True, show_default=True, help="Draw figure 6 beside the table.")
def steps(
    suite: str,
    data: str | None,
    partial: bool,
    results: Path,
    format_: str | None,
    cache: str | None,
    detector: str | None,
    train_on: tuple[str, ...],
    motion: str | None,
    seed: int,
    threads: int,
    figure: bool,
) -> None:
    """Mean IoU and LSTM frames per second over 1, 3, 6 and 9 steps: the paper's figure 6."""
    import pandas as pd
    import torch

    from rolo_bench.datasets.suites import load_suite
    from rolo_bench.nn.detect.registry import open_detector
    from rolo_bench.nn.rolo.file import load_rolo, shipped_path
    from rolo_bench.paper.studies import detections, steps_row

    torch.set_num_threads(threads)
    loaded = load_suite(suite, data, partial)
    name = detector or ("demo" if loaded.name == "demo" else "yolox-nano")
    folder = results / "study"
    networks = []
    for n in STEPS:
        if train_on:
            path = folder / f"steps-{name}-{n}" / "rolo.safetensors"
            if not path.is_file():
                _train(train_on, motion, name, n, seed, threads, cache, path.parent)
        else:
            path = shipped_path(f"rolo-{name}" + ("" if n == 6 else f"-steps{n}"))
        networks.append(load_rolo(path)[0])
    config = networks[0].config
    made = open_detector(name, size=config.size, threshold=config.threshold, cache=cache or True)
    watched = {}
    for sequence in loaded.sequences:
        watched[sequence.name] = (*detections(sequence, made), sequence.truth)
        console.print(f"  {sequence.name}: detections", markup=False)
    rows = []
    for network in networks:
        rows.append(steps_row(network, watched))
        console.print(f"  {network.config.steps} steps: mean IoU {rows[-1]['mean_iou']:.4f}", markup=False)
    table = pd.DataFrame(rows).assign(
        suite=loaded.name, coverage=loaded.note() or f"{len(loaded.sequences)} sequences", detector=name,
        convention="otb", hidden=config.hidden, device=f"CPU, {threads} thread" + "s" * (threads > 1),
    )  # fmt: skip
    _show(table, format_, folder / "steps.csv")
    if figure:
        from rolo_bench.cli import main

        main(["plot", "steps", str(folder / "steps.csv"), "-o", str(folder / "steps.png")])


def _train(
    train_on: tuple[str, ...], motion: str | None, detector: str, steps: int, seed: int, threads: int,
    cache: str | None, out: Path,
) -> None:  # fmt: skip
    from rolo_bench.cli import main
    from rolo_bench.errors import RoloBenchError

    words = ["train", "tracker", *(w for d in train_on for w in ("--data", d)), "--detector", detector]
    words += ["--steps", str(steps), "--seed", str(seed), "--threads", str(threads), "--out", str(out)]
    words += ["--motion", motion] if motion else []
    words += ["--cache", cache] if cache else []
    if main(words):
        raise RoloBenchError(f"training with {steps} steps failed; its message stands above")


@study.command(epilog="Example: rolo-bench study occlusion --suite demo --tracker rolo --tracker yolo-sort")
@shared_options
@click.option("--tracker", "trackers", multiple=True, metavar="NAME",
              help="Tracker with results; repeatable [default: rolo yolo-sort yolo].")  # fmt: skip
@click.option("--valid-iou", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="A detection counts as valid from this IoU with the truth on.")  # fmt: skip
@click.option("--threshold", type=click.FloatRange(0, 1), default=0.1, show_default=True,
              help="Least score of a detection.")  # fmt: skip
def occlusion(
    suite: str,
    data: str | None,
    partial: bool,
    results: Path,
    format_: str | None,
    cache: str | None,
    detector: str | None,
    trackers: tuple[str, ...],
    valid_iou: float,
    threshold: float,
) -> None:
    """Mean IoU over the frames in which the detector finds no valid box, from stored results.

    `yolo` holds the last accepted box. The demo suite also knows in which frames the target is hidden.
    """
    import pandas as pd

    from rolo_bench.datasets.suites import load_suite
    from rolo_bench.nn.detect.registry import open_detector
    from rolo_bench.paper.studies import detections, detector_failures, occlusion_table
    from rolo_bench.run.store import Store

    loaded = load_suite(suite, data, partial)
    store = Store(results)
    names = trackers or ("rolo", "yolo-sort", "yolo")
    lost = [n for n in names if n not in store.trackers(loaded.name)]
    if lost:
        raise UsageError(
            f"no results of {', '.join(lost)} on {loaded.name} in {results}; make them with `rolo-bench run`"
        )
    name = detector or ("demo" if loaded.name == "demo" else "yolox-nano")
    made = open_detector(name, size=None if name == "demo" else 416, threshold=threshold, cache=cache or True)
    truth = {s.name: s.truth for s in loaded.sequences}
    boxes = {
        n: {s.name: store.load(loaded.name, "ope", n, s.name)[0].boxes for s in loaded.sequences}
        for n in names
    }
    failures = {}
    for sequence in loaded.sequences:
        failures[sequence.name] = detector_failures(sequence, detections(sequence, made)[0], valid_iou)
        console.print(f"  {sequence.name}: {int(failures[sequence.name].frames.sum())} frames", markup=False)
    parts = [occlusion_table(boxes, truth, {k: f.frames for k, f in failures.items()}, "no valid detection")]
    hidden = {k: f.unseen for k, f in failures.items() if f.unseen is not None}
    if len(hidden) == len(truth):
        parts.append(occlusion_table(boxes, truth, hidden, "target hidden by more than half"))
    _show(pd.concat(parts, ignore_index=True), format_, results / "study" / f"occlusion-{loaded.name}.csv")
