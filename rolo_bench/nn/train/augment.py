"""Random changes of training images: mirrored, moved and scaled, other colours, four in one."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from rolo_bench.boxes import Array
from rolo_bench.datasets.labelled import LabelledImage
from rolo_bench.sequence import Image

FILL = (114, 114, 114)


def jitter_colour(
    image: Image, rng: np.random.Generator, hue: float, saturation: float, value: float
) -> Image:
    """Hue turned by up to ``hue`` of the circle; saturation and value multiplied by up to 1 ± their shares."""
    turn = rng.uniform(-hue, hue)
    scale = 1 + rng.uniform(-1, 1, 2) * (saturation, value)
    levels = np.arange(256, dtype=np.float64)
    tables = np.stack([(levels + 180 * turn) % 180, *(np.clip(levels * s, 0, 255) for s in scale)], axis=1)
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    return cv2.cvtColor(cv2.LUT(hsv, tables[None].astype(np.uint8)), cv2.COLOR_HSV2RGB)  # type: ignore[return-value]


def move(example: LabelledImage, scale: float, shift: tuple[float, float]) -> LabelledImage:
    """Scaled about the middle, then moved by ``shift`` pixels; the uncovered part is grey.

    Objects of which less than half of the box is left inside are ignored; those quite outside are left out.
    """
    height, width = example.image.shape[:2]
    offset = np.array([width, height]) * (1 - scale) / 2 + shift
    matrix = np.array([[scale, 0, offset[0] + (scale - 1) / 2], [0, scale, offset[1] + (scale - 1) / 2]])
    image: Image = cv2.warpAffine(  # type: ignore[assignment]
        example.image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=FILL
    )  # pixel i covers i … i + 1, so its middle moves by the half pixels added above
    boxes = example.boxes * scale + [*offset, 0, 0]
    return LabelledImage(image, *_left(example, boxes, np.zeros(2), np.array([width, height])))


def _left(
    example: LabelledImage, boxes: Array, low: Array, high: Array
) -> tuple[Array, NDArray[np.int64], NDArray[np.bool_]]:
    """Boxes, classes and ignored of the objects that reach into the corners ``low`` … ``high`` ``(2,)``."""
    sides = np.minimum(boxes[:, :2] + boxes[:, 2:], high) - np.maximum(boxes[:, :2], low)
    inside = np.clip(sides, 0, None).prod(axis=1) / np.maximum(boxes[:, 2:].prod(axis=1), 1e-9)
    keep = inside > 0
    return boxes[keep], example.classes[keep], (example.ignored | (inside < 0.5))[keep]


def mirror(example: LabelledImage) -> LabelledImage:
    """Left and right swapped."""
    boxes = example.boxes.copy()
    boxes[:, 0] = example.image.shape[1] - boxes[:, 0] - boxes[:, 2]
    image = np.ascontiguousarray(example.image[:, ::-1])
    return LabelledImage(image, boxes, example.classes, example.ignored)


def augment(example: LabelledImage, rng: np.random.Generator, strength: float = 1.0) -> LabelledImage:
    """Mirrored every second time, scaled and shifted by up to 20 %, hue ± 5 %, saturation and value ± 50 %.

    The paper has scale and shift up to 20 % and a factor of up to 1.5 for exposure and saturation.

    Args:
        strength: 0 for no change, 1 for the full ranges.
    """
    if strength == 0:
        return example
    if rng.random() < 0.5:
        example = mirror(example)
    span = 0.2 * strength
    size = np.array(example.image.shape[1::-1])
    dx, dy = rng.uniform(-span, span, 2) * size
    example = move(example, float(np.exp(rng.uniform(-span, span))), (float(dx), float(dy)))
    image = jitter_colour(example.image, rng, 0.05 * strength, 0.5 * strength, 0.5 * strength)
    return LabelledImage(image, example.boxes, example.classes, example.ignored)


def mosaic(examples: Sequence[LabelledImage], rng: np.random.Generator) -> LabelledImage:
    """Four images of one square size in one: each shrunk to fill a quarter, about a random middle.

    Small objects, and four times as many of them, for the cost of one image. What is cut off at the inner edges
    counts as in `move`: objects of which less than half of the box is left are ignored.

    Source: Bochkovskiy et al. 2020, "YOLOv4", section 3.3.

    Raises:
        ValueError: not four images.
    """
    if len(examples) != 4:
        raise ValueError(f"a mosaic is made of 4 images, not {len(examples)}")
    side = examples[0].image.shape[0]
    middle = np.rint(rng.uniform(0.35, 0.65, 2) * side).astype(int)
    image = np.empty_like(examples[0].image)
    parts = []
    for index, example in enumerate(examples):
        right, low = index % 2, index // 2
        first = middle * (right, low)
        last = np.where((right, low), side, middle)
        small = int((last - first).max())  # a square over the quarter; the rest is cut off at the middle
        shrunk = cv2.resize(example.image, (small, small), interpolation=cv2.INTER_AREA)
        cut = np.where((right, low), 0, small - (last - first))
        (x0, y0), (x1, y1), (cx, cy) = first, last, cut
        image[y0:y1, x0:x1] = shrunk[cy : cy + y1 - y0, cx : cx + x1 - x0]
        boxes = example.boxes * (small / side) + [*(first - cut), 0, 0]
        parts.append(_left(example, boxes, first, last))
    return LabelledImage(image, *(np.concatenate(p) for p in zip(*parts)))
