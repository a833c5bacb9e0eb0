"""Images with labelled objects, from wherever they come, and a store of them ready for training."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rolo_bench.boxes import Array
from rolo_bench.errors import DataError
from rolo_bench.files import write_atomic
from rolo_bench.sequence import Image

HIDDEN = 0.1  # share of an object below which it counts as not there


@dataclass(frozen=True)
class LabelledImage:
    """One image and its objects.

    Attributes:
        image: RGB uint8 ``(H, W, 3)``.
        boxes: ``(K, 4)`` x, y, w, h in pixels.
        classes: ``(K,)`` int64 indices.
        ignored: ``(K,)`` bool: objects that are neither to be found nor background (VOC "difficult", or hidden).
    """

    image: Image
    boxes: Array
    classes: NDArray[np.int64]
    ignored: NDArray[np.bool_]


class LabelledImages(Protocol):
    """A set of labelled images: ``names`` of the classes, and ``identity``, which says what the set is."""

    names: tuple[str, ...]
    identity: str

    def __len__(self) -> int:
        """Number of images."""

    def example(self, index: int) -> LabelledImage:
        """One of them."""


class SyntheticImages:
    """Images of the synthetic generator, one per seed.

    Args:
        domain: ``train`` or ``valid``.
        first, count: the seeds ``first`` … ``first + count - 1``.
        visible: objects of which a smaller share can be seen are ignored; below `HIDDEN` they are left out.
        objects: least and greatest number of objects in an image.
    """

    def __init__(
        self, domain: str, first: int, count: int, visible: float = 0.5, objects: tuple[int, int] = (1, 5)
    ) -> None:
        from rolo_bench.datasets.synthetic.suite import CLASSES

        self.names = tuple(CLASSES)
        self.domain, self.first, self.count = domain, first, count
        self.visible, self.objects = visible, objects
        self.identity = f"synthetic:{domain}:{first}+{count}:visible={visible:g}:hidden={HIDDEN:g}"
        if objects != (1, 5):
            self.identity += f":objects={objects[0]}-{objects[1]}"

    def __len__(self) -> int:
        return self.count

    def example(self, index: int) -> LabelledImage:
        """Render one image.

        Raises:
            IndexError: no such image.
        """
        from rolo_bench.datasets.synthetic.suite import training_image

        if not 0 <= index < self.count:
            raise IndexError(f"no image {index}; there are {self.count}")
        image, objects = training_image(self.first + index, self.domain, self.objects)
        objects = [o for o in objects if o.visibility >= HIDDEN]
        return LabelledImage(
            image=image,
            boxes=np.array([o.box for o in objects], dtype=np.float64).reshape(-1, 4),
            classes=np.array([o.class_index for o in objects], dtype=np.int64),
            ignored=np.array([o.visibility < self.visible for o in objects], dtype=bool),
        )


class StoredImages:
    """Images stretched to one size in one memory-mapped file; made by `store`."""

    def __init__(self, folder: Path) -> None:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        self.names, self.identity = tuple(about["names"]), str(about["identity"])
        self.images = np.load(folder / "images.npy", mmap_mode="r")
        labels = np.load(folder / "labels.npz")
        self.boxes, self.classes, self.ignored = labels["boxes"], labels["classes"], labels["ignored"]
        self.ends = np.cumsum(labels["counts"])

    def __len__(self) -> int:
        return len(self.images)

    def example(self, index: int) -> LabelledImage:
        """One image with its boxes in pixels of the stored size."""
        part = slice(int(self.ends[index - 1]) if index else 0, int(self.ends[index]))
        return LabelledImage(self.images[index], self.boxes[part], self.classes[part], self.ignored[part])


def stretch(example: LabelledImage, size: int) -> LabelledImage:
    """The image stretched to a square of ``size`` pixels, boxes with it."""
    import cv2

    height, width = example.image.shape[:2]
    scale = np.array([size / width, size / height] * 2)
    image = np.asarray(cv2.resize(example.image, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
    return LabelledImage(image, example.boxes * scale, example.classes, example.ignored)


class StretchedImages:
    """The images of a source, stretched to a square of ``size`` pixels when asked for."""

    def __init__(self, source: LabelledImages, size: int) -> None:
        self.source, self.size, self.names = source, size, source.names
        self.identity = f"{source.identity}:size={size}"

    def __len__(self) -> int:
        return len(self.source)

    def example(self, index: int) -> LabelledImage:
        """One image."""
        return stretch(self.source.example(index), self.size)


def store(
    source: LabelledImages, folder: Path, size: int, report: Callable[[int, int], None] | None = None
) -> StoredImages:
    """The images of a source at one size on disk; made once, taken as it is when it is there already.

    Args:
        folder: made when missing; the file ``about.json`` is written last and makes the store complete.
        report: called with images done and in all.

    Raises:
        DataError: the folder holds a store of another source or size, or the source has no images.
    """
    identity = f"{source.identity}:size={size}"
    about = folder / "about.json"
    if about.is_file():
        found = json.loads(about.read_text(encoding="utf-8")).get("identity")
        if found != identity:
            raise DataError(
                f"{folder}: holds images of {found}, not of {identity}; delete it or choose another"
            )
        return StoredImages(folder)
    if not len(source):
        raise DataError(f"{source.identity}: no images")
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "images.npy.part"
    images = np.lib.format.open_memmap(partial, "w+", np.uint8, (len(source), size, size, 3))
    labels = []
    for index in range(len(source)):
        example = stretch(source.example(index), size)
        images[index] = example.image
        labels.append((example.boxes, example.classes, example.ignored))
        if report:
            report(index + 1, len(source))
    images.flush()
    del images
    os.replace(partial, folder / "images.npy")
    boxes, classes, ignored = (np.concatenate(parts) for parts in zip(*labels))
    counts = np.array([len(own) for own, _, _ in labels])
    np.savez(folder / "labels.npz", boxes=boxes, classes=classes, ignored=ignored, counts=counts)
    write_atomic(about, json.dumps({"identity": identity, "names": list(source.names)}))
    return StoredImages(folder)
