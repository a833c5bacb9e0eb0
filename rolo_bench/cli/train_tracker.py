"""``rolo-bench train tracker``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rolo_bench.cli.options import console
from rolo_bench.nn.train.rolo import training_sequences

if TYPE_CHECKING:
    pass

WINDOW = 4.0  # sides of a heatmap in those of the box fed before


@click.command(
    epilog="Example: rolo-bench train tracker --data videos/train --motion annotations "
    "--detector yolox-nano --out runs/rolo"
)
@click.option("--data", "folders", multiple=True, metavar="DIR",
              help="Folder of videos in OTB, VOT or ILSVRC VID layout, or `synthetic`; repeatable.")  # fmt: skip
@click.option("--suite", "suites", multiple=True, metavar="NAME",
              help="Built-in suite to train on, for instance otb30-train (experiment 1); repeatable.")  # fmt: skip
@click.option("--videos", metavar="DIR", help="Folder of the suites' videos [default: $ROLO_BENCH_DATA].")
@click.option("--motion", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR",
              help="Folder of annotation files for pre-training on simulated detections; OTB-30 is left out "
              "[default: the truth of the videos].")  # fmt: skip
@click.option("--split", type=click.Choice(["all", "first-third", "third-truth"]), default="all",
              show_default=True, help="Which frames and truth: experiments 2 and 3 of the paper.")  # fmt: skip
@click.option(
    "--detector", default="yolox-nano", show_default=True, metavar="NAME", help="Detector to train on."
)
@click.option(
    "--size", type=int, default=None, help="Side of the detector's input [default: 416; demo: its own]."
)
@click.option("--cache", metavar="DIR", help="Folder for detections [default: the cache folder].")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR",
              help="Folder of the run: checkpoint, curves, rolo.safetensors.")  # fmt: skip
@click.option("--start", "start_from", type=click.Path(path_type=Path, exists=True), metavar="FILE",
              help="Weights to fine-tune.")  # fmt: skip
@click.option(
    "--form", type=click.Choice(["offset", "absolute", "heatmap"]), default="offset", show_default=True,
    help="Of the output: an offset to the detection or last box, the paper's absolute box, or its heatmap.",
)  # fmt: skip
@click.option("--paper-size", is_flag=True, help="The paper's network: 4102 inputs and states.")
@click.option("--steps", type=click.IntRange(0), default=6, show_default=True, help="Window; 0 is streaming.")
@click.option(
    "--hidden", type=click.IntRange(1), default=None, help="Size of the state [default: 64; heatmap: 128]."
)
@click.option("--projection", type=click.IntRange(0), default=16, show_default=True,
              help="Features are projected to so many; 0 feeds them as they are.")  # fmt: skip
@click.option("--no-features", is_flag=True, help="Boxes alone.")
@click.option("--centre", type=click.Choice(["history", "prediction"]), default=None,
              help="Centre of the association's reference: the paper's, or the network's prediction "
              "[default: by detector].")  # fmt: skip
@click.option("--widen", type=click.FloatRange(0), default=None,
              help="Growth of the association's reference per frame without a detection; 0 is the paper "
              "[default: by detector].")  # fmt: skip
@click.option("--loss", type=click.Choice(["iou", "mse"]), default="iou", show_default=True,
    help="Overlap, or the paper's mean squared error.",
)  # fmt: skip
@click.option(
    "--pretrain", type=click.IntRange(0), default=600, show_default=True, help="Steps on simulated runs."
)
@click.option(
    "--finetune", type=click.IntRange(1), default=900, show_default=True, help="Steps with real runs."
)
@click.option("--batch", type=click.IntRange(1), default=128, show_default=True, help="Windows per step.")
@click.option("--rate", type=float, default=2e-3, show_default=True, help="Highest learning rate.")
@click.option("--feature-dropout", type=click.FloatRange(0, 1), default=0.7, show_default=True,
    help="Share of the batches that see no features.",
)  # fmt: skip
@click.option("--box-jitter", type=float, default=0.0, show_default=True, help="Random offset of fed boxes.")
@click.option("--auxiliary", type=float, default=0.0, show_default=True, help="Weight of the detection cost.")
@click.option("--hold-out", type=click.FloatRange(0, 0.9), default=0.0, show_default=True,
              help="Share of the videos for early stopping; 0 trains to the end.")  # fmt: skip
@click.option("--scenes", default=150, show_default=True,
              help="Number of scenes with --data synthetic; as many more for simulated runs.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of everything that is drawn.")
@click.option("--threads", type=click.IntRange(1), default=None, help="Processor threads [default: all].")
@click.pass_context
def tracker(context: click.Context, **o: Any) -> None:
    """Train ROLO's LSTM on stored detections; the same command goes on with a stopped run."""
    from dataclasses import replace

    import torch

    from rolo_bench.nn.detect.options import chosen_for
    from rolo_bench.nn.detect.registry import open_detector
    from rolo_bench.nn.rolo.config import CHOSEN, STREAMING, RoloConfig, paper_config
    from rolo_bench.nn.rolo.file import load_rolo, save_rolo
    from rolo_bench.nn.train.footage import footage
    from rolo_bench.nn.train.rolo import LENGTH, STARTS, prepare_runs, train, write_curves
    from rolo_bench.nn.train.rolo_loss import Recipe
    from rolo_bench.nn.train.tracks import collect, synthetic_paths

    if o["threads"]:
        torch.set_num_threads(o["threads"])
    size = o["size"] or (None if o["detector"] == "demo" else 416)
    chosen = {} if o["paper_size"] else chosen_for(CHOSEN, o["detector"])
    chosen = chosen | {k: o[k] for k in ("centre", "widen") if o[k] is not None}
    if not o["paper_size"] and o["form"] == "offset" and not o["steps"]:
        chosen |= STREAMING
    detector = open_detector(
        o["detector"], size=size, threshold=chosen.get("threshold", 0.1), cache=o["cache"] or True
    )
    width = 0 if o["no_features"] else detector.feature_size
    if o["paper_size"]:
        config = replace(paper_config(width, o["steps"], o["form"]), detector=o["detector"], size=size)
    else:
        config = RoloConfig(
            form=o["form"], feature_size=width, projection=o["projection"], steps=o["steps"],
            hidden=o["hidden"] or (128 if o["form"] == "heatmap" else 64), detector=o["detector"], size=size,
            missing="zero" if o["form"] == "absolute" else "output",
            window=WINDOW if o["form"] == "heatmap" else 0.0, **chosen,
        )  # fmt: skip
    led = (
        not config.steps and config.centre == "prediction"
    )  # by its own predictions, which are then learnt, too
    recipe = Recipe(
        predict=1.0 if led else 0.0,
        pretrain=o["pretrain"], finetune=o["finetune"], batch=o["batch"], rate=o["rate"], loss=o["loss"],
        feature_dropout=o["feature_dropout"], box_jitter=o["box_jitter"], auxiliary=o["auxiliary"], seed=o["seed"],
    )  # fmt: skip
    sequences = training_sequences(o["folders"], o["suites"], o["videos"], o["scenes"], o["seed"])
    console.print(f"detections of {len(sequences)} videos by {o['detector']}")
    tracks, features = collect(
        sequences, detector, width > 0, o["split"], lambda line: console.print(f"  {line}")
    )
    more = synthetic_paths(o["scenes"], o["seed"]) if "synthetic" in o["folders"] else []
    starts = STARTS if any(len(t.truth) > LENGTH for t in tracks) else 1
    runs = prepare_runs(
        tracks, config, o["motion"], o["hold_out"], o["seed"], starts=starts,
        simulated=max(600, 2 * len(tracks)), more=more,
    )  # fmt: skip
    learnt = [t for t in tracks if t.name not in runs.held_out_names]
    begin = load_rolo(o["start_from"])[0].state_dict() if o["start_from"] else None
    network, progress = train(
        config, recipe, runs.simulated, runs.real, runs.held_out, features,
        o["out"] / "checkpoint.pt", lambda line: console.print(line, markup=False), begin,
        footage(learnt, config) if led else None,
    )  # fmt: skip
    about = {
        "videos": [t.name for t in tracks], "held_out": runs.held_out_names, "split": o["split"],
        "motion": o["motion"].name if o["motion"] else "", "recipe": vars(recipe), "best_step": progress.best_step,
        "held_out_iou": progress.best if runs.held_out is not None else None, "command": command_line(context),
    }  # fmt: skip
    save_rolo(network, o["out"] / "rolo.safetensors", about)
    write_curves(progress, o["out"] / "curves.csv")
    console.print(
        f"wrote {o['out'] / 'rolo.safetensors'}; try it with -o network={o['out'] / 'rolo.safetensors'}"
    )


def command_line(context: click.Context) -> str:
    """The command with the options that were given; of a path only its name, since folders differ by machine."""
    words = ["rolo-bench train tracker"]
    for option in context.command.params:
        if option.name in ("cache", "threads", "out"):  # say nothing about the result
            continue
        value = context.params[option.name or ""]
        if value is None or value is False or value in ((), option.get_default(context)):
            continue
        for one in value if isinstance(value, tuple) else (value,):
            shown = Path(one).name if isinstance(one, Path) or option.name in ("folders", "videos") else one
            words.append(option.opts[0] if one is True else f"{option.opts[0]} {shown}")
    return " ".join(words)
