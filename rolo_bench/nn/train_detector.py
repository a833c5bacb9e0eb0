"""Training of YOLOv1 networks on labelled images, and their evaluation by mean average precision."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from rolo_bench import __version__
from rolo_bench.datasets.labelled import LabelledImages, store
from rolo_bench.errors import UsageError
from rolo_bench.metrics_detection import Found, Truth, class_precisions
from rolo_bench.nn.augment import augment
from rolo_bench.nn.detector import select
from rolo_bench.nn.loop import Fit, Row, Schedule, replace_file, run, step_seed
from rolo_bench.nn.yolo_loss import Targets, assign, yolo_loss
from rolo_bench.nn.yolov1 import PLANS, Plan, YoloV1, copy_backbone, save_network

IMAGES_PER_STEP = 32
SCORE = 0.005  # least score of a detection that takes part in the evaluation
NMS = 0.45


@dataclass(frozen=True)
class Recipe:
    """What a detector is trained with.

    Attributes:
        network: of `rolo_bench.nn.yolov1.PLANS`.
        batch: images per step.
        strength: of the augmentation, 0 … 1.
        plain: share of the steps, at the end of each cycle of the rate, that see images as they are.
        coord, noobj: weights of the loss.
        half: convolutions in bfloat16 (the weights stay float32).
    """

    network: str = "demo"
    batch: int = IMAGES_PER_STEP
    strength: float = 0.5
    plain: float = 0.15
    coord: float = 5.0
    noobj: float = 0.5
    half: bool = True


def make_batch(
    images: LabelledImages, step: int, recipe: Recipe, plan: Plan, seed: int, strength: float
) -> tuple[Tensor, Targets]:
    """The images of a step ``(N, 3, size, size)`` uint8, channels last in memory, and their targets.

    Images are taken in a new random order in each pass; everything is drawn from the step's number.
    """
    rng = np.random.default_rng(step_seed(seed, step))
    first = step * recipe.batch
    picked = [pick(i, len(images), seed) for i in range(first, first + recipe.batch)]
    examples = [augment(images.example(i), rng, strength) for i in picked]
    pixels = torch.from_numpy(np.stack([e.image for e in examples])).permute(0, 3, 1, 2)
    targets = assign(
        [relative(e.boxes, plan.size) for e in examples],
        [e.classes for e in examples],
        [e.ignored for e in examples],
        plan.cells,
    )
    return pixels, targets


def relative(boxes: np.ndarray, size: int) -> np.ndarray:
    """Pixels x, y, w, h to centre and size relative to a square image."""
    return np.hstack([boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]]) / size


_ORDERS: dict[tuple[int, int, int], np.ndarray] = {}


def pick(number: int, count: int, seed: int) -> int:
    """The image that comes ``number``-th: each pass over ``count`` images has an order of its own."""
    key = (number // count, count, seed)
    if key not in _ORDERS:
        _ORDERS.clear()
        _ORDERS[key] = np.random.default_rng([seed, key[0], count]).permutation(count)
    return int(_ORDERS[key][number % count])


class Ahead:
    """A function of the step whose next value is made in another thread while this one is used."""

    def __init__(self, make: Callable[[int], Any]) -> None:
        self.make = make
        self.thread = ThreadPoolExecutor(1)
        self.coming: tuple[int, Future[Any]] | None = None

    def __call__(self, step: int) -> Any:
        """The value of a step."""
        coming = self.coming
        future = coming[1] if coming and coming[0] == step else self.thread.submit(self.make, step)
        value = future.result()
        self.coming = (step + 1, self.thread.submit(self.make, step + 1))
        return value


def to_input(pixels: Tensor, device: torch.device | str) -> Tensor:
    """uint8 images to 0 … 1 float32 on a device."""
    return pixels.to(device).float().div(255).contiguous(memory_format=torch.channels_last)


def evaluate(
    network: YoloV1, images: LabelledImages, device: torch.device | str = "cpu", batch: int = 50
) -> np.ndarray:
    """Average precision at IoU 0.5 of each class ``(C,)``; images already have the network's size."""
    found, truth = [], []
    network.eval()
    with torch.inference_mode():
        for first in range(0, len(images), batch):
            examples = [images.example(i) for i in range(first, min(first + batch, len(images)))]
            pixels = torch.from_numpy(np.stack([e.image for e in examples])).permute(0, 3, 1, 2)
            raw = network(to_input(pixels, device))
            for i, e in enumerate(examples):
                boxes, scores, classes = select(
                    raw.boxes[i].cpu(), raw.scores[i].cpu(), threshold=SCORE, nms=NMS, agnostic=False
                )
                corners = boxes.double().numpy()
                xywh = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])
                found.append(Found(xywh, classes.numpy(), scores.double().numpy()))
                truth.append(Truth(e.boxes, e.classes, e.ignored))
    return class_precisions(found, truth, network.plan.classes)


