"""Sequences in OTB layout: ``<Seq>/img/0001.jpg …`` and ``<Seq>/groundtruth_rect.txt`` (1-based boxes)."""

from __future__ import annotations

import re
from pathlib import Path

from rolo_bench.boxfiles import read_boxes
from rolo_bench.datasets.place import Place, Truth, bare, frame_paths, missing
from rolo_bench.sequence import Sequence


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
        DataError: nor is, but the images are.
    """
    own = root / name / "groundtruth_rect.txt"
    if own.is_file():
        return own.parent, own
    match = re.match(r"^(.+)-(\d)$", name)
    if match:
        part = root / match[1] / f"groundtruth_rect.{match[2]}.txt"
        if part.is_file():
            return part.parent, part
    raise bare(missing(own)) if (root / name / "img").is_dir() else missing(own)


def load_sequence(
    root: Path,
    name: str,
    first: int | None = None,
    last: int | None = None,
    attributes: tuple[str, ...] = (),
    folder: str | None = None,
    images: bool = True,
) -> Sequence:
    """One sequence of an OTB folder.

    Args:
        root: the folder that holds the sequences' folders.
        name: the sequence's name in results.
        first, last: frame numbers of the benchmark's range; all frames by default.
        folder: the folder's name where it differs from ``name``.
        images: False loads the truth alone.

    The truth may cover just the range, or all frames from number 1 on; other lengths are refused.

    Raises:
        MissingError: the truth's file is not there.
        DataError: other files missing, or their lengths do not fit.
    """
    place, truth_file = find_truth(root, folder or name)

    def truth() -> Truth:
        return Truth(read_boxes(truth_file), truth_file)

    def numbered() -> dict[int, Path]:
        return frame_paths(image_folder(place))

    return Place(name, truth, numbered, first, last, attributes).load(images)


def sequence_names(root: Path) -> tuple[str, ...]:
    """Names of the sequences of an OTB folder; a video with two targets gives two."""
    names = []
    for path in sorted(root.glob("*/groundtruth_rect*.txt")) if root.is_dir() else []:
        match = re.match(r"^groundtruth_rect\.(\d)$", path.stem)
        names.append(f"{path.parent.name}-{match[1]}" if match else path.parent.name)
    return tuple(dict.fromkeys(names))
