"""Classification pre-training of a YOLOv1 network's convolutions: phase 1 of the paper.

The paper trains its first 20 convolutions on ImageNet at half the detector's resolution, with average pooling
and one connected layer on top, then keeps the convolutions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rolo_bench.datasets.imagenet import Crops, ImageFolder
from rolo_bench.datasets.labelled import SyntheticImages, store
from rolo_bench.errors import UsageError
from rolo_bench.files import write_atomic
from rolo_bench.nn.detect.yolov1 import PLANS, Conv, Residual, YoloV1
from rolo_bench.nn.detect.yolov1_load import save_network
from rolo_bench.nn.train.augment import jitter_colour
from rolo_bench.nn.train.detector import pick, to_input
from rolo_bench.nn.train.loop import Fit, Row, Schedule, run, step_seed

# Convolutions (or pairs of them with a residual) that are pre-trained: the paper's first 20; of the tiny network all
# but the last, of the demo network those before the fine map is put back in.
CONVOLUTIONS = {"yolov1": 20, "yolov1-small": 20, "yolov1-tiny": 7, "demo": 7}


class LabelledPictures(Protocol):
    """Images with one label each."""

    names: tuple[str, ...]
    identity: str

    def __len__(self) -> int:
        """Number of images."""

    def example(self, index: int) -> tuple[NDArray[np.uint8], int]:
        """RGB image ``(H, W, 3)`` and label."""


@dataclass(frozen=True)
class BackboneRecipe:
    """What a backbone is trained with: network, side of the images, images per step, bfloat16 convolutions."""

    network: str = "demo"
    size: int = 224
    batch: int = 64
    half: bool = True


def picture_sets(
    data: str, valid: str | None, folder: Path, images: int = 2000
) -> tuple[LabelledPictures, LabelledPictures]:
    """Pictures to train and to score on: folders with one of images per class, or objects cut out of images of the
    generator, which are stored in ``folder``.

    Raises:
        UsageError: no folder to score on.
    """
    if data == "synthetic":
        counts = {"train": images, "valid": max(images // 10, 1)}
        sets = [Crops(store(SyntheticImages(k, 0, n), folder / k, 320)) for k, n in counts.items()]
        return sets[0], sets[1]
    if valid is None:
        raise UsageError("--valid DIR is missing: images of the same classes to score on")
    return ImageFolder(Path(data)), ImageFolder(Path(valid))


class Classifier(nn.Module):
    """The first convolutions of a detector, average pooling, one connected layer: ``(N, C)`` logits."""

    def __init__(self, detector: YoloV1, convolutions: int, classes: int) -> None:
        super().__init__()
        self.detector = detector
        convs = [i for i, layer in enumerate(detector.layers) if isinstance(layer, Conv | Residual)]
        self.depth = convs[convolutions - 1] + 1
        inside = [m for m in detector.layers[: self.depth].modules() if isinstance(m, nn.Conv2d)]
        self.top = nn.Linear(inside[-1].out_channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.detector.layers[: self.depth]:
            x = layer(x)
        return self.top(x.mean(dim=(2, 3)))  # (N, channels) -> (N, C)


def crop(image: NDArray[np.uint8], size: int, rng: np.random.Generator | None) -> NDArray[np.uint8]:
    """A square of 60 to 100 % of the shorter side, mirrored and recoloured at random; without ``rng`` the middle."""
    height, width = image.shape[:2]
    share = 1.0 if rng is None else rng.uniform(0.6, 1.0)
    side = max(round(min(height, width) * share), 1)
    spare = np.array([width - side, height - side])
    x, y = (spare // 2) if rng is None else (rng.random(2) * (spare + 1)).astype(int)
    out = cv2.resize(image[y : y + side, x : x + side], (size, size), interpolation=cv2.INTER_LINEAR)
    if rng is None:
        return out  # type: ignore[return-value]
    out = np.ascontiguousarray(out[:, ::-1]) if rng.random() < 0.5 else out
    return jitter_colour(out, rng, 0.03, 0.3, 0.3)  # type: ignore[arg-type]


def accuracy(
    network: nn.Module, pictures: LabelledPictures, size: int, device: str, batch: int = 64
) -> float:
    """Share of images whose best class is right."""
    right = 0
    with torch.inference_mode():
        for first in range(0, len(pictures), batch):
            examples = [pictures.example(i) for i in range(first, min(first + batch, len(pictures)))]
            pixels = torch.from_numpy(np.stack([crop(image, size, None) for image, _ in examples]))
            best = network(to_input(pixels.permute(0, 3, 1, 2), device)).argmax(dim=1).cpu()
            right += int((best == torch.tensor([label for _, label in examples])).sum())
    return right / len(pictures)


def train_backbone(
    train: LabelledPictures, valid: LabelledPictures, folder: Path, recipe: BackboneRecipe, schedule: Schedule, *,
    device: str = "cpu", report: Callable[[Row], None] | None = None,
) -> Fit:  # fmt: skip
    """Train, or go on training, and write ``<folder>/backbone.safetensors`` for ``train detector --backbone``.

    The score is the accuracy on ``valid``.

    Raises:
        UsageError: unknown network, other classes in the two sets, or a folder of another run.
    """
    if recipe.network not in PLANS:
        raise UsageError(f"unknown network {recipe.network!r}; known: {', '.join(PLANS)}")
    if train.names != valid.names:
        raise UsageError("training and validation folders have different classes")
    cv2.setNumThreads(1)
    torch.manual_seed(schedule.seed)
    detector = YoloV1(PLANS[recipe.network])
    network = Classifier(detector, CONVOLUTIONS[recipe.network], len(train.names))
    for part in (*detector.layers[network.depth :], detector.last):
        part.requires_grad_(False)  # the detector's own layers are not trained here
    network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    kind = torch.device(device).type

    def objective(net: nn.Module, step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng(step_seed(schedule.seed, step))
        numbers = range(step * recipe.batch, (step + 1) * recipe.batch)
        examples = [train.example(pick(i, len(train), schedule.seed)) for i in numbers]
        pixels = torch.from_numpy(np.stack([crop(image, recipe.size, rng) for image, _ in examples]))
        labels = torch.tensor([label for _, label in examples], device=device)
        with torch.autocast(kind, torch.bfloat16, enabled=recipe.half):
            logits = net(to_input(pixels.permute(0, 3, 1, 2), device))
        loss = F.cross_entropy(logits.float(), labels)
        return {"loss": loss, "error": (logits.argmax(dim=1) != labels).float().mean()}

    config: dict[str, Any] = {"recipe": asdict(recipe), "train": train.identity, "valid": valid.identity}
    fit = run(
        network, objective, schedule, folder, config=config, report=report,
        evaluate=lambda net: {"score": accuracy(net, valid, recipe.size, device)},
    )  # fmt: skip
    about = {**config, "schedule": asdict(schedule), "steps": fit.step, "accuracy": round(fit.score, 4)}
    assert isinstance(fit.network, Classifier)
    names = [f"class{i}" for i in range(fit.network.detector.plan.classes)]
    data = save_network(
        fit.network.detector, names, {**about, "kind": "backbone", "version": version("rolo-bench")}
    )
    write_atomic(folder / "backbone.safetensors", data)
    return fit