def plan_for(recipe: Recipe, names: tuple[str, ...]) -> Plan:
    """The plan of the recipe's network for the data's classes.

    Raises:
        UsageError: unknown network.
    """
    if recipe.network not in PLANS:
        raise UsageError(f"unknown network {recipe.network!r}; known: {', '.join(PLANS)}")
    return replace(PLANS[recipe.network], classes=len(names))


def train_detector(
    train: LabelledImages,
    valid: LabelledImages,
    folder: Path,
    recipe: Recipe,
    schedule: Schedule,
    *,
    device: str = "cpu",
    backbone: Path | None = None,
    plan: Plan | None = None,
    report: Callable[[Row], None] | None = None,
    rendered: Callable[[int, int], None] | None = None,
) -> Fit:
    """Train, or go on training, and write ``<folder>/detector.safetensors`` (float16, self-describing).

    Images are stored once at the network's size in ``<folder>/train`` and ``<folder>/valid``. The score is the
    mean average precision at IoU 0.5 on ``valid``; the weights with the highest are kept.

    Args:
        backbone: a file written by ``rolo-bench train backbone``, whose convolutions to start from.
        report: called with each row of the curves.
        rendered: called with images stored and in all.

    Raises:
        UsageError: unknown network, other classes in the two sets, or a folder of another run.
    """
    if train.names != valid.names:
        raise UsageError(f"training and validation classes differ: {train.names} and {valid.names}")
    cv2.setNumThreads(1)  # small images: threads cost more than they bring
    plan = plan or plan_for(recipe, train.names)
    train_images = store(train, folder / "train", plan.size, rendered)
    valid_images = store(valid, folder / "valid", plan.size, rendered)
    torch.manual_seed(schedule.seed)
    network = YoloV1(plan).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if backbone is not None:
        copy_backbone(backbone, network)
    kind = torch.device(device).type

    def batch(step: int) -> tuple[Tensor, Targets]:
        _, within, length = schedule.place(step)
        strength = 0.0 if within >= length * (1 - recipe.plain) else recipe.strength
        return make_batch(train_images, step, recipe, plan, schedule.seed, strength)

    ahead = Ahead(batch)

    def objective(net: nn.Module, step: int) -> dict[str, Tensor]:
        pixels, targets = ahead(step)
        with torch.autocast(kind, torch.bfloat16, enabled=recipe.half):
            prediction = net.predict(to_input(pixels, device))  # type: ignore[operator]
        return yolo_loss(prediction, targets.to(device), plan.cells, coord=recipe.coord, noobj=recipe.noobj)

    def scores(net: nn.Module) -> dict[str, float]:
        values = evaluate(net, valid_images, device)  # type: ignore[arg-type]
        return {"score": float(np.nanmean(values))}

    config: dict[str, Any] = {
        "recipe": asdict(recipe),
        "plan": asdict(plan),
        "train": train_images.identity,
        "valid": valid_images.identity,
        "backbone": backbone.name if backbone else "none",
    }
    fit = run(network, objective, schedule, folder, evaluate=scores, config=config, report=report)
    write_detector(folder / "detector.safetensors", fit, plan, train.names, config, schedule)
    return fit


def write_detector(
    path: Path, fit: Fit, plan: Plan, names: tuple[str, ...], config: dict[str, Any], schedule: Schedule
) -> None:
    """The network with what it was trained with, as one file."""
    about = {
        **config,
        "schedule": asdict(schedule),
        "steps": fit.step,
        "mAP50": round(fit.score, 4),
        "metric": "mean average precision at IoU 0.5, all points, objects at least half visible",
        "version": __version__,
        "torch": torch.__version__.split("+")[0],
    }
    assert isinstance(fit.network, YoloV1)
    replace_file(path, save_network(fit.network, names, about))


def describe(path: Path) -> dict[str, Any]:
    """What a file written by `write_detector` says about itself."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["about"])
