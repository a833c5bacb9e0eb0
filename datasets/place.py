"""One sequence on disk, of whatever layout: where its truth and its images lie, and how they become a `Sequence`.

A reader of a layout only says where things are and what the numbers mean; what rows and images have to do with each
other is settled here, once: a range of frames, frames that nobody annotated, a first box alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rolo_bench.boxes import Array
from rolo_bench.boxfiles import read_text, row_numbers
from rolo_bench.errors import DataError, MissingError
from rolo_bench.sequence import Image, ImageFiles, Sequence

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
LONGEST = 10_000_000
"""Frames of a video; a number beyond it is damage."""
FARTHEST = 100_000.0
"""Coordinates beyond this many pixels lie outside any image and are damage."""
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class NoFrames:
    """Stands in for images where only the truth is needed, as for scoring."""

    count: int
    numbers: tuple[int, ...] = ()
    """Numbers of all images of the video, where it is at hand."""
    paths: tuple[Path, ...] = ()
    """Images of these frames, where all are at hand: to see whether they are those of a result."""

    def __len__(self) -> int:
        return self.count

    def image(self, index: int) -> Image:
        """Never has an image.

        Raises:
            DataError: always.
        """
        raise DataError("this suite was loaded for scoring, without images; load it with its video data")


@dataclass(frozen=True)
class Truth:
    """An annotation as its file states it.

    Attributes:
        boxes: ``(N, 4)`` 0-based; NaN rows where the target has no box.
        source: the file, for messages.
        index: ``(N,)`` frame of each row, from 0, where the file says so; it may skip frames, which are then not
            annotated.
        absent: ``(N,)`` True where the target is not to be seen, where the data set says so.
        visibility: ``(N,)`` share of the target that is seen, where known.
        extent: width and height of the images, where stated.
        sparse: rows may be of every k-th frame.
    """

    boxes: Array
    source: Path
    index: NDArray[np.int_] | None = None
    absent: Flags | None = None
    visibility: Array | None = None
    extent: tuple[int, int] | None = None
    sparse: bool = False


@dataclass(frozen=True)
class Place:
    """Where a sequence lies; nothing is read before it is loaded.

    Attributes:
        truth: reads the annotation.
        images: finds the images by frame number.
        first, last: numbers of the first and last frame, where the data set fixes a range.
    """

    name: str
    truth: Callable[[], Truth]
    images: Callable[[], dict[int, Path]]
    first: int | None = None
    last: int | None = None
    attributes: tuple[str, ...] = ()

    def load(self, images: bool = True) -> Sequence:
        """The sequence; with ``images=False`` they need not be there.

        Raises:
            MissingError: neither the annotation is there nor images.
            DataError: one of the two is missing, or numbers of rows and images do not fit.
        """
        truth = self._truth()
        try:
            numbered = self.images()
        except DataError:
            if images:
                raise
            numbered = {}
        if self.first is not None and self.last is not None:
            order = list(range(self.first, self.last + 1))
        elif numbered:
            order = list(numbered)
        else:
            start = 1 if self.first is None else self.first
            order = list(
                range(start, start + (len(truth.boxes) if truth.index is None else truth.index[-1] + 1))
            )
        rows, annotated = _rows_of(truth, len(order), self, numbered)
        lost = [n for n in order if n not in numbered] if numbered else []
        if lost and images:
            raise DataError(
                f"{next(iter(numbered.values())).parent}: {len(lost)} of {len(order)} frames are missing, first "
                f"{lost[0]}; fetch it again"
            )
        paths = () if lost or not numbered else tuple(numbered[n] for n in order)
        frames = ImageFiles(paths) if images else NoFrames(len(order), tuple(numbered), paths)
        known = truth.boxes[rows] if annotated is None else _spread(truth.boxes[rows], annotated)

        def flags(values: NDArray | None) -> NDArray | None:
            """As the boxes; what nobody annotated is not absent."""
            if values is None or annotated is None:
                return None if values is None else values[rows]
            whole = np.zeros(len(annotated), dtype=values.dtype)
            whole[annotated] = values[rows]
            return whole

        return Sequence(
            self.name, frames, known, self.attributes, order[0], flags(truth.visibility), flags(truth.absent),
            annotated, truth.extent,
        )  # fmt: skip

    def _truth(self) -> Truth:
        try:
            truth = self.truth()
        except MissingError as error:
            if self._has_images():
                raise bare(error) from None
            raise
        if (far := np.flatnonzero((np.abs(truth.boxes) > FARTHEST).any(axis=1))).size:
            raise DataError(
                f"{truth.source}: box {far[0] + 1} lies beyond {FARTHEST:.0f} pixels; the file is damaged"
            )
        return truth

    def _has_images(self) -> bool:
        try:
            return bool(self.images())
        except DataError:
            return False


def _spread(boxes: Array, annotated: Flags) -> Array:
    whole = np.full((len(annotated), 4), np.nan)
    whole[annotated] = boxes
    return whole


def _rows_of(truth: Truth, count: int, place: Place, numbered: dict[int, Path]) -> tuple[slice, Flags | None]:
    """Which rows of an annotation belong to ``count`` frames, and which of these are annotated (None: all).

    Raises:
        DataError: the numbers do not fit.
    """
    rows = len(truth.boxes)
    if truth.index is not None:
        if truth.index[-1] >= count:
            raise DataError(
                f"{truth.source}: speaks of frame {truth.index[-1] + 1}, but there are {count} images"
            )
        annotated = np.zeros(count, dtype=bool)
        annotated[truth.index] = True
        return slice(None), None if annotated.all() else annotated
    if rows == count:
        return slice(None), None
    if place.first is not None and place.last is not None:
        if rows >= place.last:
            return slice(place.first - 1, place.last), None
        if rows > 1:
            raise DataError(
                f"{truth.source}: {rows} boxes, expected {count} for frames {place.first} to {place.last}; "
                "fetch the sequence again"
            )
    step = -(-count // rows)
    if rows == 1 or (truth.sparse and rows < count and -(-count // step) == rows):
        return slice(None), np.arange(count) % (count if rows == 1 else step) == 0
    folder = next(iter(numbered.values())).parent if numbered else truth.source.parent
    shown = folder.parent.name if folder.name == "img" else folder.name
    raise DataError(
        f"{truth.source}: {rows} boxes for {count} images in {shown}; if the boxes are "
        "those of some frames alone, say of which in a table: --suite mine.csv with the columns name,first,last"
    )


def number_frames(files: Iterable[Path], folder: Path) -> dict[int, Path]:
    """Image files by their frame numbers: the last number in their names that tells them apart.

    Hidden files and files that are no images are left out.

    Raises:
        DataError: no images, or two files of one number.
    """
    found = [p for p in files if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    numbers = {p: [int(n) for n in re.findall(r"\d+", p.stem)] for p in sorted(found)}
    numbers = {p: n for p, n in numbers.items() if n}
    if not numbers:
        raise DataError(f"{folder}: holds no images; name the folder that does, or fetch the sequence again")
    place = -1
    if len({len(n) for n in numbers.values()}) == 1:
        groups = range(-1, -len(next(iter(numbers.values()))) - 1, -1)
        place = next((g for g in groups if len({n[g] for n in numbers.values()}) == len(numbers)), -1)
    paths: dict[int, Path] = {}
    for path, all_ in numbers.items():
        number = all_[place]
        if number in paths:
            raise DataError(
                f"{folder}: both {paths[number].name} and {path.name} are frame {number}; remove one"
            )
        paths[number] = path
    return dict(sorted(paths.items()))


def frame_paths(folder: Path) -> dict[int, Path]:
    """Image files of a folder by frame number.

    Raises:
        DataError: no such folder, or as `number_frames`.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such image folder; fetch the sequence again")
    return number_frames(folder.iterdir(), folder)


