"""Sequences in OTB layout: ``<Seq>/img/0001.jpg …`` and ``<Seq>/groundtruth_rect.txt`` (1-based boxes)."""

from __future__ import annotations

import re
from pathlib import Path

from rolo_bench.boxes import Array
from rolo_bench.boxfiles import read_boxes
from rolo_bench.errors import DataError, MissingError
from rolo_bench.sequence import ImageFiles, Sequence

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}


def frame_paths(folder: Path) -> dict[int, Path]:
    """Image files of a folder by the frame number in their names.

    Raises:
        DataError: no such folder, no images, or two files of one number.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such image folder; fetch the sequence again")
    paths: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        match = re.search(r"(\d+)$", path.stem)
        if path.suffix.lower() not in SUFFIXES or match is None:
            continue
        number = int(match[1])
        if number in paths:
            raise DataError(
                f"{folder}: both {paths[number].name} and {path.name} are frame {number}; remove one"
            )
        paths[number] = path
    if not paths:
        raise DataError(f"{folder}: holds no images; fetch the sequence again")
    return dict(sorted(paths.items()))


def image_folder(place: Path) -> Path:
    """The folder of a sequence's images: ``img``, the folder itself, or where ``img`` points.

    Two targets of one video share images by a link; a checkout or archive made without links leaves a small
    text file that holds the link's target instead.
    """
    images = place / "img"
    if images.is_file() and images.stat().st_size < 256:
        target = (place / images.read_text(encoding="utf-8", errors="replace").strip()).resolve()
        if target.is_dir() and target.is_relative_to(place.resolve().parent):
            return target
    return images if images.is_dir() else place


def find_truth(root: Path, name: str) -> tuple[Path, Path]:
    """Folder and truth file of a sequence, where several targets may share a video (Jogging-2).

    ``Jogging-2`` is looked for as its own folder, then as ``Jogging/groundtruth_rect.2.txt``.

    Raises:
        MissingError: neither is there.
    """
    own = root / name / "groundtruth_rect.txt"
    if own.is_file():
        return own.parent, own
    match = re.match(r"^(.+)-(\d)$", name)
    if match:
        part = root / match[1] / f"groundtruth_rect.{match[2]}.txt"
        if part.is_file():
            return part.parent, part
    raise MissingError(f"{own}: no such file")


def load_sequence(
    root: Path,
    name: str,
    first: int | None = None,
    last: int | None = None,
    attributes: tuple[str, ...] = (),
    folder: str | None = None,
) -> Sequence:
    """One sequence of an OTB folder.

    Args:
        root: the folder that holds the sequences' folders.
        name: the sequence's name in results.
        first, last: frame numbers of the benchmark's range; all frames by default.
        folder: the folder's name where it differs from ``name``.

    The truth may cover just the range, or all frames from number 1 on; other lengths are refused.

    Raises:
        MissingError: the truth's file is not there.
        DataError: other files missing, or their lengths do not fit.
    """
    place, truth_file = find_truth(root, folder or name)
    truth = read_boxes(truth_file)
    numbered = frame_paths(image_folder(place))
    if first is None or last is None:
        first = min(numbered)
        last = max(numbered)
        if len(numbered) != len(truth):
            raise DataError(
                f"{truth_file}: {len(truth)} boxes for {len(numbered)} images in {place.name}; give a frame range"
            )
    truth = cut_truth(truth, first, last, truth_file)
    lost = [n for n in range(first, last + 1) if n not in numbered]
    if lost:
        raise DataError(
            f"{place}: {len(lost)} of {last - first + 1} frames are missing, first {lost[0]}; fetch it again"
        )
    paths = tuple(numbered[n] for n in range(first, last + 1))
    return Sequence(name, ImageFiles(paths), truth, attributes, first)


def cut_truth(truth: Array, first: int, last: int, source: Path) -> Array:
    """Truth rows of frames ``first`` to ``last``, from a file that covers the range or starts at frame 1.

    Raises:
        DataError: the number of rows fits neither.
    """
    count = last - first + 1
    if len(truth) == count:
        return truth
    if len(truth) >= last:
        return truth[first - 1 : last]
    raise DataError(
        f"{source}: {len(truth)} boxes, expected {count} for frames {first} to {last}; fetch the sequence again"
    )


def is_otb_folder(root: Path) -> bool:
    """Whether a folder holds sequences in OTB layout."""
    return root.is_dir() and any(root.glob("*/groundtruth_rect*.txt"))


def sequence_names(root: Path) -> tuple[str, ...]:
    """Names of the sequences of an OTB folder; a video with two targets gives two."""
    names = []
    for path in sorted(root.glob("*/groundtruth_rect*.txt")):
        match = re.match(r"^groundtruth_rect\.(\d)$", path.stem)
        names.append(f"{path.parent.name}-{match[1]}" if match else path.parent.name)
    return tuple(dict.fromkeys(names))
