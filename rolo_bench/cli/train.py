"""``rolo-bench train``: backbone, detector, tracker and rolo-plus. Runs are seeded and resumable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rolo_bench.cli.options import FromProject, Number, Whole, console, device_option
from rolo_bench.errors import counted

RECIPE = (
    "pretrain", "finetune", "batch", "rate", "loss", "feature_dropout", "box_jitter", "auxiliary", "seed",
)  # fmt: skip
NETWORKS = ("demo", "yolov1", "yolov1-small", "yolov1-tiny")


@click.group(epilog="Example: rolo-bench train detector --data synthetic --out runs/demo")
def train() -> None:
    """Train backbone, detector, tracker or rolo-plus.

    A run that was stopped goes on when the same command is given again.
    """


out_option = click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="DIR",
    help="Folder of the run: checkpoint, curves, weights.",
)  # fmt: skip
seed_option = click.option(
    "--seed", type=Whole(0, 2**32 - 1), default=0, show_default=True, help="Of everything that is drawn."
)
threads_option = click.option("--threads", type=Whole(1), help="Processor threads [default: all].")
data_option = click.option(
    "--data", "folders", multiple=True, metavar="DIR",
    help="Folder of videos in OTB, VOT or ILSVRC VID layout, or `synthetic`; repeatable.",
)  # fmt: skip
motion_option = click.option(
    "--motion", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR",
    help="Folder of annotation files to learn motion from; OTB-30 is left out [default: the truth of the videos].",
)  # fmt: skip
detector_option = click.option(
    "--detector", default="yolox-nano", show_default=True, metavar="NAME", help="Detector to train on."
)


def common(command: Any) -> Any:
    """Options of trainings on images."""
    for option in (
        out_option,
        click.option("--network", type=click.Choice(NETWORKS), default="demo", show_default=True,
                     help="Network to train."),
        seed_option,
        click.option("--every", type=Whole(1), default=100, show_default=True,
                     help="Steps between evaluations and checkpoints."),
        click.option("--patience", type=Whole(0), default=0, show_default=True,
                     help="Stop after so many evaluations without a better score; 0 for never."),
        device_option,
        threads_option,
    ):  # fmt: skip
        command = option(command)
    return command


def show_row(row: dict[str, float]) -> None:
    """One line of progress."""
    score = f"  score {row['score']:.4f}" if "score" in row else ""
    console.print(f"step {row['step']:>6.0f}  loss {row['loss']:.4f}{score}  ({row['seconds']:.0f} s)")


def show_note(line: str) -> None:
    """One line on a video."""
    console.print(f"  {line}", markup=False)


def show_written(path: Path) -> None:
    """Where a tracker's weights are, and how to use them."""
    console.print(f"wrote {path}; try it with -o network={path}", markup=False)


@train.command(
    epilog="Example: rolo-bench train detector --data synthetic --threads 1 --shards 2 --out runs/demo\n\n"
    "On VOC: rolo-bench train detector --data voc:VOCdevkit/VOC2007 --network yolov1-tiny --out runs/voc"
)
@common
@click.option(
    "--data", default="synthetic", show_default=True, metavar="NAME",
    help="synthetic (seeds of the generator), or voc:FOLDER (splits train and val).",
)  # fmt: skip
@click.option("--size", type=Whole(32), help="Side of the images [default: the network's own].")
@click.option("--images", type=Whole(1), default=20000, show_default=True, help="Synthetic images.")
@click.option("--valid", type=Whole(1), default=500, show_default=True, help="Synthetic images to score.")
@click.option(
    "--test", type=Whole(0), default=1000, show_default=True,
    help="Synthetic images to test the finished weights on; no choice is made by them.",
)  # fmt: skip
@click.option("--steps", type=Whole(1), default=13000, show_default=True, help="Updates in all.")
@click.option("--batch", type=Whole(1), default=16, show_default=True, help="Images per step.")
@click.option(
    "--augment",
    type=Number(0, 1),
    default=0.5,
    show_default=True,
    help="Strength of the augmentation.",
)
@click.option(
    "--shards", type=Whole(1), default=1, show_default=True,
    help="Parts of a batch worked on at once, a core each; goes with --threads 1.",
)  # fmt: skip
@click.option(
    "--rate",
    type=Number(0, min_open=True),
    help="Highest learning rate [default: 1.5e-3 for demo, else 7e-4].",
)
@click.option(
    "--backbone", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
    help="Weights to start from, of `train backbone` or of `train detector` at another size.",
)  # fmt: skip
def detector(
    out: Path, network: str, seed: int, every: int, patience: int, device: str, threads: int | None, data: str,
    size: int | None, images: int, valid: int, test: int, steps: int, batch: int, shards: int,
    augment: float, rate: float | None, backbone: Path | None,
) -> None:  # fmt: skip
    """Train a YOLOv1 network with the paper's loss; `demo` with the denser one (docs/detectors.md).

    Writes DIR/detector.safetensors, which `--detector-weights` and `load_detector(weights=…)` take.
    """
    from rolo_bench.nn.detect.torch_detector import pick_device
    from rolo_bench.nn.train import detector as training
    from rolo_bench.nn.train.loop import Schedule, use_threads

    def rendered(done: int, total: int) -> None:
        if done % 1000 == 0 or done == total:
            console.print(f"images {done} of {total}")

    pick_device(device, False)
    use_threads(threads)
    learnt, scored, unseen = training.image_sets(data, images, valid, test)
    plan = training.plan_for(network, learnt.names, size)
    usual, decay, mosaics = training.DENSE if plan.logits else training.SPARSE
    fit = training.train_detector(
        learnt, scored, out,
        training.DetectorRecipe(network, batch, shards, strength=augment, mosaics=mosaics),
        Schedule(steps, rate or usual, decay=decay, every=every, patience=patience, seed=seed),
        test=unseen, plan=plan, device=device, backbone=backbone, report=show_row, rendered=rendered,
    )  # fmt: skip
    console.print(f"mAP at 0.5 on the validation images: {fit.score:.4f} at step {fit.step}")
    console.print(f"wrote {out / 'detector.safetensors'}")


