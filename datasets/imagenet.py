"""Images sorted into one folder per class, as ImageNet's training set is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.datasets.labelled import LabelledImages
from rolo_bench.errors import DataError
from rolo_bench.sequence import Image, ImageFiles

ENDINGS = {".jpeg", ".jpg", ".png", ".bmp"}


class ImageFolder:
    """``root/<class>/<image>``: class names in the order of the folders' names.

    Raises:
        DataError: no such folder, fewer than two classes, or a class without images.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; one folder per class with its images is expected")
        self.names = tuple(
            sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
        )
        if len(self.names) < 2:
            raise DataError(f"{root}: {len(self.names)} class folders, at least 2 expected")
        self.items: list[tuple[Path, int]] = []
        for label, name in enumerate(self.names):
            files = sorted(p for p in (root / name).rglob("*") if p.suffix.lower() in ENDINGS)
            if not files:
                raise DataError(f"{root / name}: no images ({', '.join(sorted(ENDINGS))})")
            self.items += [(path, label) for path in files]
        self.identity = f"folder:{root.name}:{len(self.names)} classes:{len(self.items)} images"

    def __len__(self) -> int:
        return len(self.items)

    def example(self, index: int) -> tuple[Image, int]:
        """Image ``(H, W, 3)`` and label."""
        path, label = self.items[index]
        return ImageFiles((path,)).image(0), label


class Crops:
    """The objects of labelled images, each cut out with some of its surroundings: a classification set.

    Args:
        source: labelled images; ignored objects and those with a side below 8 pixels are left out.
        margin: surroundings on each side, as a share of the longer side.
    """

    def __init__(self, source: LabelledImages, margin: float = 0.2) -> None:
        self.source, self.margin, self.names = source, margin, source.names
        self.identity = f"crops:{source.identity}:margin={margin:g}"
        self.items: list[tuple[int, int]] = []
        for index in range(len(source)):
            example = source.example(index)
            whole = ~example.ignored & (example.boxes[:, 2:] >= 8).all(axis=1)
            self.items += [(index, int(k)) for k in np.flatnonzero(whole)]
        if not self.items:
            raise DataError(f"{source.identity}: no objects to cut out")

    def __len__(self) -> int:
        return len(self.items)

    def example(self, index: int) -> tuple[Image, int]:
        """Image ``(H, W, 3)`` and label."""
        image, k = self.items[index]
        example = self.source.example(image)
        return cut(example.image, example.boxes[k], self.margin), int(example.classes[k])


def cut(image: Image, box: Array, margin: float) -> Image:
    """The square around a box with a margin; what lies outside the image is grey."""
    x, y, w, h = box
    side = max(round(max(w, h) * (1 + 2 * margin)), 1)
    left, top = round(x + w / 2 - side / 2), round(y + h / 2 - side / 2)
    out = np.full((side, side, 3), 114, dtype=np.uint8)
    height, width = image.shape[:2]
    x0, x1, y0, y1 = max(left, 0), min(left + side, width), max(top, 0), min(top + side, height)
    if x1 > x0 and y1 > y0:
        out[y0 - top : y1 - top, x0 - left : x1 - left] = image[y0:y1, x0:x1]
    return out
