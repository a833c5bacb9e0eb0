"""``rolo-bench train``: backbone, detector and tracker. Runs are seeded and resumable."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import click

from rolo_bench.cli.options import console
from rolo_bench.errors import UsageError

ELSEWHERE = {
    "tracker": "rolo_bench.cli.train_tracker:tracker",
    "plus": "rolo_bench.cli.train_plus:plus",
}
NETWORKS = ("demo", "yolov1", "yolov1-small", "yolov1-tiny")


class TrainGroup(click.Group):
    """The commands of this module and those of `ELSEWHERE`, imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return [*self.commands, *ELSEWHERE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command."""
        if cmd_name not in ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = ELSEWHERE[cmd_name].partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            return None


@click.group(cls=TrainGroup, epilog="Example: rolo-bench train detector --data synthetic --out runs/demo")
def train() -> None:
    """Train backbone, detector or tracker.

    A run that was stopped goes on when the same command is given again.
    """


def common(command: Any) -> Any:
    """Options that the commands share."""
    for option in (
        click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR",
                     help="Folder of the run: checkpoint, curves, weights."),
        click.option("--network", type=click.Choice(NETWORKS), default="demo", show_default=True,
                     help="Network to train."),
        click.option("--seed", type=int, default=0, show_default=True, help="Of everything that is drawn."),
        click.option("--every", type=click.IntRange(1), default=100, show_default=True,
                     help="Steps between evaluations and checkpoints."),
        click.option("--patience", type=click.IntRange(0), default=0, show_default=True,
                     help="Stop after so many evaluations without a better score; 0 for never."),
        click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N."),
        click.option("--threads", type=click.IntRange(1), default=None, help="Processor threads [default: all]."),
    ):  # fmt: skip
        command = option(command)
    return command


def set_threads(threads: int | None) -> None:
    """Limit torch's threads."""
    import torch

    if threads:
        torch.set_num_threads(threads)


def show_row(row: dict[str, float]) -> None:
    """One line of progress."""
    score = f"  score {row['score']:.4f}" if "score" in row else ""
    console.print(f"step {row['step']:>6.0f}  loss {row['loss']:.4f}{score}  ({row['seconds']:.0f} s)")


@train.command(
    epilog="Example: rolo-bench train detector --data synthetic --threads 1 --shards 2 --out runs/demo\n\n"
    "On VOC: rolo-bench train detector --data voc:VOCdevkit/VOC2007 --network yolov1-tiny --out runs/voc"
)
@common
@click.option(
    "--data", default="synthetic", show_default=True, metavar="NAME",
    help="synthetic (seeds of the generator), or voc:FOLDER (splits train and val).",
)  # fmt: skip
@click.option("--size", type=click.IntRange(32), help="Side of the images [default: the network's own].")
@click.option("--images", type=click.IntRange(1), default=20000, show_default=True, help="Synthetic images.")
@click.option(
    "--valid", type=click.IntRange(1), default=500, show_default=True, help="Synthetic images to score."
)
@click.option(
    "--test", type=click.IntRange(0), default=1000, show_default=True,
    help="Synthetic images to test the finished weights on; no choice is made by them.",
)  # fmt: skip
@click.option("--steps", type=click.IntRange(1), default=13000, show_default=True, help="Updates in all.")
@click.option("--batch", type=click.IntRange(1), default=16, show_default=True, help="Images per step.")
@click.option(
    "--augment",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Strength of the augmentation.",
)
@click.option(
    "--shards", type=click.IntRange(1), default=1, show_default=True,
    help="Parts of a batch worked on at once, a core each; goes with --threads 1.",
)  # fmt: skip
@click.option("--rate", type=float, help="Highest learning rate [default: 1.5e-3 for demo, else 7e-4].")
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
    from rolo_bench.datasets.labelled import LabelledImages, SyntheticImages
    from rolo_bench.nn.detect.torch_detector import pick_device
    from rolo_bench.nn.detect.yolov1 import resized
    from rolo_bench.nn.train.detector import DetectorRecipe, plan_for, train_detector
    from rolo_bench.nn.train.loop import Schedule

    pick_device(device, False)
    set_threads(threads)
    sets: tuple[LabelledImages, LabelledImages]
    unseen: LabelledImages | None = None
    if data == "synthetic":
        unseen = SyntheticImages("valid", 100_000, test) if test else None
        crowded = SyntheticImages("train", 0, images, visible=0.4, objects=(4, 9))
        sets = crowded, SyntheticImages("valid", 0, valid)
    elif data.startswith("voc:"):
        from rolo_bench.datasets.voc import VocImages

        root = Path(data.removeprefix("voc:"))
        sets = VocImages(root, "train"), VocImages(root, "val")
    else:
        raise UsageError(f"unknown data {data!r}; use synthetic or voc:FOLDER")

    def rendered(done: int, total: int) -> None:
        if done % 1000 == 0 or done == total:
            console.print(f"images {done} of {total}")

    plan = plan_for(network, sets[0].names)
    plan = resized(plan, size or plan.size)
    recipe = DetectorRecipe(
        network=network, batch=batch, shards=shards, strength=augment, mosaics=0.5 if plan.logits else 0.0
    )
    schedule = Schedule(
        steps=steps, rate=rate or (1.5e-3 if plan.logits else 7e-4), decay=0.02 if plan.logits else 1e-4,
        every=every, patience=patience, seed=seed,
    )  # fmt: skip
    fit = train_detector(
        sets[0],
        sets[1],
        out,
        recipe,
        schedule,
        test=unseen,
        plan=plan,
        device=device,
        backbone=backbone,
        report=show_row,
        rendered=rendered,
    )
    console.print(f"mAP at 0.5 on the validation images: {fit.score:.4f} at step {fit.step}")
    console.print(f"wrote {out / 'detector.safetensors'}")


@train.command(
    epilog="Example: rolo-bench train backbone --data imagenet/train --valid imagenet/val "
    "--network yolov1-tiny --out runs/backbone"
)
@common
@click.option("--data", required=True, metavar="DIR", help="One folder of images per class, or `synthetic`.")
@click.option("--valid", metavar="DIR", help="The same for scoring; needed unless --data is synthetic.")
@click.option("--steps", type=click.IntRange(1), default=2000, show_default=True, help="Updates in all.")
@click.option("--batch", type=click.IntRange(1), default=64, show_default=True, help="Images per step.")
@click.option("--size", type=click.IntRange(32), default=224, show_default=True, help="Side of the images.")
@click.option("--rate", type=float, default=1e-3, show_default=True, help="Highest learning rate.")
@click.option(
    "--images", type=click.IntRange(1), default=2000, show_default=True, help="Synthetic images to cut from."
)
def backbone(
    out: Path, network: str, seed: int, every: int, patience: int, device: str, threads: int | None, data: str,
    valid: str | None, steps: int, batch: int, size: int, rate: float, images: int,
) -> None:  # fmt: skip
    """Pre-train the convolutions as a classifier (phase 1 of the paper).

    Writes DIR/backbone.safetensors, which `train detector --backbone` takes.
    """
    from rolo_bench.nn.detect.torch_detector import pick_device
    from rolo_bench.nn.train.backbone import BackboneRecipe, LabelledPictures, train_backbone
    from rolo_bench.nn.train.loop import Schedule

    pick_device(device, False)
    set_threads(threads)
    sets: tuple[LabelledPictures, LabelledPictures]
    if data == "synthetic":
        from rolo_bench.datasets.imagenet import Crops
        from rolo_bench.datasets.labelled import SyntheticImages, store

        sets = (
            Crops(store(SyntheticImages("train", 0, images), out / "train", 320)),
            Crops(store(SyntheticImages("valid", 0, max(images // 10, 1)), out / "valid", 320)),
        )
    else:
        from rolo_bench.datasets.imagenet import ImageFolder

        if valid is None:
            raise UsageError("--valid DIR is missing: images of the same classes to score on")
        sets = ImageFolder(Path(data)), ImageFolder(Path(valid))
    fit = train_backbone(
        sets[0],
        sets[1],
        out,
        BackboneRecipe(network=network, size=size, batch=batch),
        Schedule(steps=steps, rate=rate, every=every, patience=patience, seed=seed),
        device=device,
        report=show_row,
    )
    console.print(f"accuracy: {fit.score:.4f} at step {fit.step}; wrote {out / 'backbone.safetensors'}")