@train.command(
    epilog="Example: rolo-bench train backbone --data imagenet/train --valid imagenet/val "
    "--network yolov1-tiny --out runs/backbone"
)
@common
@click.option("--data", required=True, metavar="DIR", help="One folder of images per class, or `synthetic`.")
@click.option("--valid", metavar="DIR", help="The same for scoring; needed unless --data is synthetic.")
@click.option("--steps", type=Whole(1), default=2000, show_default=True, help="Updates in all.")
@click.option("--batch", type=Whole(1), default=64, show_default=True, help="Images per step.")
@click.option("--size", type=Whole(32), default=224, show_default=True, help="Side of the images.")
@click.option(
    "--rate", type=Number(0, min_open=True), default=1e-3, show_default=True, help="Highest learning rate."
)
@click.option(
    "--images", type=Whole(1), default=2000, show_default=True, help="Synthetic images to cut from."
)
def backbone(
    out: Path, network: str, seed: int, every: int, patience: int, device: str, threads: int | None, data: str,
    valid: str | None, steps: int, batch: int, size: int, rate: float, images: int,
) -> None:  # fmt: skip
    """Pre-train the convolutions as a classifier (phase 1 of the paper).

    Writes DIR/backbone.safetensors, which `train detector --backbone` takes.
    """
    from rolo_bench.nn.detect.torch_detector import pick_device
    from rolo_bench.nn.train.backbone import BackboneRecipe, picture_sets, train_backbone
    from rolo_bench.nn.train.loop import Schedule, use_threads

    pick_device(device, False)
    use_threads(threads)
    fit = train_backbone(
        *picture_sets(data, valid, out, images), out, BackboneRecipe(network, size, batch),
        Schedule(steps, rate, every=every, patience=patience, seed=seed), device=device, report=show_row,
    )  # fmt: skip
    console.print(f"accuracy: {fit.score:.4f} at step {fit.step}; wrote {out / 'backbone.safetensors'}")


@train.command(
    epilog="Example: rolo-bench train tracker --data videos/train --motion annotations "
    "--detector yolox-nano --out runs/rolo"
)
@data_option
@click.option("--suite", "suites", multiple=True, metavar="NAME",
              help="Built-in suite to train on, for instance otb30-train (experiment 1); repeatable.")  # fmt: skip
@click.option("--videos", cls=FromProject, metavar="DIR",
              help="Folder of the suites' videos [default: $ROLO_BENCH_DATA, else the cache].")  # fmt: skip
@motion_option
@click.option("--split", type=click.Choice(["all", "first-third", "third-truth"]), default="all",
              show_default=True, help="Which frames and truth: experiments 2 and 3 of the paper.")  # fmt: skip
@detector_option
@click.option("--size", type=Whole(32), default=None,
              help="Side of the detector's input [default: as trackers use it].")  # fmt: skip
@click.option("--cache", metavar="DIR", help="Folder for detections [default: the cache folder].")
@out_option
@click.option("--start", type=click.Path(path_type=Path, exists=True), metavar="FILE",
              help="Weights to fine-tune.")  # fmt: skip
@click.option(
    "--form", type=click.Choice(["offset", "absolute", "heatmap"]), default="offset", show_default=True,
    help="Of the output: an offset to the detection or last box, the paper's absolute box, or its heatmap.",
)  # fmt: skip
@click.option(
    "--paper-size", is_flag=True, help="The paper's network: absolute boxes, 4102 inputs and states."
)
@click.option("--steps", type=Whole(0), default=6, show_default=True, help="Window; 0 is streaming.")
@click.option("--hidden", type=Whole(1), default=None, help="Size of the state [default: 64; heatmap: 128].")
@click.option("--centre", type=click.Choice(["history", "prediction"]), default=None,
              help="Centre of the association's reference: the paper's, or the network's prediction "
              "[default: by detector].")  # fmt: skip
@click.option("--widen", type=Number(0), default=None,
              help="Growth of the association's reference per frame without a detection; 0 is the paper "
              "[default: by detector].")  # fmt: skip
