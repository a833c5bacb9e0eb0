"""``rolo-bench study``: step size, occlusion, and transfer to other videos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rolo_bench.cli.options import (
    Number,
    Whole,
    console,
    data_options,
    device_option,
    format_option,
    results_option,
    together,
)
from rolo_bench.errors import find_name

if TYPE_CHECKING:
    import pandas as pd

PAPER = "otb30"
"""The suite of the paper, beside whose numbers its own may be drawn."""
shared_options = together(
    data_options, results_option, format_option,
    click.option("--cache", metavar="DIR", help="Folder for detections [default: the cache folder]."),
    click.option("--detector", default=None, metavar="NAME",
                 help="Detector [default: yolox-nano; demo on the demo suite]."),
    device_option,
)  # fmt: skip


@click.group(epilog="Example: rolo-bench study occlusion --suite demo")
def study() -> None:
    """Studies: step size, occlusion, transfer to videos not trained on."""


def _line(text: str) -> None:
    console.print(f"  {text}", markup=False)


def _show(table: pd.DataFrame, format_: str | None, output: Path) -> None:
    from rolo_bench.files import write_atomic
    from rolo_bench.scores.tables import render

    write_atomic(output, render(table, "csv"))
    click.echo(render(table, format_), nl=False)
    console.print(f"wrote {output}", markup=False)


@study.command(epilog="Example: rolo-bench study steps --suite otb30 --data ~/otb --partial")
@shared_options
@click.option("--train", "train_on", metavar="DIR", multiple=True,
              help="Train a network for each step on the videos of this folder, or on `synthetic`; without it, "
              "those that come with rolo-bench are measured.")  # fmt: skip
@click.option("--motion", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR",
              help="Annotations for pre-training, as in `train tracker`.")  # fmt: skip
@click.option("--seed", type=Whole(0, 2**32 - 1), default=0, show_default=True, help="Of the training.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Processor threads.")
@click.option("--figure/--no-figure", default=True, show_default=True, help="Draw figure 6 beside the table.")
def steps(
    suite: str, data: str | None, partial: bool, results: Path, format_: str | None, cache: str | None,
    detector: str | None, device: str, train_on: tuple[str, ...], motion: Path | None, seed: int, threads: int,
    figure: bool,
) -> None:  # fmt: skip
    """Mean IoU and LSTM frames per second over 1, 3, 6 and 9 steps: the paper's figure 6."""
    from rolo_bench import plots
    from rolo_bench.datasets.suites import load_suite
    from rolo_bench.nn.detect.registry import DETECTORS
    from rolo_bench.nn.train.loop import use_threads
    from rolo_bench.paper.studies import detector_for, step_networks, step_sizes, trained_step_networks
    from rolo_bench.scores import published

    use_threads(threads)
    loaded = load_suite(suite, data, partial)
    name = detector or detector_for(loaded)
    if Path(name).suffix not in (
        ".py",
        ".cfg",
    ):  # a wrong one would go unnoticed: its networks are those of others
        find_name("detector", name, DETECTORS)
    folder = results / "study"
    if train_on:
        networks = trained_step_networks(
            train_on, folder, name, motion=motion, seed=seed, cache=cache, report=_line, device=device
        )
    else:
        networks = step_networks(name)
    words = f"CPU, {threads} thread" + "s" * (threads > 1) if device == "cpu" else device
    table = step_sizes(loaded, networks, cache or True, words, _line, device)
    _show(table, format_, folder / "steps.csv")
    if figure:
        paper = published.steps() if loaded.name == PAPER else None  # its numbers are of no other videos
        click.echo(plots.save(plots.steps(table, paper), folder / "steps.png"))


@study.command(epilog="Example: rolo-bench study occlusion --suite demo --tracker rolo --tracker yolo-sort")
@shared_options
@click.option("--tracker", "trackers", multiple=True, metavar="NAME",
              help="Tracker with results; repeatable [default: rolo yolo-sort yolo].")  # fmt: skip
