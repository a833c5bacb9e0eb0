"""Videos with ILSVRC VID annotations: one XML file a frame, one track for each ``trackid``.

Layout: ``Annotations/VID/<set>/…/<video>/000000.xml`` beside ``Data/VID/<set>/…/<video>/000000.JPEG``. VID
boxes are corners ``xmin … xmax`` in pixels counted from 0, with the right and lower edge outside.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from rolo_bench.boxes import Array
from rolo_bench.boxfiles import row_numbers
from rolo_bench.errors import DataError
from rolo_bench.sequence import ImageFiles, Sequence


def read_frame(path: Path) -> dict[str, Array]:
    """Boxes ``(4,)`` of one annotation file by track id.

    Raises:
        DataError: missing or malformed, with the file.
    """
    try:
        root = ElementTree.fromstring(path.read_bytes())
        boxes = {}
        for entry in root.iter("object"):
            corner = entry.find("bndbox")
            name = entry.findtext("trackid")
            if corner is None or name is None:
                raise DataError(
                    f"{path}: an object has no trackid or bndbox; is it an ILSVRC VID annotation?"
                )
            cells = [corner.findtext(k, "").strip() for k in ("xmin", "ymin", "xmax", "ymax")]
            left, top, right, bottom = row_numbers(cells, str(path))
            if name in boxes:
                raise DataError(f"{path}: track {name} stands there twice")
            boxes[name] = np.array([left, top, right - left, bottom - top])
            if not np.isfinite(boxes[name]).all() or (boxes[name][2:] <= 0).any():
                raise DataError(f"{path}: track {name} has no proper box")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{path}: not an ILSVRC VID annotation ({error})") from None
    return boxes


def video_tracks(annotations: Path, images: Path, least: int = 10) -> list[Sequence]:
    """One sequence per track of a video, from its first frame to its last; frames between without it have NaN.

    Args:
        annotations, images: the video's two folders.
        least: shorter tracks are left out.

    Raises:
        DataError: files missing or malformed.
    """
    files = sorted(annotations.glob("*.xml"))
    frames = [read_frame(f) for f in files]
    paths = [next((p for p in (images / f"{f.stem}{e}" for e in (".JPEG", ".jpg", ".png")) if p.is_file()), None)
             for f in files]  # fmt: skip
    lost = [f.stem for f, p in zip(files, paths) if p is None]
    if lost:
        raise DataError(f"{images}: no image for {len(lost)} annotated frames, first {lost[0]}")
    sequences = []
    for track in sorted({t for boxes in frames for t in boxes}):
        seen = [i for i, boxes in enumerate(frames) if track in boxes]
        first, last = seen[0], seen[-1] + 1
        if last - first < least:
            continue
        truth = np.stack([frames[i].get(track, np.full(4, np.nan)) for i in range(first, last)])
        chosen = tuple(p for p in paths[first:last] if p is not None)
        sequences.append(Sequence(f"{annotations.name}-{track}", ImageFiles(chosen), truth, (), first))
    return sequences


def load_vid(root: Path) -> tuple[Sequence, ...]:
    """All tracks below a folder that holds ``Annotations`` and ``Data``.

    Raises:
        DataError: no annotations there, or malformed ones.
    """
    folders = sorted({p.parent for p in (root / "Annotations").rglob("*.xml")})
    if not folders:
        raise DataError(
            f"{root}: no XML files below Annotations; name the folder that holds Annotations and Data"
        )
    found: list[Sequence] = []
    for folder in folders:
        found += video_tracks(folder, root / "Data" / folder.relative_to(root / "Annotations"))
    return tuple(found)


def is_vid_folder(root: Path) -> bool:
    """Whether a folder holds ILSVRC VID annotations and images."""
    return (root / "Annotations").is_dir() and (root / "Data").is_dir()