def read_flags(path: Path, count: int) -> Array | None:
    """Numbers of a label file ``(N,)``, in one row or one a row; None where there is no such file.

    Raises:
        DataError: not numbers from 0 on, or another count.
    """
    if not path.is_file():
        return None
    values = np.array(row_numbers(re.split(r"[,\s]+", read_text(path).strip()), str(path)))
    if len(values) != count:
        raise DataError(f"{path}: {len(values)} labels for {count} frames")
    if not (values >= 0).all() or np.isinf(values).any():
        raise DataError(f"{path}: a label that is no number from 0 on")
    return values


def frame_numbers(values: Array, where: str) -> NDArray[np.int_]:
    """Numbers of frames ``(N,)`` as they stand in a table, as integers.

    Raises:
        DataError: one is no whole number from 0 on, or beyond `LONGEST`; ``where`` says in which file.
    """
    wrong = ~((values >= 0) & (values <= LONGEST) & (values == np.floor(values)))
    if wrong.any():
        raise DataError(f"{where}: {values[wrong][0]:g} is no number of a frame")
    return values.astype(int)


def bare(error: MissingError) -> DataError:
    """The error of an annotation that is not there though its images are, so that the sequence is no absent one."""
    return DataError(f"{error}, though its images are there; fetch the sequence again")


def missing(path: Path) -> MissingError:
    """The error of a file that is not there."""
    return MissingError(f"{path}: no such file")