@click.option("--loss", type=click.Choice(["iou", "mse"]), default="iou", show_default=True,
    help="Overlap, or the paper's mean squared error.",
)  # fmt: skip
@click.option("--pretrain", type=Whole(0), default=600, show_default=True, help="Steps on simulated runs.")
@click.option("--finetune", type=Whole(1), default=900, show_default=True, help="Steps with real runs.")
@click.option("--batch", type=Whole(1), default=128, show_default=True, help="Windows per step.")
@click.option(
    "--rate", type=Number(0, min_open=True), default=2e-3, show_default=True, help="Highest learning rate."
)
@click.option("--feature-dropout", type=Number(0, 1), default=0.7, show_default=True,
    help="Share of the batches that see no features.",
)  # fmt: skip
@click.option(
    "--box-jitter", type=Number(0), default=0.0, show_default=True, help="Random offset of fed boxes."
)
@click.option(
    "--auxiliary", type=Number(0), default=0.0, show_default=True, help="Weight of the detection cost."
)
@click.option("--hold-out", type=Number(0, 0.9), default=0.0, show_default=True,
              help="Share of the videos for early stopping; 0 trains to the end.")  # fmt: skip
@click.option("--scenes", type=Whole(1), default=150, show_default=True,
              help="Number of scenes with --data synthetic; as many more for simulated runs.")  # fmt: skip
@seed_option
@device_option
@threads_option
@click.pass_context
def tracker(
    context: click.Context, folders: tuple[str, ...], suites: tuple[str, ...], videos: str | None, scenes: int,
    threads: int | None, out: Path, **options: Any,
) -> None:  # fmt: skip
    """Train ROLO's LSTM on stored detections."""
    from rolo_bench.nn.train.loop import use_threads
    from rolo_bench.nn.train.rolo import train_tracker
    from rolo_bench.nn.train.rolo_loss import RoloRecipe
    from rolo_bench.nn.train.tracks import synthetic_paths, training_sequences

    use_threads(threads)
    recipe = RoloRecipe(**{name: options.pop(name) for name in RECIPE})
    sequences = training_sequences(folders, suites, videos, scenes, recipe.seed)
    console.print(f"detections of {counted(len(sequences), 'video')} by {options['detector']}")
    fit = train_tracker(
        sequences, out, **options, recipe=recipe, command=command_line(context), note=show_note, report=show_row,
        more=synthetic_paths(scenes, recipe.seed) if "synthetic" in folders else (),
    )  # fmt: skip
    if fit.curves and "score" in fit.curves[-1]:
        console.print(f"held-out IoU: {fit.score:.4f} at step {fit.step}")
    show_written(out / "rolo.safetensors")


def command_line(context: click.Context) -> str:
    """The command with the options that were given; of a path only its name, since folders differ by machine."""
    words = ["rolo-bench train tracker"]
    for option in context.command.params:
        if option.name in ("cache", "device", "threads", "out"):  # say nothing about the result
            continue
        value = context.params[option.name or ""]
        if value is None or value is False or value in ((), option.get_default(context)):
            continue
        for one in value if isinstance(value, tuple) else (value,):
            shown = Path(one).name if isinstance(one, Path) or option.name in ("folders", "videos") else one
            words.append(option.opts[0] if one is True else f"{option.opts[0]} {shown}")
    return " ".join(words)


@train.command(
    epilog="Example: rolo-bench train plus --data videos/train --motion annotations --out runs/plus --folds 6"
)
@data_option
@motion_option
@detector_option
@click.option(
    "--size", type=Whole(32), default=None, help="Side of the detector's input [default: 320, or its own]."
)
@click.option("--start", metavar="FILE", default="none", show_default=True,
              help="Weights of the tracker that meets the videos; `none` is the hand-made judge.")  # fmt: skip
@click.option("--frames", type=Whole(2), default=300, show_default=True, help="Recorded of each video.")
@click.option("--folds", type=Whole(0), default=0, show_default=True,
              help="Also train on all but one fold of the videos, for each fold: plus-fold0.safetensors …")  # fmt: skip
@click.option(
    "--scenes", type=Whole(1), default=60, show_default=True, help="Number of scenes with --data synthetic."
)
@out_option
@seed_option
@device_option
@threads_option
def plus(
    folders: tuple[str, ...],
    scenes: int,
    threads: int | None,
    frames: int,
    seed: int,
    out: Path,
    **options: Any,
) -> None:
    """Train the LSTM and the judge of rolo-plus."""
    from rolo_bench.nn.train.loop import use_threads
    from rolo_bench.nn.train.plus import PlusRecipe, train_plus
    from rolo_bench.nn.train.tracks import training_sequences

    use_threads(threads)
    videos = training_sequences(folders, scenes=scenes, seed=seed)
    recipe = PlusRecipe(frames=frames, seed=seed)
    for score in train_plus(videos, out, **options, recipe=recipe, note=show_note):
        console.print(
            f"fold {score.fold} ({', '.join(score.videos)}): mean overlap of the chosen candidate "
            f"{score.chosen:.3f}, of the prior {score.prior:.3f}, of the best {score.best:.3f}",
            markup=False,
        )
    show_written(out / "plus.safetensors")
