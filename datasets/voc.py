"""Pascal VOC annotations: XML files beside JPEG images, and folders of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.boxfiles import NUMBER, read_text
from rolo_bench.datasets.labelled import LabelledImage
from rolo_bench.errors import DataError
from rolo_bench.sequence import ImageFiles

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
LARGEST = 4_000_000  # bytes; an annotation of a few kilobytes is the rule


@dataclass(frozen=True)
class VocObject:
    """One object: class name, box ``(4,)`` x, y, w, h in 0-based pixels, and the two marks of VOC."""

    name: str
    box: Array
    difficult: bool
    truncated: bool


@dataclass(frozen=True)
class VocAnnotation:
    """One XML file: image file name, image size (width, height) and objects."""

    filename: str
    size: tuple[int, int]
    objects: tuple[VocObject, ...]


def read_annotation(path: Path) -> VocAnnotation:
    """Read one file; VOC's corners are 1-based and inclusive: x = xmin - 1, w = xmax - xmin + 1.

    Raises:
        DataError: missing, not XML, a field missing or no number, or a box that is empty or leaves the image.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot read the annotation ({error.strerror})") from None
    if len(data) > LARGEST or b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise DataError(f"{path}: not a VOC annotation (too large, or with a document type)")
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{path}: not well-formed XML ({error})") from None
    if root.tag != "annotation":
        raise DataError(f"{path}: the root is <{root.tag}>, <annotation> expected")
    width, height = (_number(path, root, f"size/{k}") for k in ("width", "height"))
    size = (int(width), int(height))
    if min(size) < 1 or size != (width, height):
        raise DataError(f"{path}: image size {width:g} x {height:g}; the size must be given in whole pixels")
    objects = tuple(_object(path, item, k, size) for k, item in enumerate(root.findall("object"), 1))
    return VocAnnotation(_text(path, root, "filename"), size, objects)


def _text(path: Path, node: ElementTree.Element, field: str) -> str:
    text = (node.findtext(field) or "").strip()
    if not text:
        raise DataError(f"{path}: <{field}> is missing or empty")
    return text


def _number(path: Path, node: ElementTree.Element, field: str, where: str = "") -> float:
    text = _text(path, node, field)
    value = float(text) if NUMBER.fullmatch(text) else float("nan")
    if not np.isfinite(value):
        raise DataError(f"{path}: {where}<{field}> is {text[:40]!r}, a number expected")
    return value


def _object(path: Path, node: ElementTree.Element, number: int, size: tuple[int, int]) -> VocObject:
    where = f"object {number}: "
    low = [_number(path, node, f"bndbox/{k}", where) for k in ("xmin", "ymin")]
    high = [_number(path, node, f"bndbox/{k}", where) for k in ("xmax", "ymax")]
    sides = [b - a + 1 for a, b in zip(low, high)]
    # Some of VOC's own corners are 0 or fractions, so a pixel of tolerance on each side.
    outside = min(low) < 0 or any(b > limit + 1 for b, limit in zip(high, size))
    if min(sides) <= 0 or outside:
        raise DataError(
            f"{path}: {where}box {low[0]:g}, {low[1]:g} to {high[0]:g}, {high[1]:g} is empty or outside the "
            f"image of {size[0]} x {size[1]}"
        )
    marks = [(node.findtext(k) or "0").strip() not in ("", "0") for k in ("difficult", "truncated")]
    box = np.array([low[0] - 1, low[1] - 1, *sides])
    return VocObject(_text(path, node, "name"), box, *marks)


class VocImages:
    """Images of a VOC folder (``Annotations``, ``JPEGImages``, ``ImageSets/Main/<split>.txt``).

    Args:
        root: the folder, for instance ``VOCdevkit/VOC2007``.
        split: a file of ``ImageSets/Main``; None for all annotations, in the order of their names.
        names: the classes; an annotation with another is an error.

    Raises:
        DataError: folder or split missing or empty.
    """

    def __init__(self, root: Path, split: str | None = None, names: tuple[str, ...] = CLASSES) -> None:
        self.root, self.names = root, names
        if split is None:
            self.stems = tuple(sorted(p.stem for p in (root / "Annotations").glob("*.xml")))
        else:
            listing = root / "ImageSets" / "Main" / f"{split}.txt"
            if not listing.is_file():
                raise DataError(
                    f"{listing}: no such split; name the folder that holds ImageSets, such as VOC2007"
                )
            lines = read_text(listing).splitlines()
            self.stems = tuple(line.split()[0] for line in lines if line.strip())
        if not self.stems:
            raise DataError(f"{root}: no annotations{f' in split {split}' if split else ''}")
        self.identity = f"voc:{root.name}:{split or 'all'}:{len(self.stems)}"

    def __len__(self) -> int:
        return len(self.stems)

    def example(self, index: int) -> LabelledImage:
        """Read one image and its annotation.

        Raises:
            DataError: malformed, a class that is not known, or an image of another size.
        """
        path = self.root / "Annotations" / f"{self.stems[index]}.xml"
        annotation = read_annotation(path)
        unknown = [o.name for o in annotation.objects if o.name not in self.names]
        if unknown:
            raise DataError(f"{path}: unknown class {unknown[0]!r}; known: {', '.join(self.names)}")
        picture = self.root / "JPEGImages" / Path(annotation.filename).name
        image = ImageFiles((picture,)).image(0)
        if image.shape[1::-1] != annotation.size:
            raise DataError(
                f"{path}: says {annotation.size[0]} x {annotation.size[1]}, but {picture.name} is "
                f"{image.shape[1]} x {image.shape[0]}"
            )
        return LabelledImage(
            image=image,
            boxes=np.array([o.box for o in annotation.objects]).reshape(-1, 4),
            classes=np.array([self.names.index(o.name) for o in annotation.objects], dtype=np.int64),
            ignored=np.array([o.difficult for o in annotation.objects], dtype=bool),
        )
