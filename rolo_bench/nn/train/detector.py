"""Training of YOLOv1 networks on labelled images, and their evaluation by mean average precision."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from rolo_bench.datasets.labelled import LabelledImages, StretchedImages, SyntheticImages, store
from rolo_bench.datasets.voc import VocImages
from rolo_bench.errors import UsageError
from rolo_bench.files import write_atomic
from rolo_bench.nn.detect.suppress import select
from rolo_bench.nn.detect.yolov1 import PLANS, Plan, YoloV1, resized
from rolo_bench.nn.detect.yolov1_load import copy_backbone, read_network, save_network
from rolo_bench.nn.train.augment import augment, mosaic
from rolo_bench.nn.train.average_precision import Found, Truth, average_precisions
from rolo_bench.nn.train.loop import Fit, Row, Schedule, run, step_seed
from rolo_bench.nn.train.yolo_loss import Targets, assign, dense_loss, yolo_loss

IMAGES_PER_STEP = 32
# Highest rate, weight decay, and share of mosaics for the paper's loss, and for the denser one of plans with logits.
SPARSE, DENSE = (7e-4, 1e-4, 0.0), (1.5e-3, 0.02, 0.5)
SCORE = 0.005  # least score of a detection that takes part in the evaluation
NMS = 0.45


@dataclass(frozen=True)
class DetectorRecipe:
    """What a detector is trained with.

    Attributes:
        network: of `rolo_bench.nn.detect.yolov1.PLANS`.
        batch: images per step.
        shards: parts of a batch that are worked on at once, each on one processor core with batch norm of its own.
        strength: of the augmentation, 0 … 1.
        mosaics: share of the images that are four in one.
        plain: share of the steps, at the end, that see images as they are: neither augmented nor in mosaics.
        coord, noobj: weights of the paper's loss: boxes, confidence of empty boxes.
        half: convolutions in bfloat16 (the weights stay float32).
    """

    network: str = "demo"
    batch: int = IMAGES_PER_STEP
    shards: int = 1
    strength: float = 0.5
    mosaics: float = 0.0
    plain: float = 0.15
    coord: float = 5.0
    noobj: float = 0.5
    half: bool = True


def make_batch(
    images: LabelledImages, step: int, recipe: DetectorRecipe, plan: Plan, seed: int, plain: bool = False
) -> tuple[Tensor, Targets]:
    """The images of a step ``(N, 3, size, size)`` uint8, channels last in memory, and their targets.

    Images are taken in a new random order in each pass; everything is drawn from the step's number.
    """
    rng = np.random.default_rng(step_seed(seed, step))
    first = step * recipe.batch
    examples = []
    for number in range(first, first + recipe.batch):
        example = images.example(pick(number, len(images), seed))
        if not plain:
            if rng.random() < recipe.mosaics:
                others = rng.integers(len(images), size=3)
                example = mosaic([example, *(images.example(int(i)) for i in others)], rng)
            example = augment(example, rng, recipe.strength)
        examples.append(example)
    pixels = torch.from_numpy(np.stack([e.image for e in examples])).permute(0, 3, 1, 2)
    targets = assign(
        [relative(e.boxes, plan.size) for e in examples],
        [e.classes for e in examples],
        [e.ignored for e in examples],
        plan.cells,
        reach=1 if plan.logits else 0,
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


class Shards:
    """The loss of a batch, worked out in parts at the same time; with one part it is just the loss.

    Small convolutions gain little from several threads each; parts of a batch on a core each gain nearly all.
    """

    def __init__(self, count: int, loss: Callable[[nn.Module, Tensor, Targets], dict[str, Tensor]]) -> None:
        self.count, self.loss = count, loss
        self.threads = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))
        self.replicas: list[nn.Module] = []

    def __call__(self, network: nn.Module, pixels: Tensor, targets: Targets) -> dict[str, Tensor]:
        """The terms of the loss; with several parts the gradients are set and the terms have no graph."""
        if self.count == 1:
            return self.loss(network, pixels, targets)
        if not self.replicas:
            self.replicas = [network, *(tied(network) for _ in range(self.count - 1))]
        parameters = [p for p in network.parameters() if p.requires_grad]

        def part(index: int) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
            pick = slice(index, None, self.count)
            its = Targets(*(getattr(targets, f.name)[pick] for f in fields(Targets)))
            terms = self.loss(self.replicas[index], pixels[pick], its)
            return {k: v.detach() for k, v in terms.items()}, torch.autograd.grad(terms["loss"], parameters)

        parts = list(self.threads.map(part, range(self.count)))
        for parameter, *gradients in zip(parameters, *(g for _, g in parts)):
            parameter.grad = sum(gradients[1:], gradients[0]) / len(gradients)  # keeps the layout in memory
        return {k: torch.stack([t[k] for t, _ in parts]).mean() for k in parts[0][0]}


def tied(network: nn.Module) -> nn.Module:
    """A copy with the same parameters and batch-norm statistics of its own."""
    other = copy.deepcopy(network).train()
    for mine, its in zip(network.modules(), other.modules()):
        for name, parameter in mine._parameters.items():
            its._parameters[name] = parameter
    return other


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
    return average_precisions(found, truth, network.plan.classes)


def plan_for(network: str, names: tuple[str, ...], size: int | None = None) -> Plan:
    """The plan of a network of `PLANS` for the data's classes and images of a side; its own by default.

    Raises:
        UsageError: unknown network.
    """
    if network not in PLANS:
        raise UsageError(f"unknown network {network!r}; known: {', '.join(PLANS)}")
    return resized(replace(PLANS[network], classes=len(names)), size or PLANS[network].size)


def image_sets(
    data: str, images: int = 20_000, valid: int = 500, test: int = 1000
) -> tuple[LabelledImages, LabelledImages, LabelledImages | None]:
    """Images to train on, to score on, and to test on: so many of the generator, or ``voc:FOLDER``, without the last.

    Raises:
        UsageError: other data.
    """
    if data == "synthetic":
        return (
            SyntheticImages("train", 0, images, visible=0.4, objects=(4, 9)),
            SyntheticImages("valid", 0, valid),
            SyntheticImages("valid", 100_000, test) if test else None,
        )
    if not data.startswith("voc:"):
        raise UsageError(f"unknown data {data!r}; use synthetic or voc:FOLDER")
    root = Path(data.removeprefix("voc:"))
    return VocImages(root, "train"), VocImages(root, "val"), None


def train_detector(
    train: LabelledImages, valid: LabelledImages, folder: Path, recipe: DetectorRecipe, schedule: Schedule, *,
    test: LabelledImages | None = None, device: str = "cpu", backbone: Path | None = None,
    plan: Plan | None = None, report: Callable[[Row], None] | None = None,
    rendered: Callable[[int, int], None] | None = None,
) -> Fit:  # fmt: skip
    """Train, or go on training, and write ``<folder>/detector.safetensors`` (float16, self-describing).

    Images are stored once at the network's size in ``<folder>/train`` and ``<folder>/valid``. The score is the
    mean average precision at IoU 0.5 on ``valid``; the weights with the highest are kept.

    Args:
        test: images that chose nothing; the precision of the finished file on them is written into it.
        backbone: a file written by ``rolo-bench train backbone``, whose convolutions to start from.
        report: called with each row of the curves.
        rendered: called with images stored and in all.

    Raises:
        UsageError: unknown network, other classes in the two sets, or a folder of another run.
    """
    if train.names != valid.names:
        raise UsageError(f"training and validation classes differ: {train.names} and {valid.names}")
    cv2.setNumThreads(1)  # small images: threads cost more than they bring
    sys.setswitchinterval(2e-4)  # the threads that compute wait for Python only briefly while images are made
    plan = plan or plan_for(recipe.network, train.names)
    train_images = store(train, folder / "train", plan.size, rendered)
    valid_images = store(valid, folder / "valid", plan.size, rendered)
    torch.manual_seed(schedule.seed)
    network = YoloV1(plan).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if backbone is not None:
        copy_backbone(backbone, network)
    kind = torch.device(device).type

    def batch(step: int) -> tuple[Tensor, Targets]:
        plain = step >= schedule.steps * (1 - recipe.plain)
        return make_batch(train_images, step, recipe, plan, schedule.seed, plain)

    ahead = Ahead(batch)

    def gradient(net: nn.Module, pixels: Tensor, targets: Targets) -> dict[str, Tensor]:
        with torch.autocast(kind, torch.bfloat16, enabled=recipe.half):
            prediction = net.predict(to_input(pixels, device))  # type: ignore[operator]
        if plan.logits:
            return dense_loss(prediction, targets.to(device), plan.cells)
        return yolo_loss(prediction, targets.to(device), plan.cells, coord=recipe.coord, noobj=recipe.noobj)

    shards = Shards(recipe.shards, gradient)

    def objective(net: nn.Module, step: int) -> dict[str, Tensor]:
        return shards(net, *ahead(step))

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
    about = {**config, "schedule": asdict(schedule), "steps": fit.step, "valid_mAP50": round(fit.score, 4)}
    assert isinstance(fit.network, YoloV1)
    write_detector(folder / "detector.safetensors", fit.network.cpu(), train.names, about, test)
    return fit


def write_detector(
    path: Path, network: YoloV1, names: tuple[str, ...], about: dict[str, Any], test: LabelledImages | None = None
) -> None:  # fmt: skip
    """The network with how it came about as one file; with ``test`` also what the file achieves on that."""
    about = {
        **about,
        "metric": "average precision at IoU 0.5, all points; ignored objects not counted",
        "version": version("rolo-bench"),
        "torch": torch.__version__.split("+")[0],
    }
    write_atomic(path, save_network(network, names, about))
    if test is None:
        return
    values = evaluate(read_network(path)[0], StretchedImages(test, network.plan.size))
    about |= {
        "test": test.identity,
        "mAP50": round(float(np.nanmean(values)), 4),
        "AP50": {name: round(float(v), 4) for name, v in zip(names, values)},
    }
    write_atomic(path, save_network(network, names, about))
