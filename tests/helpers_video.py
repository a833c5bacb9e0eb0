"""A small real folder of video for tests: a textured square that moves on noise."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from rolo_bench.boxfiles import format_boxes
from rolo_bench.sequence import ArrayFrames, Sequence


def square_sequence(name: str = "Square", count: int = 30, seed: int = 0) -> Sequence:
    """A 24 x 18 textured patch moving by (2, 1) a frame on a 150 x 110 noise background, with exact truth."""
    random = np.random.default_rng(seed)
    ground = random.integers(0, 90, (110, 150, 3), dtype=np.uint8)
    patch = random.integers(120, 255, (18, 24, 3), dtype=np.uint8)
    images, truth = [], []
    for i in range(count):
        image = ground.copy()
        x, y = 10 + 2 * i, 20 + i
        image[y : y + 18, x : x + 24] = patch
        images.append(image)
        truth.append([x, y, 24, 18])
    return Sequence(name, ArrayFrames(tuple(images)), np.array(truth, float), ("FM",))


def otb_folder(root: Path, names: tuple[str, ...] = ("Square", "Other"), count: int = 30) -> Path:
    """The same written in OTB layout: JPEG frames of quality 95, 1-based boxes."""
    for seed, name in enumerate(names):
        sequence, images = square_sequence(name, count, seed), root / name / "img"
        images.mkdir(parents=True, exist_ok=True)
        for i in range(count):
            image = cv2.cvtColor(sequence.frames.image(i), cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(images / f"{i + 1:04d}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
        (root / name / "groundtruth_rect.txt").write_text(format_boxes(sequence.truth))
    return root