@click.option("--valid-iou", type=Number(0, 1), default=0.5, show_default=True,
              help="A detection counts as valid from this IoU with the truth on.")  # fmt: skip
@click.option("--threshold", type=Number(0, 1), default=0.1, show_default=True,
              help="Least score of a detection.")  # fmt: skip
def occlusion(
    suite: str, data: str | None, partial: bool, results: Path, format_: str | None, cache: str | None,
    detector: str | None, device: str, trackers: tuple[str, ...], valid_iou: float, threshold: float,
) -> None:  # fmt: skip
    """Mean IoU over the frames in which the detector finds no valid box, from stored results.

    `yolo` holds the last accepted box. The demo suite also knows in which frames the target is hidden.
    """
    from rolo_bench.datasets.suites import load_suite
    from rolo_bench.paper import studies
    from rolo_bench.run.store import Store

    loaded = load_suite(suite, data, partial)
    store, names = Store(results), trackers or studies.TRACKERS
    table = studies.occlusion(
        store, loaded, names, detector, cache or True, valid_iou, threshold, _line, device
    )
    _show(table, format_, results / "study" / f"occlusion-{loaded.name}.csv")


@study.command(
    epilog='Example: rolo-bench study transfer --data videos/train rolo "rolo without=feature" "rolo steps=1" yolo'
)
@click.argument("variants", nargs=-1, required=True, metavar="VARIANT...")
@click.option(
    "--data", "folders", multiple=True, required=True, metavar="DIR", help="Training videos; repeatable."
)
@click.option("--motion", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR",
              help="Annotations for pre-training, as in `train tracker`.")  # fmt: skip
@click.option("--detector", default="yolox-nano", show_default=True, metavar="NAME", help="Detector.")
@click.option("--size", type=Whole(32), default=None, help="Side of its input [default: as trackers use it].")
@click.option("--vote", type=Number(0, 1), default=None,
              help="IoU above which its boxes vote; 1 is none [default: its own].")  # fmt: skip
@click.option("--cache", metavar="DIR", help="Folder for detections [default: the cache folder].")
@click.option(
    "--folds", type=click.IntRange(2), default=5, show_default=True, help="Parts of the recordings."
)
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="Trainings of each part.")
@click.option("--starts", type=click.IntRange(1), default=2, show_default=True, help="First frames each way.")
@click.option("--steps", type=click.IntRange(1), default=6, show_default=True, help="Window that is trained.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Processor threads.")
@device_option
@results_option
@format_option
def transfer(
    variants: tuple[str, ...], folders: tuple[str, ...], motion: Path | None, detector: str, cache: str | None,
    folds: int, seeds: int, starts: int, steps: int, threads: int, device: str, results: Path,
    format_: str | None, size: int | None, vote: float | None,
) -> None:  # fmt: skip
    """Cross-validation over whole recordings, from stored detections.

    A VARIANT is a tracker and its options, such as "rolo without=feature"; with "rolo feature=other" the first frame
    looks as that of another video. ROLO is trained on the other recordings. Differences are to the first variant,
    paired by recording. Another size or vote of the detector needs a folder of results of its own.
    """
    from rolo_bench.files import write_atomic
    from rolo_bench.nn.train.loop import use_threads
    from rolo_bench.nn.train.tracks import training_sequences
    from rolo_bench.paper import transfer as study_
    from rolo_bench.scores.tables import render

    use_threads(threads)
    table = study_.transfer(
        training_sequences(folders), [study_.Variant.of(v) for v in variants], results / "study" / "transfer",
        detector=detector, cache=cache, motion=motion, folds=folds, seeds=seeds, starts=starts, steps=steps,
        report=_line, device=device, size=size, vote=vote,
    )  # fmt: skip
    write_atomic(results / "study" / "transfer-recordings.csv", render(table, "csv"))
    _show(study_.summary(table), format_, results / "study" / "transfer.csv")
